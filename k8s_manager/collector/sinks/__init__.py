"""Where a collector's rows go besides its memory: files, Kafka, a search store."""
