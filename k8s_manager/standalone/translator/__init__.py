"""From Istio objects to xDS: all that Tidegate renders, and the simple part of what others write.

    mirror ──> snapshot (pure: listeners, routes, clusters, endpoints, filters) ──> ads ──> Envoy

What is not known is left out alone, and logged once (`omissions`); everything else goes on. Names and shapes follow
istiod's, so that a result here says something about Istio.
"""
