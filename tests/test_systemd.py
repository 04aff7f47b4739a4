"""The systemd unit in samples/ is one that systemd accepts in silence, and one that may do little harm."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path("samples/systemd/extractor.service")

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """
    The unit with a program that exists here.

    systemd checks that ExecStart= can be executed, and nothing is installed in /opt where tests run.
    """
    text, replaced = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text())
    assert 1 == replaced
    path = tmp_path / UNIT.name
    path.write_text(text)
    return path


def test_verify_is_silent(unit: Path):
    """systemd finds nothing wrong with the unit, not even a word it does not know."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stdout + done.stderr)


def test_exposure_is_low(unit: Path):
    """What a taken-over extractor could do to its host is at most 1.5 out of 10, as systemd counts it."""
    # The threshold is in tenths of a point; above it the command fails.
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
