"""Change settings of a topic in a test, or re-create it."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import KafkaConnection, kafka_of
from moderation.adapters.kafka.topics import describe_topic_ids, ensure_topics, topic_uuid
from tests.support.workers import SpeedLayerUnderTest


def set_timestamp_type(kafka: KafkaConnection, topic: str, value: str) -> None:
    """Set the timestamp type of new records: ``LogAppendTime`` or ``CreateTime``."""
    configure_topic(kafka, topic, {"message.timestamp.type": value})


def configure_topic(kafka: KafkaConnection, topic: str, settings: dict[str, str]) -> None:
    """Change settings of a topic, and wait until the broker has the change: the controller answers before."""
    changes = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes)
    client = AdminClient(kafka.librdkafka({"log_level": 2}))  # must outlive its futures
    (future,) = client.incremental_alter_configs([resource]).values()
    future.result(30)

    def told() -> dict[str, str]:
        (future,) = client.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        current = future.result(30)
        return {name: str(current[name].value) for name in settings}

    wait_until(lambda: told() == settings, seconds=30, description=f"the broker's new settings of {topic}")


def recreate_topic(layer: SpeedLayerUnderTest) -> str:
    """Delete the comments topic of a layer and create it again; return its new id."""
    kafka = kafka_of(layer.settings)
    admin = AdminClient(kafka.librdkafka({"log_level": 4}))
    for future in admin.delete_topics([layer.topic]).values():
        future.result(30)
    wait_until(
        lambda: layer.topic not in admin.list_topics(timeout=10).topics, seconds=30, description="the topic is gone"
    )
    ensure_topics(kafka, prefix=layer.settings.topic_prefix)
    return str(topic_uuid(describe_topic_ids(kafka, [layer.topic])[layer.topic]))
