"""
Names in, what they say of rotation out: which files may hold what another one held.

`app.jsonl`, `app.jsonl.1`, `app.1.jsonl`, `app-20261121.jsonl.gz` and `old/app.jsonl.2.gz` are one family. A name never
proves anything. It says what to compare where contents are too short to be known by themselves, and what was written
before what.

Knows nothing of files.
"""
# ruff: noqa: PTH118, PTH119, PTH120, PTH122  # paths are text

import os
import re
from collections.abc import Iterator

PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")

_PART = r"[._-](?:[0-9][0-9T:_+]*Z?|old|bak|orig|copy)"
_MARK_AT_END = re.compile(rf"(?<=.)(?:{_PART})+$")
_PART_AT_END = re.compile(rf"(?<=.){_PART}$")

_DATE_DIGITS = 6
"""How many digits make a mark a date, which only rotation puts before the extension of a name."""

_ABOVE = 3
"""In how many folders, from its own upwards, it is looked for what a file may have been rotated from."""


def packed_suffix(path: str) -> str:
    """How the file at *path* is compressed, going by its name; empty if it is not."""
    if not path.endswith(PACKED_SUFFIXES):  # as a rule
        return ""
    return next(suffix for suffix in PACKED_SUFFIXES if path.endswith(suffix))


def plain_name(path: str) -> str:
    """The file name of *path* as it would be if the file were not compressed."""
    return os.path.basename(path).removesuffix(packed_suffix(path))


def stem(path: str) -> str:
    """What all names have in common that a file may get when it is rotated and compressed, in whatever folder."""
    main, extension = os.path.splitext(_MARK_AT_END.sub("", plain_name(path)))
    return _MARK_AT_END.sub("", main) + extension


def bases(path: str) -> list[str]:
    """The names that the file at *path* may have had before it was rotated, the likeliest first."""
    name = plain_name(path)
    found = list(_stripped(name))
    for each in (name, *found):
        main, extension = os.path.splitext(each)
        if extension:
            found += [shorter + extension for shorter in _stripped(main)]
    return list(dict.fromkeys(found))


def origins(path: str) -> Iterator[str]:
    """Where what the file at *path* holds may have been, compressed or not: in its folder, or in one above it."""
    names = [plain_name(path), *bases(path)]
    folder = os.path.dirname(path)
    for _ in range(_ABOVE):
        for name in names:
            plain = os.path.join(folder, name)
            yield plain
            yield from (plain + suffix for suffix in PACKED_SUFFIXES)
        folder = os.path.dirname(folder)


def is_rotation(path: str, of: str) -> bool:
    """Whether the name of *path* is one that the file named *of* may get when it is rotated, compressed or not."""
    return plain_name(of) in bases(path)


def is_rotated(path: str) -> bool:
    """Whether the name of *path* is, without doubt, one that is given to older content."""
    return bool(packed_suffix(path)) or unrotated(path) != path


def unrotated(path: str) -> str:
    """Where the file at *path* was before it was rotated within its folder, if its name leaves no doubt of that."""
    name = plain_name(path)
    before = _MARK_AT_END.sub("", name)
    if before == name:
        main, extension = os.path.splitext(name)
        mark = _MARK_AT_END.search(main)
        if mark is not None and sum(map(str.isdigit, mark[0])) >= _DATE_DIGITS:
            before = main[: mark.start()] + extension
    return os.path.join(os.path.dirname(path), before)


def are_near(one: str, other: str) -> bool:
    """Whether two paths are in one folder, in two beside each other, or one in a folder below the other's."""
    folders = sorted((os.path.dirname(one) + os.sep, os.path.dirname(other) + os.sep), key=len)
    return folders[1].startswith(folders[0]) or len({os.path.dirname(each[:-1]) for each in folders}) == 1


def are_relatives(one: str, other: str) -> bool:
    """Whether the names say that one of two files was rotated or compressed to the other."""
    if plain_name(one) == plain_name(other) and packed_suffix(one) != packed_suffix(other):
        return True
    if is_rotation(one, other) or is_rotation(other, one):
        return True
    return bool(packed_suffix(one) or packed_suffix(other)) and stem(one) == stem(other)


def _stripped(name: str) -> Iterator[str]:
    while (mark := _PART_AT_END.search(name)) is not None:
        name = name[: mark.start()]
        yield name
