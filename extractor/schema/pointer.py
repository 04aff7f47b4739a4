"""JSON Pointers (RFC 6901), decoded: places in a line."""

Pointer = tuple[str, ...]
"""The reference tokens of a JSON Pointer."""


def found(line: object, pointer: Pointer) -> object:
    """Return the value at *pointer* in *line*; None if it does not exist."""
    for token in pointer:
        if isinstance(line, dict):
            line = line.get(token)
        elif isinstance(line, list) and token.isdecimal() and int(token) < len(line):
            line = line[int(token)]
        else:
            return None
    return line


def pointer_text(pointer: Pointer) -> str:
    """Return *pointer* in the notation of RFC 6901."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in pointer)
