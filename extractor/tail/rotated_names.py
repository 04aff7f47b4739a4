"""
Derive from file names which files may hold rotated content of which others.

`app.jsonl`, `app.jsonl.1`, `app.1.jsonl`, `app-20261121.jsonl.gz` and `old/app.jsonl.2.gz` are one family. A name
proves nothing. It selects what to compare where contents are too short for a match, and orders rotated files by age.
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
"""Number of digits from which a mark is a date; only rotation puts one before the extension."""

_ABOVE = 3
"""Number of folders, from its own upwards, searched for the origin of a rotated file."""


def packed_suffix(path: str) -> str:
    """Return the suffix of the compression of *path*; empty if its name has none."""
    if not path.endswith(PACKED_SUFFIXES):  # the usual case
        return ""
    return next(suffix for suffix in PACKED_SUFFIXES if path.endswith(suffix))


def plain_name(path: str) -> str:
    """Return the file name of *path* without the suffix of a compression."""
    return os.path.basename(path).removesuffix(packed_suffix(path))


def stem(path: str) -> str:
    """Return what the names of a file have in common before and after rotation and compression, in any folder."""
    main, extension = os.path.splitext(_MARK_AT_END.sub("", plain_name(path)))
    return _MARK_AT_END.sub("", main) + extension


def bases(path: str) -> list[str]:
    """Return the names that the file at *path* may have had before rotation, likeliest first."""
    name = plain_name(path)
    found = list(_stripped(name))
    for each in (name, *found):
        main, extension = os.path.splitext(each)
        if extension:
            found += [shorter + extension for shorter in _stripped(main)]
    return list(dict.fromkeys(found))


def origins(path: str) -> Iterator[str]:
    """Yield where the content of *path* may have been, compressed or not: in its folder or in one above."""
    names = [plain_name(path), *bases(path)]
    folder = os.path.dirname(path)
    for _ in range(_ABOVE):
        for name in names:
            plain = os.path.join(folder, name)
            yield plain
            yield from (plain + suffix for suffix in PACKED_SUFFIXES)
        folder = os.path.dirname(folder)


def is_rotation(path: str, of: str) -> bool:
    """Return whether the name of *path* is one that *of* may get by rotation, compressed or not."""
    return plain_name(of) in bases(path)


def is_rotated(path: str) -> bool:
    """Return whether the name of *path* is certainly one of older content."""
    return bool(packed_suffix(path)) or unrotated(path) != path


def unrotated(path: str) -> str:
    """Return the path before rotation within the folder; without a clear mark, *path* without compression."""
    name = plain_name(path)
    before = _MARK_AT_END.sub("", name)
    if before == name:
        main, extension = os.path.splitext(name)
        mark = _MARK_AT_END.search(main)
        if mark is not None and sum(map(str.isdigit, mark[0])) >= _DATE_DIGITS:
            before = main[: mark.start()] + extension
    return os.path.join(os.path.dirname(path), before)


def are_near(one: str, other: str) -> bool:
    """Return whether two paths are in the same or in sibling folders, or one below the folder of the other."""
    folders = sorted((os.path.dirname(one) + os.sep, os.path.dirname(other) + os.sep), key=len)
    return folders[1].startswith(folders[0]) or len({os.path.dirname(each[:-1]) for each in folders}) == 1


def are_relatives(one: str, other: str) -> bool:
    """Return whether, by their names, one of two files was rotated or compressed to the other."""
    if plain_name(one) == plain_name(other) and packed_suffix(one) != packed_suffix(other):
        return True
    if is_rotation(one, other) or is_rotation(other, one):
        return True
    return bool(packed_suffix(one) or packed_suffix(other)) and stem(one) == stem(other)


def _stripped(name: str) -> Iterator[str]:
    while (mark := _PART_AT_END.search(name)) is not None:
        name = name[: mark.start()]
        yield name
