"""All code points as producers write them, and the bytes that a worker stores and sends for such texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from uuid import UUID

from moderation.adapters.sql import ledger_writes
from moderation.contracts import Comment, Fate, Read, parse_record, to_json
from moderation.ledger import DecisionRow
from moderation.scoring import storable_reasons
from moderation.text.cleaning import clean
from stream.worker.decider import judge
from stream.worker.messages import Record, ServingModel
from stream.worker.publisher import encode_decision

ALL = range(0x110000)
QUICK = sorted({*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFD00, 0x10010), *range(0, 0x110000, 251)})
"""All of the first planes' controls, marks and edges, surrogates, and a sample of the rest."""
APPEND_US = 1_700_000_000_000_000
TOPIC_ID = UUID(int=7)
_FORMS_OF_A_TEXT = 1_500


def escapes(codes: Iterable[int]) -> Iterator[str]:
    """Each code point as ``<U+XXXX>``, ``&#N;`` and ``&#xN;``."""
    for code in codes:
        yield f"<U+{code:04X}>"
        yield f"&#{code};"
        yield f"&#x{code:x};"


def texts_of(codes: Iterable[int]) -> Iterator[str]:
    """Return bodies with all escapes of code points, some as separate words and some without spaces."""
    forms = escapes(codes)
    while some := list(islice(forms, _FORMS_OF_A_TEXT)):
        half = len(some) // 2
        yield " ".join(some[:half]) + " you idiot " + "".join(some[half:])


def raw_ids(codes: Iterable[int], size: int = 200) -> Iterator[str]:
    """Return ids of ``size`` characters with all code points that a comment id may contain."""
    scalars = iter([code for code in codes if code and not 0xD800 <= code <= 0xDFFF])
    while some := list(islice(scalars, size)):
        yield "".join(map(chr, some))


def decided(bodies: Sequence[str], ids: Sequence[str], model: ServingModel) -> list[DecisionRow]:
    """Parse and decide comments as a worker does.

    Args:
        bodies: bodies of the comments.
        ids: ids and communities of the comments, as many.
        model: model whose policy alerts on every comment, so that each has reasons.

    Returns:
        Rows of the ledger. Their reasons are those of the model and every token of the cleaned body.
    """
    pairs = []
    for offset, (body, name) in enumerate(zip(bodies, ids, strict=True)):
        comment = Comment(name, name[:100], body, APPEND_US - 1)
        record = Record(0, offset, APPEND_US, to_json(comment))
        parsed = parse_record(record.value, record.append_us)
        assert parsed == comment
        pairs.append((record, Read(parsed)))
    return [
        DecisionRow(
            record.partition,
            record.offset,
            record.append_us,
            comment.comment_id,
            comment.community,
            comment.event_time_us,
            record_id,
            score_ppm,
            ruling.verdict,
            Fate.COUNTED,
            [*(reasons or []), *storable_reasons(clean(comment.body).split(" "))],
        )
        for (record, (comment, _, _)), (record_id, score_ppm, ruling, reasons) in zip(
            pairs, judge(pairs, model), strict=True
        )
    ]


def encoded(rows: Sequence[DecisionRow], model: ServingModel) -> Iterator[bytes]:
    """Return all bytes that are stored or sent for decisions."""
    for line in ledger_writes.decision_lines(TOPIC_ID, rows, model.versions):
        yield line.encode()
    for row in rows:
        sent = encode_decision("comments", str(TOPIC_ID), row, model.versions)
        yield from (part for part in sent if part is not None)
