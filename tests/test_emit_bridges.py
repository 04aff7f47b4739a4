"""What records of `logging` and events of a bus become when they are written with `extractor.emit`."""

import json
import logging
from types import SimpleNamespace

import pytest

from extractor import emit


@pytest.fixture
def log(tmp_path):
    """A log in a file of its own."""
    return emit.Log(tmp_path / "agent.jsonl")


@pytest.fixture
def lines(tmp_path):
    """The lines so far, without what the log stamps on each."""

    def read():
        events = [json.loads(line) for line in (tmp_path / "agent.jsonl").read_bytes().splitlines()]
        return [{name: event[name] for name in event if name not in ("ts", "writer", "seq")} for event in events]

    return read


@pytest.fixture
def logger():
    """A logger of its own, without the handlers of others."""
    logger = logging.Logger("agent")  # noqa: LOG001 - not in the tree of loggers
    logger.setLevel(logging.INFO)
    return logger


def test_records_that_name_an_event_are_written(log, logger, lines):
    """A record's `extra` is the event; its text is the message; a record without an event is dropped."""
    logger.addHandler(emit.Handler(log))
    logger.info("looked up %s", "it", extra={"event": "cache.hit", "cache": "prompt"})
    logger.info("nothing of interest")

    assert [{"event": "cache.hit", "cache": "prompt", "message": "looked up it"}] == lines()


def test_other_records_become_one_event(log, logger, lines):
    """With `others`, a record without an event is written as that one, with its exception's class."""
    logger.addHandler(emit.Handler(log, others="log"))
    logger.error("oh", exc_info=KeyError())

    expected = {"event": "log", "level": "error", "logger": "agent", "error_class": "KeyError", "message": "oh"}

    assert [expected] == lines()


@pytest.mark.parametrize(
    "event",
    [
        ("tool.call.end", {"tool": "search", "ms": 3}),
        (SimpleNamespace(type="tool.call.end", data={"tool": "search", "ms": 3}, timestamp=12.5),),
        ({"type": "tool.call.end", "timestamp": 12.5, "data": {"tool": "search", "ms": 3}},),
        ({"event": "tool.call.end", "timestamp": 12.5, "tool": "search", "ms": 3},),
    ],
)
def test_a_subscriber_writes_what_a_bus_says(event, log, lines):
    """Whatever shape a bus gives its events, they are one line each, in our words, with our clock's time."""
    emit.subscriber(log, rename={"tool.call.end": "tool.call", "ms": "duration_ms"})(*event)

    expected = {"event": "tool.call", "tool": "search", "duration_ms": 3}

    assert [expected] == lines()


def test_a_subscriber_takes_anything(log, lines):
    """An event without data, or with data that is no mapping, is a line all the same."""
    write = emit.subscriber(log)
    write("cache.hit")
    write("cache.hit", 7)

    assert [{"event": "cache.hit"}, {"event": "cache.hit", "data": 7}] == lines()
