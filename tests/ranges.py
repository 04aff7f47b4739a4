"""
pyproject.toml in, the versions that it allows out; as a program, the oldest of each, as constraints for pip.

Knows nothing of what the packages are for.
"""

# ruff: noqa: T201  # it is a program, too

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement


def allowed() -> dict[str, list[Requirement]]:
    """What is asked for at run time (the empty name), and by each extra."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    asked = {"": project["dependencies"]} | project["optional-dependencies"]
    return {extra: [Requirement(each) for each in requirements] for extra, requirements in asked.items()}


def bounds(requirement: Requirement) -> dict[str, str]:
    """The operators of *requirement*, each with its version."""
    return {each.operator: each.version for each in requirement.specifier}


def main() -> None:
    """Print the oldest versions of what is needed at run time; what tests need may be any that is allowed."""
    for requirement in (*allowed()[""], *allowed()["cost"]):
        print(f"{requirement.name}=={re.sub('^v', '', bounds(requirement)['>='])}")


if __name__ == "__main__":
    main()
