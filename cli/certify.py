"""``moderation certify`` and ``moderation keys``: certificates of model versions and the keys that sign them."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress
from stream.exit_codes import REPORTED


def certify(
    every: Annotated[bool, typer.Option("--all", help="Required: every certified version of the model.")] = False,
    allow_refused: Annotated[
        bool, typer.Option("--allow-refused", help="Exit code 0 although certificates do not verify.")
    ] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Verify the certificates of all versions and sign them with MODERATION_SIGNING_KEY if another key signed them.

    It upgrades certificates of the former format, which MODERATION_CERTIFICATE_KEY verifies; their gate's verdict is
    then `judged before gates were signed`. It also replaces a key: add the new public key to MODERATION_VERIFY_KEYS
    everywhere, set the new MODERATION_SIGNING_KEY, run this command, then remove the old public key. Versions without
    certificate are skipped. Safe to repeat; workers may continue.

    A version whose certificate does not verify is listed and left as it is; the exit code is then 1.

    Example: `moderation certify --all`

    --json prints {"versions": [{"version", "state": "signed"|"current"|"refused", "cause"}], "signed": int,
    "current": int, "refused": int}.
    """
    if not every:
        raise typer.BadParameter("state --all: a single version is certified by its gate", param_hint="--all")
    from moderation.bootstrap import registry

    settings = connected_settings(data_folder)
    with progress.status("verifying certificates"):
        results = registry(settings).certify_all()
    counts = {state: sum(each.state == state for each in results) for state in ("signed", "current", "refused")}
    if as_json:
        print_json({"versions": [each.fields() for each in results], **counts})
    else:
        console.print(
            f"{settings.model_name}: {counts['signed']} versions signed, {counts['current']} current, "
            f"{counts['refused']} refused"
        )
        for each in results:
            if each.state == "refused":
                console.print(f"version {each.version} is left as it is: {each.cause}", markup=False, soft_wrap=True)
    if counts["refused"] and not allow_refused:
        raise typer.Exit(REPORTED)


def keys(as_json: JsonOption = False) -> None:
    """Create a pair of keys for model certificates and print it; nothing is stored.

    The signing key is a secret of the batch layer. Workers get the public key only.

    Example: `moderation keys`

    --json prints {"signing_key", "verify_key", "key_id"}.
    """
    from moderation.adapters.registry.keys import SIGNING, VERIFY, SigningKey, encode

    key = SigningKey.generate()
    if as_json:
        print_json({"signing_key": key.seed(), "verify_key": encode(key.public), "key_id": key.key_id})
        return
    console.print(f"{SIGNING}={key.seed()}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{VERIFY}={encode(key.public)}", markup=False, highlight=False, soft_wrap=True)
