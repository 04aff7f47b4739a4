"""What is written as a time in, microseconds since 1970 out."""

import re
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from math import isfinite

from tests.oracle.options import SECOND

_RFC_3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):?(\d\d))", re.ASCII)
_EPOCH = date(1970, 1, 1).toordinal()


def microseconds(written: object) -> int | None:
    """The time that *written* means; None if it means none."""
    if isinstance(written, int | float) and not isinstance(written, bool) and isfinite(written):
        return _rounded(Decimal(repr(written)) * SECOND)
    if isinstance(written, str):
        return _of_text(written)
    return None


def _of_text(written: str) -> int | None:
    match = _RFC_3339.fullmatch(written)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    offset = int(offset_hours or 0) * 60 + int(offset_minutes or 0)
    if hour > 23 or minute > 59 or second > 60 or int(offset_hours or 0) > 23 or int(offset_minutes or 0) > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    # Second 60 needs no rule of its own: it is where the next minute begins.
    seconds = ((days * 24 + hour) * 60 + minute - (-offset if sign == "-" else offset)) * 60 + second
    return seconds * SECOND + _rounded(Decimal(fraction or 0) * SECOND)


def _rounded(amount: Decimal) -> int:
    return int((amount + Decimal("0.5")).to_integral_value(ROUND_FLOOR))
