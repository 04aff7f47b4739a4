"""What keeps the agent from harm: a guard against loops, a circuit breaker, a cache of what tools said."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Literal

State = Literal["open", "half_open", "closed"]


class LoopGuard:
    """Sees the same call made *threshold* times within the last *window* calls."""

    def __init__(self, window: int = 8, threshold: int = 3) -> None:
        self._calls: deque[tuple[str, str]] = deque(maxlen=window)
        self._threshold = threshold

    def repeats(self, tool: str, argument: str) -> int:
        """How often the call was made lately, this time included, if that is too often; otherwise 0."""
        self._calls.append((tool, argument))
        seen = self._calls.count((tool, argument))
        return seen if seen >= self._threshold else 0


class CircuitOpenError(Exception):
    """The breaker does not let the call through."""


class Breaker:
    """
    Opens after *threshold* failures in a row; after *patience* refused calls it lets one through to try.

    Args:
        changed: Called with the new state.
        threshold: Failures that open it.
        patience: Refusals before a try. Counted, not timed, so that a seed gives the same run at any pace.

    """

    def __init__(self, changed: Callable[[State], None], threshold: int = 3, patience: int = 2) -> None:
        self._changed = changed
        self._threshold = threshold
        self._patience = patience
        self._failures = 0
        self._refused = 0
        self._state: State = "closed"

    def admit(self) -> None:
        """
        Ask before a call.

        Raises:
            CircuitOpenError: not now.

        """
        if self._state == "open":
            if self._refused < self._patience:
                self._refused += 1
                raise CircuitOpenError
            self._become("half_open")

    def succeeded(self) -> None:
        """Tell that the call went well."""
        self._failures = 0
        if self._state != "closed":
            self._become("closed")

    def failed(self) -> None:
        """Tell that the call went wrong."""
        self._failures += 1
        if self._state == "half_open" or (self._state == "closed" and self._failures >= self._threshold):
            self._refused = 0
            self._become("open")

    def _become(self, state: State) -> None:
        self._state = state
        self._changed(state)


class Cache:
    """The results of the last *size* different calls."""

    def __init__(self, size: int = 6) -> None:
        self._results: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._size = size

    def get(self, tool: str, argument: str) -> str | None:
        """The result of the call, if it is still known."""
        if (tool, argument) in self._results:
            self._results.move_to_end((tool, argument))
        return self._results.get((tool, argument))

    def put(self, tool: str, argument: str, result: str) -> None:
        """Remember *result*, and forget the one that was not asked for the longest."""
        self._results[tool, argument] = result
        if len(self._results) > self._size:
            self._results.popitem(last=False)
