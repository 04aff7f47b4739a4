"""Comparisons of an event with earlier events of its run."""

from dataclasses import dataclass

from extractor.schema.pointer import Pointer


@dataclass(frozen=True, slots=True)
class Repetition:
    """
    A loop: among the last *within* events of this type in a run, *times* have the same values at *of*.

    An event that lacks one of these values is like no other. A loop is not counted if an event *unless* of the run
    reports it.
    """

    of: tuple[Pointer, ...]
    times: int
    within: int
    unless: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The time from the last event *since*, of the same run and with the same value at *key*, to this one."""

    since: str
    key: Pointer
