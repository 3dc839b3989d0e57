"""Adapters: the only modules that touch files of models, Kafka, PostgreSQL and MLflow."""
