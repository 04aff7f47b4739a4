"""A reload leaves nothing behind: not even what the garbage collector, which runs seldom here, would find."""

import gc
import shutil
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from extractor.service.daemon import Daemon
from extractor.service.log import Log as OwnLog
from extractor.service.options import Options
from tests.conftest import Log
from tests.test_reload import AFTER, BEFORE, declare

RELOADS = 12


@pytest.fixture
def daemon(log: Log, tmp_path: Path) -> Iterator[Daemon]:
    """One that has read some logs, and keeps its state."""
    for path in Path("samples/logs").glob("*.jsonl"):
        shutil.copy(path, log.path.parent)
    declare(tmp_path / "pack", BEFORE, words=["old"])
    options = Options((log.path.parent,), (tmp_path / "pack",), "127.0.0.1:0", state_dir=tmp_path / "state")
    one = Daemon(options, OwnLog(lambda _: None))
    one._scan()
    one._read()
    yield one
    assert one._keeper is not None
    one._keeper.save(one._intake.tail)
    one._keeper.close()
    one._waker.close()
    one._serving._listener.close()


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """What is garbage stays, and is counted."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def unchanged(_tmp_path: Path, _number: int) -> None:
    """A reload of what is in force."""


def other(tmp_path: Path, number: int) -> None:
    """A reload of one of two schemas, in turn."""
    declare(tmp_path / "pack", (BEFORE, AFTER)[number % 2], words=["old", "new"][: 1 + number % 2])


@pytest.mark.parametrize("change", [unchanged, other])
def test_nothing_is_left(change: Callable[[Path, int], None], daemon: Daemon, tmp_path: Path):
    """After a dozen reloads there are as many objects of each of our types, classes and functions as before."""
    for number in range(4):
        change(tmp_path, number)
        daemon._reloading.run()
        assert 1 == daemon._stats.reloaded
    gc.collect()
    before = ours()
    for number in range(RELOADS):
        change(tmp_path, number)
        daemon._reloading.run()

    assert {} == dict(ours() - before)


def ours() -> Counter[str]:
    """How many objects there are of each type of this package, and how many Structs and functions of it."""
    found: Counter[str] = Counter()
    for item in gc.get_objects():
        kind = type(item)
        if str(kind.__module__).startswith("extractor."):  # of some types of others it is no text
            found[kind.__qualname__] += 1
        elif isinstance(item, type) and issubclass(item, msgspec.Struct):
            found["a Struct"] += 1
        elif isinstance(item, types.FunctionType) and item.__code__.co_filename in {"<string>", __file__}:
            found["a generated function"] += 1
    return found
