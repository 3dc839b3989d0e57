"""Translate errors of server clients that reach the command line: no user sees a traceback when a server is away."""

from __future__ import annotations

from moderation.errors import ModerationError

_KAFKA_CLIENTS = ("aiokafka", "cimpl", "confluent_kafka")


def server_error(error: Exception) -> ModerationError | None:
    """Return the error to show for an error of a Kafka or PostgreSQL client; None for any other error.

    The clients are imported here only if one of them raised the error: importing them takes time.
    """
    package = type(error).__module__.partition(".")[0]
    if package in _KAFKA_CLIENTS:
        from aiokafka.errors import KafkaError as AiokafkaError
        from confluent_kafka import KafkaException

        from moderation.adapters.kafka.broker_errors import broker_error

        if isinstance(error, AiokafkaError | KafkaException):
            return broker_error(error, "Kafka", "See MODERATION_KAFKA_BOOTSTRAP and `moderation status`.")
    if package == "psycopg":
        import psycopg

        from moderation.adapters.sql.connection import connection_error

        if isinstance(error, psycopg.OperationalError):
            return connection_error(error, "See MODERATION_DATABASE_URL and `moderation status`.")
    return None
