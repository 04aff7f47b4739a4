"""
Options shared by commands, their types and validation, and their groups in the help.

Every option can also be set by an environment variable.
"""

import ctypes
import gc
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from extractor.history.steps import duration_seconds, step_seconds
from extractor.history.time_range import seconds_of
from extractor.schema.label_values import is_servable

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)

INCOMPLETE = 1
"""The exit code when a file, or a part of it, could not be read: what is printed is true of the rest."""

_SELDOM = 2_000_000  # of objects made; where nobody minds a pause of a tenth of a second, it saves three percent
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, in glibc's malloc.h
_KEPT, _APART = 1 << 30, 32 << 20  # bytes

REJECTED = 3
"""The exit code of `--strict`, when something was rejected."""

BROKEN = 3
"""The exit code of `report`, when an objective is broken."""


class PathText(click.types.StringParamType):
    """A path, a pattern of paths, or - for standard input or output."""

    name = "path"
    envvar_list_splitter = os.pathsep


PATH_TEXT = PathText()

_DAY = 86400
_DAYS = {"today": 0, "yesterday": 1}

_SHORTEST = 0.001  # seconds; what is cut into shorter parts has more of them than can be counted

LONGEST = 100 * 365.25 * 86400
"""Seconds of the longest time that can be given: a hundred years."""


class Seconds(click.FloatRange):
    """A length of time in seconds, from *min* to `LONGEST`; `nan` and `inf` are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # as click
        """Convert *value* to seconds; fails as click does."""
        seconds: float = super().convert(value, param, ctx)
        if not seconds <= LONGEST:
            self.fail(f"{value} is not a number of seconds up to a hundred years", param, ctx)
        return seconds


GROUPS = {
    "What": (
        *("--logs", "--since", "--until", "--window", "--format", "--objectives", "--strict", "--check", "--schemas"),
        *("--prices", "--step", "--backfill-label", "--job"),
    ),
    "Where": (
        *("--state-dir", "--config", "--backfill", "--backfill-blocks", "--follow-symlinks"),
        *("--program", "--socket", "--group"),
    ),
    "Limits": (
        *("--jobs", "--run-timeout", "--run-linger", "--quantile-window", "--max-clock-skew", "--max-line-bytes"),
        *("--max-open-runs", "--max-reject-bytes", "--poll-interval", "--checkpoint-interval", "--memory-max"),
    ),
    "Web": (
        *("--web.listen-address", "--web.config.file", "--web.external-url", "--web.disable-page", "--scrape-from"),
    ),
    "Logging": ("--log.level", "--log.format"),
}
"""The options in the groups, and in the order, in which the help of every command shows them; the others come last."""


class Grouped(click.Command):
    """A command whose help shows its options in `GROUPS`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each group under its name."""
        records = {
            parameter.opts[0]: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None
        }
        for title, names in GROUPS.items():
            if some := [records.pop(name) for name in names if name in records]:
                with formatter.section(title):
                    formatter.write_dl(some)
        if records:
            with formatter.section("Options"):
                formatter.write_dl(list(records.values()))


F = TypeVar("F", bound=Callable[..., Any])


def variable(name: str) -> str:
    """The environment variable of the option or argument *name*."""
    return "EXTRACTOR_" + name.removeprefix("--").replace(".", "_").replace("-", "_").upper()


def paths_argument(name: str, metavar: str, kind: click.Path | PathText = PATH_TEXT) -> Callable[[F], F]:
    """The paths that a command cannot do without."""
    return click.argument(name, nargs=-1, required=True, type=kind, envvar=variable(name), metavar=f"{metavar}...")


def option(name: str, *parameter: str, **settings: Any) -> Callable[[F], F]:  # click's own
    """An option of a command, with its variable in the environment."""
    return click.option(
        name, *parameter, envvar=variable(name), show_envvar=True, **({"show_default": True} | settings)
    )


def schemas_option(command: F) -> F:
    """`--schemas`, of every command."""
    return option(
        "--schemas",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        multiple=True,
        metavar="DIR",
        help="Directory of event schemas to add to the default ones, or of a separate pack. May be repeated.",
    )(command)


def objectives_option(command: F) -> F:
    """`--objectives`, of the commands that compare with objectives."""
    return option(
        "--objectives",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="TOML file of objectives, instead of the default ones.",
    )(command)


def window_option(command: F) -> F:
    """`--window`, of the commands that evaluate the last part of the logs."""
    return option(
        "--window",
        callback=_window,
        default="30m",
        metavar="DURATION",
        help="Length of the window that ends at the latest event: 45s, 30m, 12h, 1d.",
    )(command)


def skew_option(command: F) -> F:
    """`--max-clock-skew`, of the commands that validate the time of events."""
    return option(
        "--max-clock-skew",
        type=Seconds(min=0),
        default=300.0,
        metavar="SECONDS",
        help="Maximum time an event may be in the future; events beyond it are rejected.",
    )(command)


def prices_option(command: F) -> F:
    """`--prices`, of the commands that count calls."""
    return option(
        "--prices",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="File of model prices, which take precedence over those of genai-prices; see docs/cost.md.",
    )(command)


def reading_options(command: F) -> F:
    """Options shared by all commands that read logs."""
    for each in (
        option(
            "--max-line-bytes",
            type=click.IntRange(min=1),
            default=1 << 20,
            help="Maximum length of a line; longer lines are rejected.",
        ),
        option(
            "--follow-symlinks",
            is_flag=True,
            help="Follow symbolic links below a log directory, wherever they point.",
        ),
        skew_option,
        prices_option,
        option(
            "--run-linger",
            type=Seconds(min=0),
            default=5.0,
            metavar="SECONDS",
            help="Grace period for events that arrive after a run's end.",
        ),
        option(
            "--run-timeout",
            type=Seconds(min=_SHORTEST),
            default=3600.0,
            metavar="SECONDS",
            help="Time without an event after which a run is considered abandoned.",
        ),
        option(
            "--quantile-window",
            type=Seconds(min=_SHORTEST),
            default=300.0,
            metavar="SECONDS",
            help="Length of the sliding window for quantiles.",
        ),
        schemas_option,
    ):
        command = each(command)
    return command


def backfill_options(command: F) -> F:
    """Options of `replay` for samples with timestamps in the past."""
    for each in (
        option(
            "--step",
            "seconds",
            callback=_step,
            default="15s",
            metavar="DURATION",
            help="With --backfill: interval between samples. Use your scrape interval.",
        ),
        option(
            "--backfill-label",
            "labels",
            multiple=True,
            callback=_labels,
            metavar="NAME=VALUE",
            help="Label to add to every sample, as a scrape adds job and instance. May be repeated.",
        ),
        option(
            "--backfill-blocks",
            "blocks",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="Like --backfill, but write Prometheus TSDB blocks to DIR. Requires promtool.",
        ),
        option(
            "--backfill",
            "document",
            type=PATH_TEXT,
            metavar="OUT",
            help="Write OpenMetrics samples with timestamps, as if the logs had been scraped at the time, to the file "
            "OUT; - for standard output.",
        ),
    ):
        command = each(command)
    return command


def moment(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """A time as given to `--since` and `--until`, in seconds since the epoch."""
    if value is None:
        return None
    found = seconds_of(value)
    if found is None:
        found = relative_time(value, time.time())
    if found is None:
        known = "not a date, an RFC 3339 time with offset, epoch seconds or an age"
        example = "2026-11-21, 2026-11-21T09:00:00Z, 1795251600, 7d or yesterday"
        raise click.BadParameter(f"{value!r} is {known}; write {example}")
    return found


def relative_time(text: str, now: float) -> float | None:
    """The time that is called so at *now*: an age, `now`, or the first moment of `today` or `yesterday` in UTC."""
    word = text.strip().lower().removesuffix(" ago")
    if word in _DAYS:
        return now // _DAY * _DAY - _DAYS[word] * _DAY
    if word == "now":
        return now
    age = duration_seconds(word)
    return now - age if 0 < age <= now else None


def _labels(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    labels = {}
    for each in value:
        name, equals, text = each.partition("=")
        if not equals or not _LABEL.fullmatch(name) or name.startswith("__"):
            raise click.BadParameter(f"{each!r} is not a label; write job=extractor")
        labels[name] = label_text(ctx, parameter, text)
    return labels


def label_text(_: click.Context, __: click.Parameter, value: str) -> str:
    """The value of a label as it is given, which Prometheus must be able to read."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{value!r} is not UTF-8") from None
    if not is_servable(value):
        raise click.BadParameter(f"{value!r} contains NUL, which Prometheus cannot read")
    return value


def _window(_: click.Context, __: click.Parameter, value: str) -> int:
    seconds = duration_seconds(value)
    if not 0 < seconds <= LONGEST:
        raise click.BadParameter(f"{value!r} is not a duration up to 100 years; write 45s, 30m, 12h or 1d")
    return seconds


def _step(_: click.Context, __: click.Parameter, value: str) -> int:
    try:
        return step_seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def collect_less(after: int = 200_000) -> None:
    """Let the garbage collector run only *after* so many objects were made: for who reads logs."""
    # Reading makes many objects and no cycles. At its usual pace the collector looks at them over and over, for a tenth
    # of all CPU time.
    gc.freeze()
    gc.set_threshold(after, 20, 100)


def read_to_the_end() -> None:
    """Let nothing run or be given back while logs are read to their end: the process ends soon after."""
    collect_less(_SELDOM)
    # Between two folds the C library would give memory back and get it again: half of all page faults, and 4 % of the
    # time. Others than glibc have no such switch.
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
        library.mallopt(_MMAP_THRESHOLD, _APART)
