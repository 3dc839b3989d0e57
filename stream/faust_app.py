"""Common settings of the project's Faust apps: raw values, existing topics, no tables, no leader."""

from __future__ import annotations

from typing import Any

import faust

from moderation.settings import Settings
from stream.logs import logging_config


def new_app(name: str, settings: Settings, folder: str, **options: Any) -> faust.App:
    """Create a Faust app.

    Args:
        name: id of the app and of its consumer group.
        settings: broker addresses and state folder.
        folder: folder of Faust's files, below the state folder; created if absent.
        options: further Faust settings.
    """
    state = settings.state_folder.resolve() / folder
    state.mkdir(parents=True, exist_ok=True)
    return faust.App(
        name,
        broker=[f"kafka://{address}" for address in settings.kafka_bootstrap.split(",")],
        datadir=state,
        value_serializer="raw",
        key_serializer="raw",
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        logging_config=logging_config(settings.log_level),
        **options,
    )
