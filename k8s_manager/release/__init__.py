"""Releases: a version takes over from another by evidence, and goes back by itself.

The loop observes, decides (`decision`), and writes `status.rollout`; the main loop takes the weights from there
(`k8s_manager/traffic/release_traffic.py`).
"""
