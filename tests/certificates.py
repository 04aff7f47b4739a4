"""
Names in, certificates out, as `openssl` makes them: an authority, a server, a client, and a stranger's client.

Knows nothing of who uses them.
"""

import subprocess
from pathlib import Path

CLIENT_NAMES = "DNS:prometheus.example,IP:2001:db8::1,URI:spiffe://example/prometheus,email:ops@example.org"


def authority(folder: Path, name: str) -> None:
    """A new authority, in NAME.crt and NAME.key."""
    _openssl(folder, "req", "-x509", *_new(name), "-days", "2", "-subj", f"/CN={name}", "-out", f"{name}.crt")


def issue(folder: Path, name: str, signer: str, names: str, use: str) -> None:
    """A certificate for NAME with subject alternative *names*, for `serverAuth` or `clientAuth`."""
    _openssl(
        folder, "req", "-x509", *_new(name), "-days", "2", "-subj", f"/CN={name}", "-CA", f"{signer}.crt",
        "-CAkey", f"{signer}.key", "-out", f"{name}.crt", "-addext", f"subjectAltName={names}",
        "-addext", f"extendedKeyUsage={use}", "-addext", "basicConstraints=critical,CA:false",
    )  # fmt: skip


def lock(folder: Path, name: str, locked: str) -> None:
    """The key of NAME under a passphrase."""
    _openssl(folder, "pkey", "-in", f"{name}.key", "-aes256", "-passout", "pass:secret", "-out", f"{locked}.key")


def make_all(folder: Path) -> None:
    """All that the tests need: `ca`, `server`, `client`, `stranger`, and `locked.key`."""
    for name in ("ca", "elsewhere"):
        authority(folder, name)
    issue(folder, "server", "ca", "DNS:localhost,IP:127.0.0.1", "serverAuth")
    issue(folder, "client", "ca", CLIENT_NAMES, "clientAuth")
    issue(folder, "stranger", "elsewhere", CLIENT_NAMES, "clientAuth")
    lock(folder, "server", "locked")


def _new(name: str) -> tuple[str, ...]:
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
