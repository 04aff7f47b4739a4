"""What `extractor systemd` prints is what was asked for, written so that systemd reads it back as it was."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from extractor.cli.main import main
from extractor.errors import UnitError
from extractor.service import quoting
from tests.units import command, settings, words

ODD = st.text(st.sampled_from(" %$\\\"';:#abn{}=-~*?é"), min_size=1, max_size=8)


def printing(*arguments: object) -> Result:
    """What the command line says to *arguments*, in an empty environment."""
    return CliRunner(env={}).invoke(main, ["systemd", "--program", "/opt/x/bin/extractor", *map(str, arguments)])


def printed(*arguments: object) -> dict[str, list[str]]:
    """The settings of the unit that is printed for *arguments*."""
    result = printing(*arguments)
    assert 0 == result.exit_code, result.output
    return settings(result.output)


def test_a_configuration_file(tmp_path: Path) -> None:
    """The service reads the file that was given, sees what that names, and is not told again what stands in it."""
    path = tmp_path / "extractor.toml"
    (tmp_path / "more").mkdir()
    path.write_text('schemas = ["more"]\n[run]\nlogs = ["/var/log/a"]\npoll-interval = 7\nmax-open-runs = 9\n')
    unit = printed("--config", path, "--max-open-runs", "8")
    [started] = unit["ExecStart"]
    shown = " ".join(unit["BindReadOnlyPaths"])

    assert [
        "/opt/x/bin/extractor",
        "run",
        "/var/log/a",
        "--state-dir",
        "/var/lib/extractor",
        "--config",
        str(path),
    ] == (words(started)[:7])
    assert ["--max-open-runs", "8"] == words(started)[7:]
    assert all(str(each) in shown for each in (path, tmp_path / "more"))


@given(st.lists(ODD, max_size=4))
def test_arguments_come_back_as_they_were(arguments: list[str]) -> None:
    """Whatever an argument is made of, systemd hands it over unchanged."""
    assert ["/bin/x y%", *arguments] == command(quoting.command("/bin/x y%", arguments))


@given(ODD)
def test_paths_come_back_as_they_were(path: str) -> None:
    """Whatever a path is made of, systemd sees the same; one with a colon stands in quotes, which keep it whole."""
    assert [path] == words(quoting.word(path))
    assert [path] == words(quoting.bound(path))
    assert ":" not in path or quoting.bound(path).startswith('"')


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", ["a b", "100%", "%n", "$HOME", "${HOME}", "semi;colon", "col:on", "é", "#x", "{a}"])
def test_systemd_finds_the_program(name: str, tmp_path: Path) -> None:
    """systemd itself reads the path of a program with odd characters as what it is: it looks whether it is there."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "extractor").symlink_to(sys.executable)
    unit = tmp_path / "odd.service"
    unit.write_text(f"[Service]\nExecStart={quoting.command(f'{folder}/extractor', [name])}\n")
    verify = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stdout + done.stderr)


def test_only_what_differs_is_printed() -> None:
    """Options at their defaults are left out; the state directory is always there."""
    unit = printed("/var/log/agents", "--poll-interval", "5", "--run-timeout", "60")
    expected = "/opt/x/bin/extractor run /var/log/agents --state-dir /var/lib/extractor --run-timeout 60"

    assert [expected] == unit["ExecStart"]


def test_options_of_the_environment_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says holds where the unit is printed, so it must stand in the unit."""
    monkeypatch.setenv("EXTRACTOR_POLL_INTERVAL", "0.5")

    assert "--poll-interval 0.5" in printed("/var/log/agents")["ExecStart"][0]


def test_paths_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is meant from where the command was given; systemd starts services elsewhere."""
    (tmp_path / "schemas").mkdir()
    monkeypatch.chdir(tmp_path)
    unit = printed("logs", "--schemas", "schemas", "--schemas", "../" + tmp_path.name)
    given_ = command(unit["ExecStart"][0])

    assert ["/opt/x/bin/extractor", "run", f"{tmp_path}/logs"] == given_[:3]
    assert ["--schemas", f"{tmp_path}/schemas", "--schemas", str(tmp_path)] == given_[5:]


def test_what_is_hidden_is_bound() -> None:
    """Homes stay hidden but for what is read; without anything there they are hidden whole. Logs are read-only."""
    plain, home = printed("/var/log/agents"), printed("/home/ann/my logs", "/var/log/agents", "/tmp/x:y")

    assert (["yes"], []) == (plain["ProtectHome"], plain["BindReadOnlyPaths"])
    assert ["-/var/log/agents"] == plain["ReadOnlyPaths"] == home["ReadOnlyPaths"]
    assert ["tmpfs"] == home["ProtectHome"]
    assert ['"/home/ann/my logs"', '"/tmp/x:y"'] == home["BindReadOnlyPaths"]


def test_links_into_homes_are_bound(tmp_path: Path) -> None:
    """Of a link both ends must be seen."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "link").symlink_to("logs")
    bound = printed(tmp_path / "link")["BindReadOnlyPaths"]

    assert [str(tmp_path / "link"), str((tmp_path / "logs").resolve())] == bound


def test_only_its_port_may_be_bound_and_reached() -> None:
    """The port is the one that is served, and who is let in is who was named; this host always is."""
    local = printed("/l", "--web.listen-address", "[::1]:9999")
    known = printed("/l", "--web.listen-address", "0.0.0.0:1234", "--scrape-from", "192.0.2.7")
    anyone = printed("/l", "--web.listen-address", ":1234")

    assert ("tcp:9999", "any", "localhost") == tuple(
        local[name][0] for name in ("SocketBindAllow", "IPAddressDeny", "IPAddressAllow")
    )
    assert (["tcp:1234"], ["localhost 192.0.2.7"]) == (known["SocketBindAllow"], known["IPAddressAllow"])
    assert ([], []) == (anyone["IPAddressDeny"], anyone["IPAddressAllow"])


def test_groups_and_memory() -> None:
    """Groups that may read the logs are named where they are given, and the memory is limited to what was said."""
    unit = printed("/l", "--group", "adm", "--group", "agents", "--memory-max", "300M")

    assert ["adm agents"] == unit["SupplementaryGroups"]
    assert ["300M"] == unit["MemoryMax"]
    assert "#SupplementaryGroups=adm\n" in printing("/l").output


@pytest.mark.parametrize(
    ("address", "stream"), [("127.0.0.1:9464", "127.0.0.1:9464"), ("[::1]:1", "[::1]:1"), (":9464", "9464")]
)
def test_the_socket(address: str, stream: str) -> None:
    """The unit of the socket listens where the service would have."""
    unit = printed("/l", "--socket", "--web.listen-address", address)

    assert [stream] == unit["ListenStream"]
    assert [] == unit["ExecStart"]


def test_a_stuck_loop_is_restarted() -> None:
    """The manager waits to be told, watches, and has a stack left behind before it starts the service again."""
    unit = printed("/l")

    assert ("notify", "main", "2min", "PYTHONFAULTHANDLER=1", "on-failure") == tuple(
        unit[name][0] for name in ("Type", "NotifyAccess", "WatchdogSec", "Environment", "Restart")
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/l", "--state-dir", "/srv/x"], "systemd cannot create the state directory /srv/x (use one below"),
        (["/l", "--state-dir", "/var/lib/a b"], "systemd cannot create the state directory"),
        (["/l", "--state-dir", "/var/lib"], "systemd cannot create the state directory"),
        (["/l", "--socket", "--web.listen-address", "myhost:1"], "systemd cannot listen on the name myhost (use an"),
        (["/l\nExecStart=/bin/evil"], "cannot be written in a unit (rename it"),
        (["/l", "--group", "a\nb"], "is not a group name"),
        (["/l", "--scrape-from", "me"], "is not an address or network"),
        (["/l", "--memory-max", "much"], "is not an amount of memory"),
        (["/l", "--web.listen-address", "nonsense"], "cannot listen on 'nonsense' (write HOST:PORT"),
    ],
)
def test_what_cannot_be_printed(arguments: list[str], said: str) -> None:
    """What systemd would refuse, or worse not refuse, is an error that says what to give instead."""
    result = printing(*arguments)

    assert result.exit_code in (1, 2)
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("program", ['/a"b', "/a'b", "/a\\b"])
def test_a_program_that_systemd_refuses(program: str) -> None:
    """systemd starts no program with a quote or a backslash in its path."""
    with pytest.raises(UnitError, match="systemd starts no program"):
        quoting.command(program, [])
