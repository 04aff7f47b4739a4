"""Whatever text is in a log, Prometheus reads the scrape, and finds each text as it was, but for a NUL."""

import json
import re
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.exposition.self_metrics import OwnText
from extractor.schema.model import Catalog
from extractor.state.state import State
from extractor.state.stats import Stats
from tests.killing import Victim
from tests.reading import Reader, event_schema, line, llm_call, read, sampled, text, tool_call, write_pack
from tests.servers import eventually, get, running
from tests.test_packs import judged
from tests.using import both_paths, lines_of, samples

SYMBOL = "\u2400"
ODD = [
    *map(chr, (*range(0x21), *range(0x7F, 0xA1), 0xAD, 0x2028, 0x2029, 0x202E, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF)),
    *("\U0001f600", "\U0010ffff", "é", "日本", '"', "\\", "'", "{", "}", "#", "=", ",", "\\n", '\\"', "\\\\", "\\0"),
    *("# EOF", '"} 1\nx_total{l="', '"} 1 # {a="b"} 1', "\r\n", "__other__", "unknown", "NaN", "\ue000" * 60),
]
TEXTS = list(dict.fromkeys(form.replace("?", odd) for odd in ODD for form in ("?", "?a", "a?", "a?b")))
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
LABELS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\0\n\r"\\{}#'), min_size=1, max_size=20)

PACKS = 40

needs_prometheus = pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A pack that shows the texts of its lines wherever texts can be shown: in labels, exemplars, states and help."""
    name = {"type": "string", "maxLength": 1000}
    closed = {"enum": ['a\r"\\\nb', "\u2028"]}
    properties = {"who": name, "trace_id": name, "ms": {"type": "number", "minimum": 0}, "closed": closed}
    shown = {"exemplar": {"run_id": "run_id", "trace_id": "trace_id"}, "labels": ["who"]}
    metrics = {
        "jobs_total": {"type": "counter", "help": 'Jobs "of" \\ {} \u2028 é\r\t\x1b\x7f\x85 # HELP x.', **shown},
        "job_seconds": {"type": "histogram", "help": "Wait.", "value": "ms", "unit": "ms", "buckets": [1, 2], **shown},
        "job_level": {"type": "gauge", "help": "Level.", "value": "ms", "labels": ["who"]},
        "job_mode": {"type": "stateset", "help": "Mode.", "value": {"state": 'o"\n\\n'}, "labels": ["closed"]},
        "runs_open": {"type": "gauge", "help": "Runs.", "value": {"run": "open"}, "labels": ["who"]},
    }
    example = {"who": "w", "trace_id": "t", "ms": 1, "closed": "\u2028"}
    schema = event_schema(
        "job", properties, metrics, example, **{"x-labels": {"who": {"limit": 5000}}, "x-run": "start"}
    )
    return write_pack(tmp_path_factory.mktemp("texts"), schema)


def jobs(texts: Iterable[str]) -> Iterator[bytes]:
    """A line for each text, which stands in it wherever a text can stand."""
    for at, each in enumerate(texts):
        yield line("job", at / 1000, who=each, run_id=each, trace_id=each, ms=at % 3 * 1000, closed="\u2028")


def label(each: str) -> str:
    """How a text in a log is served."""
    return each.replace("\0", SYMBOL)


def scraped(state: State, stats: Stats, *, openmetrics: bool) -> str:
    """A whole scrape."""
    own = OwnText(state, stats, threading.Lock(), lambda: 2e9, "1.2.3")
    return (
        text(state, openmetrics=openmetrics).removesuffix("# EOF\n")
        + own.write(OPENMETRICS if openmetrics else "")[1].decode()
    )


@given(st.lists(LABELS, min_size=1, max_size=10, unique_by=label))
def test_texts_come_back(catalog: Catalog, texts: list[str]) -> None:
    """Each line of either format is as Prometheus' lexers want it, and has a text as it was in the log."""
    state = read(jobs(texts), catalog)
    for openmetrics in (False, True):
        written = samples(text(state, openmetrics=openmetrics))
        found = [sample["labels"] for sample in written if sample["name"] == "jobs_total"]

        assert sorted(map(label, texts)) == sorted(map(who, found))


def who(labels: str) -> str:
    """The value of the label `who`."""
    escaped = re.search(r'who="((?:[^"\\]|\\.)*)"', labels)
    assert escaped is not None
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), escaped[1])


@given(st.lists(LABELS, min_size=1, max_size=10))
def test_no_series_is_served_twice(catalog: Catalog, texts: list[str]) -> None:
    """Texts that are served alike are one series, to which all of them add: in a pass, and put together from parts."""
    lines = [*jobs([*texts, *map(label, texts)])]
    parts = State(catalog, limited=False)
    for each in lines:
        parts.merge(read([each], catalog, limited=False))
    parts.limit()
    expected = {(label(each),): 2.0 * list(map(label, texts)).count(label(each)) for each in texts}
    for state in (read(lines, catalog), parts):
        assert expected == sampled(state, "jobs_total")


def test_a_run_id_with_a_nul_is_no_exemplar(catalog: Catalog) -> None:
    """An identifier that would have to be changed leads nowhere: it is left out, and what is beside it stays."""
    lines = [
        line("job", who="w", run_id="a\0b", trace_id="t", ms=1),
        line("job", 20, who="v", run_id="\0", trace_id="\0", ms=1),
    ]
    written = text(read(lines, catalog), openmetrics=True)

    assert 'jobs_total{who="w"} 1.0 # {trace_id="t"}' in written
    assert 'jobs_total{who="v"} 1.0\n' in written


def test_models_without_a_price_are_served() -> None:
    """The names of models in the extractor's own metrics are served as labels are."""
    reader = Reader(read([]).catalog)
    reader.lines([llm_call(model=model, input_tokens=1) for model in ("a\0b", f"a{SYMBOL}b")])
    restored = Stats()
    restored.load(reader.stats.dump() | {"unpriced": {"a\0b": 3, f"a{SYMBOL}b": 4}})

    assert {f"a{SYMBOL}b": 2} == reader.stats.unpriced
    assert {f"a{SYMBOL}b": 7} == restored.unpriced


def as_before(value: Any) -> Any:
    """*value*, out of a dump, as it was before a NUL was replaced."""
    match value:
        case str():
            return value.replace(SYMBOL, "\0").replace("\ue000", "\0")
        case dict():
            return {as_before(key): as_before(each) for key, each in value.items()}
        case list() | tuple():
            return [as_before(each) for each in value]
        case _:
            return value


def test_a_checkpoint_of_before_is_served(catalog: Catalog) -> None:
    """What an earlier version has saved with a NUL is served without: no exemplar, and one series for what is alike."""
    old = msgspec.msgpack.encode(read(jobs([f"a{SYMBOL}b", "\ue000", "c"]), catalog).dump())
    again = State(catalog)
    dumped = as_before(msgspec.msgpack.decode(old))
    again.load(dumped)
    dumped["families"]["jobs_total"]["series"].append([[f"a{SYMBOL}b"], [5]])
    merged = State(catalog)
    merged.load(dumped)

    assert {(f"a{SYMBOL}b",): 1.0, (SYMBOL,): 1.0, ("c",): 1.0} == sampled(again, "jobs_total")
    assert {(f"a{SYMBOL}b",): 1.0, (SYMBOL,): 1.0, ("c",): 1.0} == sampled(again, "runs_open")
    assert "\0" not in text(again, openmetrics=True)
    assert 'jobs_total{who="c"} 1.0 # {run_id="c",trace_id="c"}' in text(again, openmetrics=True)
    assert 6.0 == sampled(merged, "jobs_total")[(f"a{SYMBOL}b",)]


def test_what_runs_of_before_add_up_is_served() -> None:
    """Labels that wait in an earlier checkpoint for the end of a run, a loop or a call are served without a NUL."""
    who = f"a{SYMBOL}b"
    lines = [
        line("run.start", agent=who),
        *(tool_call(at, agent=who, args_hash="h", tool=who) for at in (1, 2, 3)),
        line("tool.start", 4, agent=who, tool=who, call_id="c"),
        line("run.complete", 5, agent=who, status="ok", stop_reason="completed", duration_ms=5000),
    ]
    once, again = read(lines), State(read([]).catalog)
    again.load(as_before(msgspec.msgpack.decode(msgspec.msgpack.encode(once.dump()))))
    for state in (once, again):
        state.sweep(end=True)

    assert who in text(once)
    assert text(once, openmetrics=True) == text(again, openmetrics=True)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_reads_every_text(catalog: Catalog) -> None:
    """`promtool check metrics` reads a scrape with every odd text."""
    written = scraped(read(jobs(TEXTS), catalog), Stats(), openmetrics=False)
    done = subprocess.run(["promtool", "check", "metrics"], input=written.encode(), capture_output=True, check=False)

    assert (0, b"") == (done.returncode, done.stderr)


@contextmanager
def served(port: int, pages: dict[str, tuple[str, str]]) -> Iterator[None]:
    """Each of *pages*, a content type and a text, on a path of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # so it is called
            kind, page = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def prometheus(folder: Path, port: int, targets: dict[str, str]) -> Iterator[str]:
    """The URL of a Prometheus that scrapes *targets*: jobs, and for each its host, port and path."""
    configs = []
    for job, target in targets.items():
        address, slash, path = target.partition("/")
        configs.append({"job_name": job, "metrics_path": slash + path, "static_configs": [{"targets": [address]}]})
    often = f"{max(500, 25 * len(targets))}ms"
    interval = {"scrape_interval": often, "scrape_timeout": often}
    (folder / "prometheus.yml").write_text(json.dumps({"global": interval, "scrape_configs": configs}))
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn", "--enable-feature=exemplar-storage",
    ]  # fmt: skip
    with running(command, folder / "prometheus.txt"):
        yield f"http://127.0.0.1:{port}"


def health(url: str) -> dict[str, tuple[str, str]]:
    """For each job, whether its target is up, and the last error."""
    targets = json.loads(get(f"{url}/api/v1/targets"))["data"]["activeTargets"]
    return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in targets}


def values(url: str, job: str) -> set[str]:
    """The values of the label `who` of the series that *job* has."""
    asked = urllib.parse.urlencode({"match[]": f'jobs_total{{job="{job}"}}'})
    return {each["who"] for each in json.loads(get(f"{url}/api/v1/series?{asked}"))["data"]}


@needs_prometheus
def test_prometheus_reads_every_text(catalog: Catalog, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> None:
    """A real Prometheus reads a scrape with every odd text, in both formats, and has all of them."""
    state = read(jobs(TEXTS), catalog)
    pages = {
        "/text": (PLAIN, scraped(state, Stats(), openmetrics=False)),
        "/openmetrics": (OPENMETRICS, scraped(state, Stats(), openmetrics=True)),
    }
    mine, theirs = free_ports(2)
    with (
        served(mine, pages),
        prometheus(tmp_path, theirs, {path[1:]: f"127.0.0.1:{mine}{path}" for path in pages}) as url,
    ):
        eventually(partial(health, url), {"text": ("up", ""), "openmetrics": ("up", "")})
        for job in ("text", "openmetrics"):
            assert set(map(label, TEXTS)) == values(url, job)


@needs_prometheus
def test_prometheus_reads_every_pack(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> None:
    """What is served of packs that were changed at random, and are right, is read by a real Prometheus."""
    pages = {}
    right = ((data, catalog) for data, catalog in judged(tmp_path / "pack") if catalog is not None)
    for data, catalog in islice(right, PACKS):
        state = both_paths(catalog, lines_of(catalog, data)).state
        pages[f"/text-{data.hex()}"] = (PLAIN, scraped(state, Stats(), openmetrics=False))
        pages[f"/openmetrics-{data.hex()}"] = (OPENMETRICS, scraped(state, Stats(), openmetrics=True))
    mine, theirs = free_ports(2)
    with (
        served(mine, pages),
        prometheus(tmp_path, theirs, {path[1:]: f"127.0.0.1:{mine}{path}" for path in pages}) as url,
    ):
        eventually(partial(health, url), {path[1:]: ("up", "") for path in pages})


@needs_prometheus
def test_prometheus_goes_on_scraping(log: Any, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> None:
    """After lines with a NUL wherever text can be, a real Prometheus scrapes on, also after a restart."""
    mine, theirs = free_ports(2)
    victim = Victim(log.path.parent, tmp_path / "state", mine, tmp_path / "said")
    log.append(
        *(tool_call(at, run_id="a\0b", agent="a\0b", tool="\0", trace_id="\0") for at in range(3)),
        line("run.start", 4, run_id="a\0b", agent="\0", release="\0"),
        llm_call(5, run_id="a\0b", model="\0", input_tokens=1),
        line("run.complete", 9, run_id="a\0b", trace_id="a\0", status="ok", stop_reason="completed", duration_ms=4000),
        tool_call(600),
    )
    try:
        victim.start()
        victim.ready()
        with prometheus(tmp_path, theirs, {"extractor": f"127.0.0.1:{mine}/metrics"}) as url:
            for _ in range(2):
                eventually(partial(health, url), {"extractor": ("up", "")})
                victim.stop()
                eventually(lambda: health(url)["extractor"][0], "down")
                victim.start()
            eventually(partial(health, url), {"extractor": ("up", "")})
    finally:
        victim.close()
