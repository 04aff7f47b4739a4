"""A hint comes when something changed; nothing that happens to the folders ends the waiting for good."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watchfiles import watch

from extractor.tail import waker as waker_module
from extractor.tail.waker import Waker

LONG = 30.0
"""Far more than a hint takes; `wait` returns when it comes."""


@pytest.fixture
def waker_of() -> Iterator[Callable[..., Waker]]:
    """Make wakers that are closed afterwards."""
    made: list[Waker] = []

    def make(*roots: Path) -> Waker:
        made.append(Waker(roots))
        return made[-1]

    yield make
    for waker in made:
        waker.close()


def hints_until(waker: Waker, path: Path) -> None:
    """Wait until *path* is hinted; the test's own timeout ends it when that never comes."""
    while str(path) not in waker.wait(LONG):
        pass


def test_a_write_is_hinted(tmp_path: Path, waker_of: Callable[..., Waker]) -> None:
    """What is written below a folder is hinted by its path, whatever its name is."""
    hidden = tmp_path / "node_modules" / ".git"
    hidden.mkdir(parents=True)
    waker = waker_of(tmp_path)

    (hidden / "agent.swp").write_text("x")

    hints_until(waker, hidden / "agent.swp")
    assert "" == waker.problem


def test_both_names_of_a_rename_are_hinted(tmp_path: Path, waker_of: Callable[..., Waker]) -> None:
    """A rotation hints the old name or the new one, so that neither needs a scan."""
    (tmp_path / "app.jsonl").write_text("x")
    waker = waker_of(tmp_path)

    (tmp_path / "app.jsonl").rename(tmp_path / "app.jsonl.1")

    seen = waker.wait(LONG)
    while len(seen) < 2:
        seen |= waker.wait(LONG)
    assert {str(tmp_path / "app.jsonl"), str(tmp_path / "app.jsonl.1")} == seen


def test_a_folder_that_appears_is_watched(tmp_path: Path, waker_of: Callable[..., Waker]) -> None:
    """A new folder is a hint itself, and then what is written into it is hinted."""
    waker = waker_of(tmp_path)
    (tmp_path / "new").mkdir()
    hints_until(waker, tmp_path / "new")

    (tmp_path / "new" / "a.jsonl").write_text("x")

    hints_until(waker, tmp_path / "new" / "a.jsonl")


def test_a_root_may_vanish_and_return(tmp_path: Path, waker_of: Callable[..., Waker]) -> None:
    """A root that does not exist is waited for, and again after it was removed."""
    root = tmp_path / "logs"
    waker = waker_of(root)
    for name in ("a.jsonl", "b.jsonl"):
        root.mkdir()
        hints_until(waker, root)
        (root / name).write_text("x")
        hints_until(waker, root / name)
        (root / name).unlink()
        root.rmdir()
        hints_until(waker, root)


def test_a_root_without_a_folder_is_polled(tmp_path: Path, waker_of: Callable[..., Waker]) -> None:
    """A root without even a folder to appear in does not raise; once it is there it is hinted, and then watched."""
    root = tmp_path / "not" / "there"
    waker = waker_of(root)
    assert frozenset() == waker.wait(0.001)

    root.mkdir(parents=True)
    assert {str(root)} == waker.wait(LONG)
    (root / "a.jsonl").write_text("x")
    hints_until(waker, root / "a.jsonl")


def test_a_root_may_be_a_file(tmp_path: Path, waker_of: Callable[..., Waker]) -> None:
    """Of a root that is a file only the file is hinted, also when another one takes its name."""
    root = tmp_path / "app.jsonl"
    root.touch()
    waker = waker_of(root)

    (tmp_path / "other.jsonl").write_text("x")
    root.rename(tmp_path / "old.jsonl")
    root.write_text("x")

    seen = waker.wait(LONG)
    while not seen:
        seen = waker.wait(LONG)
    assert {str(root)} == seen


def test_links_are_not_followed(tmp_path: Path, waker_of: Callable[..., Waker]) -> None:
    """A link below a root costs no watch, so that one to `/` does not use up all of them; a loop is no matter."""
    root = tmp_path / "logs"
    root.mkdir()
    (root / "all").symlink_to("/")
    (root / "loop").symlink_to(root)

    waker = waker_of(root)

    assert [str(root)] == list(waker._armed)


def test_no_watch_to_be_had_is_a_problem_not_an_error(
    tmp_path: Path, waker_of: Callable[..., Waker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the system's limit of watches `wait` goes on by its timeout, and *problem* says so."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(waker_module, "watch", refuse)

    waker = waker_of(tmp_path)

    assert frozenset() == waker.wait(0.001)
    assert waker.problem.endswith("OS file watch limit reached")


@pytest.mark.parametrize("there", [True, False], ids=["watching", "polling"])
def test_stop_ends_the_wait(tmp_path: Path, waker_of: Callable[..., Waker], there: bool) -> None:
    """`stop` from another thread ends a wait that would last, and every later one."""
    waker = waker_of(tmp_path if there else tmp_path / "not" / "there")
    thread = threading.Thread(target=waker.stop)
    thread.start()

    assert frozenset() == waker.wait(LONG * 100)
    assert frozenset() == waker.wait(LONG * 100)
    thread.join()


@pytest.mark.parametrize("there", [True, False])
def test_wake_ends_one_wait(tmp_path: Path, waker_of: Callable[..., Waker], there: bool) -> None:
    """A wait that goes on is ended from another thread, or else the next one; the one after that is not."""
    waker = waker_of(tmp_path if there else tmp_path / "missing" / "folder")
    timer = threading.Timer(0.05, waker.wake)
    timer.start()
    assert frozenset() == waker.wait(LONG)
    timer.join()
    waker.wake()
    waker.wake()
    assert frozenset() == waker.wait(LONG)
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        waker.stop()

    timer = threading.Timer(0.05, stop)
    timer.start()
    waker.wait(LONG)

    assert stopped.is_set()
    timer.join()
    timer.join()


def test_an_interrupt_gets_through(tmp_path: Path, waker_of: Callable[..., Waker]) -> None:
    """Ctrl-C ends a wait as it ends anything else, and the next wait watches again."""
    waker = waker_of(tmp_path)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            waker.wait(LONG)
    finally:
        signal.signal(signal.SIGALRM, before)

    waker.wait(0.001)
    (tmp_path / "a.jsonl").write_text("x")
    hints_until(waker, tmp_path / "a.jsonl")


def test_what_happens_while_it_is_made_is_hinted(
    tmp_path: Path, waker_of: Callable[..., Waker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written after the folders are watched and before the first wait is not lost."""

    def write_and_watch(*folders: str, **options: Any) -> Any:
        events = watch(*folders, **options)
        first = next(events)
        (tmp_path / "a.jsonl").write_text("x")
        while not first:
            first = next(events)
        yield first
        yield from events

    monkeypatch.setattr(waker_module, "watch", write_and_watch)
    waker = waker_of(tmp_path)

    hints_until(waker, tmp_path / "a.jsonl")
