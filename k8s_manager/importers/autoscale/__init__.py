"""Autoscalers of other owners, as `autoscale` of the versions that they scale."""
