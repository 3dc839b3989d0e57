"""Model files: skops archives with the same bytes for the same model, opened only if every type in them is ours.

skops names parts by memory address and stamps the time; both are replaced, so that equal models have equal digests.
On the way in, the archive's own list of types is compared with a fixed one before skops builds anything from it.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

with warnings.catch_warnings():
    # To find where functions are defined it asks every module that is loaded for their names; hundreds of Airflow's
    # answers are warnings, and would fill the log of every task.
    warnings.simplefilter("ignore")
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

from moderation.errors import ModelRefused
from moderation.scoring import ModerationPipeline

# (module, class, how skops rebuilds it): everything a model of ours consists of, and nothing else.
TRUSTED_NODES = frozenset(
    {
        ("builtins", "dict", "DictNode"),
        ("builtins", "list", "ListNode"),
        ("builtins", "tuple", "TupleNode"),
        ("builtins", "str", "JsonNode"),
        ("builtins", "str", "TypeNode"),
        ("numpy", "ndarray", "NdArrayNode"),
        ("sklearn.linear_model._logistic", "LogisticRegression", "ObjectNode"),
        ("moderation.text.features", "CommentFeatures", "ObjectNode"),
        ("moderation.scoring.pipeline", "ModerationPipeline", "ObjectNode"),
    }
)
TRUSTED_TYPES = ("moderation.text.features.CommentFeatures", "moderation.scoring.pipeline.ModerationPipeline")
PROTOCOL = 2
_SCHEMA = "schema.json"
_REMEDY = "Take the artifact from the registry again, or train the model again; never load it another way."


def dump_model(pipeline: ModerationPipeline) -> bytes:
    """The model as a skops archive; equal models give equal bytes."""
    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline)))
    schema = json.loads(source.read(_SCHEMA))
    renamed = _renumber(schema)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for old, new in renamed.items():
            _store(target, new, source.read(old))
        _store(target, _SCHEMA, json.dumps(schema, indent=1, sort_keys=True).encode())
    return buffer.getvalue()


def load_model(data: bytes, name: str) -> ModerationPipeline:
    """Open a skops archive whose digest was already checked.

    Args:
        data: the whole file.
        name: what to call it in errors.

    Raises:
        ModelRefused: not a skops archive, damaged, or holding a type outside ``TRUSTED_NODES``.
    """
    if data[:1] == b"\x80":  # the PROTO opcode that begins every pickle since protocol 2
        raise ModelRefused(name, "this is a pickle, which can run any code when opened", _REMEDY)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        damaged = archive.testzip()
        compressed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
        schema = json.loads(archive.read(_SCHEMA))
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RecursionError) as error:
        raise ModelRefused(name, f"not a skops archive, or a truncated one ({error})", _REMEDY) from error
    if damaged or compressed:
        raise ModelRefused(name, f"damaged or compressed entry {damaged or compressed[0]}", _REMEDY)
    _check_nodes(schema, name)
    try:
        model = skops.io.loads(data, trusted=list(TRUSTED_TYPES))
    except (UntrustedTypesFoundException, ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise ModelRefused(name, f"skops cannot rebuild it ({error})", _REMEDY) from error
    if not isinstance(model, ModerationPipeline):
        raise ModelRefused(name, f"it holds a {type(model).__name__}, not a model of ours", _REMEDY)
    return model


def _check_nodes(schema: Any, name: str) -> None:
    if not isinstance(schema, dict) or schema.get("protocol") != PROTOCOL:
        raise ModelRefused(name, f"its skops protocol is not {PROTOCOL}", _REMEDY)
    for node in _nodes(schema):
        found = (node.get("__module__"), node.get("__class__"), node.get("__loader__"))
        if found not in TRUSTED_NODES:
            raise ModelRefused(name, f"it holds the type {found[0]}.{found[1]}, which is not trusted", _REMEDY)
        if found[1] == "ndarray" and node.get("type") != "numpy":
            raise ModelRefused(name, "it holds an array of objects, which is not trusted", _REMEDY)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "__class__" in value or "__loader__" in value or "__module__" in value:
            yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _renumber(schema: Any) -> dict[str, str]:
    """Number parts by first appearance instead of by memory address; returns archive names, old to new, in order."""
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    for count, node in enumerate(_nodes(schema)):
        if "__id__" not in node:
            continue
        # Whether two equal texts are one object is chance; sharing means something only for containers and arrays.
        is_value = node["__loader__"] in ("JsonNode", "TypeNode")
        node["__id__"] = count if is_value else numbers.setdefault(node["__id__"], count)
        if "file" in node:
            node["file"] = names.setdefault(node["file"], f"{node['__id__']}.npy")
    return names


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    archive.writestr(entry, data)
