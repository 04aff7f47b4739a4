"""The packages: which may import which, and which of them know a third-party package."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path("extractor")

LAYERS = (
    "cli",
    "service",
    "web history",
    "report",
    "exposition",
    "ingest",  # until a state is fed lines: then it is gone
    "state",
    "events",
    "adapters",
    "cost",
    "schema",
    "files",
    "errors",
)
"""From top to bottom: a package imports only itself and what is below it."""

ALONE = {"tail", "emit"}
"""Packages that import none of ours: `tail` is used by what is above `state`, `emit` by agents only."""

KNOWN_IN = {
    "bcrypt": "web",
    "click": "cli",
    "genai_prices": "cost",
    "hdrh": "state",
    "jinja2": "web",
    "jsonschema_rs": "schema",
    # The bytes of checkpoints, of parts of a replay and of its results, and typed decoding.
    "msgspec": "cli history ingest service",
    # Columns of events: they go with `ingest`. Exact prices and the trends of the page are made of arrays, too.
    "numpy": "cost ingest state web",
    "orjson": "events",
    "prometheus_client": "exposition",
    "uvicorn": "web",
    "watchfiles": "tail",
    "yaml": "web",
    # Compressed logs, and what the processes of a replay send each other.
    "zstandard": "history tail",
}
"""Third-party package: the packages of ours that know it."""

RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row.split()}
FILES = sorted(ROOT.rglob("*.py"))
PACKAGES = sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").exists())


def imported(path: Path) -> set[str]:
    """The full names of the modules that *path* imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are written in full"
            own = node.module == ROOT.name
            names.update(f"{node.module}.{alias.name}" for alias in node.names) if own else names.add(str(node.module))
    return names


def imported_by(package: str) -> dict[str, set[str]]:
    """The full names of the modules that *package* imports, by file; `errors` is a package of one file."""
    return {str(path): imported(path) for path in FILES if path.relative_to(ROOT).with_suffix("").parts[0] == package}


def test_nothing_is_beside_the_packages():
    """The root has the program, its version and its errors, and all else is in a package that has a layer."""
    assert ["__init__.py", "__main__.py", "errors.py"] == sorted(path.name for path in ROOT.glob("*.py"))
    assert set() == set(PACKAGES) - RANK.keys() - ALONE


@pytest.mark.parametrize("package", [*PACKAGES, "errors"])
def test_a_package_imports_what_is_below_it(package: str):
    """A package imports only itself and the layers below it; nobody but agents imports `emit`."""
    below = {name for name, rank in RANK.items() if rank > RANK.get(package, len(LAYERS))}
    allowed = {package, "__version__"} | (below if package not in ALONE else set())
    allowed |= {"tail"} if RANK.get(package, len(LAYERS)) < RANK["state"] else set()

    assert {} == {
        path: wrong
        for path, names in imported_by(package).items()
        if (wrong := {name for name in names if name.startswith("extractor.") and name.split(".")[1] not in allowed})
    }


@pytest.mark.parametrize("package", [*PACKAGES, "errors", "__main__"])
def test_a_package_knows_its_third_parties_alone(package: str):
    """A third-party package is imported only in its own packages; nothing imports what is for tests."""
    names = {name.split(".")[0] for each in imported_by(package).values() for name in each} - {ROOT.name}
    foreign = names - set(sys.stdlib_module_names)

    assert set() == {name for name in foreign if package not in KNOWN_IN.get(name, "").split()}
    assert set() == names & {"unittest", "doctest", "tests", "bench", "samples"}


def test_no_third_party_is_known_without_need():
    """A package that no longer imports a third-party package is no longer said to."""
    known = {(name, package) for name, row in KNOWN_IN.items() for package in row.split()}

    assert set() == known - {
        (name.split(".")[0], package) for package in PACKAGES for each in imported_by(package).values() for name in each
    }
