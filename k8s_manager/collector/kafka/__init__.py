"""Kafka: lines from a topic, rows and samples to topics. An optional part: `pip install tidegate[kafka]`."""
