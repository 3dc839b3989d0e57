from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.label_errors import COLUMNS
from cli.main import app
from moderation.errors import ConfigurationError

Corpus = tuple[list[str], list[int]]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture(scope="module")
def export(small_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled comments, two of which have the wrong label; one of these looks like a formula. One text has both."""
    texts, labels = list(small_corpus[0]), list(small_corpus[1])
    flipped = labels.index(1), labels.index(0)
    for at in flipped:
        labels[at] = 1 - labels[at]
    texts[flipped[0]] = "=you idiot!!! FREE money lol what a clown\x1b[2J"
    texts.append(texts[-1].upper())
    labels.append(1 - labels[-1])
    path = tmp_path_factory.mktemp("data") / "export.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "body", "created_utc", "removed"])
        table.writerows([f"c{n}", text, 1682935200 + n, labels[n]] for n, text in enumerate(texts))
    return path


def test_wrong_labels_are_listed_first_with_their_rows(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "suspected.csv"
    fields = json.loads(run("label-errors", export, "--out", out, "--json").stdout)
    with out.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert tuple(header) == COLUMNS
    listed = [dict(zip(header, row, strict=True)) for row in rows]
    with export.open(newline="") as file:
        source = list(csv.reader(file))
    assert {each["label"] for each in listed[:2]} == {"kept", "removed"}
    for each in listed[:2]:
        row = source[int(each["row"]) - 1]  # no text spans lines, so the row is the line
        assert (each["file"], each["id"]) == ("export.csv", row[0])
        assert each["label"] == ("removed" if row[3] == "1" else "kept")
    formula = next(each for each in listed if "=you" in each["excerpt"])
    assert formula["excerpt"].startswith("'=you idiot")
    assert "\x1b" not in formula["excerpt"]
    assert fields["suspected"] == fields["suspected_removed"] + fields["suspected_kept"] >= 2
    assert fields["listed"] == len(rows)
    assert fields["contradicting_texts"] == 1
    copies = {(each["copies_removed"], each["copies_kept"]) for each in listed}
    assert copies == {("0", "1"), ("1", "0"), ("1", "1")}
    probabilities = [float(each["probability"]) for each in listed]
    assert all(0 <= each <= 1 for each in probabilities)


def test_the_list_is_cut_and_never_replaces_its_input(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "suspected.csv"
    result = run("label-errors", export, "--out", out, "--most", "1")
    assert len(out.read_text().splitlines()) == 2
    assert "lists 1, the least credible first" in result.stdout
    with pytest.raises(ConfigurationError, match="also an input"):
        run("label-errors", export, "--out", export)
