"""Find the packs in folders, and the files of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extractor.schema.documents import read_object
from extractor.schema.place import Place, Problems

PACK_FILE = "pack.json"
SUFFIX = ".schema.json"

Check = Callable[[Mapping[str, Any], Place], None]
"""Raise `SchemaError` where the content of a file does not conform to its meta-schema."""


@dataclass(slots=True)
class PackFiles:
    """
    A pack before its events are read: the content of its `pack.json` at *place*, and the event files by name.

    If that file has errors, *is_right* is false and *declared* may be anything.
    """

    place: Place
    declared: Mapping[str, Any]
    files: dict[str, Path] = field(default_factory=dict)
    is_right: bool = True

    @property
    def name(self) -> str:
        """The name of the pack; its path if `pack.json` has errors."""
        return str(self.declared["name"]) if self.is_right else self.place.file

    def event_files(self) -> list[Path]:
        """Return the files of the event types, sorted by name; raise `SchemaError` if there are none."""
        if not self.files:
            raise self.place.error("the pack has no event types", f"put a file <event>{SUFFIX} beside it")
        return [self.files[name] for name in sorted(self.files)]


def gather(default: Path, directories: Sequence[Path], check: Check, problems: Problems) -> list[PackFiles]:
    """
    Return the packs in the order in which their file patterns are matched.

    The *default* pack, or its replacement, is last. Errors are added to *problems*.
    """
    last = _read_pack_folder(default, check, problems)
    packs = {last.name: last}
    added: dict[str, Path] = {}
    for directory in directories:
        with problems.collected():
            names = _names(directory)
            if PACK_FILE in names:
                pack = _read_pack_folder(directory, check, problems)
                packs[pack.name] = pack
            elif files := _event_files(directory, names):
                added |= files
            else:
                message = f"holds neither {PACK_FILE} nor a file *{SUFFIX}"
                raise Place(str(directory)).error(message, "name another folder")
    last = packs.pop(last.name)
    last.files |= added
    return [*packs.values(), last]


def _read_pack_folder(directory: Path, check: Check, problems: Problems) -> PackFiles:
    path = directory / PACK_FILE
    pack = PackFiles(Place(str(path)), {}, is_right=False)
    with problems.collected():
        pack.declared = read_object(path)
        check(pack.declared, pack.place)
        pack.is_right = True
    with problems.collected():
        pack.files = _event_files(directory, _names(directory))
    return pack


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
