"""Kafka: topics, offsets, and record batches as the brokers send them."""
