"""Values that programs trip over."""

from random import Random
from typing import Any, Final

LONG: Final = 70_000  # Beyond every text's limit, and beyond a form's of the signed contract.

NESTED_MAX: Final = 300  # Python's own encoder gives up at a thousand, the caller's frames among them; see RAW_JSON.

TEXTS: Final = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",  # Half a character.
    "\udfff\ud800",
    "\ufeff",
    "\u202e\u2066",  # Turns the line around.
    "💥" * 40,
    "e" + "\u0301" * 300,
    "null",
    "true",
    "NaN",
    "-1",
    "1e999",
    "0x10",
    "１２３",
    "١٢٣",
    "999999999999999999999999",
    "2026-02-30T25:61:61Z",
    "0000-01-01",
    "9999-12-31T23:59:59.999999999+23:59",
    "' OR 1=1 --",
    '"; DROP TABLE jobs; --',
    "%s%n%x",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "../../../../etc/passwd",
    "..%2f..%2f",
    "<script>alert(1)</script>",
    "\r\nX-Injected: 1",
    "http://",
    "http://[::1",
    "http://a\\@b/",
    "http://\x00/",
    "ftp://example.com/a.png",
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
    "[",
    "[]",
    '["',
    "[1,2]",
    '[["http://127.0.0.1/"]]',
    "{",
    "a" * 65,
    "a" * 4001,
    "字" * 101,
    "a" * LONG,
]
NUMBERS: Final = [0, -1, 1, 0.5, -0.0, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, -(10**30), 1e308, 5e-324]
#: As JSON text, for what Python's encoder would not write.
RAW_JSON: Final = [
    "NaN",
    "-Infinity",
    "1e999",
    "-0",
    "1E400",
    "01",
    "0x1",
    "1" * 5000,
    "0." + "3" * 5000,
    '"\\ud800"',
    '"\\u0000"',
    '"\\x"',
    '"tab\t"',
    "undefined",
    "'single'",
    "[" * 2000,
    "[" * 900 + "]" * 900,
    '{"a":' * 900 + "1" + "}" * 900,
    "[1,]",
    "// comment",
]


def text(random: Random) -> str:
    """A text, perhaps a nasty one."""
    if random.random() < 0.7:
        return random.choice(TEXTS)
    return "".join(
        chr(random.choice((random.randrange(32), random.randrange(0x250), random.randrange(0xD800))))
        for _ in range(random.randrange(1, 40))
    )


def value(random: Random) -> Any:
    """Anything that JSON can hold."""
    kind = random.randrange(6)
    if kind <= 2:
        return plain(random)
    if kind == 3:
        return [plain(random) for _ in range(random.choice((0, 1, 2, 17, 300)))]
    if kind == 4:
        return {text(random): plain(random) for _ in range(random.randrange(4))}
    return nested(random.choice((3, 50, NESTED_MAX)))


def plain(random: Random) -> Any:
    """A value that holds no others."""
    return random.choice([text(random), random.choice(NUMBERS), None, True, False, float("nan"), float("inf")])


def nested(depth: int) -> Any:
    """Lists in lists."""
    made: Any = "x"
    for _ in range(depth):
        made = [made]
    return made


def octets(random: Random) -> bytes:
    """A few bytes of any kind, or a text in some encoding."""
    kind = random.randrange(4)
    if kind == 0:
        return random.randbytes(random.randrange(0, 60))
    encoding = random.choice(["utf-8", "utf-16", "utf-32", "gb18030", "latin-1"])
    return text(random).encode(encoding, "replace") if kind < 3 else text(random).encode("utf-8", "surrogatepass")
