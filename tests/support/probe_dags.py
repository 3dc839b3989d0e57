"""File with the DAGs `probe`, which returns what tasks find, and `busy`, whose task does not end."""

from __future__ import annotations

PROBE = '''
"""Tells what tasks find, and keeps one busy."""
from datetime import datetime
from airflow.sdk import dag, task

@dag(schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False)
def probe():
    @task
    def find() -> dict[str, str]:
        import os
        from airflow.providers.apache.kafka.hooks.consume import KafkaConsumerHook
        from moderation.settings import load_settings
        kafka = KafkaConsumerHook(topics=["comments"]).get_connection("kafka_default").extra_dejson
        settings = load_settings()
        return {
            "connection": kafka["bootstrap.servers"],
            "bootstrap": settings.kafka_bootstrap,
            "mlflow": settings.mlflow_url,
            "has_database": settings.database_url is not None,
            "database": settings.database_url.get_secret_value().rpartition("@")[2],
            "path": os.path.abspath("."),
        }
    find()

@dag(schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False)
def busy():
    @task
    def sleep() -> None:
        import time
        time.sleep(3600)
    sleep()

probe()
busy()
'''
