"""Every test that docs/guarantees.md and docs/limits.md name is there."""

import re
from pathlib import Path

DOCS = "".join(Path(f"docs/{name}.md").read_text() for name in ("guarantees", "limits"))
NAMED = re.findall(r"`(?:(?:tests/)?(\w+\.py))?(?:::)?(test_\w+)?`", DOCS)
TESTS = {path.name: path.read_text() for path in Path("tests").glob("*.py")}


def test_files_are_there() -> None:
    """Every file that is named exists."""
    assert set() == {name for name, _ in NAMED if name} - set(TESTS)
    assert any(name for name, _ in NAMED)


def test_tests_are_there() -> None:
    """Every test that is named is a function of a test file: of the one named with it, if there is one."""
    missing = [
        (file, test)
        for file, test in NAMED
        if test and not any(f"def {test}(" in text for name, text in TESTS.items() if not file or name == file)
    ]
    assert [] == missing
    assert any(test for _, test in NAMED)
