"""Alembic's environment: runs migrations on the connection that ``migrate`` passes."""

from __future__ import annotations

from alembic import context

import moderation.adapters.sql.promotions  # noqa: F401 - adds its table to the metadata
from moderation.adapters.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_schemas=True,
    version_table_schema="speed",
)
with context.begin_transaction():
    context.run_migrations()
