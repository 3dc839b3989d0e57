"""The version of the rules that read records, beside the model's; what was repaired in a record."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_RULES = """
ALTER TABLE {table} ADD COLUMN rules_version integer NOT NULL DEFAULT 1,
                    ADD COLUMN earliest_event_us bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN {table}.rules_version IS '{comment}';
COMMENT ON COLUMN {table}.earliest_event_us IS 'earlier is past_dated';
"""
_REPAIRS = """
ALTER TABLE speed.decisions ADD COLUMN repairs text;
COMMENT ON COLUMN speed.decisions.repairs IS
    'what was changed to read the record, separated by commas; null for nothing';
"""


def upgrade() -> None:
    """Add the columns; what is there was decided and archived by version 1."""
    op.execute(_RULES.format(table="batch.files", comment="that its records were parsed by"))
    op.execute(_RULES.format(table="speed.served", comment="of parsing and event time; see contracts"))
    # Last: workers and readers wait for this lock.
    op.execute(_REPAIRS)


def downgrade() -> None:
    """Drop the columns."""
    op.execute("ALTER TABLE speed.decisions DROP COLUMN repairs")
    for table in ("speed.served", "batch.files"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN rules_version, DROP COLUMN earliest_event_us")
