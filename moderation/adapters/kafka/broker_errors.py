"""Translate errors of the Kafka clients: the brokers do not answer, or they refuse."""

from __future__ import annotations

from aiokafka.errors import KafkaError as AiokafkaError
from confluent_kafka import KafkaError, KafkaException

from moderation.errors import BrokerUnavailable, ConfigurationError, ModerationError

_AWAY = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_CONTROLLER,
    }
)
"""Codes that another attempt may not meet again."""
AUTHORIZATION = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
"""Codes of requests that the principal may not make."""
_REMEDIES = {
    **dict.fromkeys(AUTHORIZATION, "Grant the permission: docs/kafka.md lists what each principal needs."),
    KafkaError._AUTHENTICATION: "Check MODERATION_KAFKA_USERNAME, MODERATION_KAFKA_PASSWORD and "
    "MODERATION_KAFKA_SASL_MECHANISM.",
    KafkaError.SASL_AUTHENTICATION_FAILED: "Check MODERATION_KAFKA_USERNAME, MODERATION_KAFKA_PASSWORD and "
    "MODERATION_KAFKA_SASL_MECHANISM.",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "Check MODERATION_KAFKA_SASL_MECHANISM.",
    KafkaError.ILLEGAL_SASL_STATE: "Check MODERATION_KAFKA_SECURITY_PROTOCOL.",
    KafkaError._SSL: "Check MODERATION_KAFKA_SECURITY_PROTOCOL, MODERATION_KAFKA_CA_FILE and "
    "MODERATION_KAFKA_CERTIFICATE_FILE.",
}
"""Remedies of refusals that a setting or a permission causes; others depend on the caller."""


def broker_error(
    error: KafkaError | KafkaException | AiokafkaError, thing: str, remedy: str, *, detail: str = ""
) -> ModerationError:
    """Return the error of this project for an error of a client.

    Args:
        error: from confluent_kafka or aiokafka.
        thing: what is affected, e.g. ``topic comments``.
        remedy: what to do; replaced for refusals of the connection and missing permissions.
        detail: appended to the cause.

    Returns:
        BrokerUnavailable if another attempt may succeed, else ConfigurationError.
    """
    if isinstance(error, KafkaException):
        error = error.args[0]
    if isinstance(error, KafkaError):
        cause, is_away = error.str(), error.code() in _AWAY or error.retriable()
        remedy = _REMEDIES.get(error.code(), remedy)
    else:
        cause, is_away = str(error), error.retriable
        remedy = _REMEDIES.get(getattr(error, "errno", 0), remedy)
    kind = BrokerUnavailable if is_away else ConfigurationError
    return kind(thing, cause.rstrip(".") + detail, remedy)
