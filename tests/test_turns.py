"""Reading gives way to a scrape, but however often somebody asks, it waits no longer than it has worked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from extractor.web.priority import Turns


@contextmanager
def answering(turns: Turns, said: list[str]) -> Iterator[threading.Event]:
    """An answer that is being made, until the event that this gives is set."""
    begun, end = threading.Event(), threading.Event()

    def answer() -> None:
        with turns.short():
            begun.set()
            end.wait()
            said.append("answered")

    thread = threading.Thread(target=answer)
    thread.start()
    begun.wait()
    try:
        yield end
    finally:
        end.set()
        thread.join()


def turns_at(*seconds: float) -> Turns:
    """Turns whose clock says this when it is looked at; to look once more is an error."""
    return Turns(iter(seconds).__next__)


def test_nobody_waits_when_nothing_is_asked_for() -> None:
    """Without a scrape reading goes on at once, and nobody even looks at the clock."""
    turns_at(0.0).give_way()


def test_reading_waits_until_the_answer_is_made() -> None:
    """What is short is over before reading goes on."""
    said: list[str] = []
    turns = turns_at(0.0, 60.0, 60.5)
    with answering(turns, said) as end:
        threading.Timer(0.01, end.set).start()
        turns.give_way()
        said.append("read")

    assert said == ["answered", "read"]


def test_an_answer_that_fails_is_over_too() -> None:
    """However it ended, nobody waits for it."""
    turns = turns_at(0.0)
    with pytest.raises(ValueError, match="broken"), turns.short():
        raise ValueError("broken")

    turns.give_way()


def test_reading_waits_for_all_who_ask() -> None:
    """Of two answers that are made at the same time, both are over before reading goes on."""
    said: list[str] = []
    turns = turns_at(0.0, 60.0, 60.5)
    with answering(turns, said) as scrape, answering(turns, said) as page:
        page.set()
        threading.Timer(0.05, scrape.set).start()
        turns.give_way()
        said.append("read")

    assert said == ["answered", "answered", "read"]


def test_who_has_not_worked_does_not_wait() -> None:
    """After half a second of work and as long a wait reading goes on, and what it works then it may wait again."""
    said: list[str] = []
    turns = turns_at(0.0, 0.5, 1.0, 1.0, 61.0, 61.1)
    with answering(turns, said) as end:
        threading.Timer(0.01, end.set).start()
        turns.give_way()  # from 0.5 to 1.0
        said.append("waited")
    with answering(turns, said) as end:
        turns.give_way()  # at 1.0
        said.append("read")
        threading.Timer(0.01, end.set).start()
        turns.give_way()  # from 61.0 to 61.1
        said.append("waited")

    assert said == ["answered", "waited", "read", "answered", "waited"]


def test_an_answer_that_takes_long_is_not_waited_for() -> None:
    """Reading goes on when it has waited for as long as it worked, though the answer is not there."""
    said: list[str] = []
    turns = turns_at(0.0, 0.01, 0.02)
    with answering(turns, said):
        turns.give_way()  # nobody ends the answer before
        said.append("read")

    assert said == ["read", "answered"]
