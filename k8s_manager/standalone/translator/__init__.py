"""From Istio objects to xDS, for exactly the objects that Tidegate renders.

    mirror ──> snapshot (pure: listeners, routes, clusters, endpoints, filters) ──> ads ──> Envoy

Names and shapes follow istiod's, so that what is proved here says something about there.
"""
