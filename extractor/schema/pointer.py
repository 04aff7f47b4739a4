"""
JSON Pointers (RFC 6901), decoded: a place in a line.

Knows nothing of what stands there.
"""

Pointer = tuple[str, ...]
"""The reference tokens of a JSON Pointer."""


def found(line: object, pointer: Pointer) -> object:
    """What *pointer* leads to in *line*; None when it is not there."""
    for token in pointer:
        if isinstance(line, dict):
            line = line.get(token)
        elif isinstance(line, list) and token.isdecimal() and int(token) < len(line):
            line = line[int(token)]
        else:
            return None
    return line


def pointer_text(pointer: Pointer) -> str:
    """*pointer* as RFC 6901 writes it."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in pointer)
