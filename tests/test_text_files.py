"""Whatever stands in place of a configuration file is read at once or refused at once, with its place."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from extractor.cli import config_file
from extractor.cost import price_file
from extractor.errors import ExtractorError, UnreadableError
from extractor.files.text import MOST_BYTES, read_text
from extractor.report import objectives
from extractor.schema.load import load
from extractor.web import config, tls
from tests.conftest import Log
from tests.killing import Victim
from tests.reading import event_schema, line, write_pack
from tests.servers import DEADLINE, eventually

pytestmark = pytest.mark.timeout(DEADLINE)

NOBODY = 65534
TOTAL = {"type": "counter", "help": "Pings."}


def fifo(path: Path) -> None:
    """Nobody writes into it: opening it in the usual way takes for ever."""
    os.mkfifo(path)


def link_to_fifo(path: Path) -> None:
    """A link is followed, and leads to a FIFO."""
    fifo(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def bound(path: Path) -> None:
    """A socket, which has a name as a file has."""
    here = Path.cwd()
    os.chdir(path.parent)  # the whole path may be too long for a socket
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def endless(path: Path) -> None:
    """A device from which one can read without end."""
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    """A terabyte, of which nothing is on the disk."""
    path.touch()
    os.truncate(path, 1 << 40)


TROUBLES: dict[Callable[[Path], object], str] = {
    fifo: "it is a FIFO",
    link_to_fifo: "it is a FIFO",
    Path.mkdir: "it is a directory",
    bound: "it is a socket",
    endless: "it is a device",
    huge: "it has more than",
    lambda path: path.symlink_to("nothing"): "No such file or directory",
    lambda path: path.symlink_to(path.name): "Too many levels of symbolic links",
    lambda path: path.write_bytes("# é".encode("utf-16")): "it is not UTF-8 text (byte 0)",
    lambda path: path.write_bytes(b"#\xff"): "it is not UTF-8 text (byte 1)",
}

READERS: dict[str, Callable[[Path], object]] = {
    "job.done.schema.json": lambda path: load([path.parent]),
    "pack.json": lambda path: load([path.parent]),
    "objectives.toml": objectives.load,
    "prices.toml": price_file.load,
    "prices.json": price_file.load,
    "extractor.toml": lambda path: config_file.read(path, ()),
    "web.yml": config.load,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_no_file_of_text_is_refused(trouble: Callable[[Path], object], name: str, tmp_path: Path) -> None:
    """Every reader refuses at once what is no regular file of UTF-8 text and moderate size, and names it."""
    path = tmp_path / name
    trouble(path)
    with pytest.raises(ExtractorError) as raised:
        READERS[name](path)

    assert str(raised.value).startswith(str(path))
    assert f"cannot be read: {TROUBLES[trouble]}" in str(raised.value)


@pytest.mark.parametrize("key", ["cert_file", "key_file", "client_ca_file"])
def test_a_certificate_that_is_a_fifo_is_refused(key: str, tmp_path: Path) -> None:
    """What the web configuration names is refused in the same way, with the key that names it."""
    fifo(tmp_path / "fifo")
    files = dict.fromkeys(("cert_file", "key_file", "client_ca_file"), tmp_path / "empty")
    (tmp_path / "empty").touch()
    with pytest.raises(
        ExtractorError, match=rf"web\.yml: tls_server_config\.{key}: .*fifo cannot be read: it is a FIFO"
    ):
        tls.context(config.Tls("web.yml", **(files | {key: tmp_path / "fifo"})))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in READERS if name != "pack.json"])
def test_a_byte_order_mark_is_no_part_of_the_text(name: str, tmp_path: Path) -> None:
    """Editors of Windows put a mark before UTF-8; what follows is read as if it were not there."""
    content = {
        "job.done.schema.json": Path("tests/schemas/every_type.good.json").read_text(),
        "objectives.toml": 'latency_p95 = "2s"',
        "prices.toml": "[models.x]\ninput = 1\noutput = 1",
        "prices.json": '{"models": {"x": {"input": 1, "output": 1}}}',
        "extractor.toml": "poll-interval = 1",
        "web.yml": "{}",
    }[name]
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8-sig"))

    READERS[name](path)


@pytest.mark.parametrize("name", ["\0", "a\0b", "\ud800", "x" * 300])
def test_no_name_is_too_odd(name: str) -> None:
    """A name that no file can have is said to be that."""
    with pytest.raises(UnreadableError):
        read_text(Path(name))


def test_as_much_as_is_allowed_is_read(tmp_path: Path) -> None:
    """The limit itself is not too much."""
    path = tmp_path / "much"
    path.write_bytes(b"x" * MOST_BYTES)

    assert MOST_BYTES == len(read_text(path))


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    """A file that may not be read is refused with that reason."""
    path = tmp_path / "secret"
    path.touch(mode=0)
    before = os.geteuid()
    if before == 0:  # who may read everything
        os.seteuid(NOBODY)
    try:
        with pytest.raises(UnreadableError, match="Permission denied"):
            read_text(path)
    finally:
        os.seteuid(before)


@pytest.fixture
def victim(log: Log, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Victim]:
    """One with a pack, prices, objectives and a configuration file; nothing of it is left after the test."""
    schema = event_schema("ping", {}, {"pings_total": TOTAL}, {})
    write_pack(tmp_path / "pack", schema)
    (tmp_path / "prices.toml").write_text("[models.x]\ninput = 1\noutput = 1\n")
    (tmp_path / "objectives.toml").write_text("")
    (tmp_path / "web.yml").write_text("{}")
    (tmp_path / "extractor.toml").write_text(
        'schemas = ["pack"]\nprices = "prices.toml"\nobjectives = "objectives.toml"\nweb.config.file = "web.yml"\n'
    )
    [port] = free_ports(1)
    options = ("--config", str(tmp_path / "extractor.toml"))
    one = Victim(log.path.parent, tmp_path / "state", port, tmp_path / "said", options)
    yield one
    one.close()


@pytest.mark.parametrize(
    "name",
    ["pack/ping.schema.json", "pack/pack.json", "prices.toml", "objectives.toml", "extractor.toml", "web.yml"],
)
def test_a_fifo_and_a_reload(name: str, log: Log, victim: Victim, tmp_path: Path) -> None:
    """A reload that finds a FIFO is refused and says where; lines are counted before and after, and SIGTERM ends it."""
    log.append(line("ping"))
    victim.start()
    victim.ready()
    assert victim.process is not None
    (tmp_path / name).unlink()
    fifo(tmp_path / name)
    victim.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reload failed" in victim.said.read_text(), expected=True)
    log.append(line("ping"))
    eventually(lambda: victim.value("pings_total"), 2.0)
    victim.stop()

    assert f"{tmp_path / name}" in victim.said.read_text()
    assert "cannot be read: it is a FIFO" in victim.said.read_text()
