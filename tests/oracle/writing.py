"""How hard values and lines are written: the choices of the generator, without its plan."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from tests.oracle.options import SECOND

ABSENT = object()
"""Stands for a property that is left out."""

ODD_TEXTS = (
    None, "", "unknown", "__other__", "ü", "日本", "a b", 'quo"te', "back\\slash", "new\nline", "x" * 128, "0", "{}",
    "nul\0", "é",
)  # fmt: skip

STOP_REASONS = (
    "completed", "end_turn", "max_turns", "length", "max_tokens", "tool_error", "loop", "stuck", "budget", "timed_out",
    "SIGTERM", "nobody knows", "other", "Completed", " ", "__other__", "refusal",
)  # fmt: skip

ERROR_CLASSES = (
    ABSENT, None, "", "timeout", "ReadTimeout", "rate_limited", 429, 429.0, "429", 500, -1, "max_tokens", "TypeError",
    "typeerror", "unknown", "other", "x" * 300,
)  # fmt: skip

DURATIONS = (
    0, 1, 2.5, 5, 10, 25, 50, 50.0, 50.000001, 49.999999, 99.9, 100, 100.00000001, 250, 1000, 1001, 2500.5, 60000,
    7200000, 7200001, 1e-15, 1e18, 0.1, 0.2, 0.3, 1e-6, 0.000255, 0.000256, 123.456789, 2**53, 2**53 + 1, 4.6e12,
)  # fmt: skip

DOLLARS = (0, 0.0, None, 0.01, 0.001, 0.0025, 0.0025000001, 1.11, 2.22, 0.1, 0.2, 0.3, 50, 1e-18, 1e18, 0.00979)

TOKENS = (ABSENT, None, 0, 0, 1, 7.0, 100, 999, 1000, 1001, 20000, 500, 123456, 4_500_000_000_000_000)


def duration(draw: Random) -> Any:
    """A number of milliseconds."""
    return (
        draw.choice(DURATIONS) if draw.random() < 0.6 else round(draw.lognormvariate(5, 2), draw.choice((0, 1, 3, 6)))
    )


def dollars(draw: Random) -> Any:
    """An amount of money."""
    return draw.choice(DOLLARS)


def tokens(draw: Random) -> Any:
    """A number of tokens."""
    return draw.choice(TOKENS) if draw.random() < 0.6 else draw.randrange(5000)


def error_class(draw: Random) -> Any:
    """Why something failed."""
    return draw.choice(ERROR_CLASSES)


def run_id(draw: Random, odd: float) -> str:
    """The id of a run, seldom a long or an odd one."""
    plain = f"run-{draw.randrange(10**9)}"
    if draw.random() >= odd:
        return plain
    length = draw.choice((20, 121, 122, 123, 200, 256))
    filler = draw.choice("xé日")
    return draw.choice(
        (plain + filler * (length - len(plain)), plain + '"\\\n', plain + "\0", plain + "\x7f\x85\u2028")
    )


def trace_id(draw: Random) -> Any:
    """A trace, mostly a text of 32 characters."""
    plain = f"{draw.getrandbits(128):032x}"
    return draw.choice((ABSENT, plain, plain, plain, plain * 3, plain * 4, None, "", 7, ["t"], "nul\0", "ü"))


def numbered(draw: Random, events: Sequence[dict[str, Any]], *, is_live: bool) -> list[dict[str, Any]]:
    """*events* with writers and numbers, some left out, used twice, in the wrong order, or no numbers at all."""
    writers = [f"w{index}" for index in range(draw.choice((0, 0, 1, 2, 3)))]
    trouble = draw.choice((0, 0.02, 0.2))
    numbers = dict.fromkeys(writers, draw.choice((0, 1, 2**53 - 2)))
    lines = []
    for event in events:
        line = dict(event)
        if writers and draw.random() < 0.9:
            writer = draw.choice(writers)
            number: Any = numbers[writer]
            numbers[writer] += 1
            if draw.random() < trouble:
                number = draw.choice(
                    (number + 1, max(0, number - 1), number + 3, float(number) if number < 2**53 else number)
                )
                numbers[writer] += draw.choice((0, 0, 1, 5))
            line |= {"writer": writer, "seq": number}
            if draw.random() < trouble / 10:
                line |= draw.choice(
                    ({"seq": None}, {"writer": ""}, {"writer": 7}, {"writer": "w" * 300}, {"seq": 2**63})
                )
        lines.append(line)
    if writers and not is_live and draw.random() < 0.1:
        lines[-1]["seq"] = 2**63 - 1
    return lines


def shuffled(draw: Random, lines: list[dict[str, Any]], late: float, *, is_live: bool) -> list[dict[str, Any]]:
    """*lines* in another order: as it was, late by up to some seconds, or any; *late* is what following allows."""
    jitter = draw.choice((0, 0, late)) if is_live else draw.choice((0, 0, 4, 30, 10**9))
    return sorted(lines, key=lambda line: line["ts"] + draw.uniform(0, jitter) * SECOND) if jitter else lines


def line(draw: Random, event: dict[str, Any]) -> bytes:
    """One line as a writer may write it."""
    values = event | {"ts": time(draw, event["ts"])}
    if draw.random() < 0.2:
        values = dict(draw.sample(list(values.items()), len(values)))
    if draw.random() < 0.1:
        values["message"] = draw.choice((None, 1e300, "free text", {"deep": [[[]]]}, [1, 2], "\ud83d\ude00", "\0"))
    separators = draw.choice(((",", ":"), (", ", ": ")))
    text = json.dumps(values, ensure_ascii=draw.random() < 0.5, separators=separators)
    if draw.random() < 0.03:
        text = '{"run_id": 7, "x": 1, ' + text[1:]
    if draw.random() < 0.05:
        text = f" {text}\t"
    return text.encode("utf-8", "surrogatepass") + draw.choice((b"\n", b"\n", b"\n", b"\r\n"))


def time(draw: Random, microseconds: int) -> Any:
    """A time in one of the ways in which it may be written."""
    seconds, rest = divmod(microseconds, SECOND)
    if draw.random() < 0.2:
        if not rest:
            return draw.choice((seconds, float(seconds)))
        return microseconds / SECOND  # a double of today still tells microseconds apart
    offset = draw.choice((0, 0, 0, 330, -480, 845, -719, 1439, -1439, 1))
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    local = local.astimezone(timezone(timedelta(minutes=offset)))
    digits = (
        f".{rest:06}" + draw.choice(("", "", "0", "4", "49999999", "0" * 30)) if rest or draw.random() < 0.5 else ""
    )
    if digits and draw.random() < 0.1 and rest:
        digits = f".{rest - 1:06}" + draw.choice(("5", "50", "999", "9" * 20))
    clock = local.strftime("%H:%M:%S")
    if clock.endswith(":00") and draw.random() < 0.5:
        before = local - timedelta(minutes=1)
        local, clock = before, before.strftime("%H:%M:60")
    sign = "-" if offset < 0 else "+"
    hours, minutes = divmod(abs(offset), 60)
    zones = [f"{sign}{hours:02}:{minutes:02}", f"{sign}{hours:02}{minutes:02}"] + (
        ["Z", "z", "-00:00"] if not offset else []
    )
    return local.strftime("%Y-%m-%d") + draw.choice("TTt ") + clock + digits + draw.choice(zones)


REJECTS = (
    b"\xff", b'{"event": "\xc3("}', b"{", b"Traceback (most recent call last):", b"nul", b'{"x": NaN}', b"{} {}", b"[]",
    b"1", b"null", b'"text"', b'{"ts": "\\ud800"}', b"{}", b'{"event": 7}', b'{"event": null}', b'{"event": "nobody"}',
    b'{"event": ""}', b'{"event": "step"}', b'{"event": "step", "ts": null}', b'{"event": "step", "ts": "now"}',
    b'{"event": "step", "ts": "2026-11-21T00:00:00"}', b'{"event": "step", "ts": -1}', b'{"event": "step", "ts": 1e13}',
    b'{"event": "step", "ts": "2099-01-01T00:00:00Z"}', b'{"event": "step", "ts": 1794000000}',
    b'{"event": "step", "ts": 1794000000, "run_id": "r", "step": -1}',
    b'{"event": "step", "ts": 1794000000, "run_id": "", "step": 1}',
    b'{"event": "tool.call", "ts": 1794000000, "run_id": "r", "tool": "t", "status": "ok", "duration_ms": 1e19}',
    b'{"event": "tool.call", "ts": 1794000000, "run_id": "r", "tool": "t", "status": "ok", "duration_ms": 1e-19}',
    b'{"event": "tool.call", "ts": 1794000000, "run_id": "r", "tool": "t", "status": "OK", "duration_ms": 1}',
    b'{"event": "tool.call", "ts": 1794000000, "run_id": "r", "tool": "t", "status": "ok", "duration_ms": "1"}',
    b"[" * 1100 + b"]" * 1100, b"\xef\xbb\xbf{}", b"\0", b"x" * (1024 * 1024 + 2), b"", b" \t ", b"\r",
)  # fmt: skip


def with_rejects(draw: Random, written: list[tuple[int | None, bytes]], share: float) -> list[tuple[int | None, bytes]]:
    """*written* with lines between them that are no events; some have a writer and a number."""
    found: list[tuple[int | None, bytes]] = []
    for each in written:
        while draw.random() < share:
            reject = draw.choice(REJECTS)
            if reject.startswith(b'{"event"') and b"\xc3" not in reject and draw.random() < 0.5:
                reject = reject[:-1] + b', "writer": "w0", "seq": %d}' % draw.randrange(30)
            found.append((None, reject + b"\n"))
        found.append(each)
    return found


def names(draw: Random, number: int) -> list[str]:
    """So many names of log files."""
    style = draw.choice((
        ["app.jsonl", "app.jsonl.1", "app.jsonl.2", "app.jsonl.3"],
        ["a.ndjson", "b.jsonl", "c.jsonl-20261121", "d.ndjson-20261120"],
        ["z.jsonl", "y.jsonl", "x.jsonl", "w.jsonl"],
        ["deep/er/a.jsonl", "deep/b.jsonl", "a.jsonl", "deep/a.jsonl"],
    ))  # fmt: skip
    return draw.sample(style[:number], number)
