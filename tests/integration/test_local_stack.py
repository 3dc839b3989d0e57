"""Local stack with its real servers: behaviour of `up`, `status` and `down`."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaException, Message, Producer, TopicPartition
from psycopg import sql

from local.stack import mlflow_accounts
from local.stack.commands import PartStatus, StackInfo, down, info, status, up
from local.stack.credentials import load_or_create
from local.stack.environment import MARKER
from local.stack.kafka import answers
from local.stack.layout import StackLayout
from local.stack.ports import DEFAULT_PORTS, HOST, any_free_port
from local.stack.processes import stack_processes, still_alive
from local.stack.program import Program
from local.stack.state_file import StackState, save_stack_state
from local.stack.supervisor import Supervisor
from local.stack.wait import wait_until
from local.stack.worker import stack_settings
from moderation.adapters.kafka.topics import (
    COMMENTS,
    DECISIONS,
    RECORD_MAX_BYTES,
    TOPICS,
    describe_topic_ids,
    ensure_topics,
)
from moderation.errors import ConfigurationError, StackError
from tests.support.forbidden_acts import basic
from tests.support.leftover_processes import leftover_processes
from tests.support.secret_traces import CommandLines, command_lines, in_files, in_text, secrets_of

_QUIET = {"log_level": 2}


def _part(stack: StackInfo, name: str) -> PartStatus:
    return next(part for part in status(StackLayout(stack.root)) if part.name == name)


def _produce(stack: StackInfo, topic: str, value: bytes) -> None:
    refused: list[object] = []
    producer = Producer(stack.kafka.librdkafka({"message.max.bytes": 2 * RECORD_MAX_BYTES, **_QUIET}))
    producer.produce(
        topic, value, key=b"key", partition=0, timestamp=1_000, on_delivery=lambda error, _: refused.append(error)
    )
    assert producer.flush(20) == 0
    if refused[0] is not None:
        raise KafkaException(refused[0])


def _first_record(stack: StackInfo, topic: str) -> Message:
    consumer = Consumer(stack.kafka.librdkafka({"group.id": "test", **_QUIET}))
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(20)
        assert message is not None, "nothing came within 20 s"
        assert message.error() is None
        return message
    finally:
        consumer.close()


def _mlflow(stack: StackInfo, method: str, body: dict[str, str], host: str = "localhost") -> int:
    """Request MLflow's registry over REST as the batch layer; return the status of the answer."""
    connection = http.client.HTTPConnection(HOST, stack.ports["mlflow"], timeout=30)
    try:
        password = mlflow_accounts.passwords(StackLayout(stack.root))[mlflow_accounts.BATCH]
        headers = {"Content-Type": "application/json", "Host": f"{host}:{stack.ports['mlflow']}"}
        headers |= basic(mlflow_accounts.BATCH, password)
        connection.request("POST", f"/api/2.0/mlflow/registered-models/{method}", json.dumps(body), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _tiny(layout: StackLayout, name: str, code: str) -> Program:
    return Program(name=name, argv=(sys.executable, "-I", "-S", "-c", code), cwd=layout.log, first_delay_seconds=0.05)


def test_taken_default_ports_lead_to_others_and_every_part_is_running(stack: StackInfo) -> None:
    assert not set(stack.ports.values()) & set(DEFAULT_PORTS.values())
    parts = status(StackLayout(stack.root))
    assert [part.name for part in parts][:4] == ["supervisor", "kafka", "postgres", "mlflow"]
    for part in parts[:4]:
        assert part.state == "running", part
        assert part.log.stat().st_size > 0, part
        assert part.uptime_seconds > 0, part
        assert psutil.Process(part.pid).environ()[MARKER] == str(stack.root), part
    assert {part.address for part in parts} >= {stack.kafka_bootstrap, stack.mlflow_url}


def test_servers_listen_on_the_loopback_address_only(stack: StackInfo) -> None:
    listening = [
        connection.laddr
        for process in stack_processes(stack.root)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.port for address in listening} >= set(stack.ports.values())
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_up_a_second_time_starts_nothing_and_gives_the_same_addresses(stack: StackInfo) -> None:
    layout = StackLayout(stack.root)
    before = _servers(stack)
    begun = time.monotonic()
    assert up(layout) == stack
    assert time.monotonic() - begun < 5
    assert info(layout) == stack
    assert _servers(stack) == before


def _servers(stack: StackInfo) -> set[tuple[int, float]]:
    """Return the processes of the stack; of PostgreSQL only the first one, because it starts and ends others."""
    postmaster = _part(stack, "postgres").pid
    found = stack_processes(stack.root)
    return {(one.pid, one.create_time()) for one in found if one.pid == postmaster or one.name() != "postgres"}


def test_kafka_stamps_comments_with_its_own_clock_and_takes_records_of_one_mebibyte(
    stack: StackInfo, topic_prefix: str
) -> None:
    assert set(ensure_topics(stack.kafka, prefix=topic_prefix)) == {topic_prefix + t.name for t in TOPICS}
    topic = topic_prefix + COMMENTS.name
    begun_ms = time.time_ns() // 1_000_000
    _produce(stack, topic, b"x" * RECORD_MAX_BYTES)
    message = _first_record(stack, topic)
    kind, stamp_ms = message.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert begun_ms - 1_000 <= stamp_ms <= time.time_ns() // 1_000_000 + 1_000
    assert len(message.value() or b"") == RECORD_MAX_BYTES
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        _produce(stack, topic, b"x" * (RECORD_MAX_BYTES + 128 * 1024))


def test_topics_are_made_once_and_another_setting_is_refused_by_name(stack: StackInfo, topic_prefix: str) -> None:
    assert ensure_topics(stack.kafka, prefix=topic_prefix)
    names = [topic_prefix + topic.name for topic in TOPICS]
    ids = describe_topic_ids(stack.kafka, names)
    assert len(set(ids.values())) == len(names)
    assert ensure_topics(stack.kafka, prefix=topic_prefix) == ()
    assert describe_topic_ids(stack.kafka, names) == ids
    for changed, setting in (
        (replace(DECISIONS, timestamp_type="LogAppendTime"), "message.timestamp.type is CreateTime"),
        (replace(COMMENTS, partitions=7), "partitions is 4"),
        (replace(COMMENTS, retention_ms=2 * COMMENTS.retention_ms), "retention.ms is"),
    ):
        with pytest.raises(ConfigurationError, match=rf"{topic_prefix}{changed.name}: {setting}"):
            ensure_topics(stack.kafka, [changed], prefix=topic_prefix)
    with pytest.raises(ConfigurationError, match="does not exist"):
        describe_topic_ids(stack.kafka, [topic_prefix + "nowhere"])


def test_postgres_answers_with_every_durability_setting_on_and_refuses_to_lose_it(
    stack: StackInfo, schema: str
) -> None:
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert connection.execute("select current_setting(%s)", [setting]).fetchone() == ("on",), setting
        connection.execute("alter system reset fsync")
        found = connection.execute("select count(*) from pg_namespace where nspname = %s", [schema]).fetchone()
        assert found == (1,)


def test_postgres_opens_with_the_right_password_only_and_each_role_its_own_database(stack: StackInfo) -> None:
    with psycopg.connect(stack.database_url("mlflow")) as connection:
        assert connection.execute("select current_user, current_database()").fetchone() == ("mlflow", "mlflow")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://moderation:moderation@127.0.0.1:{stack.ports['postgres']}/moderation")
    stranger = stack.database_url("mlflow").removesuffix("mlflow") + "moderation"
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(stranger)
    assert "password" not in repr(stack)
    assert stack.postgres_url not in repr(stack)


def test_mlflow_registers_a_model_and_refuses_an_unknown_host_name(stack: StackInfo) -> None:
    name = f"empty-{time.time_ns()}"
    assert _mlflow(stack, "create", {"name": name}) == 200
    with psycopg.connect(stack.database_url("mlflow")) as connection:
        kept = connection.execute("select count(*) from registered_models where name = %s", [name]).fetchone()
    assert kept == (1,)
    assert _mlflow(stack, "create", {"name": name + "-2"}, host="elsewhere.example") == 403


def test_secrets_are_in_closed_files_and_on_no_command_line(stack: StackInfo) -> None:
    layout = StackLayout(stack.root)
    stack_settings(layout, stack)  # creates the keys of models
    secrets = secrets_of(layout)
    assert {"credentials.supervisor", "credentials.databases.moderation", "signing.key"} <= secrets.keys()
    assert {f"credentials.secrets.mlflow-{account}" for account in mlflow_accounts.ACCOUNTS} <= secrets.keys()
    assert layout.run.stat().st_mode & 0o077 == 0
    assert in_files(layout, secrets) == []
    lines = list(command_lines())
    assert any("mlflow" in line for line in lines)
    assert [line for line in lines if in_text(line, secrets)] == []


def test_the_search_for_secrets_finds_them(tmp_path: Path) -> None:
    layout = StackLayout(tmp_path)
    layout.make_folders()
    load_or_create(layout.credentials_file, ("moderation",))
    secrets = secrets_of(layout)
    password = secrets["credentials.databases.moderation"]
    assert in_files(layout, secrets) == []
    layout.log_file("worker").write_bytes(b"\xff" + password)
    (layout.run / "open").write_bytes(password)
    (layout.run / "open").chmod(0o604)
    traces = ["log/worker.log: credentials.databases.moderation", "run/open: credentials.databases.moderation"]
    assert sorted(in_files(layout, secrets)) == traces
    sleep = [sys.executable, "-I", "-c", "import time; time.sleep(60)", password.decode()]
    with CommandLines() as lines, subprocess.Popen(sleep) as sleeper:
        wait_until(
            lambda: any(in_text(line, secrets) for line in lines.seen), seconds=10, description="its command line"
        )
        sleeper.kill()


def test_an_exit_code_that_must_not_restart_ends_the_program_for_good(stack: StackInfo) -> None:
    layout = StackLayout(stack.root)
    with pytest.raises(StackError, match="program refuses: it ended: exit 78") as failure:
        up(layout, extra_programs=[_tiny(layout, "refuses", "print('the remedy'); raise SystemExit(78)")])
    assert "the remedy" in str(failure.value)
    part = _part(stack, "refuses")
    assert (part.state, part.pid, part.restarts, part.last_exit) == ("ended", 0, 0, "exit 78")


def test_another_exit_code_restarts_with_growing_delays(stack: StackInfo, tmp_path: Path) -> None:
    layout, starts = StackLayout(stack.root), tmp_path / "starts"
    code = f"import time; open({str(starts)!r}, 'a').write(f'{{time.time()}}\\n'); raise SystemExit(3)"
    up(layout, extra_programs=[replace(_tiny(layout, "crashes", code), ready=starts.exists)])
    wait_until(lambda: _part(stack, "crashes").restarts >= 4, seconds=15, description="four restarts")
    begun = [float(line) for line in starts.read_text().splitlines()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert pauses[1] >= 0.1, pauses
    assert pauses[2] >= 0.2, pauses
    assert _part(stack, "crashes").last_exit == "exit 3"
    quiet = Program(name="crashes", argv=("/bin/sh", "-c", "exec sleep 3600"), cwd=layout.log)
    up(layout, extra_programs=[quiet])
    assert _part(stack, "crashes").state == "running"


def test_a_killed_restart_wrapper_leaves_no_second_copy_of_its_program(stack: StackInfo) -> None:
    layout = StackLayout(stack.root)
    argv = ("/bin/sh", "-c", "sleep 3600 & exec sleep 3600")
    up(layout, extra_programs=[Program(name="forks", argv=argv, cwd=layout.log)])
    leader = psutil.Process(_part(stack, "forks").pid)
    family = [leader, *leader.children()]
    assert len(family) == 2
    parent = leader.parent()
    assert parent is not None
    parent.kill()
    wait_until(lambda: _part(stack, "forks").pid not in (0, leader.pid), seconds=10, description="another copy")
    assert still_alive(family) == []
    assert _part(stack, "forks").restarts == 1


@pytest.mark.long
def test_killed_kafka_restarts_after_a_pause_with_its_records(stack: StackInfo, topic_prefix: str) -> None:
    ensure_topics(stack.kafka, prefix=topic_prefix)
    topic = topic_prefix + COMMENTS.name
    _produce(stack, topic, b"kept")
    before = _part(stack, "kafka")
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: _part(stack, "kafka").state == "waiting", seconds=5, description="the pause")
    wait_until(answers(stack.kafka), seconds=30, description="Kafka")
    after = _part(stack, "kafka")
    assert (after.restarts, after.last_exit) == (before.restarts + 1, "signal 9")
    assert after.pid != before.pid
    assert "starting again in 1 s" in after.log.read_text()
    assert _first_record(stack, topic).value() == b"kept"


@pytest.mark.long
def test_a_killed_supervisor_leaves_nothing_behind_and_up_brings_everything_back(
    stack: StackInfo, topic_prefix: str, schema: str
) -> None:
    layout = StackLayout(stack.root)
    ensure_topics(stack.kafka, prefix=topic_prefix)
    _produce(stack, topic_prefix + COMMENTS.name, b"kept")
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("create table {} as select 1 as value").format(sql.Identifier(schema, "kept")))
    running = stack_processes(stack.root)
    os.kill(_part(stack, "supervisor").pid, signal.SIGKILL)
    assert _part(stack, "supervisor").state == "stopped"

    down(layout)
    assert still_alive(running) == []
    assert leftover_processes(stack.root) == []
    assert status(layout) == []
    with pytest.raises(ConfigurationError, match="it is not up"):
        info(layout)
    down(layout)

    assert up(layout) == stack
    assert _first_record(stack, topic_prefix + COMMENTS.name).value() == b"kept"
    with psycopg.connect(stack.database_url()) as connection:
        found = connection.execute(sql.SQL("select value from {}").format(sql.Identifier(schema, "kept"))).fetchone()
    assert found == (1,)


def test_down_leaves_no_process_even_one_that_will_not_stop(tmp_path: Path) -> None:
    """Checked by process id and by the environment marker; with a separate supervisor and no server."""
    layout = StackLayout(tmp_path / "other")
    stubborn = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)"
    )
    layout.make_folders()
    port = any_free_port()
    supervisor = Supervisor(layout, port=port, password=load_or_create(layout.credentials_file, ()).supervisor)
    supervisor.start()
    try:
        program = Program(
            name="stubborn", argv=(sys.executable, "-I", "-c", stubborn), cwd=layout.log, stop_seconds=0.5
        )
        supervisor.add(program)
        supervisor.run("stubborn")
        save_stack_state(layout.state_file, StackState({"supervisor": port}, {"stubborn": ""}, {"stubborn": 0}))
        log = layout.log_file("stubborn")
        wait_until(lambda: log.exists() and "up" in log.read_text(), seconds=10, description="the stubborn program")
        running = stack_processes(layout.root)
        assert len(running) == 3
    finally:
        down(layout)
    assert still_alive(running) == []
    assert leftover_processes(layout.root) == []
    assert "is killed" in log.read_text()
    down(layout, purge=True)
    assert not layout.root.exists()


def test_a_missing_prerequisite_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = StackLayout(tmp_path / "poor")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1024**3))
    with pytest.raises(ConfigurationError, match=r"memory: 1\.0 GiB are available, .* Close other programs"):
        up(layout)
    assert stack_processes(layout.root) == []
    assert leftover_processes(layout.root) == []
    assert status(layout) == []
