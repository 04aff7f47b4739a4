"""Whatever bytes are lines, a checkpoint, a schema, a pack or settings: some hundreds here, and more in `make soak`."""

import os
import subprocess
import sys

import pytest

from tests import fuzz

NUMBERS = {"lines": 150, "checkpoint": 1000, "schema": 40, "packs": 500, "settings": 400}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_nothing_crashes(target: str) -> None:
    """Of bytes that were right and then changed at random, none break a promise of what reads them."""
    for data in fuzz.mutated(target, NUMBERS[target]):
        try:
            fuzz.TARGETS[target](data)
        except Exception as error:
            raise AssertionError(f"{target} fails for {data!r}") from error


@pytest.mark.parametrize(
    "data",
    [
        b"extractor checkpoint " + b"9" * 5000 + b" x\n",
        b"extractor checkpoint 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
    ],
    ids=["a version of 5000 digits", "nothing, with the right checksum"],
)
def test_damage_of_every_kind(data: bytes) -> None:
    """A version that no int can be made of, and a body that is none in spite of its checksum, are damage."""
    fuzz.checkpoint(data)


@pytest.mark.timeout(600)
def test_search() -> None:
    """A search for FUZZ_SECONDS in the target FUZZ ends without a find, and goes on from where the last one was."""
    target, seconds = os.environ.get("FUZZ", "checkpoint"), os.environ.get("FUZZ_SECONDS", "1")
    command = [sys.executable, "-m", "tests.fuzz", target, seconds]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout[-4000:] + done.stderr[-4000:]
    assert list((fuzz.BUILD / target).iterdir())
