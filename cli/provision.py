"""``moderation migrate | partitions | topics``: prepare PostgreSQL and Kafka for workers and DAGs."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress
from moderation.adapters.sql.partition_plan import DAYS_AHEAD


def migrate(as_json: JsonOption = False) -> None:
    """Migrate the database of MODERATION_DATABASE_URL to the newest schema and create the partitions of the next days.

    Safe to repeat, and to run twice at once.

    Example: `moderation migrate --json`

    --json prints {"revision"}: the revision of the schema afterwards.
    """
    from moderation.adapters.sql.migrate import migrate_database
    from moderation.settings import load_settings, required

    url = required(load_settings().database_url, "database_url")
    with progress.status("migrating"):
        revision = migrate_database(url)
    if as_json:
        print_json({"revision": revision})
    else:
        console.print(f"the database is at revision {revision}")


def partitions(
    days: Annotated[int, typer.Option(min=1, max=365, help="Days after today to create partitions for.")] = DAYS_AHEAD,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Create the partitions of the next days and move rows out of the DEFAULT partition of speed.decisions.

    Workers and readers continue meanwhile. If a transaction blocks the command for two minutes, the command names it
    and ends with exit code 1. Safe to repeat, to kill, and to run twice at once.

    Example: `moderation partitions --days 60`

    --json prints {"days_ahead": int, "created": [days], "moved": {day: rows}, "far": {day: rows},
    "longest_lock_seconds": float}. Rows of far days, over 90 days old or later than the days ahead, stay in DEFAULT.
    """
    from moderation.adapters.sql.partitions import keep_partitions
    from moderation.settings import required

    url = required(connected_settings(data_folder).database_url, "database_url")
    with progress.status("creating partitions"):
        report = keep_partitions(url, days)
    if as_json:
        print_json(report.fields())
        return
    console.print(
        f"{report.days_ahead} days ahead have a partition, {len(report.created)} of them new; "
        f"{sum(report.moved.values()):,} rows moved out of DEFAULT; longest lock {report.longest_lock_seconds:.3f} s"
    )
    if report.far:
        console.print(
            f"{sum(report.far.values()):,} rows of far append days stay in DEFAULT, the first of {min(report.far)}"
        )


def topics(
    replication: Annotated[int, typer.Option(min=1, max=32_767, help="Replicas of each partition.")] = 1,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, help="Partitions of the topics that workers share. Default: set in the code."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create missing topics on MODERATION_KAFKA_BOOTSTRAP and check the settings of existing ones.

    Safe to repeat, and to run twice at once. The command refuses a topic with other settings; it never alters one.

    Example: `moderation topics --replication 3`

    --json prints {"created": [names], "topics": [{"name", "partitions", "replication"}]}.
    """
    from moderation.adapters.kafka.topics import TOPICS, ensure_topics, with_partitions
    from moderation.settings import load_settings

    settings = load_settings()
    wanted = TOPICS if partitions is None else with_partitions(TOPICS, partitions)
    with progress.status("reading the topics"):
        created = ensure_topics(settings.kafka_bootstrap, wanted, prefix=settings.topic_prefix, replication=replication)
    if as_json:
        shown = [
            {"name": settings.topic_prefix + each.name, "partitions": each.partitions, "replication": replication}
            for each in wanted
        ]
        print_json({"created": list(created), "topics": shown})
        return
    names = ", ".join(settings.topic_prefix + each.name for each in wanted)
    console.print(f"created {', '.join(created) or 'none'}; checked: {names}")
