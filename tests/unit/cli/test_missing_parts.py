"""A command whose module is not installed names the part and where to run it."""

from __future__ import annotations

import pytest

from cli import main as command
from cli.missing_parts import is_missing_part, missing_part


@pytest.mark.parametrize("module", ["local.chaos", "moderation.datasets.synthetic", "stream.source"])
def test_a_missing_part_of_this_project_names_the_image_that_has_it(module: str) -> None:
    text = str(missing_part(ModuleNotFoundError(f"No module named {module!r}", name=module)))
    assert text.startswith(f"module {module}: this installation of comment-moderation does not contain it.")
    assert "comment-moderation-batch" in text


def test_a_missing_package_names_the_extras() -> None:
    text = str(missing_part(ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")))
    assert text.startswith("package matplotlib: the command needs it and it is not installed.")
    assert "`plots`" in text


def test_the_command_ends_with_one_message_instead_of_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def needs_plots() -> None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")

    monkeypatch.setattr(command, "app", needs_plots)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert "package matplotlib: the command needs it" in " ".join(capsys.readouterr().err.split())


def test_a_part_of_a_package_that_is_missing_is_told_and_a_defect_of_this_project_is_not() -> None:
    partial = ImportError("MLflow Skinny cannot do this\nInstall mlflow", name="mlflow")
    assert is_missing_part(partial)
    assert str(missing_part(partial)).startswith(
        "package mlflow: the command needs a part of it that is not installed."
    )
    unnamed = missing_part(ImportError("MLflow Skinny cannot do this\nInstall mlflow"))
    assert str(unnamed).startswith("package MLflow Skinny cannot do this: ")
    assert not is_missing_part(ImportError("cannot import name 'x' from 'moderation.ledger'", name="moderation.ledger"))
