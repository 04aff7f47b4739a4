"""
Bytes in, a crash or nothing out: what must hold of whatever bytes are lines, a checkpoint, a schema or settings, and of
the packs that `packs` makes of them.

    python -m tests.fuzz lines 60

libFuzzer, by way of atheris, searches for so many seconds; it keeps what reached new code in build/fuzz/TARGET, and
begins there the next time. What fails is left beside it. Where there is no atheris, bytes are changed at random.

Knows nothing of how bytes are made that find something.
"""

import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from unittest.mock import patch

import msgspec

from extractor.cost import price_file
from extractor.errors import CheckpointError, ObjectivesError, PricesError, SchemaError
from extractor.ingest.fastpath import FastPath
from extractor.report import objectives
from extractor.schema.load import default_pack, load
from extractor.service.checkpoint import StateDirectory
from extractor.service.reject_entry import Line, entry_of, read_entry
from extractor.state.state import State
from extractor.tail.line_buffer import Blob, LineBuffer
from tests.packs import changed, write
from tests.reading import T0, Reader, default_catalog, text
from tests.using import use

BUILD = Path("build/fuzz")
_LIMIT = 1 << 20


def lines(data: bytes) -> None:
    """The first byte says how the rest is cut into chunks; what they end are lines."""
    size, rest = 1 + sum(data[:1]), data[1:] + b"\n"
    buffer = LineBuffer(_LIMIT)
    pieces = [piece for at in range(0, len(rest), size) for piece in buffer.feed(rest[at : at + size])]
    blobs = [piece.data for piece in pieces if isinstance(piece, Blob)]
    assert rest == b"".join(blobs)
    judged(rest[:-1])


def judged(data: bytes) -> Reader:
    """What was made of the lines of *data*, which must be the same on both paths, once each, and kept as it is."""
    blob = data + b"\n"
    fast = _read(blob)
    with patch.object(FastPath, "decode", lambda *_: None), patch.object(FastPath, "decode_line", lambda *_: None):
        exact = _read(blob)
    assert _seen(fast) == _seen(exact)
    assert blob.count(b"\n") == fast.stats.lines_read
    assert fast.stats.lines_read == fast.stats.events + fast.stats.rejects.total() + fast.stats.blank_lines
    for rejected in fast.rejected:
        entry = entry_of(rejected, 1)
        assert rejected.line == read_entry(Line(1, 0, len(entry), entry[:-1], is_whole=True, is_ended=True)).line

    dumped = [fast.state.dump(), fast.stats.dump()]
    again = State(fast.catalog)
    assert [] == again.load(msgspec.msgpack.decode(msgspec.msgpack.encode(dumped))[0])
    assert text(fast.state, openmetrics=True) == text(again, openmetrics=True)
    return fast


def _read(blob: bytes) -> Reader:
    reader = Reader(default_catalog(), latest=lambda: T0 + 10_000)
    reader.blob(blob)
    return reader


def _seen(reader: Reader) -> tuple[object, ...]:
    stats = reader.stats
    rejects = [(item.offset, item.reject, item.line) for item in reader.rejected]
    gaps, repeats, known = reader.state.sequences.dump()
    spans = {  # in which order they were read means nothing
        name: sorted((number, slot) for begin, end, slot in spans for number in range(begin, end))
        for name, (spans, *_) in known.items()
    }
    numbers = (stats.gaps, stats.repeats, gaps, repeats, spans, {name: rest for name, (_, *rest) in known.items()})
    return text(reader.state, openmetrics=True), rejects, stats.blank_lines, stats.events, numbers


def checkpoint(data: bytes) -> None:
    """Whatever the file holds, it is a value, damaged and set aside, or of a newer version."""
    folder = _folder("state")
    for name in os.listdir(folder):  # noqa: PTH208  # a path for each costs more than the test
        os.unlink(folder / name)  # noqa: PTH108
    (folder / "checkpoint").write_bytes(data)
    directory = StateDirectory(folder)
    try:
        loaded = directory.load()
        assert (loaded.value is None) == bool(loaded.notes) or data == saved_checkpoint()
    except CheckpointError as error:
        assert "version" in str(error)  # noqa: PT017  # nothing else may be wrong with what can be read
    finally:
        directory.close()


def schema(data: bytes) -> None:
    """A schema is right, or a `SchemaError` says where it is wrong."""
    folder = _folder("schemas")
    (folder / "pack.json").write_text(_PACK)
    (folder / "e.schema.json").write_bytes(data)
    with suppress(SchemaError):
        load((folder,))
    (folder / "e.schema.json").write_text(seeds("schema")[0].decode())
    (folder / "pack.json").write_bytes(data)
    with suppress(SchemaError):
        load((folder,))


def packs(data: bytes) -> None:
    """A pack that was right and was changed is refused with its place, or everything works that is made of it."""
    folder = _folder("packs") / "pack"
    write(changed(data), folder)
    try:
        catalog = load((folder,))
    except SchemaError as error:
        # Two packs may contradict each other: then the place may be in the default one.
        files = "|".join(re.escape(str(path)) for path in (folder, default_pack()))
        assert re.match(rf"({files})(/[^#]*)?#", str(error), re.DOTALL), error  # noqa: PT017
        return
    use(catalog, folder, folder.parent / "app.jsonl", data)


def settings(data: bytes) -> None:
    """Objectives and prices are right, or an error says where they are wrong."""
    path = _folder("settings") / "objectives.toml"
    path.write_bytes(data)
    with suppress(ObjectivesError):
        objectives.load(path)
    for name in ("prices.toml", "prices.json"):
        with suppress(PricesError, UnicodeDecodeError):
            price_file.parse(data.decode(), name)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "lines": lines,
    "checkpoint": checkpoint,
    "schema": schema,
    "packs": packs,
    "settings": settings,
}

_PACK = json.dumps({"name": "agent", "event": "/event", "time": "/ts", "run": "/run_id", "files": ["*.jsonl"]})
_PRICES = """[models."m"]\ninput = 3.0\noutput = 15\ncache_read = 0.3\n[models.x]\nlike = "m"\n"""
_TOKENS = (
    *(b"%c" % byte for byte in b'[]{}",:\\\n\r \0'),
    *b'"event" "ts" "run_id" "tool" "status" "duration_ms" "writer" "seq" "agent" "tool.call" "run.start"'.split(),
    *b'null true false 0 -1 1e400 1e308 18446744073709551616 "\\ud800" "\\u0000" NaN 1767225600'.split(),
    *b'"type" "properties" "x-metrics" "x-labels" "pattern" "$ref" "enum" "const" "items" "required" "value"'.split(),
    *b"\xff \xef\xbb\xbf %s inf nan [[ ]] agents.a off s '".split(),
    b"[" * 300, b"]" * 300, b"{" * 1100, b"9" * 400,
)  # fmt: skip


@cache
def seeds(target: str) -> list[bytes]:
    """Bytes that are right, and make *target* see the most."""
    match target:
        case "lines":
            cases = sorted(Path("tests/cases").glob("*/events.jsonl")) + sorted(Path("samples/logs").glob("*.jsonl"))
            return [b"\x40" + b"\n".join(path.read_bytes().split(b"\n")[:8]) for path in cases]
        case "checkpoint":
            return [saved_checkpoint()]
        case "schema":
            found = [json.loads(path.read_text()) for path in sorted(Path("schemas/agent").glob("*.schema.json"))]
            return [json.dumps(_named(each)).encode() for each in found]
        case "packs":
            rng = random.Random(target)
            return [rng.randbytes(rng.choice((8, 12, 24, 40))) for _ in range(64)]
        case _:
            return [Path("samples/objectives.toml").read_bytes(), _PRICES.encode()]


def _named(schema: dict[str, object]) -> dict[str, object]:
    # The name of an event is that of its file.
    schema["properties"]["event"] = {"const": "e"}  # type: ignore[index]  # it is a schema
    schema["examples"] = [each | {"event": "e"} for each in schema["examples"]]  # type: ignore[attr-defined]
    return schema


@cache
def saved_checkpoint() -> bytes:
    """A checkpoint as it is saved."""
    with tempfile.TemporaryDirectory() as folder:
        directory = StateDirectory(Path(folder))
        directory.save({"time": 1.0, "packs": ["agent"], "positions": [[b"/a", 1, 2]], "state": {"declared": {}}})
        directory.close()
        return (Path(folder) / "checkpoint").read_bytes()


@cache
def _folder(name: str) -> Path:
    """A folder for what must be a file; on a disk in memory, if there is one."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    _KEPT.append(tempfile.TemporaryDirectory(prefix=f"extractor-fuzz-{name}-", dir=memory))
    return Path(_KEPT[-1].name)


_KEPT: list["tempfile.TemporaryDirectory[str]"] = []


def mutated(target: str, number: int) -> Iterator[bytes]:
    """The seeds of *target*, and *number* bytes made from them; always the same."""
    rng = random.Random(target)
    yield b""
    yield from seeds(target)
    yield from islice(iter(lambda: _mutated(rng, rng.choice(seeds(target))), None), number)


def _mutated(rng: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(data) + 1)
        end = min(at + rng.choice((0, 0, 1, 1, 4, 16, 300)), len(data))
        match rng.randrange(5):
            case 0:
                data[at:end] = rng.choice(_TOKENS)
            case 1:
                data[at:end] = rng.randbytes(end - at)
            case 2:
                data[at:at] = data[at:end] * rng.choice((1, 2, 100))
            case 3:
                del data[at:end]
            case _:
                other = rng.randrange(len(data) + 1)
                data[at:end] = data[other : other + 40]
    return bytes(data)


def main(target: str, seconds: float) -> None:
    """Search for so many *seconds*."""
    corpus = BUILD / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    if find_spec("atheris") is None:
        _search(target, seconds)
        return
    import atheris  # noqa: PLC0415  # there is not one for every Python and processor

    words = BUILD / "words"
    words.write_text("".join(f'"{_escaped(token[:60])}"\n' for token in _TOKENS))
    for name, module in list(sys.modules.items()):
        if name.startswith("extractor."):
            _instrument(atheris.instrument_func, module)
    options = [
        f"-max_total_time={max(int(seconds), 1)}", f"-artifact_prefix={BUILD}/{target}-", f"-dict={words}",
        "-max_len=8192", "-timeout=60", "-rss_limit_mb=4096", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[target])
    atheris.Fuzz()


def _search(target: str, seconds: float) -> None:
    """The search without libFuzzer: it does not see what is reached."""
    rng, deadline = random.Random(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        data = _mutated(rng, rng.choice(seeds(target)))
        try:
            TARGETS[target](data)
        except BaseException:
            (BUILD / f"{target}-crash").write_bytes(data)
            raise


def _instrument(instrument: Callable[[Any], Any], module: ModuleType) -> None:
    """Make libFuzzer see which code of *module* is reached, in the functions and methods that are its own."""
    for owner in (module, *(each for each in vars(module).values() if isinstance(each, type))):
        for value in list(vars(owner).values()):
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                instrument(value)


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
