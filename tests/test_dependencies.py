"""The dependencies are few, within bounds on both sides, and those that are tested; so is our own name."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.ranges import allowed, bounds
from tests.test_architecture import KNOWN_IN

DISTRIBUTION = "agent-extractor"
TEXTS = [
    path
    for folder in (".", "docs", "docs/decisions", "extractor", "schemas", "samples", "bench", "tests", ".ci")
    for path in Path(folder).glob("*" if folder in (".", ".ci", "docs", "docs/decisions") else "**/*")
    if path.suffix in (".md", ".py", ".toml", ".json", ".service", ".yml", "") and path.is_file()
]
INSTALL = re.compile(r"(?:pipx? (?:install|inject|run)|uv (?:add|tool install|pip install)|uvx) ([^`\n#)]*)")
OURS = re.compile(r"""(?:^|[\s"'])(?:[\w.]+[-_])?extractor(?:\[[\w,-]+\])?(?=$|[\s"'<>=~!;@,.])""", re.MULTILINE)
EXTRA = re.compile(r"(?<![\w-])([\w-]*extractor)\[[a-z]+(?:,[a-z]+)*\]")

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
    """Every package that is asked for at run time is imported by a package of ours."""
    asked = (each.name for extra in ("", "cost", "web") for each in allowed()[extra])
    imported = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in asked}

    assert imported == set(KNOWN_IN)


IMPORTED_AS = {"hdrhistogram": "hdrh", "pyyaml": "yaml"}


def test_they_are_few() -> None:
    """Eleven at run time; one more is a decision, not an accident."""
    assert 11 >= len(tomllib.loads(Path("pyproject.toml").read_text())["project"]["dependencies"])


def foreign(text: str) -> list[str]:
    """The names under which *text* tells people to install the program, but for the right one."""
    asked = [word for words in INSTALL.findall(text) for word in OURS.findall(words)]
    return [name for name in [*asked, *EXTRA.findall(text)] if not name.strip(" \"'").startswith(DISTRIBUTION)]


def test_the_name_on_the_index() -> None:
    """The distribution has a name of its own; the command and the package are called `extractor`."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]

    assert (DISTRIBUTION, ["extractor"]) == (project["name"], list(project["scripts"]))
    assert version(DISTRIBUTION)


def test_nobody_is_told_to_install_another_project() -> None:
    """No text names another distribution: `extractor` alone belongs to somebody else on the package index."""
    wrong = "extractor"  # in pieces, for this file is a text, too
    for words in (f"pip install {wrong}", f"pip install '{wrong}[web]'", f"uv add {wrong}>=1", f"{wrong}[cost]"):
        assert [] != foreign(words)

    assert [] == foreign(f"pip install '{DISTRIBUTION}[web]' and pip install .")
    assert {} == {path: found for path in TEXTS if (found := foreign(path.read_text(errors="replace")))}
