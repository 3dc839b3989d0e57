"""The stack without Docker: real Kafka, PostgreSQL and MLflow on this machine, under one supervisor."""
