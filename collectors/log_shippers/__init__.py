"""Configurations of log shippers: gateways' and models' logs from a node to Kafka or a search store."""
