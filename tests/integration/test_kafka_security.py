"""TLS, mutual TLS and SASL on a real broker with an authorizer: what works, and what is refused by name."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from typer.testing import CliRunner

from batch.archive.run import archive_topics
from cli.main import app
from local.stack.commands import StackInfo
from local.stack.wait import wait_until
from local.stack.worker import settings_environment
from moderation.adapters.kafka.access import require_accepted
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.oauth_token import TokenRefused
from moderation.adapters.kafka.permissions import Permission, needed_permissions
from moderation.adapters.kafka.topic_reader import open_topic
from moderation.adapters.kafka.topics import TOPICS, ensure_topics
from moderation.datasets.synthetic import TrafficConfig
from moderation.errors import ConfigurationError
from moderation.settings import Settings
from stream.exit_codes import REFUSED
from stream.source import Generated, SendPlan, send_all
from tests.support.secure_kafka import PASSWORD, ROLES, SecureKafka, grant, revoke, token_issuer
from tests.support.workers import SpeedLayerUnderTest, base_settings, speed_layer

TRAFFIC = TrafficConfig(days=1, comments_per_day=300)
SECONDS = 10.0
"""Maximum time until a wrong setting is refused."""
OAUTH: dict[str, Any] = {
    "kafka_security_protocol": "sasl_plaintext",
    "kafka_sasl_mechanism": "OAUTHBEARER",
    "kafka_oauth_client_id": "worker",
    "kafka_oauth_client_secret": PASSWORD,
}


@pytest.fixture(scope="module")
def open_to_all(secure_broker: SecureKafka) -> str:
    """A prefix whose topics every role may read and write, over every listener."""
    prefix = "open-"
    ensure_topics(secure_broker.admin, prefix=prefix)
    users = [*(f"User:{role}" for role in ROLES), *(f"User:CN={role}" for role in ROLES)]
    grant(
        secure_broker,
        [Permission(user, "ALL", each, prefix, "PREFIXED") for user in users for each in ("TOPIC", "GROUP")],
    )
    return prefix


def settings_of(stack: StackInfo, prefix: str, lake: Path, access: dict[str, Any], **further: Any) -> Settings:
    """Return settings of the stack's other servers and of the broker with TLS, checked as at a start."""
    base = base_settings(stack, prefix).model_dump(exclude_none=True)
    return Settings(**{**base, "lake_url": str(lake), **access, **further})


@contextmanager
def environment(settings: Settings) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for key, value in settings_environment(settings).items():
            patch.setenv(key, value)
        yield


def run(settings: Settings, *arguments: str) -> dict[str, Any]:
    with environment(settings):
        done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.budget(60)
@pytest.mark.parametrize("access", ["scram", pytest.param("mutual", marks=pytest.mark.long)])
def test_the_whole_loop_runs_with_the_permissions_of_each_principal(
    access: str,
    stack: StackInfo,
    model: Path,
    secure_broker: SecureKafka,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Job topics, source, worker, archive and a command; only the job is a super user."""
    prefix = f"{access}-{uuid.uuid4().hex[:8]}-"
    user = "User:only-{}" if access == "scram" else "User:CN=only-{}"
    principals = {f"kafka_{role}_principal": user.format(role) for role in ROLES}

    def settings(role: str) -> Settings:
        own = (secure_broker.scram if access == "scram" else secure_broker.mutual)(f"only-{role}")
        return settings_of(stack, prefix, tmp_path / "lake", own, **principals)

    admin = settings_of(
        stack, prefix, tmp_path / "lake", {"kafka_bootstrap": secure_broker.address("INTERNAL")}, **principals
    )
    request.addfinalizer(lambda: revoke(secure_broker, needed_permissions(admin)))
    prepared = run(admin, "topics")
    assert prepared["created"] == [prefix + topic.name for topic in TOPICS]
    assert len(prepared["granted"]) == len(needed_permissions(admin))
    checked = run(settings("operator"), "topics")
    assert (checked["created"], checked["granted"], checked["differences"]) == ([], [], [])

    sent = send_all(settings("source"), SendPlan(Generated(TRAFFIC), tmp_path / "source"), lambda _: None)
    assert sent.comments > 200
    with speed_layer(settings("worker"), tmp_path) as layer:
        worker = layer.start_worker()
        layer.wait_accounted(sent.comments)
        layer.wait_read_to_end()
        report = archive_topics(settings("batch"))
        assert report.total("rows") == sent.comments + sent.actions
        assert worker.poll() is None
        log = (tmp_path / "worker-0.log").read_text()
        reader = SpeedLayerUnderTest(admin, tmp_path)
        wait_until(
            lambda: reader.comparison(topics_too=True).is_exact, seconds=30, description="all decisions published"
        )
    gaps = run(settings("operator"), "accept-gap")
    assert gaps == {"gaps": [], "new_topic_id": None, "former_gaps": [], "accepted": False}
    assert "cannot" not in log.lower(), log
    assert PASSWORD not in log


def test_airflows_connection_reads_the_same_topics(
    stack: StackInfo, secure_broker: SecureKafka, open_to_all: str, tmp_path: Path
) -> None:
    from moderation.adapters.sql.migrate import migrate_database

    migrate_database(stack.database_url())
    extra = kafka_of(settings_of(stack, open_to_all, tmp_path, secure_broker.scram("batch"))).airflow_extra()
    elsewhere = settings_of(stack, open_to_all, tmp_path / "lake", {"kafka_bootstrap": "127.0.0.1:1"})
    report = archive_topics(elsewhere, kafka=json.loads(json.dumps(extra)))
    assert {each.topic for each in report.topics} == {f"{open_to_all}comments", f"{open_to_all}actions"}


@pytest.mark.parametrize("access", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN", "OAUTHBEARER", "mutual TLS", "any host"])
def test_both_clients_log_in_with_every_mechanism(access: str, secure_broker: SecureKafka, open_to_all: str) -> None:
    with token_issuer() as issuer:
        given = {
            "SCRAM-SHA-256": secure_broker.scram("worker", "SCRAM-SHA-256"),
            "SCRAM-SHA-512": secure_broker.scram("worker"),
            "PLAIN": secure_broker.plain("worker"),
            "OAUTHBEARER": secure_broker.oauth(issuer.url, "worker"),
            "mutual TLS": secure_broker.mutual("worker"),
            # A certificate for another host, accepted because host names are not compared.
            "any host": {**secure_broker.tls("ELSEWHERE"), "kafka_verify_hostname": False},
        }[access]
        kafka = kafka_of(Settings(**given))
        require_accepted(kafka)
        with open_topic(kafka, f"{open_to_all}alerts") as log:  # librdkafka
            assert log.ranges() == dict.fromkeys(range(4), (0, 0))
            log._reader._connected()  # aiokafka
        if access == "OAUTHBEARER":
            assert issuer.issued >= 2


def wrong_settings(broker: SecureKafka, issuer: str) -> dict[str, tuple[dict[str, Any], str]]:
    """Settings that the broker does not accept, with the setting that the error must name."""
    scram, mutual = broker.scram("worker"), broker.mutual("worker")
    stranger, expired = broker.stranger.client("worker"), broker.authority.client("late", expired=True)
    plaintext = {"kafka_security_protocol": "plaintext"}
    account = {key: scram[key] for key in ("kafka_sasl_mechanism", "kafka_username", "kafka_password")}
    other_ca = {"kafka_ca_file": str(broker.stranger.file)}
    return {
        "wrong password": ({**scram, "kafka_password": "wrong"}, "KAFKA_PASSWORD"),
        "unknown account": ({**scram, "kafka_username": "nobody"}, "KAFKA_PASSWORD"),
        "wrong password, PLAIN": ({**broker.plain("worker"), "kafka_password": "wrong"}, "KAFKA_PASSWORD"),
        "mechanism that is switched off": ({**scram, "kafka_sasl_mechanism": "PLAIN"}, "KAFKA_SASL_MECHANISM"),
        "authority that did not sign": ({**scram, **other_ca}, "KAFKA_CA_FILE"),
        "authority that did not sign, mutual": ({**mutual, **other_ca}, "KAFKA_CA_FILE"),
        "authorities of the system": ({**scram, "kafka_ca_file": None}, "KAFKA_CA_FILE"),
        "expired certificate of the broker": (broker.tls("EXPIRED"), "KAFKA_BOOTSTRAP"),
        "certificate for another host": (broker.tls("ELSEWHERE"), "KAFKA_BOOTSTRAP"),
        "plaintext against SASL_SSL": (
            {"kafka_bootstrap": broker.address("SCRAM"), **plaintext},
            "KAFKA_SECURITY_PROTOCOL",
        ),
        "plaintext against mutual TLS": (
            {"kafka_bootstrap": broker.address("MUTUAL"), **plaintext},
            "KAFKA_SECURITY_PROTOCOL",
        ),
        "plaintext against SASL": (
            {"kafka_bootstrap": broker.address("PLAIN"), **plaintext},
            "KAFKA_SECURITY_PROTOCOL",
        ),
        "SASL without TLS against SASL_SSL": (
            {**account, "kafka_bootstrap": broker.address("SCRAM"), "kafka_security_protocol": "sasl_plaintext"},
            "KAFKA_SECURITY_PROTOCOL",
        ),
        "TLS without SASL against SASL_SSL": (broker.tls("SCRAM"), "KAFKA_SECURITY_PROTOCOL"),
        "TLS against plaintext": (broker.tls("INTERNAL"), "KAFKA_SECURITY_PROTOCOL"),
        "SASL_SSL against plaintext": (
            {**scram, "kafka_bootstrap": broker.address("INTERNAL")},
            "KAFKA_SECURITY_PROTOCOL",
        ),
        "SASL against plaintext": (
            {**broker.plain("worker"), "kafka_bootstrap": broker.address("INTERNAL")},
            "KAFKA_SECURITY_PROTOCOL",
        ),
        "no certificate of the client": (broker.tls("MUTUAL"), "KAFKA_CERTIFICATE_FILE"),
        "certificate of another authority": (
            {**mutual, "kafka_certificate_file": stranger.certificate, "kafka_key_file": stranger.key},
            "KAFKA_CERTIFICATE_FILE",
        ),
        "expired certificate of the client": (
            {**mutual, "kafka_certificate_file": expired.certificate, "kafka_key_file": expired.key},
            "KAFKA_CERTIFICATE_FILE",
        ),
        "wrong client secret": (
            {**broker.oauth(issuer, "worker"), "kafka_oauth_client_secret": "wrong"},
            "KAFKA_OAUTH_CLIENT_SECRET",
        ),
    }


@pytest.mark.budget(60)
def test_wrong_settings_are_refused_within_seconds_by_the_name_of_the_setting(secure_broker: SecureKafka) -> None:
    with token_issuer() as issuer:
        found, wrong = {}, wrong_settings(secure_broker, issuer.url)
        for name, (fields, _) in wrong.items():
            begun = time.monotonic()
            with pytest.raises(ConfigurationError) as refused, open_topic(kafka_of(Settings(**fields)), "comments"):
                pass
            seconds = time.monotonic() - begun
            is_secret = PASSWORD in str(refused.value) or "wrong" in refused.value.cause
            found[name] = (refused.value.thing, seconds < SECONDS, bool(refused.value.remedy), is_secret)
        expected = {name: (f"MODERATION_{key}", True, True, False) for name, (_, key) in wrong.items()}
    assert found == expected
    assert len(found) > 20


def test_a_broker_that_does_not_answer_is_left_to_the_callers_request(secure_broker: SecureKafka) -> None:
    require_accepted(kafka_of(Settings(**{**secure_broker.scram("worker"), "kafka_bootstrap": "127.0.0.1:1"})))
    several = f"127.0.0.1:1,{secure_broker.address('SCRAM')}"
    require_accepted(kafka_of(Settings(**{**secure_broker.scram("worker"), "kafka_bootstrap": several})))
    wrong = {**secure_broker.scram("worker"), "kafka_bootstrap": several, "kafka_password": "wrong"}
    with pytest.raises(ConfigurationError, match="MODERATION_KAFKA_PASSWORD"):
        require_accepted(kafka_of(Settings(**wrong)))


@pytest.mark.budget(40)
@pytest.mark.parametrize("case", ["wrong password", "authority that did not sign", "plaintext against SASL_SSL"])
def test_a_worker_with_wrong_settings_ends_for_good(
    case: str, stack: StackInfo, secure_broker: SecureKafka, open_to_all: str, tmp_path: Path
) -> None:
    fields, key = wrong_settings(secure_broker, "")[case]
    right = settings_of(stack, open_to_all, tmp_path, secure_broker.scram("worker"))
    with speed_layer(right, tmp_path) as layer:
        layer.settings = settings_of(stack, open_to_all, tmp_path, fields)
        assert layer.start_worker().wait(30) == REFUSED
    assert f"MODERATION_{key}" in (tmp_path / "worker-0.log").read_text()


@pytest.mark.budget(40)
def test_a_worker_without_permissions_ends_for_good_and_names_them(
    stack: StackInfo, secure_broker: SecureKafka, tmp_path: Path
) -> None:
    prefix = f"denied-{uuid.uuid4().hex[:8]}-"
    ensure_topics(secure_broker.admin, prefix=prefix)
    grant(secure_broker, [Permission("User:worker", "READ", "TOPIC", f"{prefix}comments")])
    right = settings_of(stack, prefix, tmp_path, {"kafka_bootstrap": secure_broker.address("INTERNAL")})
    with speed_layer(right, tmp_path) as layer:
        layer.settings = settings_of(stack, prefix, tmp_path, secure_broker.scram("worker"))
        assert layer.start_worker().wait(30) == REFUSED
    log = (tmp_path / "worker-0.log").read_text()
    missing = [f"WRITE topic {prefix}{name}" for name in ("decisions", "alerts", "panes")]
    assert f"it may not {', '.join(missing)}, READ group {prefix}moderation-speed" in log


@pytest.mark.budget(20)
def test_source_and_commands_with_a_wrong_password_name_the_setting(
    stack: StackInfo, secure_broker: SecureKafka, open_to_all: str, tmp_path: Path
) -> None:
    wrong = settings_of(stack, open_to_all, tmp_path, {**secure_broker.scram("source"), "kafka_password": "wrong"})
    with pytest.raises(ConfigurationError, match="MODERATION_KAFKA_PASSWORD"):
        send_all(wrong, SendPlan(Generated(TRAFFIC), tmp_path), lambda _: None)
    for arguments in (["topics"], ["accept-gap"], ["republish", "--topic", "decisions"]):
        with environment(wrong), pytest.raises(ConfigurationError, match="MODERATION_KAFKA_PASSWORD"):
            CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_tokens_are_reused_until_most_of_their_life_is_over() -> None:
    with token_issuer() as issuer:
        kafka = kafka_of(Settings(**OAUTH, kafka_oauth_endpoint=issuer.url))
        provider = kafka.token_provider()
        assert provider.current_token() == provider.current_token()
        assert issuer.issued == 1
        issuer.life_seconds = 0
        renewed = kafka.token_provider()
        renewed.current_token()
        renewed.current_token()
        assert issuer.issued == 3


@pytest.mark.parametrize(("status", "kind"), [(401, TokenRefused), (404, TokenRefused), (503, KafkaConnectionError)])
def test_answers_of_the_issuer_decide_whether_another_attempt_may_help(status: int, kind: type[Exception]) -> None:
    with token_issuer() as issuer:
        issuer.status = status
        provider = kafka_of(Settings(**OAUTH, kafka_oauth_endpoint=issuer.url)).token_provider()
        with pytest.raises(kind, match=str(status)):
            provider.current_token()
