"""
A state in, the answer to a scrape out, cheaply.

The text is, byte for byte, what prometheus-client writes of the same families. But a scrape comes every few seconds,
and of a series only the numbers have changed since: the text before them is written once. With 10,000 series that takes
a fifth of the time. The extractor's own metrics are few; prometheus-client writes them.

Knows nothing of sockets.
"""

import gzip
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from extractor import exposition
from extractor.catalog import Metric
from extractor.exemplars import Exemplar, Exemplars
from extractor.families import Family, Labels
from extractor.own_metrics import OwnText
from extractor.series import Series
from extractor.sharing import Shared
from extractor.state import State

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Found = list[tuple[Labels, Sequence[float], Exemplars]]

_VERSION = re.compile(r";\s*version=([^;\s]*)")
_ESCAPING = re.compile(r";\s*escaping=[^;,]*")
_VERSIONS = {"0.0.1", "0.0.4", "1.0.0"}
_FAST = 1  # of gzip's levels: a tenth larger than the best, in a tenth of the time

_NO_EXEMPLARS = Exemplars()
_number_text = lru_cache(maxsize=1 << 16)(exposition.number_text)


class SeriesText:
    """The text of all series of *state*; *lock* is held while the numbers are read."""

    def __init__(self, state: State, lock: AbstractContextManager[Any]) -> None:
        self._state = state
        self._lock = lock
        self._orders: dict[str, list[Labels]] = {}
        self._names: dict[str, dict[Labels, list[str]]] = {name: {} for name in state.families}
        self._shown: dict[str, dict[tuple[Labels, int], tuple[Exemplar, str]]] = {name: {} for name in state.families}

    def write(self, *, openmetrics: bool) -> str:
        """All families, sorted by name, without an end mark."""
        families = [family for _, family in sorted(self._state.families.items())]
        with self._lock:
            found = [self._found(family, shown=openmetrics) for family in families]
        return "".join(
            text
            for family, series in zip(families, found, strict=True)
            for text in self._written(family.metric, series, openmetrics=openmetrics)
        )

    def _found(self, family: Family, *, shown: bool) -> Found:
        metric, newest = family.metric, self._state.newest_slot
        if metric.run == "open":
            runs = self._state.count_open(metric.name)
            return [(labels, [float(number)], _NO_EXEMPLARS) for labels, number in runs.items()]
        order = self._orders.get(metric.name, [])
        if len(order) != len(family.series):
            order = self._orders[metric.name] = sorted(family.series)
        found = [(labels, family.series[labels]) for labels in order]
        return [
            (labels, exposition.numbers(metric, series, newest), _exemplars(series) if shown else _NO_EXEMPLARS)
            for labels, series in found
        ]

    def _written(self, metric: Metric, found: Found, *, openmetrics: bool) -> Iterator[str]:
        yield exposition.header(metric, openmetrics=openmetrics)
        names = self._names[metric.name]
        for labels, numbers, exemplars in found:
            texts = names.get(labels)
            if texts is None:
                shapes = exposition.shapes(metric)
                texts = [f"{exposition.series_text(metric, labels, suffix, extra)} " for suffix, extra in shapes]
                names[labels] = texts
            if not exemplars:
                for text, number in zip(texts, numbers, strict=False):
                    yield f"{text}{_number_text(number)}\n"
                continue
            for place, (text, number) in enumerate(zip(texts, numbers, strict=False)):
                shown = self._exemplar_text(metric, labels, place, exemplars[place]) if place in exemplars else ""
                yield f"{text}{_number_text(number)}{shown}\n"

    def _exemplar_text(self, metric: Metric, labels: Labels, place: int, exemplar: Exemplar) -> str:
        texts = self._shown[metric.name]
        known, text = texts.get((labels, place), (None, ""))
        if known is not exemplar:
            text = exposition.exemplar_text(metric, exemplar)
            texts[labels, place] = exemplar, text
        return text


def _exemplars(series: Series) -> Exemplars:
    # Copied under the lock: they change with the next events.
    return Exemplars(exposition.exemplars(series)) or _NO_EXEMPLARS


class Scrapes:
    """The ASGI application that answers scrapes with what *series* and *own* write."""

    def __init__(self, series: SeriesText, own: OwnText) -> None:
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
        kind, rest = own.write(accept)
        body = series.write(openmetrics=exposition.is_openmetrics(kind)).encode() + rest
        return kind, gzip.compress(body, _FAST) if compressed else body


def _known(accept: str) -> str:
    # A version that there is not would be believed, or would end in an error. No name needs escaping, and few kinds of
    # answers are shared by many.
    parts = _ESCAPING.sub("", accept).split(",")
    return ",".join(part for part in parts if {*_VERSION.findall(part)} <= _VERSIONS)
