"""The TLS settings of a web configuration in, an SSL context out; and whether a client's certificate is accepted."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from extractor.errors import UnreadableError, WebConfigError
from extractor.files.text import read_bytes
from extractor.web.config import Tls

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


def context(tls: Tls) -> ssl.SSLContext:
    """A context of the files as they are now."""
    for key in ("cert_file", "key_file", "client_ca_file"):
        _check(tls, key)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version, made.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    made.set_alpn_protocols(["http/1.1"])
    made.options |= ssl.OP_NO_RENEGOTIATION
    if tls.server_order:
        made.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.ciphers:
        made.set_ciphers(":".join(tls.ciphers))
    if tls.curve:
        made.set_ecdh_curve(tls.curve)
    try:
        # Without a passphrase: OpenSSL would ask for it on the terminal.
        made.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
    except (OSError, ValueError) as error:
        raise _error(
            tls, "cert_file", f"{tls.cert_file} and {tls.key_file} are not a certificate and its key", error
        ) from None
    if tls.client_ca_file:
        try:
            made.load_verify_locations(tls.client_ca_file)
        except (OSError, ValueError) as error:
            raise _error(tls, "client_ca_file", f"{tls.client_ca_file} contains no certificate", error) from None
        made.verify_mode = ssl.CERT_REQUIRED if tls.client_required else ssl.CERT_OPTIONAL
        # As in Go: what is in the file is trusted, also if it is no root.
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return made


def admits(tls: Tls, spoken: ssl.SSLObject) -> bool:
    """Whether a name in the client's certificate is allowed, if names were given at all."""
    if not tls.client_allowed_sans:
        return True
    certificate = spoken.getpeercert() or {}
    names = {_address(value) for _, value in _alternatives(certificate)}
    return not names.isdisjoint(map(_address, tls.client_allowed_sans))


def _alternatives(certificate: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    named = certificate.get("subjectAltName", ())
    assert isinstance(named, tuple)
    for kind, value in named:
        if kind in ("DNS", "email", "URI", "IP Address"):
            yield kind, value


def _address(name: str) -> str:
    # An IPv6 address has many spellings.
    with suppress(ValueError):
        return str(ip_address(name))
    return name


def _check(tls: Tls, key: str) -> None:
    # OpenSSL would wait for a FIFO, and its own words name neither the file nor the reason.
    path: Path | None = getattr(tls, key)
    try:
        if path:
            read_bytes(path)
    except UnreadableError as error:
        message = f"{path} {error.message}"
        raise WebConfigError(tls.file, f"tls_server_config.{key}", message, error.hint or "use a PEM file") from error


def _error(tls: Tls, key: str, message: str, error: Exception) -> WebConfigError:
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    detail = f": {reason.lower().replace('_', ' ')}" if reason else ""
    return WebConfigError(
        tls.file, f"tls_server_config.{key}", f"{message}{detail}", "use PEM files, and a key without a passphrase"
    )
