"""
Seeds in, lines that nobody foresaw out: the examples of the schemas, changed at random.

Values of other types, extreme numbers and times, escapes, keys that come twice or are escaped, bytes that are no text,
and depth. A seed always gives the same lines.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NUMBERS = (
    "0", "-0", "-0.0", "1", "-1", "0.1", "1e-18", "9.99e-19", "1e-19", "5e-324", "1e-400", "1e18", "1.0000001e18",
    "1e19", "1e300", "1e308", "1.7976931348623157e308", "1e309", "-1e308", "9007199254740993", "9223372036854775807",
    "9223372036854775808", "18446744073709551615", "18446744073709551616", "1" * 30, "1" * 400, "1.0", "128.0",
    "0.30000000000000004", "4503599627370497.5", "4.5e15", "1E+2", "1e0", "2e53", "-2e53", "NaN", "Infinity", "1_000",
)  # fmt: skip
TIMES = (
    "0", "-1", "1e-9", "1767225600", "1767225600.123456789", "1767225600123", "253402300799", "1e18", "1e300",
    '"0001-01-01T00:00:00Z"', '"0001-01-01T00:00:00+23:59"', '"1969-12-31T23:59:59.999999Z"', '"1970-01-01T00:00:00Z"',
    '"2026-01-01T00:00:00Z"', '"2026-01-01t00:00:00.5z"', '"2026-01-01 00:00:00+0530"', '"2026-12-31T23:59:60Z"',
    '"2026-02-30T00:00:00Z"', '"9999-12-31T23:59:59Z"', '"9999-12-31T23:59:59-23:59"', '"2026-01-01T00:00:00"', '""',
    '"2026-01-01T00:00:00.9999999999Z"', '"\\u0032026-01-01T00:00:00Z"', '"yesterday"', "null", "true", "[]", "{}",
)  # fmt: skip
TEXTS = (
    '""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\n\\r\\t"',
    '"\\\\"',
    '"\\""', '"\\u2028"', '"\\u202e"', '"\\u001b[2J"', '"__other__"', '"unknown"', '"{}"', '"%s"', '"="', '"</script>"',
    '"' + "x" * 129 + '"', '"' + "x" * 70_000 + '"', '"é"', '"\\u00e9"', '"e\\u0301"', '"+Inf"', '"\'"', '"#"',
    '"None"',
)  # fmt: skip
OTHERS = ("null", "true", "false", "[]", "{}", "[[]]", '{"a":{"b":1}}', '["a",1,null]', "[" * 600 + "]" * 600)
BYTES = (
    b"\xff",
    b"\xc3(",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\r",
    b"\x0b",
    b"\x7f",
    b"\xf0\x9f",
    b"\\",
    b'"',
    b"{",
    b"}",
    b",",
)


def examples() -> list[dict[str, Any]]:
    """The examples of the event types of the default pack."""
    paths = sorted(Path("schemas/agent").glob("*.schema.json"))
    return [example for path in paths for example in json.loads(path.read_text())["examples"]]


def mutants(seed: int, number: int) -> Iterator[bytes]:
    """*number* lines, without their newlines."""
    rng, known = random.Random(seed), examples()
    for _ in range(number):
        yield _line(rng, rng.choice(known)).replace(b"\n", b" ")


def _line(rng: random.Random, example: dict[str, Any]) -> bytes:
    pairs = [[json.dumps(key), json.dumps(value)] for key, value in (example | {"agent": "mutant"}).items()]
    pairs += [[json.dumps(key), value] for key, value in (("seq", rng.choice(NUMBERS)), ("writer", rng.choice(TEXTS)))
              if rng.random() < 0.1]  # fmt: skip
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _change(rng, pairs)
    line = "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"
    data = line.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data = data[:at] + rng.choice(BYTES) + data[at:]
            case 1:
                data = data[:at]
            case 2:
                data = data + rng.choice((b" ", b"\r", b",", b"{}", data))
            case _:
                data = data[:at] + data[at + rng.choice((1, 2, 10)) :]
    return data


def _change(rng: random.Random, pairs: list[list[str]]) -> None:
    pair = rng.choice(pairs)
    match rng.randrange(9):
        case 0 | 1 | 2:
            pair[1] = rng.choice(TIMES if pair[0] == '"ts"' else NUMBERS if pair[1][:1] in "0123456789-" else TEXTS)
        case 3:
            pair[1] = rng.choice((*NUMBERS, *TIMES, *TEXTS, *OTHERS))
        case 4:
            pairs.remove(pair) if len(pairs) > 1 else None
        case 5:
            pairs.insert(rng.randrange(len(pairs) + 1), [pair[0], rng.choice((pair[1], *OTHERS, *TEXTS))])
        case 6:
            name = json.loads(pair[0])
            pair[0] = '"' + "".join(f"\\u{ord(each):04x}" for each in name if ord(each) < 1 << 16) + '"'
        case 7:
            pairs.append([rng.choice(TEXTS), rng.choice((*NUMBERS, *TEXTS, *OTHERS))])
        case _:
            rng.shuffle(pairs)
