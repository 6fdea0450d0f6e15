"""The time zones that calendars name, by any of the many names programs give them → `tzinfo`, where that is certain."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from dateutil import tz  # type: ignore[import-untyped]
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from notifier.talklists.parts.cells import zone_of
from notifier.talklists.parts.components import Component

# What Outlook shows for a zone: "(UTC+07:00) Bangkok, Hanoi, Jakarta", "(GMT-05:00) Eastern Time (US & Canada)".
_SHOWN = re.compile(r"\((?:UTC|GMT)(?:([+-])(\d\d):?(\d\d))?\)\s*(.+)")
_OFFSET = re.compile(r"\s*([+-])(\d\d)(\d\d)(\d\d)?\s*")
_MEMBERS = ("DTSTART", "RRULE", "RDATE", "TZOFFSETFROM", "TZOFFSETTO")


@dataclass(slots=True)
class Zones:
    """The zones that a calendar can name: those of the world, and those it defines itself."""

    definitions: dict[str, Component]
    _found: dict[str, tzinfo | None] = field(default_factory=dict)

    @classmethod
    def of(cls, components: Iterable[Component]) -> Zones:
        """Those defined by these components."""
        return cls({_bare(c.text("TZID")): c for c in components if c.name == "VTIMEZONE"})

    def find(self, name: str) -> tzinfo | None:
        """The zone of this TZID, None where it cannot be told.

        A definition in the calendar comes after the world's own: many programs write the rules of 1986 into theirs.
        """
        name = _bare(name)
        if name not in self._found:
            self._found[name] = next(filter(None, self._candidates(name)), None)
        return self._found[name]

    def _candidates(self, name: str) -> Iterator[tzinfo | None]:
        yield world_zone(name)
        if name in self.definitions:
            yield _defined(self.definitions[name])
        yield world_zone(WINDOWS_TO_OLSON.get(name, ""))
        # /freeassociation.sourceforge.net/Asia/Shanghai
        yield world_zone("/".join(name.split("/")[-2:]) if name.startswith("/") else "")
        yield zone_of(name)
        yield _shown(name)


def _bare(name: str) -> str:
    return name.strip().strip('"').strip()


def world_zone(name: str) -> ZoneInfo | None:
    """The zone of this IANA name, in capitals or not."""
    key = _world().get(name.casefold())
    return ZoneInfo(key) if key else None


@functools.cache
def _world() -> dict[str, str]:
    # `localtime` is whatever zone this machine happens to be in.
    return {key.casefold(): key for key in sorted(available_timezones() - {"localtime", "Factory"})}


def _defined(definition: Component) -> tzinfo | None:
    offsets = {_span(prop.value) for part in definition.parts for prop in part.all("TZOFFSETTO")}
    try:
        if len(offsets) == 1:
            return timezone(offsets.pop())
        zone = tz.tzical(io.StringIO(_standard_form(definition))).get()
        return zone if isinstance(zone, tzinfo) else None
    except (ValueError, LookupError, OverflowError, AttributeError, TypeError):
        return None


def _span(text: str) -> timedelta:
    found = _OFFSET.fullmatch(text)
    if not found:
        return timedelta.max
    size = timedelta(hours=int(found[2]), minutes=int(found[3]), seconds=int(found[4] or 0))
    return -size if found[1] == "-" else size


def _standard_form(definition: Component) -> str:
    lines = ["BEGIN:VTIMEZONE", "TZID:here"]
    for part in definition.parts:
        lines += [
            f"BEGIN:{part.name}",
            *(f"{p.name}:{p.value.strip()}" for p in part.all(*_MEMBERS)),
            f"END:{part.name}",
        ]
    return "\n".join([*lines, "END:VTIMEZONE", ""])


def _shown(name: str) -> tzinfo | None:
    """The zone whose cities all keep the same time, at the offset that stands before them."""
    found = _SHOWN.fullmatch(name)
    if not found:
        return None
    if found[4] == "Coordinated Universal Time":
        return UTC
    size = timedelta(hours=int(found[2] or 0), minutes=int(found[3] or 0))
    offset = -size if found[1] == "-" else size
    keys = [key for key in _keys_shown(found[4]) if min(_profile(key)) == offset]
    return ZoneInfo(keys[0]) if len({_profile(key) for key in keys}) == 1 else None


def _keys_shown(words: str) -> Iterator[str]:
    region = re.sub(r"\s+Time\b.*", "", words)
    if windows := WINDOWS_TO_OLSON.get(f"{region} Standard Time"):
        yield windows
    for city in re.split(r"\s*,\s*", words):
        yield from _cities().get(city.casefold(), ())


@functools.cache
def _cities() -> dict[str, list[str]]:
    cities = {"beijing": ["Asia/Shanghai"]}
    for key in sorted(available_timezones()):
        if "/" in key:
            cities.setdefault(key.rsplit("/", 1)[1].replace("_", " ").casefold(), []).append(key)
    return cities


@functools.cache
def _profile(key: str) -> tuple[timedelta, ...]:
    zone = ZoneInfo(key)
    offsets = (datetime(2024, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() for month in (1, 7))
    return tuple(offset or timedelta() for offset in offsets)
