"""Alembic migrations; run by ``moderation.adapters.sql.migrate``."""
