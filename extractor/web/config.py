"""
A web configuration file in, the settings for TLS, headers and users out.

The format is that of Prometheus' exporter-toolkit. A setting is either applied exactly as written or rejected with its
place and a hint, so that the server is never more open than its file. docs/web.md has the table of keys.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import yaml

from extractor.errors import UnreadableError, WebConfigError
from extractor.files.text import read_text

# What Go calls a cipher suite: what OpenSSL calls it. Those of TLS 1.3 cannot be chosen, in Go neither.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
VERSIONS = ("TLS12", "TLS13")

_MOST_BYTES = 1 << 16  # some 900 users; it is read by the thread that answers requests, which takes 0.5 s at worst
_HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_NO_CERTIFICATE = ("NoClientCert", "RequestClientCert")
_IF_GIVEN = "VerifyClientCertIfGiven"
_VERIFIED = "RequireAndVerifyClientCert"
_UNVERIFIED = ("RequireAnyClientCert", "RequireClientCert")
_HASH = re.compile(r"\$2[aby]\$(?P<cost>0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
_COST = 13  # one more doubles the time: of 13, 0.4 s were measured; of 31 it would be days
_MAKE_HASH = """write the hash that this prints: htpasswd -nBC 10 "" | tr -d ':\\n'"""
_INLINE = "store it in a file and set {}_file"
# Keys of the format that are refused, and what to write instead.
_REFUSED = {
    "tls_server_config.cert": _INLINE.format("cert"),
    "tls_server_config.key": _INLINE.format("key"),
    "tls_server_config.client_ca": _INLINE.format("client_ca"),
    "rate_limit": "remove it: responses are rendered one at a time",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """What `tls_server_config` says; ciphers and the curve are in OpenSSL's words, None is its own choice."""

    file: str
    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_required: bool = False
    client_allowed_sans: frozenset[str] = frozenset()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    ciphers: tuple[str, ...] | None = None
    curve: str | None = None
    server_order: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is named."""
        return tuple(path for path in (self.cert_file, self.key_file, self.client_ca_file) if path)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says: how TLS is spoken, if at all, headers for every answer, and bcrypt hashes by user."""

    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)


def load(path: Path) -> WebConfig:
    """The settings in the file at *path*; relative paths in it begin at its folder."""
    try:
        text = read_text(path, _MOST_BYTES)
    except UnreadableError as error:
        raise WebConfigError(str(path), "", error.message, error.hint) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise WebConfigError(str(path), "", f"is not YAML: {reason}", "see docs/web.md for an example") from error
    place = _Place(str(path), "", node)
    if place.is_null:
        # A file that is just being written is empty for a moment, and must not open the door.
        raise place.error("is empty", "write {} to allow access without TLS and authentication")
    keys = place.keys("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
    return WebConfig(
        _tls(keys["tls_server_config"], path.parent) if "tls_server_config" in keys else None,
        dict(_headers(keys["http_server_config"])) if "http_server_config" in keys else {},
        dict(_users(keys["basic_auth_users"])) if "basic_auth_users" in keys else {},
    )


class _Place:
    """A place in *file*: its dotted *key*, what stands there, and its line, unless it is the whole file."""

    def __init__(self, file: str, key: str, node: yaml.Node | None, line: int = 0) -> None:
        self.file = file
        self.key = key
        self._line = line
        self._node = node
        self.is_null = node is None or node.tag == "tag:yaml.org,2002:null"

    def error(self, message: str, hint: str = "") -> WebConfigError:
        """The error to raise for what stands here."""
        line = f":{self._line}" if self._line else ""
        return WebConfigError(f"{self.file}{line}", self.key, message, hint)

    def check(self, text: str) -> None:
        """Raise if *text* has what is no character: YAML can say half of one."""
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise self.error("contains an unpaired surrogate", "write valid Unicode")

    def items(self) -> Iterator[tuple[str, "_Place"]]:
        """Each key of a mapping, and the place of its value."""
        if self.is_null:
            return
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("is not a mapping", "write keys and values, such as tls_server_config: {cert_file: …}")
        seen = set()
        for name, value in self._node.value:
            key = name.value if isinstance(name, yaml.ScalarNode) else "?"
            place = _Place(self.file, f"{self.key}.{key}".lstrip("."), value, name.start_mark.line + 1)
            place.check(key)
            if key in seen:
                raise place.error("is given twice", "remove one of the two")
            seen.add(key)
            yield key, place

    def keys(self, *known: str) -> dict[str, "_Place"]:
        """The places of a mapping by key, which may be the *known* ones and those that are refused."""
        found = dict(self.items())
        for key, place in found.items():
            if hint := _REFUSED.get(place.key):
                raise place.error("is not supported", hint)
            if key not in known:
                close = get_close_matches(key, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"the known keys are {', '.join(known)}"
                raise place.error("is not a known key", hint)
        return {key: place for key, place in found.items() if not place.is_null}

    def text(self) -> str:
        """A string."""
        if not isinstance(self._node, yaml.ScalarNode) or not self._node.value:
            raise self.error("is not a string", "write one string")
        self.check(self._node.value)
        return str(self._node.value)

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self._node, yaml.ScalarNode) or self._node.tag != "tag:yaml.org,2002:bool":
            raise self.error("is not a boolean", "write true or false")
        return self._node.value.lower() in ("yes", "true", "on")

    def one_of(self, words: tuple[str, ...], hint: str = "") -> str:
        """One of the *words*."""
        text = self.text()
        if text not in words:
            raise self.error(f"cannot be {text}", hint or f"write {' or '.join(words)}")
        return text

    def list(self) -> list["_Place"]:
        """The places of a list's items, of which there is at least one."""
        if not isinstance(self._node, yaml.SequenceNode) or not self._node.value:
            raise self.error("is not a list of strings", "write [one, two], or leave the key out")
        return [
            _Place(self.file, f"{self.key}[{number}]", node, node.start_mark.line + 1)
            for number, node in enumerate(self._node.value)
        ]


def _tls(place: _Place, folder: Path) -> Tls | None:
    keys = place.keys(
        "cert_file", "key_file", "client_auth_type", "client_ca_file", "client_allowed_sans", "min_version",
        "max_version", "cipher_suites", "prefer_server_cipher_suites", "curve_preferences",
    )  # fmt: skip
    if not keys:
        return None
    for name in ("cert_file", "key_file"):
        if name not in keys:
            raise place.error(f"has no {name}", "TLS needs cert_file and key_file, both PEM")
    older = "write TLS12 or TLS13: older versions are insecure and not supported"
    lowest, highest = (
        keys[name].one_of(VERSIONS, older) if name in keys else default
        for name, default in (("min_version", "TLS12"), ("max_version", "TLS13"))
    )
    if lowest > highest:
        raise keys["min_version"].error(f"{lowest} is above max_version {highest}", "swap the two")
    ciphers = None
    if "cipher_suites" in keys:
        each = [one.one_of(tuple(CIPHERS), _cipher_hint(one.text())) for one in keys["cipher_suites"].list()]
        ciphers = tuple(CIPHERS[name] for name in each if CIPHERS[name])
        if not ciphers and highest == "TLS12":
            raise keys["cipher_suites"].error("lists only TLS 1.3 suites", "add a TLS 1.2 suite")
        lowest = lowest if ciphers else "TLS13"
    authority, required, sans = _clients(keys, folder)
    return Tls(
        place.file,
        folder / keys["cert_file"].text(),
        folder / keys["key_file"].text(),
        authority,
        required,
        sans,
        lowest,
        highest,
        ciphers,
        _curve(keys["curve_preferences"]) if "curve_preferences" in keys else None,
        keys["prefer_server_cipher_suites"].flag() if "prefer_server_cipher_suites" in keys else True,
    )


def _clients(keys: Mapping[str, _Place], folder: Path) -> tuple[Path | None, bool, frozenset[str]]:
    """Who signs the certificates of clients, whether they need one, and which names may stand in it."""
    kind = "NoClientCert"
    if "client_auth_type" in keys:
        place = keys["client_auth_type"]
        kind = place.text()
        if kind in _UNVERIFIED:
            raise place.error(f"cannot be {kind}, which accepts any certificate", f"write {_VERIFIED}")
        place.one_of((*_NO_CERTIFICATE, _IF_GIVEN, _VERIFIED))
        if kind in (_IF_GIVEN, _VERIFIED) and "client_ca_file" not in keys:
            raise place.error(
                f"is {kind}, but there is no client_ca_file", "set it to the CA that signs your clients' certificates"
            )
    authority = folder / keys["client_ca_file"].text() if "client_ca_file" in keys else None
    if authority and kind in _NO_CERTIFICATE:
        raise keys["client_ca_file"].error(
            "is set, but clients are not asked for a certificate", f"write client_auth_type: {_VERIFIED}"
        )
    sans: frozenset[str] = frozenset()
    if "client_allowed_sans" in keys:
        if kind != _VERIFIED:
            raise keys["client_allowed_sans"].error(
                "requires client certificates", f"write client_auth_type: {_VERIFIED}"
            )
        sans = frozenset(one.text() for one in keys["client_allowed_sans"].list())
    return authority, kind == _VERIFIED, sans


def _curve(place: _Place) -> str:
    names = [one.one_of(tuple(CURVES)) for one in place.list()]
    if len(names) > 1:
        raise place.error("lists several curves, but Python's ssl supports one", "keep one, or remove the key for all")
    return CURVES[names[0]]


def _cipher_hint(name: str) -> str:
    close = get_close_matches(name, CIPHERS, 1)
    return f"did you mean {close[0]}?" if close else f"choose from {', '.join(CIPHERS)}"


def _headers(place: _Place) -> Iterator[tuple[str, str]]:
    keys = place.keys("http2", "headers")
    if "http2" in keys:
        keys["http2"].flag()  # HTTP/1.1 is spoken to all: every client that speaks 2 speaks it
    if "headers" in keys:
        for name, value in keys["headers"].keys(*_HEADERS).items():
            text = value.one_of(_HEADERS[name]) if _HEADERS[name] else value.text()
            if not text.isascii() or not text.isprintable():
                raise value.error("contains characters not allowed in a header", "use one line of printable ASCII")
            yield name, text


def _users(place: _Place) -> Iterator[tuple[str, str]]:
    for name, value in place.items():
        if ":" in name or not name:
            raise value.error("is not a valid user name", "use a name without a colon")
        # The value is not shown: it may be the password itself.
        found = None if value.is_null else _HASH.fullmatch(value.text())
        if found is None:
            raise value.error("is not a bcrypt hash", _MAKE_HASH)
        if int(found["cost"]) > _COST:
            message = f"is a hash of cost {int(found['cost'])}: checking one password would take longer than a second"
            raise value.error(message, f"use a cost of at most {_COST}; {_MAKE_HASH}")
        yield name, value.text()
