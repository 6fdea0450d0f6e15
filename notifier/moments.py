"""Instants + a zone + a language → the words in which people there read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from babel import dates

# Language → CLDR locale, the day as it is said there, and the same without the year.
_FORMS = MappingProxyType({"zh": ("zh_Hans_CN", "M月d日 EEE", "M月d日 EEE"), "en": ("en", "EEE d MMM y", "EEE d MMM")})
# CLDR names zones by their largest city, but the law of this one, and everybody in it, says Beijing.
_SAID = MappingProxyType({"上海": "北京", "Shanghai": "Beijing"})

NIGHT_ENDS, EVENING_BEGINS = 6, 18


@dataclass(frozen=True, slots=True)
class Clock:
    """A span of time as the clocks of one zone show it: `day` 'Sat 27 Nov 2021', `hours` '9:30–11:30'.

    `short_day` leaves out the year. `city` names the zone, "" where it is a bare offset. `shift` counts the days by
    which it begins later here than in the zone compared with; `is_night` and `is_evening` are true of its start.
    """

    day: str
    short_day: str
    start: str
    hours: str
    city: str
    offset: str
    shift: int = 0
    is_night: bool = False
    is_evening: bool = False


def clock(start: datetime, end: datetime, zone: str, language: str, *, home: str) -> Clock:
    """The span in `zone` for readers of this language, compared with the zone `home`."""
    locale, day, short_day = _FORMS[language]
    here, until = start.astimezone(ZoneInfo(zone)), end.astimezone(ZoneInfo(zone))
    hours = f"{hour(here)}–{hour(until)}"
    if until.date() != here.date():
        hours = f"{hour(here)} – {dates.format_date(until, short_day, locale)} {hour(until)}"
    return Clock(
        day=dates.format_date(here, day, locale),
        short_day=dates.format_date(here, short_day, locale),
        start=hour(here),
        hours=hours,
        city=_city(zone, locale),
        offset=offset(here),
        shift=(here.date() - start.astimezone(ZoneInfo(home)).date()).days,
        is_night=here.hour < NIGHT_ENDS,
        is_evening=here.hour >= EVENING_BEGINS,
    )


def hour(at: datetime) -> str:
    """`9:30` in the zone of the instant: 24 hours, as both languages read them without fail."""
    return f"{at.hour}:{at.minute:02}"


def offset(at: datetime) -> str:
    """`UTC+8`, `UTC-3:30`, `UTC`: a zone's abbreviation would not do, "CST" names two of them."""
    minutes = (at.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    return "UTC" + (f"{sign}{hours}" if minutes else "") + (f":{rest:02}" if rest else "")


def _city(zone: str, locale: str) -> str:
    city = dates.get_timezone_location(ZoneInfo(zone), locale, return_city=True).rpartition("/")[2]
    return "" if city.startswith(("UTC", "GMT")) else _SAID.get(city, city)
