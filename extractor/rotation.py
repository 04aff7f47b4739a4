"""
Names in, what they say of rotation out: which files may hold what another one held.

`app.jsonl`, `app.jsonl.1`, `app.jsonl-20261121` and `app.jsonl.2.gz` are one family; `agent-1.jsonl` and
`agent-2.jsonl` are not. A name never proves anything, it only says which contents are worth comparing.

Knows nothing of files.
"""
# ruff: noqa: PTH118, PTH119, PTH120  # paths are text

import os
import re

PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")

_ROTATED = re.compile(r"(?<=.)(?:[._-](?:[0-9][0-9T:_-]*|old|bak|orig|copy))+$")


def packed_suffix(path: str) -> str:
    """How the file at *path* is compressed, going by its name; empty if it is not."""
    return next((suffix for suffix in PACKED_SUFFIXES if path.endswith(suffix)), "")


def plain_name(path: str) -> str:
    """The file name of *path* as it would be if the file were not compressed."""
    return os.path.basename(path).removesuffix(packed_suffix(path))


def stem(path: str) -> str:
    """The name that the file at *path* had before it was rotated and compressed."""
    return _ROTATED.sub("", plain_name(path))


def is_rotated(path: str) -> bool:
    """Whether the name of *path* is one that is given to older content."""
    return stem(path) != os.path.basename(path)


def unrotated(path: str) -> str:
    """Where the file at *path* was before it was rotated within its folder."""
    return os.path.join(os.path.dirname(path), stem(path))


def are_near(one: str, other: str) -> bool:
    """Whether two paths are in one folder, or one in a folder below the other's."""
    folders = sorted((os.path.dirname(one) + os.sep, os.path.dirname(other) + os.sep), key=len)
    return folders[1].startswith(folders[0])
