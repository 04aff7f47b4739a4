"""
A web configuration file in, the current TLS context and the verdict on each request out.

The file and the certificates are checked on every connection and request, and read again after a change. An invalid
change is reported once and counted, and the previous configuration stays in force. A change that removes all protection
of a kind needs a restart, because a file that is being written may be incomplete.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from extractor.errors import WebConfigError
from extractor.web import tls
from extractor.web.config import WebConfig, load
from extractor.web.passwords import Passwords, Verdict


@dataclass(frozen=True, slots=True)
class _Settings:
    config: WebConfig
    context: ssl.SSLContext | None
    passwords: Passwords | None


class Access:
    """Access control by *file*; an invalid change is reported to *say* once, and *count* is called."""

    def __init__(self, file: Path, say: Callable[[str], None], count: Callable[[], None]) -> None:
        self._file = file
        self._say = say
        self._count = count
        self._files: tuple[Path, ...] = (file,)
        self._seen: tuple[object, ...] = ()
        self._problem = ""
        self._settings = _settings(self._load(), None)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every response."""
        return self._settings.config.headers

    def context(self) -> ssl.SSLContext | None:
        """The TLS context for new connections; None without TLS."""
        self.refresh()
        return self._settings.context

    def admits(self, spoken: ssl.SSLObject) -> bool:
        """Whether the client certificate of this TLS connection has an allowed name."""
        told = self._settings.config.tls
        return told is None or tls.admits(told, spoken)

    async def judge(self, authorization: bytes, host: str) -> Verdict:
        """Whether a request from *host* with this `Authorization` header is admitted."""
        self.refresh()
        passwords = self._settings.passwords
        return Verdict.ADMITTED if passwords is None else await passwords.judge(authorization, host)

    def refresh(self) -> str:
        """Apply changes of the files; return the error if they are invalid."""
        if self._look() == self._seen:
            return self._problem
        old, self._problem = self._settings, ""
        try:
            config = self._load()
            _check_not_weaker(str(self._file), config, old.config)
            self._settings = _settings(config, old)
        except Exception as error:  # noqa: BLE001  # whatever stands in a file must not end what runs
            self._count()
            self._problem = str(error) if isinstance(error, WebConfigError) else f"{self._file}: {error!r}"
            self._say(f"{self._problem}; the previous configuration stays in force")
        return self._problem

    def _load(self) -> WebConfig:
        # Looked at first and read afterwards, all files that are named: a change in between is found the next time.
        while True:
            self._seen = self._look()
            config = load(self._file)
            files = (self._file, *(config.tls.files if config.tls else ()))
            if files == self._files:
                return config
            self._files = files

    def _look(self) -> tuple[object, ...]:
        return tuple(_identity(path) for path in self._files)


def _identity(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    except ValueError:  # no file can have this name; who reads it says so
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _settings(config: WebConfig, old: _Settings | None) -> _Settings:
    passwords = Passwords(config.users) if config.users else None
    if old and config.users == old.config.users:
        passwords = old.passwords  # with what it remembers
    return _Settings(config, tls.context(config.tls) if config.tls else None, passwords)


def _check_not_weaker(file: str, new: WebConfig, old: WebConfig) -> None:
    for lost, key, what in (
        (old.tls and not new.tls, "tls_server_config", "TLS"),
        (old.users and not new.users, "basic_auth_users", "all users"),
        (
            old.tls and new.tls and old.tls.client_required and not new.tls.client_required,
            "tls_server_config.client_auth_type",
            "the requirement for client certificates",
        ),
        (
            old.tls and new.tls and old.tls.client_allowed_sans and not new.tls.client_allowed_sans,
            "tls_server_config.client_allowed_sans",
            "all allowed names",
        ),
    ):
        if lost:
            raise WebConfigError(file, key, f"a reload cannot remove {what}", "restart extractor to apply this")
