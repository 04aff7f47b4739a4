"""The dependencies are few, within bounds on both sides, and those that are tested."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.ranges import allowed, bounds
from tests.test_architecture import KNOWN_IN

ASKED = [(extra, each) for extra, requirements in allowed().items() for each in requirements]


@pytest.mark.parametrize(("extra", "requirement"), ASKED, ids=[f"{extra}-{each.name}" for extra, each in ASKED])
def test_ranges_have_both_ends(extra: str, requirement: Requirement) -> None:
    """A version is exact, or at least what is tested and below what nobody has seen; it comes from the index."""
    assert requirement.url is None
    assert set(bounds(requirement)) in ({">=", "<"}, {"=="})


@pytest.mark.parametrize("requirement", allowed()[""] + allowed()["dev"], ids=lambda requirement: requirement.name)
def test_what_is_installed_is_allowed(requirement: Requirement) -> None:
    """What the tests run with is what users may get."""
    assert requirement.specifier.contains(version(requirement.name))


def test_each_is_used_and_nothing_else() -> None:
    """Every package that is asked for at run time is imported by a room of ours."""
    asked = (each.name for extra in ("", "cost", "web") for each in allowed()[extra])
    imported = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in asked}

    assert imported == set(KNOWN_IN)


IMPORTED_AS = {"hdrhistogram": "hdrh", "pyyaml": "yaml"}


def test_they_are_few() -> None:
    """Ten at run time; one more is a decision, not an accident."""
    assert 10 >= len(tomllib.loads(Path("pyproject.toml").read_text())["project"]["dependencies"])
