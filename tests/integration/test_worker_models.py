"""Serving model: a version that must not serve is refused, and an absent registry changes nothing."""

from __future__ import annotations

import json
import re
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import skops.io
from mlflow import MlflowClient
from sklearn.cluster import KMeans

from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.wait import wait_until
from local.stack.worker import signing_key
from moderation.adapters.kafka.topics import ensure_topics
from moderation.adapters.model_folder.folder import MODEL
from moderation.adapters.override import Override
from moderation.adapters.registry.certificate import CERTIFICATE_TAG
from moderation.adapters.registry.registry import OVERRIDE_TAG
from moderation.bootstrap import registry
from moderation.text import Lexicon
from moderation.timestamps import HOUR_US, MINUTE_US, now_us
from tests.support.certified import register
from tests.support.forged_versions import certify_again, restate, stored_folder
from tests.support.workers import RUN, SpeedLayerUnderTest, base_settings, comments, speed_layer

NAME = f"model-life-tests-{RUN}"
FORGERIES = {
    "a bad signature": "tag moderation.certificate_2 was edited",
    "another kernel": "made for kernel version 0; this is version 1",
    "a truncated artifact": f"{MODEL} in the registry is not the one that was registered",
    "an unknown type": "which is not trusted",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def commit(client: MlflowClient, stack: StackInfo, version: str, forgery: str) -> None:
    """Damage a certified version."""
    folder, key = stored_folder(stack, NAME, version), signing_key(StackLayout(stack.root))
    if forgery == "a bad signature":
        forged = json.loads(client.get_model_version(NAME, version).tags[CERTIFICATE_TAG])
        forged["signature"] = forged["signature"][::-1]
        client.set_model_version_tag(NAME, version, CERTIFICATE_TAG, json.dumps(forged))
    elif forgery == "another kernel":
        restate(folder, kernel_version="0")
        certify_again(client, NAME, version, folder, key)
    elif forgery == "a truncated artifact":
        data = (folder / MODEL).read_bytes()
        (folder / MODEL).write_bytes(data[: len(data) // 2])
    else:
        (folder / MODEL).write_bytes(skops.io.dumps(KMeans()))
        restate(folder)
        certify_again(client, NAME, version, folder, key)


def a_new_model(model: Path, folder: Path) -> Path:
    """Register the same model with another card, which no cache has yet."""
    shutil.copytree(model, folder)
    restate(folder, training={"data_digest": "d" * 64, "seed": folder.name, "folds": 3})
    return folder


@pytest.fixture
def renamed_layer(stack: StackInfo, model: Path, topic_prefix: str, tmp_path: Path) -> Iterator[SpeedLayerUnderTest]:
    ensure_topics(stack.kafka, prefix=topic_prefix)
    changes = {"model_name": NAME, "metrics_port": free_port(), "state_folder": tmp_path / "state"}
    with speed_layer(base_settings(stack, topic_prefix).model_copy(update=changes), tmp_path) as layer:
        yield layer


@pytest.mark.long
def test_a_version_that_must_not_serve_is_refused_in_log_and_metric_and_the_old_one_serves(
    stack: StackInfo, model: Path, renamed_layer: SpeedLayerUnderTest, tmp_path: Path
) -> None:
    layer, client = renamed_layer, MlflowClient(stack.mlflow_url)
    good, _ = register(model, layer.settings, "the good one")
    worker = layer.start_worker()
    layer.produce(comments(100))
    layer.wait_accounted(100)
    log = layer.folder / "worker-0.log"
    spoilt = {}
    for forgery, reason in FORGERIES.items():
        version, _ = register(a_new_model(model, tmp_path / forgery), layer.settings, forgery)
        spoilt[forgery] = version
        commit(client, stack, version, forgery)
        client.set_registered_model_alias(NAME, "production", version)
        refusal = re.compile(f"refused version {version}; .*{re.escape(reason)}")
        wait_until(lambda: refusal.search(log.read_text()) is not None, seconds=30, description=f"{forgery} is refused")  # noqa: B023
    layer.produce(comments(100, start=100))
    layer.wait_accounted(200)
    with urllib.request.urlopen(f"http://127.0.0.1:{layer.settings.metrics_port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    for version in spoilt.values():
        assert f'moderation_model_refusals_total{{version="{version}"}} 1.0' in metrics
    assert f'moderation_serving_model{{version="{good}"}} 1.0' in metrics

    # Killed while the alias names a version that is refused: what served last here serves again.
    worker.kill()
    again = layer.start_worker()
    layer.produce(comments(100, start=200))
    layer.wait_accounted(300)
    assert again.poll() is None
    with psycopg.connect(layer.database_url) as connection:
        versions = connection.execute(
            "SELECT model_version, count(*) FROM speed.decisions WHERE topic_id = %s GROUP BY 1", (layer.topic_id,)
        ).fetchall()
    assert versions == [(good, 300)]
    assert layer.comparison().is_exact


@pytest.mark.long
@pytest.mark.budget(30)
def test_an_uncertified_version_serves_only_with_an_override_whose_reason_is_logged(
    stack: StackInfo, model: Path, renamed_layer: SpeedLayerUnderTest, tmp_path: Path
) -> None:
    layer, client = renamed_layer, MlflowClient(stack.mlflow_url)
    layer.settings = layer.settings.model_copy(update={"model_name": f"{NAME}-override"})
    known, most = registry(layer.settings), layer.settings.model_max_bytes
    good, _ = register(model, layer.settings, "the good one")
    refused, overridden = (
        known.register(a_new_model(model, tmp_path / name), Lexicon(), most, run_name=name, reason="for a test")
        for name in ("refused", "overridden")
    )
    layer.start_worker()
    layer.produce(comments(100))
    layer.wait_accounted(100)
    log = layer.folder / "worker-0.log"
    client.set_registered_model_alias(known.model_name, "production", refused.version)
    told = f"refused version {refused.version}; the old model, if any, continues to serve"
    wait_until(lambda: told in log.read_text(), seconds=30, description="the uncertified version is refused")
    layer.produce(comments(100, start=100))
    layer.wait_accounted(200)
    override = Override("the certifier is broken, ticket 7", (now_us() + HOUR_US) // MINUTE_US * MINUTE_US)
    known.tag(overridden, OVERRIDE_TAG, str(override))
    client.set_registered_model_alias(known.model_name, "production", overridden.version)
    told = f"{overridden} has no certificate; it is opened by override: {override}"
    wait_until(lambda: told in log.read_text(), seconds=30, description="the override is logged")
    serves = f"model version {overridden.version} serves"
    wait_until(lambda: serves in log.read_text(), seconds=30, description="the overridden version serves")
    layer.produce(comments(100, start=200))
    layer.wait_accounted(300)
    with psycopg.connect(layer.database_url) as connection:
        versions = connection.execute(
            "SELECT model_version, count(*) FROM speed.decisions WHERE topic_id = %s GROUP BY 1 ORDER BY 1",
            (layer.topic_id,),
        ).fetchall()
        served = connection.execute(
            "SELECT DISTINCT model_version, override FROM speed.served WHERE topic_id = %s ORDER BY 1",
            (layer.topic_id,),
        ).fetchall()
    assert versions == [(good, 200), (overridden.version, 100)]
    assert served == [(good, None), (overridden.version, str(override))]
    assert layer.comparison().is_exact


@pytest.mark.long
def test_a_worker_starts_with_the_last_good_model_if_the_registry_is_unavailable(
    layer: SpeedLayerUnderTest, tmp_path: Path
) -> None:
    away = {"mlflow_url": f"http://127.0.0.1:{free_port()}", "state_folder": tmp_path / "state"}
    layer.settings = layer.settings.model_copy(update={"state_folder": tmp_path / "state"})
    worker = layer.start_worker()
    layer.produce(comments(100))
    layer.wait_accounted(100)
    worker.kill()
    layer.settings = layer.settings.model_copy(update=away)
    worker = layer.start_worker()
    layer.produce(comments(100, start=100))
    layer.wait_accounted(200)
    assert worker.poll() is None
    assert "continuing with version 1, which served before" in (layer.folder / "worker-1.log").read_text()
    assert layer.comparison().is_exact
