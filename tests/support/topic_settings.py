"""Settings of a topic that a test changes."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType


def set_timestamp_type(bootstrap: str, topic: str, value: str) -> None:
    """Whose time records get from now on: ``LogAppendTime`` or ``CreateTime``."""
    change = ConfigEntry("message.timestamp.type", value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})  # must outlive its futures
    (future,) = client.incremental_alter_configs([resource]).values()
    future.result(30)
