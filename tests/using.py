"""
A pack that is right in; everything that is ever made of a pack is made of it, or the test fails.

Knows nothing of how the pack came to be.
"""

import gc
import json
import random
import re
import threading
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from click.testing import CliRunner

from extractor.cli.main import main
from extractor.exposition.self_metrics import OwnText
from extractor.ingest.fastpath import FastPath
from extractor.report.objectives import Objectives
from extractor.schema.model import Catalog
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.web.page.health import Moment
from extractor.web.page.monitor import Overview
from extractor.web.scrape import SeriesText
from tests.packs import TEXTS
from tests.reading import T0, Reader, text

_USES = count(1)
_COLLECT_AFTER = 50  # uses; in a process that has run many tests each takes half a second

FORMATS = ("table", "json", "prometheus", "openmetrics")
VALUES: tuple[Any, ...] = (
    *TEXTS,
    *("a\0b", None, True, 0, 1, -1, 0.5, 1000, 7.0, 2**53, [], {}, [["a"]], {"a": 1}),
)
"""What stands in lines where something else was."""

PAIR = r'[a-z_][a-z0-9_]*="(?:[^"\\\n\0]|\\[^\n\0])*"'
_NUMBER = r"(?:[+-]?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)"
SAMPLE = re.compile(
    rf"(?P<series>(?P<name>[a-z_][a-z0-9_]*)(?:{{(?P<labels>{PAIR}(?:,{PAIR})*)}})?) {_NUMBER}"
    rf"(?: # {{{PAIR}(?:,{PAIR})*}} {_NUMBER} {_NUMBER})?"
)
"""A sample, by the rules of Prometheus' lexers; neither takes a NUL."""
_META = re.compile(r"# (?:HELP|TYPE|UNIT) [a-z_][a-z0-9_]* [^\n\0]*|# EOF")


def samples(exposition: str) -> list[re.Match[str]]:
    """Every sample of *exposition*, which must be as Prometheus' lexers want it, and have no series twice."""
    lines = exposition.removesuffix("\n").split("\n") if exposition else []
    found = [SAMPLE.fullmatch(each) for each in lines if not each.startswith("#")]
    wrong = [each for each in lines if not (_META if each.startswith("#") else SAMPLE).fullmatch(each)]
    assert not wrong, f"Prometheus would refuse {wrong[0]!r}"
    known = [sample for sample in found if sample is not None]
    names = [sample["series"] for sample in known]
    assert len(names) == len(set(names)), "a series is served twice"
    return known


def use(catalog: Catalog, folder: Path, log: Path, seed: bytes) -> None:
    """
    Everything that is made of the pack in *folder*, which is *catalog*.

    Its lines are its examples, and these with something else in one place; *log* is where they may be written.
    """
    lines = lines_of(catalog, seed)
    state = both_paths(catalog, lines).state
    for openmetrics in (False, True):
        samples(text(state, openmetrics=openmetrics))
    _serve(catalog, lines)
    log.write_bytes(b"".join(each + b"\n" for each in lines))
    schemas = ["--schemas", str(folder)]
    for words in (
        ["check", *schemas, "--logs", str(log)],
        *(["replay", *schemas, "--jobs", "1", "--format", form, str(log)] for form in FORMATS),
        ["replay", *schemas, "--jobs", "1", "--backfill", "-", str(log)],
        ["report", *schemas, str(log)],
        ["report", *schemas, "--format", "json", str(log)],
    ):
        _run(words)
    if not next(_USES) % _COLLECT_AFTER:
        gc.unfreeze()  # what commands that read logs let nobody collect: they end soon after
        gc.collect()


def both_paths(catalog: Catalog, lines: list[bytes]) -> Reader:
    """What is made of *lines*, which is the same on the fast path and on the exact one, and comes back when saved."""
    fast = _read(catalog, lines)
    with patch.object(FastPath, "decode", lambda *_: None), patch.object(FastPath, "decode_line", lambda *_: None):
        exact = _read(catalog, lines)
    assert _seen(fast) == _seen(exact)
    again = State(catalog)
    notes = again.load(msgspec.msgpack.decode(msgspec.msgpack.encode(fast.state.dump())))
    assert [] == notes
    assert text(fast.state, openmetrics=True) == text(again, openmetrics=True)
    return fast


def _read(catalog: Catalog, lines: list[bytes]) -> Reader:
    reader = Reader(catalog, latest=lambda: T0 + 1e6)
    reader.lines(lines)
    reader.state.sweep(end=True)
    return reader


def _seen(reader: Reader) -> tuple[object, ...]:
    rejects = [(item.offset, item.reject, item.line) for item in reader.rejected]
    return text(reader.state, openmetrics=True), rejects, reader.stats.blank_lines, reader.stats.events


def lines_of(catalog: Catalog, seed: bytes) -> list[bytes]:
    """The examples of *catalog* as lines, and these with something else in one place; the same for the same *seed*."""
    return list(_lines(catalog, random.Random(seed)))


def _lines(catalog: Catalog, rng: random.Random) -> Iterator[bytes]:
    examples: list[Mapping[str, Any]] = [
        example
        for pack in catalog.packs
        for event in pack.events.values()
        for example in event.schema["examples"]  # type: ignore[attr-defined]  # proved at load: a list
    ]
    for example in examples:
        yield json.dumps(example).encode()
        for key in example:
            changed = {**example, key: rng.choice(VALUES)}
            yield json.dumps(changed, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")


def _serve(catalog: Catalog, lines: list[bytes]) -> None:
    """What a running service shows of it: the scrape, and the page."""
    lock = threading.Lock()
    reader = Reader(catalog, latest=lambda: T0 + 1e6)
    overview = Overview(
        reader.state,
        reader.stats,
        lock,
        Objectives(),
        lambda: Moment("", "", T0, T0),
        version="1",
        followed=["logs"],
        keeps=False,
    )
    reader.listen(overview.trends)
    reader.lines(lines)
    for rejected in reader.rejected:
        overview.reject(rejected)
    overview.folded(list)
    series = SeriesText(reader.state, lock)
    own = OwnText(reader.state, Stats(), lock, lambda: T0, "1")
    for openmetrics in (False, True):
        written = series.write(openmetrics=openmetrics)
        assert text(reader.state, openmetrics=openmetrics).removesuffix("# EOF\n") == written
        samples(written + own.write("application/openmetrics-text" if openmetrics else "")[1].decode())
    page = overview.page()
    assert "\0" not in page
    page.encode()


def _run(words: list[str]) -> None:
    """A command, which ends by itself and without a traceback."""
    result = CliRunner().invoke(main, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"extractor {' '.join(words)} ends with a traceback") from result.exception
    assert result.exit_code in (0, 3), (
        f"extractor {' '.join(words)} ends with {result.exit_code}: {result.output[-400:]}"
    )
