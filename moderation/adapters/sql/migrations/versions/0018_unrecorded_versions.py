"""Versions that served before promotions were recorded are not shown as moved by hand."""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# That of 0017. Without any record of the topic, it is unknown how a version came to serve.
_VIEW = import_module("moderation.adapters.sql.migrations.versions.0017_signed_promotions")._MODEL_HISTORY


def upgrade() -> None:
    """Show a version as not recorded if the topic has no record at all."""
    op.execute(_VIEW.replace("IS TRUE AS unrecorded", "IS NOT FALSE AS unrecorded"))


def downgrade() -> None:
    """Without any record of the topic, every version was moved by hand."""
    op.execute(_VIEW)
