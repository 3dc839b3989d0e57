"""The lake: immutable master data, one row per Kafka record, read only through the manifest ``batch.files``."""
