from __future__ import annotations

import threading

from moderation.policy import Policy
from moderation.scoring import Kernel, reasons_many
from stream.worker.messages import ServingModel
from stream.worker.what_if import WhatIf


def test_an_answer_uses_the_serving_kernel_without_locks_of_the_stream(kernel: Kernel) -> None:
    serving = ServingModel(kernel, Policy(300_000, 700_000, ()), "7")
    text = "you idiot!!! thanks"
    expected = kernel.score_one(text), reasons_many(kernel, [text])[0]
    what_if = WhatIf()
    answers = []
    with kernel.lexicon.lock:
        asking = threading.Thread(target=lambda: answers.append(what_if.answer(serving, text)))
        asking.start()
        asking.join(30)
    assert [(each["score_ppm"], each["reasons"], each["model_version"]) for each in answers] == [(*expected, "7")]
    known = len(kernel.lexicon)
    what_if.answer(serving, "words that the stream never saw")
    assert len(kernel.lexicon) == known
