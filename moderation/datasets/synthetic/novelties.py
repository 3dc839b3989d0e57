"""Generate new words (names, links, codes, numbers), so that the vocabulary grows with the text."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from moderation.datasets.synthetic.tables import terms

_FIRST = terms("""
    Anna, Marek, Lena, Omar, Priya, Jonas, Mei, Carlos, Fatima, Igor, Sofia, Kofi, Greta, Hiro, Nadia, Paul, Elif, Tom,
    Zoe, Ivan, Ruth, Samir, Olga, Ben, Chloe, Diego, Emeka, Freya, Hana, Jin, Karin, Luca, Mona, Nils, Pia, Quinn, Rosa,
    Sven, Tara, Uma, Viktor, Wanda, Yusuf, Alma, Bruno, Cleo, Dara, Enzo, Faye, Gus
""")
_START = terms("ba, ko, ri, mel, tor, vin, sha, gru, pel, dan, ox, lu, fen, qua, zy, har, mi, nor, te, cal, bre, sti")
_MIDDLE = terms("ra, li, no, va, ti, ser, mo, da, ce, pu, gi, lan, do, fe, xi, be, ro")
_END = terms("n, x, son, ria, tek, ov, ez, berg, ly, um, ine, osa, dal, itz, ko, ford, well, us, ax")
_TLDS = terms("com, org, net, io, co.uk, info, news, dev")
_SPAM_TLDS = terms("xyz, com, shop, top, club, net, info, online")
_SPAM_WORDS = terms("best, deal, free, cash, win, pro, fast, bonus, gift, crypto, vip, earn, pharm, trade, cheap, gold")
_PATHS = terms("news, blog, article, wiki, watch, p, threads, item, docs, review, guide, paper, story, shop, forum")
_MONTHS = terms("January, March, May, June, July, October, November, Feb, Sept, December")

_REUSED = 0.6
_REMEMBERED = 1_500


class Novelties:
    """Draws words that are mostly new, and sometimes one of the last 1,500 of their kind.

    Args:
        rng: random stream.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._remembered: dict[str, deque[str]] = {}

    def slots(self) -> dict[str, Callable[[], str]]:
        """Functions that draw words for phrase templates, by slot name."""
        return {
            "n": self._number,
            "small": lambda: str(2 + int(self._rng.random() ** 2 * 9)),
            "age": lambda: str(18 + int(self._rng.random() * 50)),
            "pct": self._percentage,
            "price": self._price,
            "year": lambda: str(2025 - int(self._rng.random() ** 2 * 40)),
            "date": lambda: f"{_MONTHS[int(self._rng.random() * len(_MONTHS))]} {1 + int(self._rng.random() * 30)}",
            "dose": lambda: str(5 * (1 + int(self._rng.random() * 40))),
            "phone": lambda: f"{self._rng.randrange(10**9, 10**10)}",
            "code": self._again("code", self._code),
            "coin": self._again("coin", self._coined),
            "name": self._again("name", self._name),
            "user": self._again("user", lambda: f"u/{self._handle()}"),
            "contact": self._again("contact", lambda: f"@{self._handle()}"),
            "url": self._again("url", self._url),
            "link": self._again("link", lambda: f"[{self._pick(_PATHS)}]({self._url()})"),
            "spam_url": self._again("spam_url", self._spam_url),
        }

    def _again(self, sort: str, make: Callable[[], str]) -> Callable[[], str]:
        seen = self._remembered.setdefault(sort, deque(maxlen=_REMEMBERED))
        random = self._rng.random

        def draw() -> str:
            if seen and random() < _REUSED:
                return seen[int(random() ** 2 * len(seen))]
            seen.append(make())
            return seen[-1]

        return draw

    def _pick(self, items: tuple[str, ...]) -> str:
        return items[int(self._rng.random() * len(items))]

    def _coined(self) -> str:
        middle = self._pick(_MIDDLE) if self._rng.random() < 0.7 else ""
        return self._pick(_START) + middle + self._pick(_MIDDLE) + self._pick(_END)

    def _name(self) -> str:
        draw = self._rng.random()
        if draw < 0.3:
            return self._pick(_FIRST)
        surname = self._coined().capitalize()
        return f"{self._pick(_FIRST)} {surname}" if draw < 0.7 else surname

    def _handle(self) -> str:
        separator = self._pick(("_", "", "-", ""))
        number = str(int(self._rng.random() ** 2 * 999)) if self._rng.random() < 0.6 else ""
        return f"{self._coined()}{separator}{self._pick(_PATHS)}{number}"

    def _code(self) -> str:
        letters = "".join(self._rng.choices("ABCDEFGKLMNPRSTVXZ", k=2 + int(self._rng.random() * 2)))
        separator = self._pick(("-", "", " ", "-"))
        return (
            f"{letters}{separator}{int(10 ** (1 + 3 * self._rng.random()))}{self._pick(('', '', 'b', 'i', 'X', 's'))}"
        )

    def _number(self) -> str:
        return str(1 + int(10 ** (3.3 * self._rng.random())))

    def _percentage(self) -> str:
        value = 100 * self._rng.random() ** 1.5
        return f"{value:.1f}%" if self._rng.random() < 0.4 else f"{int(value) + 1}%"

    def _price(self) -> str:
        value = 10 ** (0.7 + 3.3 * self._rng.random())
        draw = self._rng.random()
        if draw < 0.3:
            return f"${int(value)}.99"
        if draw < 0.4:
            return f"{int(value)}€"
        return f"${int(value):,}" if draw < 0.8 else f"{int(value)} bucks"

    def _url(self) -> str:
        domain = f"{self._coined()}.{self._pick(_TLDS)}"
        path = f"{self._pick(_PATHS)}/{self._coined()}-{int(self._rng.random() * 9999)}"
        return f"{self._pick(('https://www.', 'https://', '', 'http://'))}{domain}/{path}"

    def _spam_url(self) -> str:
        domain = f"{self._pick(_SPAM_WORDS)}{self._pick(('-', '', ''))}{self._coined()}"
        dot = self._pick((".", ".", ".", ".", "(.)", " dot "))
        path = f"/{self._pick(_PATHS)}{int(self._rng.random() * 999)}" if self._rng.random() < 0.5 else ""
        return f"{self._pick(('https://', 'http://', 'www.', ''))}{domain}{dot}{self._pick(_SPAM_TLDS)}{path}"
