"""The options of `extractor run`, and which of them a reload applies."""

from dataclasses import dataclass, fields, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `extractor run`; times in seconds."""

    logs: tuple[Path, ...]
    schemas: tuple[Path, ...] = ()
    listen_address: str = "127.0.0.1:9464"
    external_urls: tuple[str, ...] = ()
    web_config: Path | None = None
    window: float = 300.0
    run_timeout: float = 3600.0
    run_linger: float = 5.0
    max_open_runs: int = 100_000
    prices: Path | None = None
    max_clock_skew: float = 300.0
    max_line_bytes: int = 1 << 20
    follow_symlinks: bool = False
    poll_interval: float = 5.0
    state_dir: Path | None = None
    checkpoint_interval: float = 5.0
    max_reject_bytes: int = 100 << 20
    objectives: Path | None = None
    disable_page: bool = False
    log_level: str = "info"
    log_format: str = "auto"

    def reloaded(self, now: "Options") -> tuple["Options", list[str]]:
        """These options with what of *now* needs no restart; and the keys of what differs and does."""
        changed = {each.name for each in fields(self) if getattr(self, each.name) != getattr(now, each.name)}
        return replace(self, **{name: getattr(now, name) for name in changed & RELOADED}), sorted(
            map(_key, changed - RELOADED)
        )


_DOTTED = {
    "listen_address": "web.listen-address",
    "external_urls": "web.external-url",
    "web_config": "web.config.file",
    "disable_page": "web.disable-page",
}


def _key(name: str) -> str:
    """What the option *name* is called in the configuration file."""
    return _DOTTED.get(name, name.replace("_", "-"))


RELOADED = frozenset(
    {
        *("schemas", "objectives", "prices", "window", "run_timeout", "run_linger", "max_open_runs", "max_clock_skew"),
        *("poll_interval", "checkpoint_interval", "log_level", "log_format"),
    }
)
"""The options that a reload puts into force; the others need a restart."""
