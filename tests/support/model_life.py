"""Registered model for one test on the real MLflow of the stack, with certified and uncertified versions."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient

from moderation.adapters.model_folder.folder import CARD, VERIFIED
from moderation.adapters.registry import ModelVersion, Registry
from moderation.adapters.registry.certificate import CERTIFICATE_TAG, Certificate, GateEvidence, GateVerdict, tags_of
from moderation.adapters.registry.keys import SigningKey
from moderation.bootstrap import new_lexicon, registry
from moderation.policy import Policy
from moderation.scoring import ModerationPipeline, new_pipeline
from moderation.settings import Settings, required
from tests.support.model_folders import GATE, make_folder

LENIENT, STRICT = Policy(400_000, 900_000, ("recall>=0.8",)), Policy(300_000, 600_000, ("recall>=0.9",))


class Templates:
    """Models that are uploaded once; versions of any registered model use them without another upload.

    Args:
        settings: settings of the stack.
        folder: folder for their files.
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
        """Return the template with a policy.

        Args:
            policy: thresholds of the version.
            learnt: word that its model scores for removal; empty for the model that all tests share.
        """
        if (policy, learnt) not in self._uploaded:
            self._uploaded[policy, learnt] = self.upload(self._known, policy, learnt)
        return self._uploaded[policy, learnt]

    def certificate(self, policy: Policy, learnt: str) -> Certificate:
        """Return the certificate of a template; the first call checks its files."""
        if (policy, learnt) not in self._certificates:
            version = self.of(policy, learnt)
            self._certificates[policy, learnt] = self._known.certify(version, self.lexicon, self._most, gate=GATE)
        return self._certificates[policy, learnt]

    def upload(self, to: Registry, policy: Policy, learnt: str = "") -> ModelVersion:
        """Register a model with files of its own."""
        if learnt not in self._pipelines:
            texts = [f"{('Nice study, thanks.', learnt)[n % 2]} {n}" for n in range(60)]
            self._pipelines[learnt] = new_pipeline(self.lexicon).fit(texts, [n % 2 for n in range(60)])
        folder = make_folder(self._folder / uuid.uuid4().hex, self._pipelines[learnt], policy)
        self.folders[policy, learnt] = folder
        return to.register(folder, self.lexicon, self._most, run_name="a test", reason="for a test")


class ModelLife:
    """Creates versions and reads aliases.

    Args:
        settings: settings of the test; the model gets a unique name.
        folder: folder of the test.
        templates: templates of the stack.
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
        """Name of the registered model."""
        return self.settings.model_name

    def register(
        self,
        policy: Policy,
        *,
        learnt: str = "",
        certified: bool = True,
        own_files: bool = False,
        verdict: GateVerdict = "passed",
    ) -> ModelVersion:
        """Register another version.

        Args:
            policy: thresholds of the version.
            learnt: see :meth:`Templates.of`.
            certified: also certify it.
            own_files: give it files of its own, which a test may damage.
            verdict: of the gate, in its certificate.
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
                if name.startswith("moderation.")
                and name != CERTIFICATE_TAG
                and not name.startswith("moderation.gate_")
            }
            if certified:  # in the same request; each takes the server a twentieth of a second
                tags |= self._certificate_tags(self._templates.certificate(policy, learnt), verdict)
            source = str(known.source)
            logged_model = source.split("/")[-2]  # MLflow does not tell it of a version, but wants it for a new one
            made = self.client.create_model_version(self.name, source, template.run_id, tags, model_id=logged_model)
            self._versions += 1
            assert str(made.version) == str(self._versions), "somebody else registers here"
            version = replace(template, name=self.name, version=str(made.version))
            self._cache(template.card_digest, self._templates.folders[policy, learnt])
        if certified and own_files:
            self.registry.certify(version, self.lexicon, self.settings.model_max_bytes, gate=GateEvidence(verdict))
        return version

    def _cache(self, card_digest: str, folder: Path) -> None:
        """Copy the files of a template to the download cache, to avoid ten megabytes of download per test."""
        kept = self._models / card_digest
        if card_digest not in self._never_cached and not kept.exists():
            kept.mkdir(parents=True)
            for name in (CARD, *VERIFIED):
                shutil.copyfile(folder / name, kept / name)

    def _certificate_tags(self, known: Certificate, verdict: GateVerdict) -> Mapping[str, str]:
        """Return the certificate of the next version; its files were checked with the template."""
        own = {"model_name": self.name, "version": str(self._versions + 1), "gate": GateEvidence(verdict)}
        certificate = replace(known, **own)  # type: ignore[arg-type]
        return tags_of(certificate, SigningKey.parse(required(self.settings.signing_key, "signing_key")))

    def point(self, alias: str, version: ModelVersion) -> None:
        """Move an alias as the MLflow UI does."""
        self.client.set_registered_model_alias(self.name, alias, version.version)

    def aliases(self) -> dict[str, str]:
        """Return the version of each alias."""
        return dict(self.client.get_registered_model(self.name).aliases)

    def tags(self, version: ModelVersion) -> dict[str, str]:
        """Return the tags of a version without the project's prefix."""
        found = self.client.get_model_version(self.name, version.version).tags
        return {name.removeprefix("moderation."): value for name, value in found.items()}
