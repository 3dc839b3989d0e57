"""Registry with a real MLflow server: certified versions open and score equally everywhere; others are refused."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.ports import HOST, any_free_port
from moderation.adapters.code_version import code_version, git_commit
from moderation.adapters.model_folder.folder import OpenModel, open_model
from moderation.adapters.registry import ModelVersion, Registry
from moderation.adapters.registry.certificate import CERTIFICATE_TAG
from moderation.adapters.registry.description import DESCRIPTION
from moderation.adapters.registry.served_code import code_digest, served_code
from moderation.errors import ConfigurationError, ModelRefused, NotInRegistry, RegistryUnavailable
from moderation.policy import Policy
from moderation.scoring import ModerationPipeline
from moderation.text import Lexicon
from tests.support.model_folders import GATE, KEYS, MAX_BYTES, OTHER_KEYS, POLICY, TEXTS, make_folder

VERIFIED = ("model.json", "model.skops", "policy.json", "metrics.json", "reference.json", "golden.json")


@pytest.fixture(scope="module")
def mlflow_url(stack: StackInfo) -> str:
    return stack.mlflow_url


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon()


@pytest.fixture(scope="module")
def folder(pipeline: ModerationPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder as training writes it, with a unique name."""
    return make_folder(tmp_path_factory.mktemp("trained") / "any name", pipeline, POLICY)


@pytest.fixture
def registry(mlflow_url: str) -> Registry:
    """Registered model for one test."""
    return Registry(mlflow_url, f"moderation-{uuid.uuid4().hex[:12]}", KEYS)


@pytest.fixture
def register(registry: Registry, folder: Path, lexicon: Lexicon) -> Callable[[], ModelVersion]:
    return lambda: registry.register(folder, lexicon, MAX_BYTES, run_name="a run", reason="because")


@pytest.fixture
def certified(registry: Registry, register: Callable[[], ModelVersion], lexicon: Lexicon) -> ModelVersion:
    version = register()
    registry.certify(version, lexicon, MAX_BYTES, gate=GATE)
    return version


@pytest.fixture
def open_it(registry: Registry, lexicon: Lexicon, tmp_path: Path) -> Callable[[ModelVersion], OpenModel]:
    return lambda version: registry.open_certified(version, lexicon, MAX_BYTES, tmp_path / "cache")


@pytest.fixture
def client(mlflow_url: str) -> MlflowClient:
    return MlflowClient(mlflow_url, mlflow_url)


def stored(stack: StackInfo, client: MlflowClient, version: ModelVersion) -> Path:
    """Return the model folder of a version on the server's disk."""
    source = client.get_model_version(version.name, version.version).source
    scheme, _, path = str(source).partition(":/")
    assert scheme == "mlflow-artifacts"
    return StackLayout(stack.root).mlflow / "artifacts" / path / "data" / "model"


def tags(client: MlflowClient, version: ModelVersion) -> dict[str, str]:
    return dict(client.get_model_version(version.name, version.version).tags)


def test_a_registered_certified_model_opens_by_its_alias_with_bit_identical_scores(
    registry: Registry,
    certified: ModelVersion,
    open_it: Callable[[ModelVersion], OpenModel],
    folder: Path,
    lexicon: Lexicon,
) -> None:
    assert registry.resolve("production") is None
    assert registry.ensure_alias("production", certified)
    found = registry.resolve("production")
    assert found == certified
    opened, local = open_it(found), open_model(folder, lexicon, MAX_BYTES)
    assert opened.kernel.logits(TEXTS).tolist() == local.kernel.logits(TEXTS).tolist()
    assert len(set(opened.kernel.score_many(TEXTS).tolist())) > 30
    assert opened.policy == POLICY
    assert opened.model_digest == certified.model_digest


def test_the_whole_folder_comes_back_byte_for_byte(
    registry: Registry, certified: ModelVersion, client: MlflowClient, mlflow_url: str, folder: Path, tmp_path: Path
) -> None:
    artifact = download_all(client, certified, mlflow_url, tmp_path / "all")
    assert contents(artifact / "data" / "model") == contents(folder)
    fetched = registry.fetch(certified, tmp_path / "cache", MAX_BYTES)
    assert contents(fetched) == {name: (folder / name).read_bytes() for name in VERIFIED}


def download_all(client: MlflowClient, version: ModelVersion, mlflow_url: str, target: Path) -> Path:
    """Download the whole artifact with MLflow, not by a ``models:/`` address, which ignores ``tracking_uri``."""
    source = client.get_model_version_download_uri(version.name, version.version)
    return Path(download_artifacts(source, dst_path=str(target), tracking_uri=mlflow_url))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_says_where_the_model_came_from(
    registry: Registry, folder: Path, lexicon: Lexicon, client: MlflowClient, mlflow_url: str, tmp_path: Path
) -> None:
    version = registry.register(
        folder, lexicon, MAX_BYTES, run_name="nightly", reason="drift of 2 %", params={"source": "the lake"}
    )
    run = client.get_run(version.run_id)
    assert (run.info.run_name, run.info.status) == ("nightly", "FINISHED")
    expected = {"data_digest": "d" * 64, "seed": "7", "folds": "2", "goals": "recall>=0.8", "source": "the lake"}
    assert run.data.params.items() >= expected.items()
    assert run.data.metrics["auc_mean"] == 0.9
    assert [metric.value for metric in client.get_metric_history(version.run_id, "auc_folds")] == [0.88, 0.92]
    assert [entry.path for entry in client.list_artifacts(version.run_id, "plots")] == ["plots/roc.png"]
    assert run.inputs is not None
    assert [data.dataset.source for data in run.inputs.dataset_inputs] == ["d" * 64]
    assert run.data.tags["moderation.code_version"] == code_version()
    assert run.data.tags.get("mlflow.source.git.commit") == git_commit()
    found = client.get_model_version(version.name, version.version)
    assert (found.description, found.run_id) == ("drift of 2 %", version.run_id)
    assert found.tags["moderation.policy_version"] == POLICY.policy_version
    assert CERTIFICATE_TAG not in found.tags
    artifact = download_all(client, version, mlflow_url, tmp_path)
    mlmodel = (artifact / "MLmodel").read_text()
    for part in (
        "loader_module: moderation.adapters.served_model",
        '"name": "body"',
        "score_ppm",
        "input_example.json",
    ):
        assert part in mlmodel
    assert not {"uv.lock", "pyproject.toml"} & contents(artifact).keys()
    requirements = (artifact / "requirements.txt").read_text()
    assert "://" not in requirements
    assert "comment-moderation" not in requirements, "the package is on no index"
    code = {path.removeprefix("code/"): data for path, data in contents(artifact).items() if path.startswith("code/")}
    assert code == served_code()
    assert found.tags["moderation.code_digest"] == code_digest(code)


def test_run_names_the_lake_and_what_was_read_of_it(
    registry: Registry, folder: Path, lexicon: Lexicon, client: MlflowClient
) -> None:
    lake = "s3://bucket/lake"
    version = registry.register(folder, lexicon, MAX_BYTES, run_name="a run", reason="because", lake_url=lake)
    inputs = client.get_run(version.run_id).inputs
    assert inputs is not None
    (data,) = inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.source_type) == ("lake", "s3")
    assert json.loads(data.dataset.source) == {"uri": lake}
    assert json.loads(data.dataset.profile or "")["data_digest"] == "d" * 64
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "training")]


def test_registered_model_is_described_and_an_edited_description_is_kept(
    registry: Registry, register: Callable[[], ModelVersion], client: MlflowClient
) -> None:
    name = register().name
    assert client.get_registered_model(name).description == DESCRIPTION
    client.update_registered_model(name, "Ours.")
    register()
    assert client.get_registered_model(name).description == "Ours."
    client.update_registered_model(name, "")
    register()
    assert client.get_registered_model(name).description == DESCRIPTION


def test_a_folder_that_does_not_verify_is_not_registered(
    registry: Registry, folder: Path, lexicon: Lexicon, client: MlflowClient, tmp_path: Path
) -> None:
    damaged = Path(shutil.copytree(folder, tmp_path / "damaged"))
    (damaged / "policy.json").write_text((damaged / "policy.json").read_text() + "\n")
    with pytest.raises(ModelRefused, match=r"policy\.json"):
        registry.register(damaged, lexicon, MAX_BYTES, run_name="a run", reason="because")
    assert client.get_experiment_by_name(registry.model_name) is None
    assert client.search_registered_models(f"name = '{registry.model_name}'") == []


def test_a_second_registration_leaves_the_alias_where_it_is(
    registry: Registry,
    certified: ModelVersion,
    pipeline: ModerationPipeline,
    lexicon: Lexicon,
    open_it: Callable[[ModelVersion], OpenModel],
    tmp_path: Path,
) -> None:
    assert registry.ensure_alias("production", certified)
    stricter = make_folder(tmp_path / "second", pipeline, Policy(300_000, 800_000, ("recall>=0.9",)))
    second = registry.register(stricter, lexicon, MAX_BYTES, run_name="a run", reason="because")
    registry.certify(second, lexicon, MAX_BYTES, gate=GATE)
    assert not registry.ensure_alias("production", second)
    assert registry.resolve("production") == certified
    assert [version.version for version in (certified, second)] == ["1", "2"]
    assert open_it(second).policy != open_it(certified).policy


def test_an_uncertified_version_is_refused_and_gets_no_alias(
    registry: Registry, register: Callable[[], ModelVersion], open_it: Callable[[ModelVersion], OpenModel]
) -> None:
    version = register()
    with pytest.raises(ModelRefused, match=f"{version}: it has no certificate"):
        open_it(version)
    with pytest.raises(ModelRefused, match="it has no certificate"):
        registry.ensure_alias("production", version)
    assert registry.resolve("production") is None


def test_a_certificate_of_another_key_is_refused(
    registry: Registry,
    mlflow_url: str,
    certified: ModelVersion,
    lexicon: Lexicon,
    open_it: Callable[[ModelVersion], OpenModel],
) -> None:
    Registry(mlflow_url, registry.model_name, OTHER_KEYS).certify(certified, lexicon, MAX_BYTES, gate=GATE)
    with pytest.raises(ModelRefused, match="made with another key"):
        open_it(certified)
    registry.certify(certified, lexicon, MAX_BYTES, gate=GATE)
    assert open_it(certified).policy == POLICY


def test_a_certificate_copied_from_another_version_of_the_same_bytes_is_refused(
    register: Callable[[], ModelVersion],
    certified: ModelVersion,
    client: MlflowClient,
    open_it: Callable[[ModelVersion], OpenModel],
) -> None:
    second = register()
    assert second.card_digest == certified.card_digest
    for name, value in tags(client, certified).items():
        client.set_model_version_tag(second.name, second.version, name, value)
    with pytest.raises(ModelRefused, match=f"{second}: its certificate was made for {certified} and copied here"):
        open_it(second)


def test_every_edited_tag_is_refused_by_name(
    certified: ModelVersion, client: MlflowClient, open_it: Callable[[ModelVersion], OpenModel]
) -> None:
    written = tags(client, certified)
    unsigned = {"moderation.reason", "moderation.code_version", "moderation.code_digest"}
    signed = {name for name in written if name.startswith("moderation.")} - unsigned
    assert len(signed) == 12
    for name in signed:
        client.set_model_version_tag(certified.name, certified.version, name, written[name] + "0")
        blamed = "not a certificate" if name == CERTIFICATE_TAG else name
        with pytest.raises(ModelRefused, match=blamed):
            open_it(certified)
        client.set_model_version_tag(certified.name, certified.version, name, written[name])
    assert open_it(certified).policy == POLICY


def test_every_file_edited_or_deleted_on_the_server_is_refused_by_name(
    stack: StackInfo,
    registry: Registry,
    certified: ModelVersion,
    client: MlflowClient,
    lexicon: Lexicon,
    open_it: Callable[[ModelVersion], OpenModel],
    tmp_path: Path,
) -> None:
    for name in VERIFIED:
        file = stored(stack, client, certified) / name
        data = file.read_bytes()
        file.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        for attempt in (lambda: open_it(certified), lambda: registry.certify(certified, lexicon, MAX_BYTES, gate=GATE)):
            with pytest.raises(ModelRefused, match=f"{certified}: {name} in the registry is not the one"):
                attempt()
        file.unlink()
        with pytest.raises(ModelRefused, match=f"{certified}: the registry has no {name}"):
            open_it(certified)
        file.write_bytes(data)
        assert list((tmp_path / "cache").iterdir()) == []
    assert open_it(certified).policy == POLICY


def test_another_whole_model_in_place_of_the_certified_one_is_refused(
    stack: StackInfo,
    registry: Registry,
    certified: ModelVersion,
    client: MlflowClient,
    pipeline: ModerationPipeline,
    lexicon: Lexicon,
    open_it: Callable[[ModelVersion], OpenModel],
    tmp_path: Path,
) -> None:
    """Every digest within the folder agrees; only the certificate does not."""
    lenient = make_folder(tmp_path / "lenient", pipeline, Policy(999_998, 999_999, ()))
    shutil.copytree(lenient, stored(stack, client, certified), dirs_exist_ok=True)
    for attempt in (lambda: open_it(certified), lambda: registry.certify(certified, lexicon, MAX_BYTES, gate=GATE)):
        with pytest.raises(ModelRefused, match=r"model\.json in the registry is not the one that was registered"):
            attempt()


def test_the_cache_serves_while_intact_and_is_repaired_when_damaged(
    stack: StackInfo,
    registry: Registry,
    certified: ModelVersion,
    client: MlflowClient,
    open_it: Callable[[ModelVersion], OpenModel],
    tmp_path: Path,
) -> None:
    open_it(certified)
    kept = registry.fetch(certified, tmp_path / "cache", MAX_BYTES)
    folders = [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert folders == [kept.name] == [certified.card_digest]
    away = stored(stack, client, certified).rename(tmp_path / "away")
    assert open_it(certified).policy == POLICY
    (kept / "golden.json").write_text("[]")
    with pytest.raises(ModelRefused, match=r"the registry has no model\.json"):
        open_it(certified)
    away.rename(stored(stack, client, certified))
    assert open_it(certified).policy == POLICY
    assert (kept / "golden.json").read_bytes() == (stored(stack, client, certified) / "golden.json").read_bytes()


def test_a_file_over_the_limit_is_refused_before_anything_is_downloaded(
    registry: Registry, certified: ModelVersion, lexicon: Lexicon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> str:
        raise AssertionError("a file was downloaded")

    monkeypatch.setattr(HttpArtifactRepository, "_download_file", never)
    for attempt in (
        lambda: registry.fetch(certified, tmp_path / "cache", 1_000),
        lambda: registry.open_certified(certified, lexicon, 1_000, tmp_path / "cache"),
        lambda: registry.certify(certified, lexicon, 1_000, gate=GATE),
    ):
        with pytest.raises(
            ModelRefused, match=r"model\..* bytes, more than the limit of 1,000; nothing was downloaded"
        ):
            attempt()


def test_a_malformed_digest_never_becomes_a_path(registry: Registry, certified: ModelVersion, tmp_path: Path) -> None:
    for digest in ("", "../outside", "A" * 64, "a" * 64 + "\n"):
        with pytest.raises(ModelRefused, match="it has no digest tag"):
            registry.fetch(replace(certified, card_digest=digest), tmp_path / "cache", MAX_BYTES)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_version_and_an_unavailable_registry_are_distinguished(
    registry: Registry, certified: ModelVersion, mlflow_url: str
) -> None:
    assert registry.resolve("challenger") is None
    assert Registry(mlflow_url, "nobody-registered-this", KEYS).resolve("production") is None
    with pytest.raises(NotInRegistry, match=f"{certified.name} version 99"):
        registry.version("99")
    with pytest.raises(ConfigurationError, match="a/b"):
        Registry(mlflow_url, "a/b", KEYS).resolve("production")


def test_an_unavailable_registry_is_reported_within_seconds(
    mlflow_url: str, certified: ModelVersion, folder: Path, lexicon: Lexicon, tmp_path: Path
) -> None:
    down = Registry(f"http://{HOST}:{any_free_port()}", certified.name, KEYS)
    for attempt in (
        lambda: down.resolve("production"),
        lambda: down.open_certified(certified, lexicon, MAX_BYTES, tmp_path),
        lambda: down.register(folder, lexicon, MAX_BYTES, run_name="a run", reason="because"),
    ):
        begun = time.monotonic()
        with pytest.raises(RegistryUnavailable, match=rf"registry http://{HOST}:\d+: no answer"):
            attempt()
        assert time.monotonic() - begun < 10
