"""A registered model of a test's own, on the stack's real MLflow: versions that differ, certified or not."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient

from moderation.adapters.model_folder.folder import CARD, VERIFIED
from moderation.adapters.registry import ModelVersion, Registry
from moderation.adapters.registry.certificate import CERTIFICATE_TAG, KEY_ID_TAG, SIGNATURE_TAG, Certificate, tags_of
from moderation.bootstrap import new_lexicon, registry
from moderation.policy import Policy
from moderation.scoring import ModerationPipeline, new_pipeline
from moderation.settings import Settings, required
from tests.support.model_folders import make_folder

LENIENT, STRICT = Policy(400_000, 900_000, ("recall>=0.8",)), Policy(300_000, 600_000, ("recall>=0.9",))


class Templates:
    """Models that were uploaded once; versions of any registered model are made of them without another upload.

    Args:
        settings: of the stack.
        folder: for their files.
        pipeline: a trained model.
    """

    def __init__(self, settings: Settings, folder: Path, pipeline: ModerationPipeline) -> None:
        self._known = registry(settings.model_copy(update={"model_name": f"templates-{uuid.uuid4().hex[:12]}"}))
        self._most = settings.model_max_bytes
        self._folder = folder
        self.lexicon = new_lexicon(settings)
        self._pipelines = {"": pipeline}
        self._uploaded: dict[tuple[Policy, str], ModelVersion] = {}
        self.folders: dict[tuple[Policy, str], Path] = {}
        self._certificates: dict[tuple[Policy, str], Certificate] = {}

    def of(self, policy: Policy, learnt: str = "") -> ModelVersion:
        """The template with a policy.

        Args:
            policy: its thresholds.
            learnt: a word that its model takes for a sign of removal; the model that all tests share if empty.
        """
        if (policy, learnt) not in self._uploaded:
            self._uploaded[policy, learnt] = self.upload(self._known, policy, learnt)
        return self._uploaded[policy, learnt]

    def certificate(self, policy: Policy, learnt: str) -> Certificate:
        """The certificate of a template; its files are checked the first time."""
        if (policy, learnt) not in self._certificates:
            version = self.of(policy, learnt)
            self._certificates[policy, learnt] = self._known.certify(version, self.lexicon, self._most)
        return self._certificates[policy, learnt]

    def upload(self, to: Registry, policy: Policy, learnt: str = "") -> ModelVersion:
        """Register such a model with files of its own."""
        if learnt not in self._pipelines:
            texts = [f"{('Nice study, thanks.', learnt)[n % 2]} {n}" for n in range(60)]
            self._pipelines[learnt] = new_pipeline(self.lexicon).fit(texts, [n % 2 for n in range(60)])
        folder = make_folder(self._folder / uuid.uuid4().hex, self._pipelines[learnt], policy)
        self.folders[policy, learnt] = folder
        return to.register(folder, self.lexicon, self._most, run_name="a test", reason="for a test")


class ModelLife:
    """Makes versions, and tells where the aliases are.

    Args:
        settings: of the test; the model gets a name that no other test has.
        folder: of the test.
        templates: of the stack.
    """

    def __init__(self, settings: Settings, folder: Path, templates: Templates) -> None:
        own = {"model_name": f"life-{uuid.uuid4().hex[:12]}", "state_folder": folder / "state"}
        self.settings = settings.model_copy(update=own)
        self.client = MlflowClient(settings.mlflow_url, settings.mlflow_url)
        self.registry: Registry = registry(self.settings)
        self.lexicon = templates.lexicon
        self._templates = templates
        self.client.create_registered_model(self.name)
        self._models = self.settings.state_folder / "models"
        self._never_cached: set[str] = set()
        self._versions = 0

    @property
    def name(self) -> str:
        """Of the registered model."""
        return self.settings.model_name

    def register(
        self, policy: Policy, *, learnt: str = "", certified: bool = True, own_files: bool = False
    ) -> ModelVersion:
        """Register another version.

        Args:
            policy: its thresholds.
            learnt: see :meth:`Templates.of`.
            certified: also certify it.
            own_files: which no other version has, to be damaged.
        """
        if own_files:
            version = self._templates.upload(self.registry, policy, learnt)
            self._versions += 1
            self._never_cached.add(version.card_digest)
            shutil.rmtree(self._models / version.card_digest, ignore_errors=True)
        else:
            template = self._templates.of(policy, learnt)
            known = self.client.get_model_version(template.name, template.version)
            tags = {
                name: value
                for name, value in known.tags.items()
                if name.startswith("moderation.") and name not in (CERTIFICATE_TAG, KEY_ID_TAG, SIGNATURE_TAG)
            }
            if certified:  # in the same request; each takes the server a twentieth of a second
                tags |= self._certificate_tags(self._templates.certificate(policy, learnt))
            source = str(known.source)
            logged_model = source.split("/")[-2]  # MLflow does not tell it of a version, but wants it for a new one
            made = self.client.create_model_version(self.name, source, template.run_id, tags, model_id=logged_model)
            self._versions += 1
            assert str(made.version) == str(self._versions), "somebody else registers here"
            version = replace(template, name=self.name, version=str(made.version))
            self._cache(template.card_digest, self._templates.folders[policy, learnt])
        if certified and own_files:
            self.registry.certify(version, self.lexicon, self.settings.model_max_bytes)
        return version

    def _cache(self, card_digest: str, folder: Path) -> None:
        """Put a template's files where they would be downloaded to: ten megabytes that every test would fetch again."""
        kept = self._models / card_digest
        if card_digest not in self._never_cached and not kept.exists():
            kept.mkdir(parents=True)
            for name in (CARD, *VERIFIED):
                shutil.copyfile(folder / name, kept / name)

    def _certificate_tags(self, known: Certificate) -> Mapping[str, str]:
        """The certificate of the next version; its files were checked when the template was certified."""
        certificate = replace(known, model_name=self.name, version=str(self._versions + 1))
        return tags_of(certificate, required(self.settings.certificate_key, "certificate_key").encode())

    def point(self, alias: str, version: ModelVersion) -> None:
        """Move an alias as a person does in the MLflow UI."""
        self.client.set_registered_model_alias(self.name, alias, version.version)

    def aliases(self) -> dict[str, str]:
        """Which version each alias names."""
        return dict(self.client.get_registered_model(self.name).aliases)

    def tags(self, version: ModelVersion) -> dict[str, str]:
        """Tags of a version without the project's prefix."""
        found = self.client.get_model_version(self.name, version.version).tags
        return {name.removeprefix("moderation."): value for name, value in found.items()}
