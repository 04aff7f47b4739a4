"""
A state in, the response to a scrape out.

The text is byte-identical to that of prometheus-client for the same families. Most series do not change between
scrapes: their text is cached, and for the others only the numbers are formatted. `make bench-live` measures it. The few
metrics of the extractor itself are written by prometheus-client.
"""

import gzip
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

from extractor.exposition import samples
from extractor.exposition import text as exposition
from extractor.exposition.samples import Said
from extractor.exposition.self_metrics import OwnText
from extractor.state.exemplars import Exemplar
from extractor.state.families import Family, Labels
from extractor.state.hdr import Pile
from extractor.state.internal_errors import InternalErrors
from extractor.state.series import Series
from extractor.state.state import State
from extractor.web.priority import Turns
from extractor.web.sharing import Shared

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_VERSION = re.compile(r";\s*version=([^;\s]*)")
_ESCAPING = re.compile(r";\s*escaping=[^;,]*")
_VERSIONS = {"0.0.1", "0.0.4", "1.0.0"}
_FAST = 1  # of gzip's levels: a tenth larger than the best, in a tenth of the time


class SeriesText:
    """The text of all series of *state*; *lock* is held while it is found out which of them have changed."""

    def __init__(self, state: State, lock: AbstractContextManager[Any], errors: InternalErrors | None = None) -> None:
        self._state = state
        self._lock = lock
        self._errors = errors
        self._families: dict[bool, list[_FamilyText]] = {}

    def write(self, *, openmetrics: bool) -> str:
        """All families, sorted by name, without an end mark."""
        if openmetrics not in self._families:
            ordered = [family for _, family in sorted(self._state.families.items())]
            self._families[openmetrics] = [_FamilyText(family, openmetrics=openmetrics) for family in ordered]
        families = self._families[openmetrics]
        with self._lock:
            changed = [self.contained(lambda: family.look(self._state)) for family in families]  # noqa: B023
        for family, some in zip(families, changed, strict=True):
            if some:
                self.contained(lambda: family.take(some))  # noqa: B023  # called at once
        return "".join([text for family in families for text in family.texts()])

    def contained(self, work: Callable[[], T]) -> T | None:
        """What *work* returns; if it fails, a family stays as it was written last, and all others are right."""
        try:
            return work()
        except Exception as error:
            if self._errors is None:
                raise
            self._errors.contain("scrape", error)
            return None


class _Lines:
    """The text of one series, what it was written of, and what stands before its numbers."""

    __slots__ = ("exemplars", "names", "said", "series", "text")

    def __init__(self, series: Series | None, names: list[str]) -> None:
        self.series = series
        self.names = names
        self.exemplars: dict[int, tuple[Exemplar, str]] = {}
        self.said: Said | None = None
        self.text = ""


class _Changed(NamedTuple):
    """The series at *lines* says something else than is written there; *window* is that of a summary."""

    lines: _Lines
    said: Said
    window: Pile | None


class _FamilyText:
    """The text of the series of one metric; only what has changed is written anew."""

    def __init__(self, family: Family, *, openmetrics: bool) -> None:
        self._family = family
        self._header = exposition.header(family.metric, openmetrics=openmetrics)
        self._exemplars = openmetrics and bool(family.metric.exemplar)
        self._lines: dict[Labels, _Lines] = {}
        self._ordered: list[_Lines] = []

    def look(self, state: State) -> list[_Changed]:
        """What has changed since this was asked last; quickly, for nothing else can happen meanwhile."""
        metric = self._family.metric
        if metric.run == "open":
            counts = state.count_open(metric.name)
            self._order(dict.fromkeys(counts))
            found = [(self._lines[labels], ((float(number),), ())) for labels, number in counts.items()]
            return [_Changed(lines, said, None) for lines, said in found if said != lines.said]
        if len(self._lines) != len(self._family.series):
            self._order(self._family.series)
        newest, exemplars, changed = state.newest_slot, self._exemplars, []
        for lines in self._ordered:
            series: Any = lines.series
            said = samples.said(series, newest, exemplars=exemplars)
            if said != lines.said:
                changed.append(_Changed(lines, said, samples.window(series, newest)))
        return changed

    def take(self, changed: Iterable[_Changed]) -> None:
        """Write what has *changed*."""
        metric = self._family.metric
        for lines, said, window in changed:
            written = [*map(samples.number_text, samples.numbers_of(metric, said, window))]
            for place, exemplar in said[1]:
                written[place] += self._exemplar(lines, place, exemplar)
            lines.text = "".join([f"{name}{text}\n" for name, text in zip(lines.names, written, strict=False)])
            lines.said = said

    def texts(self) -> Iterator[str]:
        """The text as it was taken last."""
        yield self._header
        for lines in self._ordered:
            yield lines.text

    def _order(self, series: Mapping[Labels, Series | None]) -> None:
        metric = self._family.metric
        for labels in self._lines.keys() - series.keys():  # of a gauge of open runs
            del self._lines[labels]
        for labels in series.keys() - self._lines.keys():
            names = [f"{samples.series_text(metric, labels, *shape)} " for shape in samples.shapes(metric)]
            self._lines[labels] = _Lines(series[labels], names)
        self._ordered = [lines for _, lines in sorted(self._lines.items(), key=_labels)]

    def _exemplar(self, lines: _Lines, place: int, exemplar: Exemplar) -> str:
        known, text = lines.exemplars.get(place, (None, ""))
        if known is not exemplar:
            text = samples.exemplar_text(self._family.metric, exemplar)
            lines.exemplars[place] = exemplar, text
        return text


def _labels(item: tuple[Labels, _Lines]) -> Labels:
    return item[0]


class Scrapes:
    """The ASGI application that answers scrapes with what *series* and *own* write, each in a short turn of *turns*."""

    def __init__(self, series: SeriesText, own: OwnText, turns: Turns) -> None:
        self._turns = turns
        self._shared = Shared()  # also because what is remembered of the series is written by one scrape at a time
        self.show(series, own)

    def show(self, series: SeriesText, own: OwnText) -> None:
        """Answer with these from the next scrape on; one scrape is all of the old or all of the new."""
        self._texts = series, own

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        wanted = {name: value.decode("latin-1") for name, value in scope["headers"]}
        compressed = "gzip" in wanted.get(b"accept-encoding", "")
        # Elsewhere, so that whoever asks for the health meanwhile need not wait.
        accept = _known(wanted.get(b"accept", ""))
        kind, body = await self._shared.get(
            (self._texts[1].kind(accept), compressed), lambda: self._answer(accept, compressed)
        )
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        if compressed:
            headers.append((b"content-encoding", b"gzip"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _answer(self, accept: str, compressed: bool) -> tuple[str, bytes]:  # in a thread
        series, own = self._texts
        with self._turns.short():
            kind, rest = series.contained(lambda: own.write(accept)) or (own.kind(accept), b"")
            if not rest and exposition.is_openmetrics(kind):
                rest = b"# EOF\n"
            body = series.write(openmetrics=exposition.is_openmetrics(kind)).encode() + rest
            return kind, gzip.compress(body, _FAST) if compressed else body


def _known(accept: str) -> str:
    # A version that there is not would be believed, or would end in an error. No name needs escaping, and few kinds of
    # answers are shared by many.
    parts = _ESCAPING.sub("", accept).split(",")
    return ",".join(part for part in parts if {*_VERSION.findall(part)} <= _VERSIONS)
