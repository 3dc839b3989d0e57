"""Change settings of a topic in a test."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from local.stack.wait import wait_until


def set_timestamp_type(bootstrap: str, topic: str, value: str) -> None:
    """Set the timestamp type of new records: ``LogAppendTime`` or ``CreateTime``."""
    change = ConfigEntry("message.timestamp.type", value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})  # must outlive its futures
    (future,) = client.incremental_alter_configs([resource]).values()
    future.result(30)

    def told() -> str:
        (future,) = client.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        return str(future.result(30)["message.timestamp.type"].value)

    # The controller answers before the broker has the change.
    wait_until(lambda: told() == value, seconds=30, description=f"the broker's new setting of {topic}")
