"""What a web configuration file may say; tests/web holds good ones, bad ones, and what is said of these."""

import re
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.errors import WebConfigError
from extractor.web import tls
from extractor.web.auth import Access
from extractor.web.config import CIPHERS, load
from tests.certificates import make_all

CASES = Path("tests/web")
GOOD = sorted(path.name for path in CASES.glob("*.good.yml"))
BAD = sorted(path.name.removesuffix(".says.txt") for path in CASES.glob("*.says.txt"))

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of tests/web, and the certificates that they name."""
    folder = tmp_path_factory.mktemp("web")
    shutil.copytree(CASES, folder, dirs_exist_ok=True)
    make_all(folder)
    return folder


class Told:
    """What a person was told, and how many times something was counted."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.counted = 0

    def count(self) -> None:
        """Once more."""
        self.counted += 1


@pytest.fixture
def told() -> Told:
    """Nothing yet."""
    return Told()


@pytest.fixture
def access(told: Told) -> Callable[[Path], Access]:
    """Who may look, as a file says."""
    return lambda file: Access(file, told.said.append, told.count)


@pytest.mark.parametrize("name", GOOD)
def test_good_files(name: str, folder: Path, access: Callable[[Path], Access]):
    """What the format allows and can be done is taken, with TLS if there is a certificate."""
    made = access(folder / name)

    assert ("cert_file" in (folder / name).read_text()) == (made.context() is not None)


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, folder: Path, access: Callable[[Path], Access]):
    """Anything else is an error that names the file, the key, what is wrong and what to write instead."""
    file = folder / f"{name}.bad.yml"
    said = (folder / f"{name}.says.txt").read_text().strip()
    said = said.replace("{folder}", str(folder)).replace("{file}", str(file))
    with pytest.raises(WebConfigError) as raised:
        access(file)

    assert str(raised.value).startswith(str(file))
    assert said in str(raised.value)
    assert raised.value.hint or name == "not_there"
    assert "\n" not in str(raised.value)


def test_every_bad_file_has_its_words():
    """No bad file is without what is said of it."""
    assert {path.name.removesuffix(".bad.yml") for path in CASES.glob("*.bad.yml")} == set(BAD) - {"not_there"}


def test_passwords_are_not_shown(folder: Path, access: Callable[[Path], Access]):
    """Who writes a password where its hash belongs does not find it in a log."""
    with pytest.raises(WebConfigError) as raised:
        access(folder / "user_with_password.bad.yml")

    assert "secret" not in str(raised.value)


def test_paths_begin_at_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch, access: Callable[[Path], Access]):
    """Relative paths in the file are relative to it, wherever the process is."""
    monkeypatch.chdir("/")

    assert access(folder / "tls.good.yml").context()


def test_everything_is_done(folder: Path):
    """What the file says of TLS is what OpenSSL is told."""
    told = load(folder / "everything.good.yml").tls
    assert told
    context = tls.context(told)
    names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}

    assert {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"} == names
    assert ssl.CERT_REQUIRED == context.verify_mode
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) == (context.minimum_version, context.maximum_version)


def test_only_ciphers_of_tls13_mean_tls13(folder: Path):
    """Who allows only suites of TLS 1.3 does not get TLS 1.2 with others."""
    told = load(folder / "ciphers_of_tls13.good.yml").tls
    assert told

    assert ssl.TLSVersion.TLSv1_3 == tls.context(told).minimum_version


@pytest.mark.parametrize("name", [name for name in CIPHERS.values() if name])
def test_openssl_knows_every_cipher(name: str):
    """Each name of the table means one suite to OpenSSL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(name)

    assert name in {cipher["name"] for cipher in context.get_ciphers()}


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """The server's end of a TLS connection, made in memory. Raises what the server finds wrong."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    mine = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for end in (mine, other):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return other


@pytest.mark.parametrize(
    ("config", "certificate", "connects"),
    [
        ("tls", None, True),
        ("tls", "stranger", True),
        ("clients_if_given", None, True),
        ("clients_if_given", "client", True),
        ("clients_if_given", "stranger", False),
        ("everything", None, False),
        ("everything", "client", True),
        ("everything", "server", False),
        ("everything", "stranger", False),
    ],
)
def test_client_certificates(config: str, certificate: str | None, connects: bool, folder: Path):
    """A client connects with the certificate that is asked for: of the right authority, and for clients."""
    told = load(folder / f"{config}.good.yml").tls
    assert told
    client = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    if certificate:
        client.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    if connects:
        assert handshake(tls.context(told), client).version()
        return
    with pytest.raises(ssl.SSLError):
        handshake(tls.context(told), client)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("prometheus.example", True),
        ("2001:DB8:0:0::1", True),
        ("spiffe://example/prometheus", True),
        ("ops@example.org", True),
        ("prometheus.exampl", False),
        ("*", False),
        ("CN=client", False),
    ],
)
def test_allowed_names(name: str, allowed: bool, folder: Path):
    """A name is allowed if it stands in the certificate, whole: DNS, IP, e-mail or URI, an address however spelled."""
    file = folder / "sans.yml"
    file.write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt, "
        f"client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [other, '{name}']}}"
    )
    told = load(file).tls
    assert told
    client = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    client.load_cert_chain(folder / "client.crt", folder / "client.key")

    assert allowed == tls.admits(told, handshake(tls.context(told), client))


def test_changed_files_are_read_again(folder: Path, tmp_path: Path, told: Told, access: Callable[[Path], Access]):
    """A new certificate under the same name is used for who connects next, also when only a link has changed."""
    for name in ("one", "two"):
        shutil.copytree(folder, tmp_path / name)
    make_all(tmp_path / "two")
    link = tmp_path / "now"
    link.symlink_to("one")
    made = access(link / "tls.good.yml")
    first = made.context()
    again = made.context()
    link.unlink()
    link.symlink_to("two")
    second = made.context()

    assert first is again is not second
    assert ([], 0) == (told.said, told.counted)


def test_a_broken_change_is_told_once(folder: Path, tmp_path: Path, told: Told, access: Callable[[Path], Access]):
    """What was right stays in force while the files are wrong; that is said once, counted, and over when mended."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "tls.good.yml"
    made = access(file)
    context = made.context()
    (tmp_path / "server.key").rename(tmp_path / "kept.key")
    broken = [made.context() for _ in range(3)]

    assert [context] * 3 == broken
    assert 1 == told.counted == len(told.said)
    assert re.search(r"key_file: .*server\.key cannot be read.*stays in force", told.said[0])

    (tmp_path / "kept.key").rename(tmp_path / "server.key")

    assert made.context() is not context
    assert 1 == told.counted


def test_a_file_that_comes_late_is_found(folder: Path, tmp_path: Path, told: Told, access: Callable[[Path], Access]):
    """A configuration that names a file which is not there yet is in force as soon as it is."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "tls.good.yml"
    made = access(file)
    before = made.context()
    file.write_text(file.read_text().replace("server.", "late."))
    between = made.context()
    for kind in ("key", "crt"):
        shutil.copy(tmp_path / f"server.{kind}", tmp_path / f"late.{kind}")
    after = made.context()

    assert before is between is not after
    assert after is made.context()
    assert 1 == told.counted


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ("tls", "nothing_at_all", "tls_server_config: a reload cannot remove TLS"),
        ("everything", "tls", "basic_auth_users: a reload cannot remove all users"),
        ("users", "nothing_at_all", "basic_auth_users: a reload cannot remove all users"),
        ("clients_if_given", "tls", ""),
        ("nothing_at_all", "everything", ""),
    ],
)
def test_protection_needs_a_restart_to_go(
    *, before: str, after: str, lost: str, folder: Path, tmp_path: Path, told: Told, access: Callable[[Path], Access]
):
    """A file cut short while it is written opens nothing; more protection, or another, is taken at once."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "web.yml"
    shutil.copy(tmp_path / f"{before}.good.yml", file)
    made = access(file)
    shutil.copy(tmp_path / f"{after}.good.yml", file)
    problem = made.refresh()

    assert lost in problem
    assert bool(lost) == bool(problem) == bool(told.counted)
