"""
Folders in, which pack is made of which files out.

Knows nothing of what a schema file says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extractor.documents import read_object
from extractor.places import Place

PACK_FILE = "pack.json"
SUFFIX = ".schema.json"

Check = Callable[[Mapping[str, Any], Place], None]
"""Raises where what a file says does not conform to its meta-schema."""


@dataclass(slots=True)
class PackFiles:
    """A pack before its events are read: what its `pack.json` at *place* says, and the event files by name."""

    place: Place
    declared: Mapping[str, Any]
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the pack."""
        return str(self.declared["name"])

    def event_files(self) -> list[Path]:
        """The files of the event types, in the order of their names; there is at least one."""
        if not self.files:
            raise self.place.error("the pack has no event types", f"put a file <event>{SUFFIX} beside it")
        return [self.files[name] for name in sorted(self.files)]


def gather(default: Path, directories: Sequence[Path], check: Check) -> list[PackFiles]:
    """The packs in the order in which their file patterns are tried: the *default*, or what replaces it, is last."""
    last = _read_pack_folder(default, check)
    packs = {last.name: last}
    added: dict[str, Path] = {}
    for directory in directories:
        names = _names(directory)
        if PACK_FILE in names:
            pack = _read_pack_folder(directory, check)
            packs[pack.name] = pack
        elif files := _event_files(directory, names):
            added |= files
        else:
            raise Place(str(directory)).error(f"holds neither {PACK_FILE} nor a file *{SUFFIX}", "name another folder")
    last = packs.pop(last.name)
    last.files |= added
    return [*packs.values(), last]


def _read_pack_folder(directory: Path, check: Check) -> PackFiles:
    path = directory / PACK_FILE
    declared, place = read_object(path), Place(str(path))
    check(declared, place)
    return PackFiles(place, declared, _event_files(directory, _names(directory)))


def _names(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir())
    except OSError as error:
        raise Place(str(directory)).error(f"cannot be read: {error.strerror}", "name a folder of schemas") from error


def _event_files(directory: Path, names: Sequence[str]) -> dict[str, Path]:
    for name in names:
        if name.endswith(".json") and not name.endswith(SUFFIX) and name != PACK_FILE:
            hint = f"name it <event>{SUFFIX}, or move it to another folder"
            raise Place(str(directory / name)).error("its name is not that of a schema file", hint)
    return {name: directory / name for name in names if name.endswith(SUFFIX)}
