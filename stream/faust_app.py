"""What the project's Faust apps have in common: raw values, topics made beforehand, no tables, no leader."""

from __future__ import annotations

from typing import Any

import faust

from moderation.settings import Settings
from stream.logs import logging_config


def new_app(name: str, settings: Settings, folder: str, **options: Any) -> faust.App:
    """A Faust app.

    Args:
        name: the app's id, and its consumer group.
        settings: broker addresses and state folder.
        folder: Faust's own files go here, below the state folder; made if absent.
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
