"""A pack is refused with its place, or works: changed at random in a running service, and as it broke once."""

import json
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from extractor.errors import SchemaError
from extractor.schema.load import load
from extractor.schema.model import Catalog
from tests import fuzz
from tests.conftest import Log
from tests.killing import Victim
from tests.packs import changed, write
from tests.servers import eventually, get
from tests.test_reload import reload
from tests.using import samples, use

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SCHEMAS = Path("tests/schemas").resolve()
MANY = 10
"""Packs that are right, and as many that are not."""


def judged(folder: Path) -> Iterator[tuple[bytes, Catalog | None]]:
    """Bytes, and the catalog of the pack that is made of them, in *folder*; None if it is refused."""
    for data in fuzz.mutated("packs", 10_000):
        write(changed(data), folder)
        try:
            yield data, load([folder])
        except SchemaError:
            yield data, None


@pytest.fixture
def victim(log: Log, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Victim]:
    """One that follows *log* with the pack in `pack`; nothing of it is left after the test."""
    write(changed(b""), tmp_path / "pack")
    [port] = free_ports(1)
    one = Victim(log.path.parent, tmp_path / "state", port, tmp_path / "said", ("--schemas", str(tmp_path / "pack")))
    yield one
    one.close()


def test_a_running_service_takes_it_or_goes_on_without(log: Log, victim: Victim, tmp_path: Path) -> None:
    """A reload with a pack that `check` accepts is done, and all that is served is right; of another it says where."""
    folder = tmp_path / "pack"
    packs = judged(folder)
    next(packs)  # the one it starts with
    victim.start()
    victim.ready()
    lines, left = 0, {True: MANY, False: MANY}
    for data, catalog in packs:
        if not left[catalog is not None]:
            continue
        left[catalog is not None] -= 1
        said = reload(victim, successful=catalog is not None)
        assert catalog is not None or f"{folder}" in said, data
        for pack in catalog.packs if catalog else ():
            for event in pack.events.values():
                examples = [json.dumps(each).encode() for each in event.schema["examples"]]  # type: ignore[attr-defined]
                log.append(*examples)
                lines += len(examples)
        eventually(lambda: victim.value("extractor_read_lines_total"), float(lines))
        samples(victim.metrics())
        with urlopen(Request(f"{victim.url}/metrics", headers={"Accept": OPENMETRICS})) as answer:
            samples(answer.read().decode())
        get(f"{victim.url}/")
        if not any(left.values()):
            break
    victim.stop()

    assert {True: 0, False: 0} == left
    assert "Traceback" not in victim.said.read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"maxLength": 64', '"maxLength": 128.0'),
        ('"maxLength": 64', '"maxLength": 9223372036854775808'),
        ('"maxLength": 64', '"maxLength": 1e300'),
        ('"limit": 10', '"limit": 10.0'),
        ('"limit": 300', '"limit": 300.0'),
        ('"user"', '"us\\"er"'),
        ('"user"', '"us\\\\er"'),
        ('"user"', '"us\\ner\\u001b"'),
        ('"user"', '"__class__"'),
        ('"user"', '"class"'),
        ('"user"', '"f0"'),
        ('"user"', '"time"'),
        ('"user"', '" "'),
        ('"slow"', '"s\\"lo\\nw\\u2028"'),
        ('"jobs_total"', f'"{"j" * 20_000}_total"'),
        ('"Jobs done."', '"{{ .Jobs }} \\"done\\" \\\\ # {} \\u2028\\u001b[31m\\r ok."'),
        ('"wait_ms": {"type": "number", "minimum": 0}', '"wait_ms": {"type": "number", "minimum": 0}, "x": true'),
        ('"wait_ms": {"type": "number", "minimum": 0}', '"wait_ms": {"type": "number", "minimum": 0}, "x": false'),
        ('"buckets": [0.1, 1, 10]', '"buckets": [5e-324, 1e308, 1.7e308]'),
        ('"type": "object",', '"type": "object", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},'),
        ('"type": "object",', '"type": "object", "allOf": [{"$ref": "#"}],'),
        ('"type": "object",', '"type": "object", "not": {"enum": []},'),
    ],
)
def test_what_is_accepted_works(old: str, new: str, tmp_path: Path) -> None:
    """What `check` accepted once, and `run` or `replay` ended with a traceback at, works with all of them."""
    schema = (SCHEMAS / "every_type.good.json").read_text()
    if old == '"user"':
        schema = schema.replace('["queue", "user"]', '{"queue": "queue", "user": "user"}').replace(
            ': "user"}', f": {new}}}"
        )
        schema = schema.replace('"user": {"limit"', f'{new}: {{"limit"').replace('"user": {"type"', f'{new}: {{"type"')
        schema = schema.replace('"user": "ada"', f'{new}: "ada"')
    else:
        schema = schema.replace(old, new)
    assert new in schema
    write({"job.done.schema.json": schema.encode()}, tmp_path / "pack")

    use(load([tmp_path / "pack"]), tmp_path / "pack", tmp_path / "app.jsonl", b"")


@pytest.mark.parametrize(("one", "other"), [*combinations(["event", "time", "run", "writer", "number"], 2)])
def test_places_of_a_pack_may_be_the_same(one: str, other: str, tmp_path: Path) -> None:
    """Where two things stand in one place of a line, its lines are judged as they would be by the exact path alone."""
    places = {"event": "/event", "time": "/ts", "run": "/run_id", "writer": "/user", "number": "/wait_ms"}
    places[one] = places[other]
    pack: dict[str, object] = {key: places[key] for key in ("event", "time", "run")}
    pack |= {"name": "jobs", "files": ["*.jsonl"], "sequence": {"writer": places["writer"], "number": places["number"]}}
    schema = json.loads((SCHEMAS / "every_type.good.json").read_text())
    schema["required"] += ["user", "wait_ms"]
    files = {"pack.json": json.dumps(pack).encode(), "job.done.schema.json": json.dumps(schema).encode()}
    write(files, tmp_path / "pack")
    try:
        catalog = load([tmp_path / "pack"])
    except SchemaError:
        assert "event" in (one, other)  # it has a name, which is of no other type
        return
    use(catalog, tmp_path / "pack", tmp_path / "app.jsonl", b"")
