"""A span of time as people write it, `1h30m`, ↔ `timedelta`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit}\s*)?" for unit in _UNITS))
_LONGEST = timedelta(days=3660)


def parse_span(text: str) -> timedelta:
    """The span that `text` names: whole numbers of weeks, days, hours, minutes and seconds, in that order.

    `2w`, `7d`, `1h30m` and `1d 12h` are spans; at most ten years long.

    Raises:
        ValueError: it is no such span.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"expected a span such as 7d, 1h30m or 90s, got {text!r}")
    seconds = sum(int(count) * _UNITS[unit] for unit, count in match.groupdict(default="0").items())
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"expected a span of at most ten years, got {text!r}")
    return timedelta(seconds=seconds)


def format_span(span: timedelta) -> str:
    """The span as `parse_span` reads it, in whole seconds: `7d`, `1h30m`, and `0s` for none.

    Raises:
        ValueError: it is negative.
    """
    if span < timedelta(0):
        raise ValueError(f"expected a span that is not negative, got {span!r}")
    text, rest = "", span // timedelta(seconds=1)
    for unit in "dhms":
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"
