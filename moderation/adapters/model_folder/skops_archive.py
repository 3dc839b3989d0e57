"""Write reproducible skops archives of models, and open only archives with trusted types.

skops names parts by memory address and stores the time; both are replaced, so that equal models have equal digests.
Before skops builds an object, all types in the archive are compared with a fixed list.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

with warnings.catch_warnings():
    # skops reads attributes of every loaded module; hundreds of Airflow's emit warnings, which would fill the log of
    # every task.
    warnings.simplefilter("ignore")
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

from moderation.errors import ModelRefused
from moderation.scoring import ModerationPipeline

# (module, class, skops loader) of all parts of a model of this project.
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
_REMEDY = "Download the artifact from the registry again, or train the model again; do not load it another way."


def dump_model(pipeline: ModerationPipeline) -> bytes:
    """Serialise a model as a skops archive; equal models give equal bytes."""
    original = zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline)))
    schema = json.loads(original.read(_SCHEMA))
    renamed = _renumber(schema)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for old, new in renamed.items():
            _store(target, new, original.read(old))
        _store(target, _SCHEMA, json.dumps(schema, indent=1, sort_keys=True).encode())
    return buffer.getvalue()


def load_model(data: bytes, name: str) -> ModerationPipeline:
    """Open a skops archive whose digest was checked.

    Args:
        data: contents of the file.
        name: name of the file in error messages.

    Raises:
        ModelRefused: not a skops archive, damaged, or with a type outside ``TRUSTED_NODES``.
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
        raise ModelRefused(name, f"it contains a {type(model).__name__}, not a ModerationPipeline", _REMEDY)
    return model


def _check_nodes(schema: Any, name: str) -> None:
    if not isinstance(schema, dict) or schema.get("protocol") != PROTOCOL:
        raise ModelRefused(name, f"its skops protocol is not {PROTOCOL}", _REMEDY)
    for node in _nodes(schema):
        module, class_name, loader = node.get("__module__"), node.get("__class__"), node.get("__loader__")
        if (module, class_name, loader) not in TRUSTED_NODES:
            raise ModelRefused(name, f"it contains the type {module}.{class_name}, which is not trusted", _REMEDY)
        if class_name == "ndarray" and node.get("type") != "numpy":
            raise ModelRefused(name, "it contains an array of objects, which is not trusted", _REMEDY)


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
    """Number parts by first appearance instead of by memory address; return archive names, old to new, in order."""
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    for count, node in enumerate(_nodes(schema)):
        if "__id__" not in node:
            continue
        # Whether two equal strings are one object is chance; sharing matters only for containers and arrays.
        is_value = node["__loader__"] in ("JsonNode", "TypeNode")
        node["__id__"] = count if is_value else numbers.setdefault(node["__id__"], count)
        if "file" in node:
            node["file"] = names.setdefault(node["file"], f"{node['__id__']}.npy")
    return names


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    archive.writestr(entry, data)
