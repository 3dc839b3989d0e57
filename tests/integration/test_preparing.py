"""Jobs of a deployment: `moderation migrate | partitions | topics` on real servers."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from local.stack.commands import StackInfo
from moderation.adapters.kafka.topics import TOPICS, describe_topic_ids
from moderation.errors import ConfigurationError


def run(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.fixture
def environment(stack: StackInfo, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_KAFKA_BOOTSTRAP", stack.kafka_bootstrap)
    monkeypatch.setenv("MODERATION_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("MODERATION_DATABASE_URL", stack.database_url())


@pytest.mark.usefixtures("environment")
def test_topics_are_made_once_with_the_partitions_asked_for_and_never_altered(
    stack: StackInfo, topic_prefix: str
) -> None:
    names = [topic_prefix + topic.name for topic in TOPICS]
    made = run("topics", "--partitions", "2")
    assert made["created"] == names
    assert made["topics"] == [
        {"name": topic_prefix + topic.name, "partitions": min(2, topic.partitions), "replication": 1}
        for topic in TOPICS
    ]
    ids = describe_topic_ids(stack.kafka, names)
    assert run("topics", "--partitions", "2")["created"] == []
    assert describe_topic_ids(stack.kafka, names) == ids
    for options, difference in (
        ([], "partitions is 2, not 4"),
        (["--partitions", "2", "--replication", "3"], "factor"),
    ):
        with pytest.raises(ConfigurationError, match=difference):
            CliRunner().invoke(app, ["topics", *options], catch_exceptions=False)


@pytest.mark.usefixtures("environment")
def test_migrating_again_changes_nothing_and_prints_the_revision() -> None:
    first = run("migrate")
    assert str(first["revision"]) >= "0004"
    assert run("migrate") == first


@pytest.mark.usefixtures("environment")
def test_partitions_are_there_after_migrating_and_their_command_adds_those_that_are_missing() -> None:
    run("migrate")
    answer = run("partitions")
    assert (answer["created"], int(str(answer["days_ahead"])) >= 30) == ([], True)
    assert answer.keys() == {"days_ahead", "created", "moved", "far", "longest_lock_seconds"}


def test_without_a_database_the_missing_setting_is_named() -> None:
    with pytest.raises(ConfigurationError, match="MODERATION_DATABASE_URL"):
        CliRunner().invoke(app, ["migrate"], catch_exceptions=False)
