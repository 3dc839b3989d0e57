"""Models that served, with their signed certificates, for workers that start while the registry is not available."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE speed.kept_models (
    model_name text NOT NULL,
    model_version text NOT NULL,
    card_digest text NOT NULL,
    certificate jsonb NOT NULL,
    kept_us bigint NOT NULL,
    PRIMARY KEY (model_name, model_version)
);
COMMENT ON TABLE speed.kept_models IS 'versions that served; a worker without registry starts from the last of them';
COMMENT ON COLUMN speed.kept_models.card_digest IS 'SHA-256 of model.json, which has the digests of all other files';
COMMENT ON COLUMN speed.kept_models.certificate IS 'tags of the version that contain its signed certificate';
COMMENT ON COLUMN speed.kept_models.kept_us IS 'when a worker stored it, or a newer certificate of it';
CREATE TABLE speed.kept_model_files (
    card_digest text NOT NULL,
    name text NOT NULL,
    part integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (card_digest, name, part)
);
COMMENT ON TABLE speed.kept_model_files IS 'files of kept models by the digest of their card; nothing deletes them';
COMMENT ON COLUMN speed.kept_model_files.part IS 'from 0; a part has at most 8 MiB';
-- Model files are compressed already.
ALTER TABLE speed.kept_model_files ALTER COLUMN content SET STORAGE EXTERNAL;
"""


def upgrade() -> None:
    """Add the tables."""
    op.execute(_UP)


def downgrade() -> None:
    """Drop them; the registry still has the models."""
    op.execute("DROP TABLE speed.kept_model_files")
    op.execute("DROP TABLE speed.kept_models")
