"""The units that are printed are such as systemd accepts in silence, and the service is one that may do little harm."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.managers import extractor

SAMPLES = Path("samples/systemd")
UNITS = [("extractor.service", []), ("extractor.socket", ["--socket"])]

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def printed(*arguments: object) -> str:
    """What `extractor systemd` prints for *arguments*."""
    command = [str(word) for word in extractor("systemd", *arguments)]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Both units for many options, with a program that exists here.

    systemd checks that ExecStart= can be executed, and nothing is installed in /opt where tests run.
    """
    options = ["--run-timeout", "60", "--group", "adm", "--program", sys.executable]
    for name, more in UNITS:
        (tmp_path / name).write_text(printed("/var/log/agents", "/home/ann/a log", *options, *more))
    return tmp_path


def exposure(unit: Path) -> subprocess.CompletedProcess[str]:
    """systemd's verdict on *unit*, which fails above 1.5."""
    # The threshold is in tenths of a point.
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_systemd
def test_verify_is_silent(folder: Path):
    """systemd finds nothing wrong with the units, not even a word it does not know."""
    command = ["systemd-analyze", "verify", "--man=no", *(str(folder / name) for name, _ in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stdout + done.stderr)


@needs_systemd
@pytest.mark.parametrize("options", [[], ["--web.listen-address", "0.0.0.0:9464", "--scrape-from", "192.0.2.7"]])
def test_exposure_is_low(options: list[str], tmp_path: Path):
    """What a taken-over extractor could do to its host is at most 1.5 out of 10, as systemd counts it."""
    unit = tmp_path / "extractor.service"
    unit.write_text(printed("/var/log/agents", "--program", sys.executable, *options))
    done = exposure(unit)

    assert 0 == done.returncode, done.stdout + done.stderr


@needs_systemd
def test_exposure_of_the_sample_is_low():
    """The sample is measured as it is."""
    done = exposure(SAMPLES / "extractor.service")

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "more"), UNITS)
def test_samples_are_what_is_printed(name: str, more: list[str]):
    """The units in samples/ are those that `make docs` prints."""
    expected = printed("--program", "/opt/extractor/bin/extractor", "/var/log/agents", *more)

    assert expected == (SAMPLES / name).read_text()
