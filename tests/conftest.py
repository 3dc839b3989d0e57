"""What all tests share. Tests that need ../shared skip, and say so, where it is absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import scheduling
from tests.support.properties import register_profiles

# What takes seconds to import is imported by the fixtures: of a parallel run, the controller loads this file too.
if TYPE_CHECKING:
    from moderation.contracts import Comment
    from moderation.datasets.history import LabelledComment
    from moderation.scoring import Kernel, ModerationPipeline

register_profiles()
pytest_plugins = ["tests.support.servers", "tests.support.budget"]

ROOT = Path(__file__).parent.parent
SHARED_CSV = ROOT.parent / "shared" / "data" / "rscience_comments.csv"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="write the pictures of docs/images again")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    scheduling.order(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return scheduling.scheduler(config, log)


def refuse_bad_row(row: object) -> None:
    raise AssertionError(f"unexpected bad row {row}")


@pytest.fixture(scope="session")
def rscience() -> list[LabelledComment]:
    if not SHARED_CSV.exists():
        pytest.skip("../shared/data/rscience_comments.csv is absent")
    from moderation.datasets.importer import plain_import

    imported = plain_import(SHARED_CSV)
    comments = list(imported.comments())
    assert imported.bad_rows == []
    return comments


@pytest.fixture(scope="session")
def small_corpus() -> tuple[list[str], list[int]]:
    """Texts and labels a model learns something from, without any file."""
    kept = ["Nice study, thanks.", "The sample was small (n = 24).", "I don't agree with the conclusion.", "Source?"]
    gone = ["you idiot!!!", "FREE money at http://spam.example/x", "my doctor said it cures all", "lol what a clown"]
    texts = [f"{text} {word} {number}" for number in range(20) for text in kept + gone for word in ("so", "well")]
    labels = [int(any(text.startswith(start) for start in gone)) for text in texts]
    return texts, labels


@pytest.fixture(scope="session")
def pipeline(small_corpus: tuple[list[str], list[int]]) -> ModerationPipeline:
    from moderation.scoring import new_pipeline
    from moderation.text import Lexicon

    texts, labels = small_corpus
    return new_pipeline(Lexicon()).fit(texts, labels)


@pytest.fixture(scope="session")
def kernel(pipeline: ModerationPipeline) -> Kernel:
    return pipeline.kernel()


@pytest.fixture
def comment() -> Callable[..., Comment]:
    from moderation.contracts import Comment

    def make(**changes: object) -> Comment:
        fields: dict[str, object] = {
            "comment_id": "c1",
            "community": "science",
            "body": "Nice study, thanks.",
            "event_time_us": 1_700_000_000_000_000,
        }
        return Comment(**{**fields, **changes})  # type: ignore[arg-type]

    return make
