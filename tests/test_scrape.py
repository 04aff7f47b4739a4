"""A scrape is what prometheus-client would write of the same state, byte for byte, however often it is asked."""

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.schema.model import Catalog
from extractor.state.stats import OWN
from extractor.web.scrape import SeriesText
from tests.reading import Reader, default_catalog, event_schema, line, llm_call, text, tool_call, write_pack

NAMES = st.text(st.sampled_from('a\\"\n é{},='), max_size=5)
TEXTS = st.text(st.sampled_from('a\\"\n é{},=#'), max_size=5).flatmap(lambda text: st.sampled_from([text, text * 25]))
NUMBERS = st.sampled_from([0, -0.0, 0.1, 1, 2, 999999, 1000000, 1e6 + 0.5, 123456789.125, 1e21, 2**53, 5e-324])


def everything(folder: Path) -> Catalog:
    """A pack with one event that feeds a metric of every type."""
    labels = {"labels": ["who"], "help": 'Help \\ "with all".'}
    shown = {"exemplar": {"trace_id": "trace_id", "run_id": "run_id", "also": "who"}}
    metrics = {
        "x_total": labels | {"type": "counter", "value": "n"},
        "y_total": labels | shown | {"type": "counter", "value": "n"},
        "x_ratio": labels | {"type": "gauge", "value": "n"},
        "x_size": labels | {"type": "histogram", "value": "n", "buckets": [0.5, 1, 1e6, 1e21]},
        "y_seconds": labels | shown | {"type": "histogram", "value": "n", "unit": "ms", "buckets": [0.5, 1e6]},
        "x_seconds": labels | {"type": "summary", "value": "n", "unit": "ms"},
        "x_state": {"help": "A state.", "type": "stateset", "labels": ["who"], "value": {"state": "on"}},
    }
    properties = {
        "trace_id": {},
        "n": {"type": "number", "minimum": -0.0},
        "who": {"type": ["string", "null"], "maxLength": 9},
    }
    keywords = {"x-labels": {"who": {"limit": 5}}}
    return write_pack(folder, event_schema("e", properties, metrics, {"n": 1, "who": "a"}, **keywords))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """One pack for all examples."""
    return everything(tmp_path_factory.mktemp("pack"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(NAMES, NUMBERS, st.integers(0, 900), TEXTS, TEXTS), max_size=6), max_size=4))
def test_every_scrape_is_what_prometheus_client_writes(
    catalog: Catalog, reads: list[list[tuple[str, float, int, str, str]]]
) -> None:
    """After every reading, in both formats: any label text, any number, of every type of metric."""
    reader = Reader(catalog)
    written = SeriesText(reader.state, threading.Lock())
    for events in reads:
        reader.lines(
            [line("e", at, who=who, n=number, run_id=run, trace_id=trace) for who, number, at, run, trace in events]
        )

        assert text(reader.state) == written.write(openmetrics=False)
        assert text(reader.state, openmetrics=True) == written.write(openmetrics=True) + "# EOF\n"


def test_default_pack() -> None:
    """The default pack, runs in progress included."""
    reader = Reader(default_catalog())
    written = SeriesText(reader.state, threading.Lock())
    for lines in ([], [tool_call(), llm_call()], [line("run.start", run_id="r", agent_type="x", agent="a")]):
        reader.lines(lines)

        assert text(reader.state) == written.write(openmetrics=False)
    assert all(own.name not in written.write(openmetrics=False) for own in OWN)


def test_label_sets_of_runs_that_no_event_named_alone(tmp_path: Path) -> None:
    """What two events say of a run together is shown as long as the run is open, and not a moment longer."""
    text_property = {"type": "string", "maxLength": 9}
    labels = {"x-run": "start", "x-labels": {"who": {"limit": 5}, "kind": {"limit": 5}}}
    open_runs = {"type": "gauge", "help": "Help.", "labels": ["who", "kind"], "value": {"run": "open"}}
    both = {"who": text_property, "kind": text_property}
    begin = event_schema("begin", both, {"runs_open": open_runs}, {"who": "a"}, **labels)
    ends = {"ends_total": {"type": "counter", "help": "Help."}}
    reader = Reader(write_pack(tmp_path, begin, event_schema("end", {}, ends, {}, **{"x-run": "end"})))
    written = SeriesText(reader.state, threading.Lock())

    named = [line("begin", 0, run_id="r1", who="a", kind="j"), line("begin", 0, run_id="r2", who="b", kind="k")]
    reader.lines([*named, line("begin", 1, who="a"), line("begin", 2, kind="k")])
    assert 'runs_open{kind="k",who="a"} 1.0' in written.write(openmetrics=False)

    reader.lines([line("end", 3)])
    assert text(reader.state) == written.write(openmetrics=False)
    assert 'kind="k",who="a"' not in text(reader.state)
