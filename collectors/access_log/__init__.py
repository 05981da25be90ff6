"""Statistics of requests from the access logs of gateways.

line ──> class of requests ──> window of 10 s ──> rows of every level ──> sinks
"""
