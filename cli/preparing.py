"""``moderation migrate | topics``: what PostgreSQL and Kafka need before workers and DAGs start; for jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import console, print_json, progress

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def migrate(as_json: JsonOption = False) -> None:
    """Bring the database of MODERATION_DATABASE_URL to the newest schema. Safe to repeat, and to run twice at once.

    --json prints {"revision"}: the schema's revision afterwards.
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


def topics(
    replication: Annotated[int, typer.Option(min=1, max=32_767, help="Copies of each partition.")] = 1,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, help="Partitions of the topics that workers share. Default: as the code has it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create the topics that do not exist on MODERATION_KAFKA_BOOTSTRAP and check those that do.

    Safe to repeat, and to run twice at once. A topic with other settings is refused, never altered.

    --json prints {"created": [names], "topics": [{"name", "partitions", "replication"}]}.
    """
    from moderation.adapters.topics import TOPICS, ensure_topics, with_partitions
    from moderation.settings import load_settings

    settings = load_settings()
    wanted = TOPICS if partitions is None else with_partitions(TOPICS, partitions)
    with progress.status("asking Kafka for its topics"):
        created = ensure_topics(settings.kafka_bootstrap, wanted, prefix=settings.topic_prefix, replication=replication)
    if as_json:
        shown = [
            {"name": settings.topic_prefix + each.name, "partitions": each.partitions, "replication": replication}
            for each in wanted
        ]
        print_json({"created": list(created), "topics": shown})
        return
    names = ", ".join(settings.topic_prefix + each.name for each in wanted)
    console.print(f"created {', '.join(created) or 'none'}; as they must be: {names}")
