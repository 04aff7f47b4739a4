"""The state in, the server with its scrape, status page and access control out."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from extractor import __version__
from extractor.errors import ExtractorError, WebConfigError
from extractor.exposition.self_metrics import OwnText
from extractor.ingest.pipeline import Rejected
from extractor.report import objectives
from extractor.service import activation
from extractor.service.log import Log
from extractor.service.options import Options
from extractor.state.internal_errors import InternalErrors
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.state.updates import Listener
from extractor.tail.file import Source
from extractor.web.app import Pages, Server, listen, url
from extractor.web.page.health import Moment
from extractor.web.page.monitor import Overview
from extractor.web.page.render import POLICY
from extractor.web.priority import Turns
from extractor.web.scrape import Scrapes, SeriesText

if TYPE_CHECKING:
    from extractor.web.auth import Access


class View(NamedTuple):
    """The views of one state: the scrape, and the page if it is enabled."""

    series: SeriesText
    own: OwnText
    overview: Overview | None

    @property
    def listener(self) -> Listener | None:
        """The listener for every update, if any."""
        return self.overview.trends if self.overview else None


class Serving:
    """
    The server, which listens at once and answers once it is started.

    *lock* is held while a state is looked at. *not_ready* says why there is no scrape yet, *problem* what is wrong with
    the watching of files; both are empty when all is well.
    """

    def __init__(  # noqa: PLR0913  # what it shows
        self,
        options: Options,
        stats: Stats,
        lock: AbstractContextManager[Any],
        log: Log,
        errors: InternalErrors,
        *,
        not_ready: Callable[[], str],
        problem: Callable[[], str],
    ) -> None:
        self._stats = stats
        self._lock = lock
        self._log = log
        self._errors = errors
        self._not_ready = not_ready
        self._problem = problem
        self._began = time.time()
        self._access = _access(options, log, stats)
        activated = activation.handed_over(os.environ)
        self._whose = "on the socket passed by systemd, " if activated else ""
        self._listener = activated or listen(options.listen_address)
        self._urls = options.external_urls
        self._turns = Turns()
        self._scrapes: Scrapes | None = None
        self._overview: Overview | None = None
        self._server: Server | None = None

    def view(self, state: State, options: Options) -> View:
        """What will be seen of *state*; reads the objectives."""
        series = SeriesText(state, self._lock, self._errors)
        own = OwnText(state, self._stats, self._lock, time.time, __version__)
        overview = None
        if not options.disable_page:
            overview = Overview(
                state,
                self._stats,
                self._lock,
                objectives.load(options.objectives) if options.objectives else objectives.Objectives(),
                lambda: Moment(self._not_ready(), self._problem(), time.time(), self._began),
                version=__version__,
                followed=[str(path) for path in options.logs],
                keeps=options.state_dir is not None,
            )
        return View(series, own, overview)

    def show(self, view: View, *, anew: bool = False) -> None:
        """Show *view* from now on; *anew* without what was seen before, which will be read again."""
        if self._overview and view.overview and not anew:
            view.overview.go_on(self._overview)
        self._overview = view.overview
        if self._scrapes is None:
            self._scrapes = Scrapes(view.series, view.own, self._turns)
        else:
            self._scrapes.show(view.series, view.own)

    def check(self) -> None:
        """Read the access control again if it has changed. Raises `ExtractorError` if it is invalid."""
        if self._access and (problem := self._access.refresh()):
            raise ExtractorError(problem)

    def start(self) -> None:
        """Start serving, and log the URL."""
        assert self._scrapes is not None
        page = self._page if self._overview else None
        pages = Pages(metrics=self._scrapes, not_ready=self._not_ready, page=page, policy=POLICY)
        self._server = Server(self._listener, pages, self._access, self._stats.refuse, self._urls)
        self._server.start()
        where = url(self._listener, secure=bool(self._access and self._access.context()))
        self._log.info(f"serving {self._whose}{where}/metrics" + (f", status page at {where}/" if page else ""))

    def stop(self) -> None:
        """Answer pending requests, then stop."""
        if self._server:
            self._server.stop()

    def give_way(self) -> None:
        """Let pending requests go first; called by the reading thread between two chunks."""
        self._turns.give_way()

    def reject(self, rejected: Rejected) -> None:
        """Show a rejected line on the page."""
        if self._overview:
            self._overview.reject(rejected)

    def folded(self, sources: Callable[[], Iterable[Source]]) -> None:
        """All that was read is in the state; *sources* are the files that are known."""
        if self._overview:
            try:
                self._overview.folded(sources)
            except Exception as error:  # noqa: BLE001  # the page is for people; counting goes on
                self._errors.contain("page", error)

    def _page(self) -> str | None:
        assert self._overview is not None
        try:
            with self._turns.short():
                return self._overview.page()
        except Exception as error:  # noqa: BLE001  # as above
            self._errors.contain("page", error)
            return None


def _access(options: Options, log: Log, stats: Stats) -> "Access | None":
    file = options.web_config
    if file is None:
        return None
    try:
        from extractor.web.auth import Access  # noqa: PLC0415  # needs what only this option needs
    except ImportError as error:
        hint = "pip install 'agent-extractor[web]'"
        raise WebConfigError(str(file), "", f"cannot be used: {error.name} is not installed", hint) from error
    return Access(file, log.error, stats.count_bad_web_config)
