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
    replication: Annotated[
        int | None,
        typer.Option(min=1, max=32_767, help="Replicas of each partition. Default: MODERATION_TOPIC_REPLICATION."),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, help="Partitions of the topics that workers share. Default: MODERATION_TOPIC_PARTITIONS."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create missing topics on MODERATION_KAFKA_BOOTSTRAP and check the settings of existing ones.

    Safe to repeat, and to run twice at once. Topics of others are accepted if they keep more; a topic with an unsafe
    setting is refused by name. The command never alters one. If the settings name principals, it grants what they need
    and refuses permissions that are too broad. docs/kafka.md lists both.

    Example: `moderation topics --replication 3`

    --json prints {"created": [names], "topics": [{"name", "partitions", "replication"}], "differences": [{"topic",
    "setting", "value", "wanted"}], "granted": [texts]}. Differences are the accepted ones.
    """
    from moderation.adapters.kafka.acls import apply_permissions
    from moderation.adapters.kafka.connection import kafka_of
    from moderation.adapters.kafka.topic_rules import Difference
    from moderation.adapters.kafka.topics import ensure_topics, required_topics
    from moderation.settings import load_settings

    settings = load_settings()
    options = {"topic_partitions": partitions, "topic_replication": replication}
    settings = settings.model_copy(update={name: value for name, value in options.items() if value is not None})
    wanted, prefix, replicas = required_topics(settings), settings.topic_prefix, settings.topic_replication
    accepted: list[tuple[str, Difference]] = []
    with progress.status("reading the topics"):
        created = ensure_topics(
            kafka_of(settings),
            wanted,
            prefix=prefix,
            replication=replicas,
            on_difference=lambda name, difference: accepted.append((name, difference)),
        )
    with progress.status("reading the permissions"):
        granted = apply_permissions(settings)
    if as_json:
        shown = [
            {"name": prefix + each.name, "partitions": each.partitions, "replication": replicas} for each in wanted
        ]
        differences = [
            {"topic": name, "setting": each.setting, "value": each.actual, "wanted": each.wanted}
            for name, each in accepted
        ]
        print_json(
            {
                "created": list(created),
                "topics": shown,
                "differences": differences,
                "granted": [str(each) for each in granted],
            }
        )
        return
    names = ", ".join(prefix + each.name for each in wanted)
    console.print(f"created {', '.join(created) or 'none'}; checked: {names}")
    for name, difference in accepted:
        console.print(f"accepted: topic {name}: {difference}")
    for permission in granted:
        console.print(f"granted: {permission}")
