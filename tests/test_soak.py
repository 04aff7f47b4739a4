"""
Everything that can happen to a service, at the same time: what is promised holds, and nothing grows.

`SOAK_SECONDS` and `SOAK_REPORT` in the environment make it longer and write the report: `make soak`.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.soak_checks")

from tests.soak_checks import CHECKS, Ended  # noqa: E402  # its asserts say more so
from tests.soak_report import report  # noqa: E402
from tests.soaking import Soak  # noqa: E402

SECONDS = float(os.environ.get("SOAK_SECONDS", "40"))
SEED = int(os.environ.get("SEED", "1"))

pytestmark = pytest.mark.timeout(300 + 3 * SECONDS)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]) -> Ended:
    """The whole story."""
    [port] = free_ports(1)
    soak = Soak(tmp_path_factory.mktemp("soak"), port, SECONDS, SEED, lambda text: print(f"soak: {text}", flush=True))  # noqa: T201  # for `make soak`
    soak.run()
    return Ended(soak)


@pytest.fixture(scope="module")
def failed(ended: Ended) -> dict[str, str]:
    """What is wrong, by the name of the check; in a soak the report is written here."""
    found = {}
    for check in CHECKS:
        try:
            check(ended)
        except AssertionError as error:
            found[check.__name__] = str(error) or repr(error)
    written = report(ended, found)
    if path := os.environ.get("SOAK_REPORT"):
        Path(path).write_text(written)
    return found


@pytest.mark.parametrize("check", [check.__name__ for check in CHECKS])
def test_what_is_promised_under_everything_at_once(check: str, failed: dict[str, str]) -> None:
    """Each sentence of `soak_checks` holds after the soak."""
    assert "" == failed.get(check, "")
