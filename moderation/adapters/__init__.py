"""Adapters: the modules that access model files, the lake, Kafka, PostgreSQL and MLflow."""
