"""The lake belongs to one database, archivers remove only what they wrote, and every file is read again in turn."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE batch.manifest_identity (
    manifest_id uuid PRIMARY KEY
);
COMMENT ON TABLE batch.manifest_identity IS
    'one row: with the identity of the PostgreSQL server, it identifies this database as owner of a lake';
INSERT INTO batch.manifest_identity VALUES (gen_random_uuid());

CREATE TABLE batch.lake_claims (
    claimed_us bigint PRIMARY KEY,
    lake_url text NOT NULL,
    owner uuid NOT NULL,
    previous_owner uuid,
    reason text NOT NULL
);
COMMENT ON TABLE batch.lake_claims IS 'when this database became the owner of a lake, and why';
COMMENT ON COLUMN batch.lake_claims.previous_owner IS 'identity of the owner before; null if the lake had none';

CREATE TABLE batch.written_paths (
    path text PRIMARY KEY,
    written_us bigint NOT NULL
);
COMMENT ON TABLE batch.written_paths IS
    'files that an archiver began to write and that are not in the manifest; only these are ever removed';

CREATE TABLE batch.file_checks (
    path text PRIMARY KEY REFERENCES batch.files ON DELETE CASCADE,
    checked_us bigint NOT NULL
);
COMMENT ON TABLE batch.file_checks IS 'when every byte of a file of the lake was last compared with its SHA-256';
"""


def upgrade() -> None:
    """Add the tables, and the identity of this database."""
    op.execute(_UP)


def downgrade() -> None:
    """Drop them; lakes keep the file that names their owner."""
    op.execute("DROP TABLE batch.file_checks, batch.written_paths, batch.lake_claims, batch.manifest_identity")
