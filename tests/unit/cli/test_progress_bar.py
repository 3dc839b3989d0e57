from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from cli.progress_bar import LINE_SECONDS, Lines, shown_progress
from moderation.datasets.importer import find_inputs, plain_import
from moderation.datasets.importer.rows import PROGRESS_ROWS
from moderation.progress import Step


def test_lines_appear_from_time_to_time_with_the_share_that_is_done() -> None:
    seconds = [0.0]
    printed: list[str] = []
    lines = Lines(printed.append, lambda: seconds[0])
    for now, step in ((1, "looking"), (LINE_SECONDS, Step("reading \x1b[2J", 0.251)), (11, "x"), (25, "fold 2 of 5")):
        seconds[0] = now
        lines.update(step)
    assert printed == ["reading \\x1b[2J (25%), after 10 s", "fold 2 of 5, after 25 s"]


def test_short_work_prints_no_line_without_a_terminal() -> None:
    out = io.StringIO()
    with shown_progress("starting", Console(file=out, force_terminal=False)) as shown:
        shown.update(Step("reading", 0.5))
    assert out.getvalue() == ""


def test_a_terminal_shows_a_bar_that_moves() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with shown_progress("starting", console) as shown:
        for share in (0.25, 0.5, 0.1):
            shown.update(Step("reading [red]", share))
            shown._bar.refresh()  # type: ignore[attr-defined] # rich draws ten times a second
    text = out.getvalue()
    assert [f"{share}%" in text for share in (25, 50, 10)] == [True, True, True]
    assert "reading [red]" in text, "names of files are no markup"


def test_the_share_grows_to_one_over_all_files_and_members(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        rows = (f"c{n}{name},text {n},{1682935200 + n},0\n" for n in range(PROGRESS_ROWS))
        (tmp_path / name).write_text("id,body,created_utc,removed\n" + "".join(rows))
    steps: list[str] = []
    assert len(find_inputs([str(tmp_path)], io.BytesIO)) == 2
    for _ in plain_import(tmp_path).comments(steps.append):
        pass
    shares = [step.share for step in steps if isinstance(step, Step)]
    assert [round(share, 1) for share in shares] == [0.5, 1.0]
