"""The language of texts is guessed by alphabet and frequent words."""

from __future__ import annotations

import pytest

from moderation.datasets.importer.languages import guess_languages, language_text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I think that they have not read the paper, which is a pity.", "English"),
        ("Das war doch nicht die Frage, die hier gestellt wurde.", "German"),
        ("Je ne comprends pas pourquoi vous avez dit cela dans ce fil.", "French"),
        ("No entiendo por qué esto es tan difícil para todos ustedes.", "Spanish"),
        ("Eu não sei porque vocês estão sempre a dizer isso.", "Portuguese"),
        ("Ik weet niet waarom jullie dat altijd zeggen in dit forum.", "Dutch"),
        ("Nie wiem, dlaczego oni tak bardzo tego nie chcą.", "Polish"),
        ("Я не знаю, почему они всегда говорят это здесь.", "Russian"),
        ("Я не знаю, чому вони завжди це кажуть тут, але це так.", "Ukrainian"),
        ("日本語のコメントです", "Japanese"),
        ("这是一条评论", "Chinese"),
        ("이것은 댓글입니다", "Korean"),
    ],
)
def test_a_language_is_guessed(text: str, language: str) -> None:
    assert list(guess_languages([text])) == [language]


def test_texts_that_show_no_language_are_not_counted() -> None:
    english, german = "This is what they have.", "Das war nicht das, was wir haben."
    shares = guess_languages([english] * 9 + [german] + ["lol", "", "42", "🙂"])
    assert shares == {"English": 0.9, "German": 0.1}
    assert language_text(shares) == "English 90 %, German 10 %"
    assert language_text(guess_languages(["lol"])) == "not clear"
