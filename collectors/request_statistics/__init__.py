"""What is done with rows of requests: kept for hours, added up for people and for Prometheus, written for others."""
