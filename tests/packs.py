"""
Bytes in, a pack out: one that was right, changed as the bytes say; always the same for the same bytes.

What is changed is the JSON and not its text, so that most of what comes out is refused for what it says, or is right
and odd: a name is replaced wherever it stands, a number by one that means the same.
"""

import json
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

PACK = "pack.json"
SUFFIX = ".schema.json"

TEXTS = (
    *("", " ", '"', "'", "`", "\\", '\\"', "{", "}", "{{", "}}", "{{ .Value }}", "#", "%s", "$agent", "<script>"),
    *("\n", "\r", "\t", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e", "\ud800", "\udc00", "\U0001f600"),
    *("__class__", "__dict__", "__init__", "__slots__", "__eq__", "self", "class", "None", "f0", "r0", "time"),
    *("run", "writer", "number", "type", "event", "ts", "le", "quantile", "__name__", "job", "instance", "unknown"),
    *("a/b", "a~b", "/", "//", "/a/b", "/ts", "~0", "~2", "..", ".", "NaN", "-1", "1", "1.0", "true", "null", "up"),
    *("a" * 129, "a" * 3000, "a_total", "a_seconds", "a_bucket", "a_count", "properties", "const", "$ref"),
    *("__other__", "a b", "A", "é", "\u017f", "\uff10"),
)
"""Names and words that mean something somewhere, or are no text for somebody."""

BEYOND = "\ue000a number beyond every double"
NUMBERS = (
    *(0, 1, -1, 2, 3, 100, 10_001, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63)),
    *(10**300, 10**400, -(10**400), -0.0, 1.0, 3.0, 128.0, 0.5, -0.5, 1e3, 2.0**53, 0.1 + 0.2),
    *(1e300, 1e308, -1e308, 5e-324, 1e-300, float("nan"), float("inf"), BEYOND),
)


def _nested(depth: int, kind: str) -> Any:
    value: Any = {"type": "integer"}
    for _ in range(depth):
        value = [value] if kind == "list" else {kind: {"a": value} if kind == "properties" else value}
    return value


VALUES: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], [None], {"a": {}}, "object", ["object"], ["string", "null"]),
    *({"$ref": "#"}, {"$ref": "#/properties/ts"}, {"$ref": "#/nothing"}, {"$ref": "https://example.org/x"}),
    *({"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": ["string", "null", "number"]}),
    *({"type": "null"}, {"not": {}}, {"enum": []}, {"enum": [1, 1.0, True]}, {"enum": ["", None]}, {"const": None}),
    *({"enum": ["a", 'b"', "c\n", "\u2028"]}, {"enum": [f"v{number}" for number in range(1200)]}),
    *({"enum": list(range(900))}, list(range(1, 90)), [0.1, 0.1, 1], [2**53, 2**53 + 1], [5e-324, 1e-323]),
    *([1e300, 1e308], [0, -0.0], [1.0, 2], {"minimum": 0.0}, {"exclusiveMinimum": -1}, {"multipleOf": 5e-324}),
    *({"pattern": "("}, {"pattern": "^(a+)+$"}, {"format": "date-time"}, {"format": "no"}),
    *({"limit": 3.0}, {"limit": 2**64}, {"values": {"a": "b"}, "other": 'c"'}, {"values": {"": ""}, "other": ""}),
    *({"run": "open"}, {"run": "abandoned"}, {"run": "count", "of": "step"}, {"state": 'on"\n'}),
    *({"label": "kind", "from": {'a"': "ts"}}, {"repeats": {"of": "run_id", "times": 2.0, "within": 3.0}}),
    *({"since": "step", "key": "run_id"}, {"const": "\n"}, "a" * 20_000),
    *(_nested(30, "not"), _nested(60, "properties"), _nested(150, "allOf"), _nested(300, "list")),
)

KEYWORDS = (
    *("type", "const", "enum", "minimum", "exclusiveMinimum", "maximum", "minLength", "maxLength", "pattern"),
    *("required", "properties", "additionalProperties", "$ref", "$id", "$anchor", "$defs", "allOf", "not", "items"),
    *("x-run", "x-price", "x-labels", "x-metrics", "examples", "description", "help", "labels", "value", "unit"),
    *("buckets", "quantiles", "limit", "exemplar", "run", "sequence", "report", "signals", "release", "where"),
    *("title", "metric", "ratio", "by", "over", "hourly", "objective", "quantile", "$schema", "$comment", "default"),
    *("format", "if", "recommended"),
)

Json = dict[str, Any]
Files = dict[str, bytes]


class Choices:
    """What the bytes say; when there are no more, they say 0."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def below(self, number: int) -> int:
        """A number from 0 to *number* - 1."""
        value, size = 0, 1
        while size < number:
            value, size = value * 256 + next(self._data, 0), size * 256
        return value % max(number, 1)

    def of(self, some: Any) -> Any:
        """One of *some*, by its place."""
        return some[self.below(len(some))]


@cache
def seeds() -> list[dict[str, Json]]:
    """Packs that are right, and together have everything that a pack can have; each is the whole of its folder."""
    default = _read(Path("schemas/agent"))
    plain = {name: default[PACK][name] for name in ("name", "event", "time", "run", "sequence", "files")}
    folders = [_read(folder) for folder in sorted(Path("tests/cases").glob("*/schemas"))]
    files = [json.loads(path.read_text()) for path in sorted(Path("tests/schemas").glob("*.good.json"))]
    whole = [folder if PACK in folder else {PACK: plain} | folder for folder in folders]
    return [default, *whole, *({PACK: plain, "job.done" + SUFFIX: each} for each in files)]


def _read(folder: Path) -> dict[str, Json]:
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def changed(data: bytes) -> Files:
    """The files of a pack, changed as *data* says."""
    choices = Choices(data)
    pack = deepcopy(choices.of(seeds()))
    for _ in range(1 + choices.below(3)):
        choices.of(_CHANGES)(pack, choices)
    files = {name: _text(each).encode(errors="surrogatepass") for name, each in pack.items()}
    if not choices.below(16) and data:
        _tear(files, choices)
    return files


def write(files: Files, folder: Path) -> None:
    """Put *files* into *folder*, which they have for themselves."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _text(document: Json) -> str:
    return json.dumps(document).replace(json.dumps(BEYOND), "1e999")


def _tear(files: Files, choices: Choices) -> None:
    name = choices.of(sorted(files))
    content = files[name]
    at = choices.below(len(content))
    files[name] = choices.of(
        (
            content[:at],
            b"\xef\xbb\xbf" + content,
            content[:at] + b"\xff" + content[at:],
            content.decode().encode("utf-16"),
            content.replace(b'"', b'"type": 1, "', 1),
            content.replace(b'"properties": {', b'"properties": {"ts": {}, ', 1),
            content + content,
            b"",
        )
    )


Place = tuple[MutableMapping[str, Any] | MutableSequence[Any], Any]


def _places(value: Any, wanted: Callable[[Any], bool] = lambda _: True) -> Iterator[Place]:
    """Where in *value* something stands that is *wanted*."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        for key, inner in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if wanted(inner):
                yield holder, key
            if isinstance(inner, dict | list):
                waiting.append(inner)


def _file(pack: dict[str, Json], choices: Choices) -> str:
    return str(choices.of(sorted(pack)))


def _place(pack: dict[str, Json], choices: Choices, wanted: Callable[[Any], bool] = lambda _: True) -> Place | None:
    places = list(_places(pack[_file(pack, choices)], wanted))
    return choices.of(places) if places else None


def _renamed(value: Any, old: str, new: str) -> Any:
    match value:
        case str():
            return new if value == old else value
        case dict():
            return {(new if key == old else key): _renamed(inner, old, new) for key, inner in value.items()}
        case list():
            return [_renamed(inner, old, new) for inner in value]
        case _:
            return value


def rename(pack: dict[str, Json], choices: Choices) -> None:
    """Another name for a property, a metric or whatever has one, wherever it stands in the file or in the pack."""
    name = _file(pack, choices)
    holders = [holder for holder, key in _places(pack[name]) if isinstance(holder, dict)]
    names = sorted({key for holder in holders for key in holder} - {*KEYWORDS})
    if names:
        _replace_everywhere(pack, name, choices.of(names), choices)


def reword(pack: dict[str, Json], choices: Choices) -> None:
    """Another word for one that is a value, wherever it stands."""
    name = _file(pack, choices)
    words = sorted({holder[key] for holder, key in _places(pack[name], lambda value: isinstance(value, str))})
    if words:
        _replace_everywhere(pack, name, choices.of(words), choices)


def _replace_everywhere(pack: dict[str, Json], name: str, old: str, choices: Choices) -> None:
    new = choices.of(TEXTS)
    if choices.below(3) == 0:
        new = old + new
    for each in [name] if choices.below(2) else list(pack):
        pack[each] = _renamed(pack[each], old, new)
        if each == old + SUFFIX and "/" not in new and "\0" not in new and len(new) < 200:
            try:
                pack[(new + SUFFIX).encode().decode()] = pack.pop(each)
            except UnicodeEncodeError:
                continue


def renumber(pack: dict[str, Json], choices: Choices) -> None:
    """Another number, or the same one written with a point."""
    numbers = lambda value: isinstance(value, int | float) and not isinstance(value, bool)  # noqa: E731
    if place := _place(pack, choices, numbers):
        holder, key = place
        same = float(holder[key]) if abs(holder[key]) < 2**1000 else 1.0
        holder[key] = same if choices.below(3) == 0 else choices.of(NUMBERS)


def replace(pack: dict[str, Json], choices: Choices) -> None:
    """Something else in a place."""
    if place := _place(pack, choices):
        place[0][place[1]] = _anything(choices)


def drop(pack: dict[str, Json], choices: Choices) -> None:
    """One thing less."""
    if place := _place(pack, choices):
        del place[0][place[1]]


def copy(pack: dict[str, Json], choices: Choices) -> None:
    """What stands in one place also in another."""
    one, other = _place(pack, choices), _place(pack, choices)
    if one and other:
        other[0][other[1]] = deepcopy(one[0][one[1]])


def add(pack: dict[str, Json], choices: Choices) -> None:
    """One thing more."""
    if place := _place(pack, choices, lambda value: isinstance(value, dict)):
        place[0][place[1]][choices.of(KEYWORDS if choices.below(2) else TEXTS)] = _anything(choices)


def double(pack: dict[str, Json], choices: Choices) -> None:
    """A file under another name, too."""
    pack[choices.of(("a", "tool.call", "job.done", "step")) + SUFFIX] = deepcopy(pack[_file(pack, choices)])


def _anything(choices: Choices) -> Any:
    return deepcopy(choices.of(choices.of((VALUES, TEXTS, NUMBERS))))


_CHANGES = (rename, reword, renumber, replace, drop, copy, add, double, rename, reword, renumber)
