"""Sign certified versions with the present key: certificates of format 1, and those of a key that is to be dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from moderation.adapters.registry import certificate_1
from moderation.adapters.registry.certificate import (
    CERTIFICATE_TAG,
    FACTS,
    Certificate,
    GateEvidence,
    ModelFacts,
    is_certified,
    read_certificate,
    signing_key_id,
    tags_of,
)
from moderation.adapters.registry.client import Connection
from moderation.adapters.registry.keys import CertificateKeys
from moderation.errors import ModelRefused

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

_PAGE = 200
UNSIGNED_GATE = GateEvidence("judged before gates were signed")


@dataclass(frozen=True, slots=True)
class Recertified:
    """What happened to a certified version.

    Attributes:
        version: version number.
        state: ``signed``: signed with the present key; ``current``: it was so before; ``refused``: its certificate does
            not verify, and it was left as it is.
        cause: why it was refused; empty otherwise.
    """

    version: str
    state: Literal["signed", "current", "refused"]
    cause: str = ""

    def fields(self) -> dict[str, str]:
        """Return the JSON fields; see ``moderation certify``."""
        return asdict(self)


def recertify(connection: Connection, model_name: str, keys: CertificateKeys) -> list[Recertified]:
    """Verify the certificate of every version, and sign it with the present key if another one signed it.

    A certificate of format 1 becomes one of format 2 with the verdict ``judged before gates were signed``. Files are
    not read: opening a version compares them with its certificate. Versions without certificate are skipped.
    Idempotent.

    Args:
        connection: to the registry.
        model_name: the registered model; without one there is nothing to do.
        keys: with a signing key; with the old key if versions have certificates of format 1.

    Returns:
        The certified versions by number.

    Raises:
        ConfigurationError: there is no signing key, or the old key is too short.
        RegistryUnavailable: the registry does not answer; repeat the call.
    """
    key = keys.to_sign()
    results = []
    for found in sorted(versions_of(connection, model_name), key=lambda each: int(each.version)):
        version, tags = str(found.version), dict(found.tags)
        if not is_certified(tags):
            continue
        try:
            certificate = _verified(tags, model_name, version, keys)
        except ModelRefused as error:
            results.append(Recertified(version, "refused", error.cause))
            continue
        if CERTIFICATE_TAG in tags and signing_key_id(tags) == key.key_id:
            results.append(Recertified(version, "current"))
            continue
        for name, value in tags_of(certificate, key).items():
            if tags.get(name) != value:
                with connection.asking(f"{model_name} version {version}"):
                    connection.client.set_model_version_tag(model_name, version, name, value)
        results.append(Recertified(version, "signed"))
    return results


def _verified(tags: dict[str, str], model_name: str, version: str, keys: CertificateKeys) -> Certificate:
    if CERTIFICATE_TAG in tags:
        return read_certificate(tags, model_name, version, keys.ring)
    if keys.old_key is None:
        raise ModelRefused(
            f"{model_name} version {version}",
            "its certificate has format 1, and MODERATION_CERTIFICATE_KEY, which verifies it, is not set",
            "Set it to the key of the former release.",
        )
    facts = certificate_1.read_facts(tags, model_name, version, keys.old_key, FACTS)
    return Certificate.of(ModelFacts(**facts), UNSIGNED_GATE)


def versions_of(connection: Connection, model_name: str) -> Iterator[MlflowVersion]:
    """Yield all versions of a registered model, with their tags, in no order."""
    quote = '"' if "'" in model_name else "'"
    token: str | None = None
    while True:
        with connection.asking(f"versions of {model_name}"):
            page = connection.client.search_model_versions(
                f"name = {quote}{model_name}{quote}", max_results=_PAGE, page_token=token
            )
        yield from page
        if not (token := page.token):
            return
