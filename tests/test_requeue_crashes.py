"""A requeue that is killed before any of its system calls, or whose checkpoint is lost afterwards, is exact."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.schema.load import load
from extractor.schema.model import Catalog
from extractor.service.checkpoint import StateDirectory, number_of
from extractor.service.rejects import RejectFile
from extractor.service.requeue import requeue
from tests.conftest import Log
from tests.crashing import crashes
from tests.reading import line
from tests.test_requeue import follow, schemas, total

assert follow  # a fixture

PAGES = [2**place for place in range(8)]
"""By the sum of what is counted it is known which lines are."""

STAYS = b'{"never": "an event"}'

ALL, FIRST = (PAGES, 2), (PAGES[: len(PAGES) // 2], 1)
"""The pages and the other rejects of the last checkpoint, and of the one before it."""


@pytest.fixture
def state_dir(log: Log, tmp_path: Path, follow: Callable[[Path], dict]) -> Path:
    """The state of an extractor that was stopped twice, and rejected half of the lines each time."""
    strict = schemas(tmp_path / "s", type="integer", minimum=0, multipleOf=9)
    first, _ = FIRST
    for pages in (first, PAGES[len(first) :]):
        log.append(STAYS, *(line("page", pages=each) for each in pages))
        follow(strict)
    state_dir = tmp_path / "state"
    entries = (state_dir / "rejects.jsonl").read_bytes().splitlines(keepends=True)
    (state_dir / "rejects.jsonl.1").write_bytes(b"".join(entries[:3]))
    (state_dir / "rejects.jsonl").write_bytes(b"".join(entries[3:]))
    assert {"checkpoint", "checkpoint.previous"} <= {path.name for path in state_dir.iterdir()}
    return state_dir


@pytest.fixture
def mended(state_dir: Path, tmp_path: Path) -> Catalog:
    """The schemas by which all pages are events."""
    return load((schemas(tmp_path / "s", type="integer", minimum=0),))


def requeued(catalog: Catalog, state_dir: Path) -> None:
    """Requeue, as the command does."""
    directory = StateDirectory(state_dir)
    requeue(catalog, directory, lambda _: None)
    directory.close()


def restored(state_dir: Path) -> tuple[int, list[str]]:
    """What is counted and what is rejected once `run` has started: the sum of pages, and the lines."""
    directory = StateDirectory(state_dir)
    value, _ = directory.load()
    rejects = RejectFile(directory)
    rejects.restore(number_of(value), value["rejects"])
    directory.close()
    assert 0 == rejects.losses()
    paths = [state_dir / name for name in ("rejects.jsonl.1", "rejects.jsonl") if (state_dir / name).exists()]
    lines = [json.loads(entry)["line"] for path in paths for entry in path.read_text().splitlines()]
    return (total(value) if value["state"]["families"]["pages_total"]["series"] else 0), lines


def is_first(state_dir: Path) -> bool:
    """Whether the checkpoint in force is the one after the first half of the lines."""
    directory = StateDirectory(state_dir)
    value, _ = directory.load()
    directory.close()
    return value["rejects"] == len(FIRST[0]) + 1


def damage(state_dir: Path) -> None:
    """Damage the last checkpoint, if there is one."""
    path = state_dir / "checkpoint"
    if path.exists():
        path.write_bytes(path.read_bytes()[:-1])


def is_exact(state_dir: Path, pages: list[int], stays: int) -> bool:
    """Whether each line is counted or rejected, none both, none neither; and all were counted, or none."""
    counted, rejected = restored(state_dir)
    waiting = [json.loads(each)["pages"] for each in rejected if each != STAYS.decode()]
    assert sorted(waiting) == [each for each in pages if not counted & each]
    assert counted == sum(pages) - sum(waiting)
    assert stays == rejected.count(STAYS.decode())
    assert counted in {0, sum(pages)}
    return counted > 0


def test_a_kill_at_any_moment(state_dir: Path, mended: Catalog, memory: Path) -> None:
    """
    A line is counted or rejected, never both, never neither, and what was not done can be done again.

    So it is if the last checkpoint is damaged right after the kill, and the one before it is used; and if that happens
    once `run` has started again.
    """
    work, killed, outcomes = memory / "work", memory / "killed", []
    for _ in crashes(lambda: requeued(mended, work), lambda: copied(state_dir, work)):
        copied(work, killed)
        damage(work)
        is_exact(work, *(FIRST if is_first(work) else ALL))

        copied(killed, work)
        outcomes.append(is_exact(work, *ALL))
        damage(work)
        # What is in force cannot be taken back in part.
        assert outcomes[-1] <= is_exact(work, *(FIRST if is_first(work) else ALL))

        requeued(mended, killed)
        assert is_exact(killed, *ALL)

    assert [False, True] == sorted(set(outcomes))
    assert outcomes == sorted(outcomes)


def test_a_damaged_checkpoint_after_it(state_dir: Path, mended: Catalog) -> None:
    """What was requeued stays counted when the checkpoint before is used afterwards."""
    requeued(mended, state_dir)
    damage(state_dir)

    assert (sum(PAGES), 2 * [STAYS.decode()]) == restored(state_dir)


def copied(source: Path, target: Path) -> None:
    """Put a copy of *source* in the place of *target*."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
