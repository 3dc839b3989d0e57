from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from cli.import_options import ACCEPTABLE
from cli.main import app
from moderation.datasets import importer
from moderation.datasets.importer.authors import pseudonym
from moderation.datasets.importer.importing import plain_import
from moderation.datasets.recorded import read_history
from moderation.errors import ConfigurationError, DatasetError
from tests.conftest import refuse_bad_row

EXPORT = (
    "nr;wrote;said;at;state\na1;ann;Which lab ran it?;01/05/2023 10:00;live\na2;bob;go home;31/05/2023 10:00;gone\n"
)
COLUMNS = "id=nr,author=wrote,body=said,time=at,label=state=gone"


def run(*arguments: str | Path, given: bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), input=given, catch_exceptions=False)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    path.write_text(EXPORT)
    return path


def test_a_dry_run_shows_rows_and_counts_and_writes_nothing(export: Path, tmp_path: Path) -> None:
    result = run("import", export, "--columns", COLUMNS, "--dry-run")
    assert result.exit_code == 0
    assert "Which lab ran it?" in result.stdout
    assert "2 rows, 2 used: 1 removed, 1 kept, 0 without label" in result.stdout
    assert "separated by semicolons" in result.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["export.csv"]


def test_a_guess_of_the_language_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "russian.csv"
    path.write_text("body,at,removed\n" + "Я не знаю, почему они всегда это говорят.,2023-05-01,0\n".replace(", ", " "))
    result = run("import", path, "--columns", "time=at", "--dry-run")
    assert "language, guessed from the first 1 texts: Russian 100 %" in result.stdout
    assert json.loads(run("import", path, "--columns", "time=at", "--json").stdout)["languages"] == {"Russian": 1.0}


def test_a_dry_run_says_what_would_be_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("body,removed\nx,0\n[removed],1\n")
    seen = json.loads(run("import", path, "--dry-run", "--json").stdout)
    assert seen["left_out"] == {"text was removed": 1}
    assert seen["refused"].endswith("add --accept left-out.")
    assert (seen["rows"], seen["used"], seen["times_made_up"], seen["out"]) == (2, 1, 1, None)
    with pytest.raises(DatasetError, match="--accept left-out"):
        run("import", path, "--out", tmp_path / "out")
    with pytest.raises(DatasetError, match="--accept times"):
        run("import", path, "--out", tmp_path / "out", "--accept", "left-out")
    assert not (tmp_path / "out").exists()
    assert run("import", path, "--out", tmp_path / "out", "--accept", "left-out,times").exit_code == 0


def test_the_written_folder_is_read_as_a_history(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "history"
    assert run("import", export, "--columns", COLUMNS, "--out", out, "--community", "x").exit_code == 0
    rows = list(read_history(out, refuse_bad_row))
    assert [(row.comment.comment_id, row.comment.author_key, row.comment.community, row.removed) for row in rows] == [
        ("a1", pseudonym("ann", b""), "x", False),
        ("a2", pseudonym("bob", b""), "x", True),
    ]
    report = orjson.loads((out / "import.json").read_bytes())
    assert report["mapping"]["columns"]["label"] == "state=gone"
    assert (report["rows"], report["used"]) == (2, 2)


def test_a_saved_mapping_states_the_same_again(export: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.json"
    run("import", export, "--columns", COLUMNS, "--community", "x", "--mapping", mapping, "--dry-run")
    first = json.loads(run("import", export, "--mapping", mapping, "--json").stdout)
    again = json.loads(run("import", export, "--columns", COLUMNS, "--community", "x", "--json").stdout)
    assert first["mapping"] == again["mapping"] == orjson.loads(mapping.read_bytes())
    assert first["first_rows"] == again["first_rows"]
    mapping.write_text('{"column": {}}')
    with pytest.raises(ConfigurationError, match="not a mapping with the keys"):
        run("import", export, "--mapping", mapping)


@pytest.mark.parametrize(
    "text",
    [
        '{"columns": ["body"]}',
        '{"encoding": 5}',
        '{"delimiter": "ab"}',
        '{"has_header": "no"}',
        '{"community": {}}',
        '{"actions": 5}',
        '{"actions": {"columns": 5}}',
        '{"actions": {"window_hours": -1}}',
        '{"actions": {"words": "x"}}',
    ],
)
def test_a_mapping_with_values_of_another_type_is_refused(text: str, export: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.json"
    mapping.write_text(text)
    with pytest.raises(ConfigurationError, match="mapping.json: .* cannot be used"):
        run("import", export, "--columns", COLUMNS, "--mapping", mapping)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"delimiter": ""}', "--delimiter: '' is not one character"),
        ('{"quote": ";", "delimiter": ";"}', "--delimiter: ';' is not one character other than"),
        ('{"columns": {"text": "body"}}', "columns: 'text' is none of body, label"),
        ('{"columns": {"time": "posted:%Q"}}', "the form of times cannot be used"),
        ('{"columns": {"label": "state=\\"gone"}}', "a double quote is not closed"),
        ('{"columns": {"body": "body",}}', r"mapping\.json: the mapping cannot be read"),
    ],
)
def test_a_mapping_that_was_edited_wrongly_is_refused(text: str, message: str, export: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.json"
    mapping.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        run("import", export, "--mapping", mapping)


def test_a_mapping_that_an_editor_saved_with_a_mark_is_read(export: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.json"
    mapping.write_text('{"columns": {"body": "said", "author": ""}}', encoding="utf-8-sig")
    result = json.loads(run("import", export, "--mapping", mapping, "--json").stdout)
    assert result["mapping"]["columns"]["body"] == "said"
    assert result["mapping"]["columns"]["author"] is None


def test_a_mapping_that_cannot_be_written_is_refused_before_the_work(export: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="file"):
        run("import", export, "--mapping", tmp_path / "file" / "mapping.json", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_standard_input_folders_and_patterns_are_files_too(export: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(EXPORT.replace("a1", "b1").replace("a2", "b2"))
    for names in (("-",), (tmp_path,), (tmp_path / "*.csv",), (export, tmp_path / "other.csv")):
        result = run("import", *names, "--columns", COLUMNS, "--json", given=EXPORT.encode())
        assert json.loads(result.stdout)["rows"] == (2 if names == ("-",) else 4)


def test_files_with_the_same_name_are_named_with_their_folders(export: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name / "export.csv" for name in ("removed", "kept")]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        path.write_text(EXPORT.replace("a1", f"b{number}").replace("a2", f"c{number}"))
    summaries = json.loads(run("import", *paths, "--columns", COLUMNS, "--json").stdout)["files"]
    assert [each.partition(": ")[0] for each in summaries] == list(map(str, paths))
    (summary,) = json.loads(run("import", export, "--columns", COLUMNS, "--json").stdout)["files"]
    assert summary.startswith("export.csv: "), "without its folder if no other file has its name"


def test_a_folder_is_never_written_over_its_input(tmp_path: Path, export: Path) -> None:
    with pytest.raises(ConfigurationError, match="also an input"):
        run("import", tmp_path, "--columns", COLUMNS, "--out", tmp_path)
    assert export.read_text() == EXPORT


def test_files_of_patterns_and_folders_are_inputs_too(export: Path, tmp_path: Path) -> None:
    (tmp_path / "comments.jsonl").write_text('{"id": "a", "body": "x", "created_utc": 1682935200}\n')
    for name in (tmp_path / "*.csv", tmp_path):
        with pytest.raises(ConfigurationError, match="also an input"):
            run("report", name, "--out", export)
    with pytest.raises(ConfigurationError, match="comments.jsonl: it is also an input"):
        run("import", tmp_path / "comments.jsonl", "--out", tmp_path)
    with pytest.raises(ConfigurationError, match="also an input"):
        run("report", export, "--mapping", tmp_path / "x", "--out", tmp_path / "x")
    assert export.read_text() == EXPORT


@pytest.mark.parametrize(
    "words",
    [
        "import",
        "import a --dry-run --out b",
        "import a --accept all",
        "import a --delimiter two",
        "train a --csv b --out m",
        "train a --no-action kept --out m",
        "import a --actions b --label-window inf",
        "import a --actions b --label-window 1e300",
        "import a --actions b --label-window nan",
        "import - --actions -",
    ],
)
def test_options_that_exclude_each_other_are_wrong_usage(words: str) -> None:
    assert run(*words.split()).exit_code == 2


def test_the_words_of_accept_are_those_of_the_importer() -> None:
    assert tuple(word for word in ACCEPTABLE if word != "chance") == importer.ACCEPTABLE


def test_a_program_can_pipe_into_an_import() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "import", "-", "--columns", COLUMNS, "--json"],
        input=EXPORT.encode(),
        capture_output=True,
        check=True,
    )
    assert json.load(io.BytesIO(done.stdout))["files"][0].startswith("standard input: CSV")


def test_actions_beside_the_comments_give_the_labels(export: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = ["a1,approve,2023-05-01 11:00", "a2,remove,2023-05-31 12:00", "a2,ban,2023-06-09 12:00"]
    log.write_text("target,action,time\n" + "\n".join(rows) + "\n")
    columns = "id=nr,author=wrote,body=said,time=at"
    arguments = ("import", export, "--columns", columns, "--actions", log, "--label-window", "12")
    seen = json.loads(run(*arguments, "--json").stdout)
    assert (seen["used"], seen["removed"], seen["unlabelled"]) == (2, 1, 0)
    assert seen["actions"]["columns"] == {"id": "target", "action": "action", "time": "time"}
    assert (seen["actions"]["window_hours"], seen["actions"]["other_kinds"]) == (12, 1)
    result = run(*arguments, "--out", tmp_path / "history")
    assert "log.csv: 3 rows, 2 actions: 1 remove, 1 approve" in result.stderr
    labels = [row.removed for row in read_history(tmp_path / "history", refuse_bad_row)]
    assert labels == [False, True]
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "history" / "actions.jsonl").read_text().splitlines()]
    assert kinds == ["approve", "remove"]
    report = orjson.loads((tmp_path / "history" / "import.json").read_bytes())
    assert report["actions"] == seen["actions"]


def test_comments_without_a_label_are_written_and_left_out_of_a_training(export: Path, tmp_path: Path) -> None:
    text = "nr;said;at;state\na1;Which lab?;01/05/2023 10:00;live\na2;go home;31/05/2023 10:00;gone\n"
    export.write_text(text + "a3;New here;31/05/2023 11:00;\n")
    columns = "id=nr,body=said,time=at,label=state=gone"
    result = run("import", export, "--columns", columns, "--out", tmp_path / "history", "--community", "x")
    assert "1 without label" in " ".join(result.stdout.split())
    for needs_labels, ids, left_out in ((False, ["a1", "a2", "a3"], []), (True, ["a1", "a2"], ["it has no label"])):
        read = plain_import(tmp_path / "history", needs_labels=needs_labels)
        assert [row.comment.comment_id for row in read.comments()] == ids
        assert [row.cause for row in read.bad_rows] == left_out


def test_a_saved_mapping_states_the_actions_again(export: Path, tmp_path: Path) -> None:
    log, mapping = tmp_path / "log.csv", tmp_path / "mapping.json"
    log.write_text('target,did,"at, UTC"\na1,zap,1682935200\na2,fine,1685527300\nother,fine,1999999999\n')
    stated = ("--action-columns", 'id=target,action=did,time="at, UTC:s",remove=gone|zap,approve=fine')
    columns = COLUMNS.replace(",label=state=gone", "")
    first = run(
        *("import", export, "--columns", columns, "--actions", log, *stated, "--label-window", "12"),
        *("--mapping", mapping, "--json", "--dry-run"),
    )
    again = run("import", export, "--actions", log, "--mapping", mapping, "--json", "--dry-run")
    wider = run("import", export, "--actions", log, "--mapping", mapping, "--label-window", "24", "--json", "--dry-run")
    seen, seen_again, seen_wider = (json.loads(result.stdout) for result in (first, again, wider))
    assert seen["actions"] == seen_again["actions"]
    assert seen["actions"]["columns"]["remove"] == "gone|zap"
    assert (seen_again["actions"]["window_hours"], seen_wider["actions"]["window_hours"]) == (12, 24)


def test_the_actions_are_an_input_that_no_result_replaces(export: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("target,action,time\na1,remove,2023-05-01 11:00\n")
    with pytest.raises(ConfigurationError, match="also an input"):
        run("report", export, "--columns", COLUMNS, "--actions", log, "--out", log)


def test_a_score_has_no_option_for_actions(export: Path) -> None:
    assert run("score", "--model", "m", "--in", export, "--actions", export).exit_code == 2
    assert run("import", export, "--label-window", "12").exit_code == 2


def test_standard_input_is_read_once(export: Path) -> None:
    with pytest.raises(DatasetError, match="named twice"):
        run("import", "-", "-", "--columns", COLUMNS, given=EXPORT.encode())


def test_the_way_to_name_files_is_one_that_the_command_has() -> None:
    assert "--from-lake" not in run("import").stderr
    assert "--from-lake" in run("label-errors", "--out", "x.csv").stderr


def test_statements_about_a_folder_of_generate_are_refused(export: Path, tmp_path: Path) -> None:
    history = tmp_path / "history"
    assert run("import", export, "--columns", COLUMNS, "--out", history).exit_code == 0
    for options in (["--columns", "body=x"], ["--community", "x"], ["--no-header"], ["--quote", "none"]):
        with pytest.raises(DatasetError, match="needs no statements"):
            run("train", history, *options, "--out", tmp_path / "model")


@pytest.mark.slow
def test_a_report_without_labels_reads_what_train_refuses(export: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    columns = "id=nr,author=wrote,body=said,time=at"
    with pytest.raises(DatasetError, match="`moderation report --without-labels` describes the comments"):
        run("report", export, "--columns", columns, "--out", page)
    fields = json.loads(run("report", export, "--columns", columns, "--without-labels", "--out", page, "--json").stdout)
    assert (fields["comments"], fields["removed"], fields["times"], fields["auc_mean"]) == (2, None, 2, None)
    assert "Comments without labels." in page.read_text()
    assert run("report", export, "--without-labels", "--examples", "1", "--out", page).exit_code == 2
