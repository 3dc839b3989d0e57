"""Two hundred comment bodies that often break software."""

from __future__ import annotations

_SINGLE = [
    "",
    " ",
    "\n",
    "\t\r\n \u00a0\u2003\u3000",
    "\0",
    "\x01\x02\x7f\x80\x9f",
    "\u200b\u200c\u200d\ufeff",
    "\ud800",
    "a\udfffb",
    "\U0010ffff",
    "😀",
    "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪",
    "e\u0301\u0302\u0303",
    "Z̸̢͖͓a̵l̶g̷o̸",
    "مرحبا \u202eevil\u202c שלום",
    "日本語テキスト。中文，文本！한국어",
    "ﷺ﷽",
    "ß ẞ ŉ İ ı ǅ ﬃ",
    "Ⅷ ² ½ ٣ ৪",
    "null None undefined NaN Infinity -0 1e999",
    "'; DROP TABLE comments; --",
    '"><script>alert(1)</script>',
    "${jndi:ldap://x} {{7*7}} %s %n",
    "../../etc/passwd \\\\server\\share",
    "http://a.example/" + "?" * 50,
    "http://" + "a." * 200 + "example",
    "user@" * 50,
    "&amp;&lt;&gt;&quot;&#39;&#x41;&nosuch;",
    "&#99999999999999999999;",
    "<U+0041><U+FFFFFF><U+D800>",
    "[a](b)[c](d)[[e]](f)",
    "--" * 40,
    "1,2.3/4:5-6",
    "+-±~5",
    "5" * 300,
    ":) :( ;-) :'( <3 </3 ¯\\_(ツ)_/¯",
    "don't won't can't've y'all'd've",
    "I.B.M. U.S.A. e.g. i.e. Ph.D.",
    "US$5 5km 5% 5°C 5+ 5€",
    "f r e e   m o n e y",
    "fr33 m0n3y st*pid sh!t @ss",
    "ALL CAPS SHOUTING!!!!!!",
    "a",
    ".",
    "…",
    "—",
    "$",
    "_",
]
_REPEATED = [
    "a",
    "(",
    ")",
    "!",
    ".",
    "'",
    '"',
    "-",
    ":)",
    "a-",
    "a.",
    "😀",
    "e\u0301",
    "&lt;",
    "[a](b)",
    "\\",
    " a",
    "\n",
]
_REPEATED += [
    "1",
    "$1",
    "http://a.b/",
    "'s",
    "a's",
    "İ",
    "\u200d",
    "中",
    "a/",
    "#",
    "@a",
    "..",
    "(a)",
    "<",
    "_",
    "A",
    "é",
]
_LENGTHS = (2, 63, 64, 65, 1_025, 40_000)
_LONG = [(unit * (40_000 // len(unit) + 1))[:40_000] for unit in ("word ", "Word, ", "x1y2 ", "( a ", "😀 ", "\n\n")]

NAUGHTY_TEXTS = (
    _SINGLE
    + [(unit * (length // len(unit) + 1))[:length] for length in _LENGTHS for unit in _REPEATED][
        : 200 - len(_SINGLE) - len(_LONG) - 35
    ]
)
NAUGHTY_TEXTS += [(unit * (40_000 // len(unit) + 1))[:40_000] for unit in _REPEATED] + _LONG
assert len(NAUGHTY_TEXTS) == 200
