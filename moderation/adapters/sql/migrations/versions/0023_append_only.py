"""Decisions and dead letters are append-only; functions do what no grant allows: partitions, and retired days.

The grants themselves are in :mod:`moderation.adapters.sql.grants`; every `moderation migrate` applies them.
"""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_LOG = """
CREATE TABLE speed.ledger_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changed_us bigint NOT NULL,
    login text NOT NULL,
    role text NOT NULL,
    operation text NOT NULL,
    "table" text NOT NULL,
    topic_id uuid,
    partition integer,
    "offset" bigint,
    append_day date,
    rows bigint NOT NULL
);
COMMENT ON TABLE speed.ledger_changes IS
    'changes of decisions and dead letters; a trigger writes a row for each changed row, `moderation retire` for a day';
COMMENT ON COLUMN speed.ledger_changes.login IS 'role that logged in';
COMMENT ON COLUMN speed.ledger_changes.role IS 'role that it had set; the login if it had set none';
COMMENT ON COLUMN speed.ledger_changes.operation IS 'update, delete or retire';
COMMENT ON COLUMN speed.ledger_changes."table" IS 'table or partition';
COMMENT ON COLUMN speed.ledger_changes."offset" IS 'of the changed row; null for a retired day';
COMMENT ON COLUMN speed.ledger_changes.append_day IS 'that was retired; null for a changed row';
"""
# The function runs as the owner, so that nobody else needs a right to write the log: the role of the caller is that of
# SET ROLE, or the login. moderation.ledger_change is set by functions below, and by an owner who means it; after an
# error PostgreSQL restores it with the rest of the transaction.
_GUARD = """
CREATE FUNCTION speed.guard_ledger_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    acting text := CASE WHEN coalesce(current_setting('role', true), 'none') = 'none' THEN session_user::text
                        ELSE current_setting('role') END;
    purpose text := coalesce(current_setting('moderation.ledger_change', true), '');
    allowed boolean := purpose <> '';
BEGIN
    IF NOT allowed AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'moderation_retention') THEN
        allowed := acting = 'moderation_retention' OR EXISTS (
            SELECT FROM pg_roles r
             WHERE r.rolname = acting AND NOT r.rolsuper AND pg_has_role(r.oid, 'moderation_retention', 'USAGE'));
    END IF;
    IF NOT allowed THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = format('rows of %I.%I are only added; role %s may not %s them', TG_TABLE_SCHEMA, TG_TABLE_NAME,
                             acting, lower(TG_OP)),
            HINT = 'Members of role moderation_retention may overwrite rows that must be erased: docs/database.md.';
    END IF;
    IF TG_LEVEL = 'STATEMENT' THEN
        RETURN NULL;
    END IF;
    IF purpose NOT IN ('move', 'retire') THEN
        INSERT INTO speed.ledger_changes
               (changed_us, login, role, operation, "table", topic_id, partition, "offset", rows)
        VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, session_user, acting, lower(TG_OP),
                TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, OLD.topic_id, OLD.partition, OLD."offset", 1);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
"""
# Row triggers, because partitions inherit only these. They do not run for INSERT and COPY.
_TRIGGERS = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON speed.decisions
    FOR EACH ROW EXECUTE FUNCTION speed.guard_ledger_rows();
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OF topic_id, partition, "offset", append_us, reason, detail, raw,
        raw_length, raw_sha256, rules_version ON speed.dead_letters
    FOR EACH ROW EXECUTE FUNCTION speed.guard_ledger_rows();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON speed.decisions
    FOR EACH STATEMENT EXECUTE FUNCTION speed.guard_ledger_rows();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON speed.decisions_default
    FOR EACH STATEMENT EXECUTE FUNCTION speed.guard_ledger_rows();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON speed.dead_letters
    FOR EACH STATEMENT EXECUTE FUNCTION speed.guard_ledger_rows();
"""
# `moderation partitions` calls these in one transaction for each day. They take a day and nothing else, so that who may
# call them can create that day's partition and move its rows there, but name no other table.
_PARTITIONS = """
CREATE FUNCTION speed.create_day_table(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The constraint saves a scan of the partition when it is attached.
    EXECUTE format('CREATE TABLE speed.%I (LIKE speed.decisions INCLUDING ALL, CONSTRAINT of_day '
                   'CHECK (append_day >= %L AND append_day < %L::date + 1))',
                   'decisions_' || to_char(day, 'YYYYMMDD'), day, day);
END $$;

CREATE FUNCTION speed.move_to_day_table(day date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before text := coalesce(current_setting('moderation.ledger_change', true), '');
    names text;
    moved bigint;
BEGIN
    PERFORM set_config('moderation.ledger_change', 'move', true);
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO names FROM pg_attribute
     WHERE attrelid = 'speed.decisions'::regclass AND attnum > 0 AND NOT attisdropped;
    -- One statement: with two, a row stored between them would be deleted without a copy.
    EXECUTE format('WITH gone AS (DELETE FROM speed.decisions_default WHERE append_day = %L RETURNING %s) '
                   'INSERT INTO speed.%I (%s) SELECT %s FROM gone',
                   day, names, 'decisions_' || to_char(day, 'YYYYMMDD'), names, names);
    GET DIAGNOSTICS moved = ROW_COUNT;
    PERFORM set_config('moderation.ledger_change', before, true);
    RETURN moved;
END $$;

CREATE FUNCTION speed.lock_decisions(may_have_rows boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF may_have_rows THEN
        LOCK TABLE ONLY speed.decisions IN ACCESS EXCLUSIVE MODE;
    ELSE
        LOCK TABLE ONLY speed.decisions IN SHARE UPDATE EXCLUSIVE MODE;
    END IF;
    LOCK TABLE speed.decisions_default IN ACCESS EXCLUSIVE MODE;
END $$;

CREATE FUNCTION speed.attach_day_table(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'decisions_' || to_char(day, 'YYYYMMDD');
BEGIN
    EXECUTE format('ALTER TABLE speed.decisions ATTACH PARTITION speed.%I FOR VALUES FROM (%L) TO (%L)',
                   name, day, day + 1);
    EXECUTE format('ALTER TABLE speed.%I DROP CONSTRAINT of_day', name);
END $$;
"""
# A table of the partition's name that is not attached is of somebody else: it stays.
_RETIRE = """
CREATE FUNCTION speed.retire_append_day(day date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before text := coalesce(current_setting('moderation.ledger_change', true), '');
    name text := 'decisions_' || to_char(day, 'YYYYMMDD');
    dropped bigint;
BEGIN
    IF day >= (now() AT TIME ZONE 'UTC')::date - 2 THEN
        RAISE EXCEPTION 'append day % may still get decisions', day;
    END IF;
    SELECT count(*) INTO dropped FROM speed.decisions WHERE append_day = day;
    PERFORM set_config('moderation.ledger_change', 'retire', true);
    DELETE FROM speed.decisions_default WHERE append_day = day;
    PERFORM set_config('moderation.ledger_change', before, true);
    INSERT INTO speed.ledger_changes (changed_us, login, role, operation, "table", append_day, rows)
    VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, session_user,
            CASE WHEN coalesce(current_setting('role', true), 'none') = 'none' THEN session_user::text
                 ELSE current_setting('role') END,
            'retire', 'speed.decisions', day, dropped);
    -- Last, because everyone waits from here to the commit.
    IF EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'speed.decisions'::regclass
                  AND inhrelid = to_regclass('speed.' || quote_ident(name))) THEN
        EXECUTE format('DROP TABLE speed.%I', name);
    END IF;
    RETURN dropped;
END $$;
"""
_FUNCTIONS = (
    "guard_ledger_rows()",
    "create_day_table(date)",
    "move_to_day_table(date)",
    "lock_decisions(boolean)",
    "attach_day_table(date)",
    "retire_append_day(date)",
)


def upgrade() -> None:
    """Add the log, the triggers and the functions."""
    for statement in (_LOG, _GUARD, _TRIGGERS, _PARTITIONS, _RETIRE):
        op.execute(statement)
    for name in _FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION speed.{name} FROM PUBLIC")


def downgrade() -> None:
    """Drop them; the log of changes is lost."""
    for table in ("decisions", "dead_letters"):
        op.execute(f"DROP TRIGGER append_only ON speed.{table}")
    for table in ("decisions", "decisions_default", "dead_letters"):
        op.execute(f"DROP TRIGGER no_truncate ON speed.{table}")
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION speed.{name}")
    op.execute("DROP TABLE speed.ledger_changes")
