from __future__ import annotations

import csv
import gzip
import inspect
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from batch.drift.params import COOL_DOWN_DAYS
from batch.drift.run import check_drift
from cli.drift import drift
from cli.line_batches import batches, read_lines
from cli.main import app, main
from moderation.contracts import MAX_RECORD_BYTES
from moderation.errors import ConfigurationError, DatasetError, GoalUnmet, ModelRefused, ModerationError, TrainingError

Corpus = tuple[list[str], list[int]]
EVENT_US = 1_700_000_000_000_000


def run(*arguments: str | Path, given: bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), input=given, catch_exceptions=False)


@pytest.fixture(scope="module")
def export(small_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "export.csv"
    rows = [f'"{n}","{n}","{text}","{label}"' for n, (text, label) in enumerate(zip(*small_corpus, strict=True))]
    path.write_text("\n".join(['"","X","BODY","REMOVED"', *rows, '"9","9","broken row"']) + "\n", encoding="iso-8859-1")
    return path


@pytest.fixture(scope="module")
def model(export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    result = run("train", "--csv", export, "--out", folder, "--goal", "precision>=0.9", "--goal", "review_share<=0.1")
    assert result.exit_code == 0
    assert "ROC AUC" in result.stdout
    assert "warning: a ROC AUC of 1.0000 is unusual" in result.stderr
    assert "line 322 left out: 3 columns where the header has 4" in result.stderr
    return folder


def line(**changes: object) -> bytes:
    fields = {"schema_version": 1, "comment_id": "c", "community": "x", "body": "thanks", "event_time_us": EVENT_US}
    return json.dumps({**fields, **changes}).encode()


def answers(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0
    return [json.loads(text) for text in result.stdout.splitlines()]


def test_a_history_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_text("")
    with pytest.raises(ConfigurationError, match=r"history: the folder cannot be written \(File exists\)"):
        run("generate", "--out", file)


@pytest.mark.slow
def test_training_twice_gives_the_same_digest(export: Path, model: Path, tmp_path: Path) -> None:
    arguments = ("--csv", export, "--goal", "precision>=0.9", "--goal", "review_share<=0.1", "--json")
    report = json.loads(run("train", "--out", tmp_path, *arguments).stdout)
    assert (tmp_path / "model.skops").read_bytes() == (model / "model.skops").read_bytes()
    assert report["model_digest"] == json.loads((model / "model.json").read_text())["files"]["model.skops"]
    assert report["bad_rows"] == 1
    assert sorted(path.name for path in (model / "plots").iterdir()) == [
        "calibration.png",
        "confusion.png",
        "precision_recall.png",
        "roc.png",
        "thresholds.png",
    ]
    other = json.loads(run("train", "--out", tmp_path, *arguments, "--seed", "1").stdout)
    assert other["data_digest"] == report["data_digest"]


def test_scores_are_in_order_and_match_the_contract(model: Path) -> None:
    bodies = ["Nice study, thanks.", "you idiot!!!", "", "Source?"]
    given = b"\n".join(line(body=body, comment_id=f"c{n}") for n, body in enumerate(bodies))
    found = answers(run("score", "--model", model, given=given))
    assert [answer.keys() for answer in found] == [
        {"comment", "score_ppm", "verdict", "repairs", "model_version", "policy_version"}
    ] * 4
    comments = [answer["comment"] for answer in found]
    assert [comment["comment_id"] for comment in comments] == ["c0", "c1", "c2", "c3"]  # type: ignore[index]
    assert comments[1] == {
        **json.loads(line(body="you idiot!!!", comment_id="c1")),
        "author_key": None,
        "parent_id": None,
    }
    assert [found[0]["verdict"], found[1]["verdict"]] == ["allow", "remove"]
    assert {answer["model_version"] for answer in found} == {None}
    policy = json.loads((model / "policy.json").read_text())
    assert {answer["policy_version"] for answer in found} == {policy["policy_version"]}
    one_by_one = answers(run("score", "--model", model, "--batch-size", "1", given=given))
    assert one_by_one == found


MALFORMED = {
    "not json": b"hello",
    "wrong types": line(comment_id=5),
    "missing fields": b'{"schema_version": 1}',
    "NUL bytes": b"\0\0\0",
    "time in seconds": line(event_time_us=1_700_000_000),
    "5 MB text": line(body="x" * 5_000_000),
    "huge numbers": line().replace(str(EVENT_US).encode(), b"9" * 400),
    "deep nesting": b"[" * 50_000,
    "wrong schema_version": line(schema_version=99),
    "empty": b"",
}


@pytest.mark.slow
def test_a_csv_file_from_a_pipe_is_scored(model: Path) -> None:
    found = answers(run("score", "--model", model, given=b"id,body\na1,you idiot\na2,thank you\n"))
    assert [each["comment"]["comment_id"] for each in found] == ["a1", "a2"]  # type: ignore[index]


def test_a_thousand_malformed_lines_between_good_ones_are_all_dead_letters(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    kinds = list(MALFORMED.values())
    with path.open("wb") as file:
        for number in range(1_000):
            file.write(line(comment_id=f"c{number}") + b"\n" + kinds[number % len(kinds)] + b"\n")
    found = answers(run("score", "--model", model, "--in", path))
    assert [answer["comment"]["comment_id"] for answer in found[::2]] == [f"c{n}" for n in range(1_000)]  # type: ignore[index]
    assert len({answer["score_ppm"] for answer in found[::2]}) == 1
    dead = [answer["dead_letter"] for answer in found[1::2]]
    assert [letter["line"] for letter in dead] == list(range(2, 2_001, 2))  # type: ignore[index]
    reasons = Counter(letter["reason"] for letter in dead)  # type: ignore[index]
    assert set(reasons) == {
        "not_json",
        "wrong_type",
        "missing_field",
        "past_dated",
        "too_large",
        "schema_version",
        "empty",
    }
    assert reasons.total() == 1_000


def test_other_files_are_scored_row_by_row(model: Path, tmp_path: Path) -> None:
    rows = ["a1,you idiot!!!,1682935200", "a2,[removed],1682935200", '"a3","Nice study,\nthanks.",1682935200']
    path = tmp_path / "comments.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["id,text,created_utc", *rows]).encode()))
    found = answers(run("score", "--model", model, "--in", path))
    assert [answer.get("verdict") for answer in found] == ["remove", None, "allow"]
    assert found[1] == {"dead_letter": {"line": 3, "reason": "text was removed"}}
    stated = answers(run("score", "--model", model, "--in", path, "--columns", "body=text", "--batch-size", "1"))
    assert stated == found
    mapping = tmp_path / "mapping.json"
    assert answers(run("score", "--model", model, "--in", path, "--mapping", mapping)) == found
    assert json.loads(mapping.read_bytes())["columns"]["body"] == "text"
    dump = b'{"id": "a1", "body": "you idiot!!!", "created_utc": 1682935200}\n{"id": "a3"}\n'
    piped = answers(run("score", "--model", model, given=dump))
    assert piped == [found[0], {"dead_letter": {"line": 2, "reason": "no text"}}]


def test_scores_of_no_comment_at_all_are_an_error(model: Path) -> None:
    with pytest.raises(DatasetError, match=r"no line is a comment.*--columns body=COLUMN"):
        run("score", "--model", model, given=b'{"schema_version": 1, "text": "x"}\n')


def test_a_model_records_how_its_comments_were_read(model: Path) -> None:
    lineage = json.loads((model / "model.json").read_text())["training"]["import"]
    assert lineage["format"] == "rscience"
    assert lineage["columns"]["label"] == "REMOVED"
    assert (lineage["rows"], lineage["used"], lineage["left_out"]) == (321, 320, {"unreadable": 1})
    assert "export.csv" not in json.dumps(lineage)


def test_a_training_that_is_refused_says_so_before_it_trains(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("body,removed\n" + "[removed],1\nfine,0\n" * 40)
    with pytest.raises(DatasetError, match=r"40 text was removed.*--accept left-out"):
        run("train", path, "--out", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
@pytest.mark.budget(20)
def test_a_model_no_better_than_chance_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    rows = [f"comment {number % 7} on topic {number % 11},{number * 7919 % 13 % 2}" for number in range(120)]
    rows = [f"{number} {row}" for number, row in enumerate(rows)]
    path.write_text("\n".join(["body,removed", *rows]) + "\n")
    with pytest.raises(TrainingError, match=r"no better than chance.*--accept chance"):
        run("train", path, "--out", tmp_path / "model", "--folds", "2", "--accept", "times")
    assert not (tmp_path / "model").exists()


def test_lines_are_read_in_bounded_memory_whatever_their_length() -> None:
    long = b"x" * (3 * MAX_RECORD_BYTES)
    exact = b"y" * MAX_RECORD_BYTES
    stream = io.BytesIO(b"a\n" + long + b"\n\nb\n" + exact + b"\nlast")
    lines = list(read_lines(stream))
    assert lines == [b"a", long[: MAX_RECORD_BYTES + 1], b"", b"b", exact, b"last"]
    assert list(read_lines(io.BytesIO(long))) == [long[: MAX_RECORD_BYTES + 1]]
    assert list(read_lines(io.BytesIO(b"x" * (MAX_RECORD_BYTES + 1) + b"\nz"))) == [b"x" * (MAX_RECORD_BYTES + 1), b"z"]


def test_batches_are_cut_by_lines_and_by_bytes() -> None:
    assert list(batches([b"aa"] * 5, most_lines=2)) == [[b"aa"] * 2, [b"aa"] * 2, [b"aa"]]
    assert list(batches([b"aa"] * 5, most_lines=9, most_bytes=5)) == [[b"aa"] * 3, [b"aa"] * 2]
    assert list(batches([], most_lines=1)) == []


def test_an_explanation_adds_up(model: Path) -> None:
    fields = json.loads(run("explain", "--model", model, "--json", "you idiot!!!").stdout)
    parts = fields["intercept"] + sum(part["logit"] for part in fields["tokens"] + fields["surface"])
    assert parts == pytest.approx(fields["logit"], abs=1e-9)
    assert [part["token"] for part in fields["tokens"]] == ["you", "idiot", "!", "!", "!"]
    assert fields["verdict"] == "remove"
    assert "idiot" in run("explain", "--model", model, "you idiot!!!").stdout


MODEL_FIELDS = {
    "name",
    "title",
    "recipe",
    "auc_mean",
    "comments",
    "auc_folds",
    "auc_pooled",
    "average_precision",
    "brier",
    "calibration_error",
    "best_f1",
    "fit_seconds",
    "comments_per_s",
    "auc_difference",
    "finding",
}


@pytest.mark.long
def test_a_comparison_is_one_object_and_keeps_table_picture_and_object(export: Path, tmp_path: Path) -> None:
    arguments = ("compare", "--csv", export, "--folds", "2", "--json")
    kept = json.loads(run(*arguments, "--out", tmp_path / "kept", "--plot", tmp_path / "a" / "plot.png").stdout)
    assert kept.keys() == {
        *("data_digest", "comments", "removed", "folds", "seed", "confidence", "models", "bad_rows", "seconds"),
        "logged",
    }
    assert (kept["comments"], kept["removed"], kept["bad_rows"], kept["logged"]) == (320, 160, 1, None)
    assert len(kept["models"]) == 8
    assert all(model.keys() == MODEL_FIELDS for model in kept["models"])
    assert [model["auc_difference"] for model in kept["models"] if model["finding"] == "baseline"] == [None]
    assert json.loads((tmp_path / "kept" / "comparison.json").read_text()) == {
        name: value for name, value in kept.items() if name != "logged"
    }
    with (tmp_path / "kept" / "comparison.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["name"] for line in table] == [model["name"] for model in kept["models"]]
    assert [float(line["auc_fold_2"]) for line in table] == [model["auc_folds"][1] for model in kept["models"]]
    picture = (tmp_path / "kept" / "comparison.png").read_bytes()
    assert picture == (tmp_path / "a" / "plot.png").read_bytes()
    shown = run("compare", "--csv", export, "--folds", "2").stdout
    assert all(model["title"] in shown for model in kept["models"])


@pytest.mark.slow
def test_a_report_is_one_page_without_texts_unless_asked(export: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    report = json.loads(run("report", "--csv", export, "--out", page, "--folds", "2", "--json").stdout)
    assert report.pop("auc_mean") > 0.9
    assert report.pop("seconds") > 0
    warnings = report.pop("warnings")
    assert "Of 40 comments that begin with “free”, 40 are removed (100%; of all comments 50%)." in warnings
    assert report == {
        **{"out": str(page), "comments": 320, "removed": 160, "times": 0, "repeated_bodies": 0, "tokens": 61},
        **{"contradicting_bodies": 0, "examples": 0, "bad_rows": 1},
    }
    assert "what a clown" not in page.read_text()
    assert "have no times" in page.read_text()
    result = run("report", "--csv", export, "--out", page, "--folds", "2", "--examples", "3")
    assert "line 322 left out" in result.stderr
    assert f"warning: {warnings[0]}" in result.stderr
    assert page.read_text().count("<blockquote>") == 12


@pytest.mark.budget(30)
@pytest.mark.slow
def test_generated_history_trains_a_model(tmp_path: Path) -> None:
    shares = ("--late", "0.02", "--duplicate", "0.02", "--edited", "0.02", "--broken", "0.02", "--future", "0.02")
    size = ("--days", "2", "--comments-per-day", "250")
    written = json.loads(run("generate", "--out", tmp_path / "history", *size, *shares, "--json").stdout)
    assert written["injected"].keys() == {"late", "duplicate", "edited", "broken", "future_dated"}
    report = json.loads(run("train", "--history", tmp_path / "history", "--out", tmp_path / "model", "--json").stdout)
    refused = written["injected"]["broken"] + written["injected"]["future_dated"]
    assert report["bad_rows"] == refused
    assert report["metrics"]["comments"] == written["comments"] - refused - written["injected"]["duplicate"]
    assert report["metrics"]["auc_mean"] > 0.6
    with (tmp_path / "history" / "comments.jsonl").open("rb") as file:
        found = answers(run("score", "--model", tmp_path / "model", given=file.read()))
    assert len(found) == written["comments"]
    page = tmp_path / "page.html"
    seen = json.loads(run("report", "--history", tmp_path / "history", "--out", page, "--json").stdout)
    assert seen["comments"] == seen["times"] == report["metrics"]["comments"]
    assert seen["auc_mean"] == report["metrics"]["auc_mean"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("score", "--model", "nowhere"), ModelRefused, "model.json"),
        (("train", "--csv", "nowhere.csv", "--out", "m"), DatasetError, "nowhere.csv"),
        (("train", "--history", "nowhere", "--out", "m"), DatasetError, "nowhere"),
        (("train", "--csv", "x.csv", "--out", "m", "--goal", "nonsense"), ConfigurationError, "nonsense"),
        (("generate", "--out", "h", "--late", "2"), ConfigurationError, "^--late: 2"),
        (("generate", "--out", "h", "--edited", "0.5", "--broken", "0.5"), ConfigurationError, "--edited .* --broken"),
        (("generate", "--out", "h", "--raid-day", "30"), ConfigurationError, "^--raid-day: 30"),
        (("compare", "--csv", "nowhere.csv"), DatasetError, "nowhere.csv"),
        (("compare", "--csv", "nowhere.csv", "--out", "/proc/none"), ConfigurationError, "/proc/none"),
        (("report", "--history", "nowhere", "--out", "p.html"), DatasetError, "nowhere"),
        (("report", "--csv", "x.csv", "--out", "/proc/none/p.html"), ConfigurationError, "/proc/none"),
    ],
)
def test_errors_name_what_is_wrong(
    arguments: tuple[str, ...],
    error: type[ModerationError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        run(*arguments)


def test_a_goal_out_of_reach_leaves_no_model(export: Path, tmp_path: Path) -> None:
    goals = ("--goal", "recall>=1", "--goal", "reviews_per_day<=1", "--comments-per-day", "1000")
    with pytest.raises(GoalUnmet, match="best recall"):
        run("train", "--csv", export, "--out", tmp_path / "m", *goals)
    assert not (tmp_path / "m").exists()


def test_exit_codes_and_error_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["moderation", "score", "--model", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert "ModelRefused" in capsys.readouterr().err
    assert run("train", "--out", "m").exit_code == 2
    assert run("compare").exit_code == 2
    assert run("compare", "--csv", "x.csv", "--history", "h").exit_code == 2
    assert run("report", "--out", "p.html").exit_code == 2


@pytest.mark.parametrize(
    "arguments", [("promote",), ("promote", "--reason", " "), ("rollback",), ("challenge", "--hours", "0")]
)
def test_moving_a_model_needs_a_reason(arguments: tuple[str, ...]) -> None:
    found = run(*arguments)
    assert found.exit_code == 2
    assert arguments[0] == "challenge" or "--reason" in found.output


def test_the_cool_down_of_the_drift_check_has_one_default() -> None:
    defaults = {inspect.signature(each).parameters["cool_down_days"].default for each in (drift, check_drift)}
    assert defaults == {COOL_DOWN_DAYS}


def test_help_loads_no_model_libraries() -> None:
    program = (
        "import sys; from cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'sklearn', 'spacy', 'numpy', 'skops', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
