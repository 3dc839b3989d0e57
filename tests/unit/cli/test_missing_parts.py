"""A command whose module is not installed names the part and where to run it."""

from __future__ import annotations

import pytest

from cli import main as command
from cli.missing_parts import missing_part


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
