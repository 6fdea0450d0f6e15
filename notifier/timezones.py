"""A zone → its VTIMEZONE (RFC 5545 section 3.6.5), in rules that every calendar program reads."""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard, vRecur
from icalendar.timezone import is_utc

from notifier.contentlines import serialised
from notifier.talks import Session

_SECOND = timedelta(seconds=1)
# The years of which rules tell here, as zones' tables do.
_TABLES_BEGIN, _TABLES_END = 1970, 2038


def timezones(sessions: Sequence[Session], fallback: str) -> Iterator[bytes]:
    """A VTIMEZONE for each zone that an event names, in the order of their names."""
    firsts = {session.timezone: session.start for session in reversed(sessions)}  # they are in order
    # RFC 5545 section 3.6: a calendar has at least one component, also when there is no event.
    zones = {zone: at.astimezone(ZoneInfo(zone)).year for zone, at in firsts.items() if _is_named(zone, sessions)}
    if not sessions:
        zones = {fallback: 2020}
    for zone, year in sorted(zones.items()):
        yield _timezone(zone, year)


def _is_named(zone: str, sessions: Sequence[Session]) -> bool:
    """Whether any of these sessions is told by the clock of this zone; mostly the first that is in it."""
    if is_utc(ZoneInfo(zone)):
        return False
    moments = (moment for session in sessions if session.timezone == zone for moment in (session.start, session.end))
    return any(told(moment, zone).tzinfo is not UTC for moment in moments)


def told(moment: datetime, zone: str) -> datetime:
    """The moment as an event says it: by the zone's clock, or in UTC where that and the rules would not tell it."""
    local = moment.astimezone(ZoneInfo(zone))
    # RFC 5545 section 3.3.5: of an hour that is lived through twice, a local time is the first. What reads with pytz
    # takes it for the second.
    is_plain = local.utcoffset() == local.replace(fold=1 - local.fold).utcoffset()
    return local if is_plain and _TABLES_BEGIN <= local.year < _TABLES_END else moment.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class _Onsets:
    """Every time at which a zone's offset goes from one to another, by the clock that runs until then."""

    before: timedelta
    after: timedelta
    name: str
    starts: tuple[datetime, ...]


@functools.lru_cache(maxsize=64)
def _timezone(zone: str, year: int) -> bytes:
    """The zone's rules from this year on: one block where there is no summer time, else one for each yearly rule.

    Not Timezone.from_tzid(): it lists the days of decades in one RDATE, which breaks Ruby's reader and which Emacs and
    Outlook misread, lets summer time begin an hour late, and misses the short ones of Morocco.
    """
    # Two years before the first event: ts-ics passes over the first day of a rule such as the last Sunday of October.
    first = datetime(min(max(year - 2, _TABLES_BEGIN), _TABLES_END - 2), 1, 1, tzinfo=UTC)
    onsets = _onsets(ZoneInfo(zone), first, datetime(_TABLES_END, 1, 1, tzinfo=UTC))
    timezone = Timezone()
    timezone.add("TZID", zone)
    # What held at first matters only where nothing else has begun before the first event.
    if not any(one.starts[0].year < year for one in onsets):
        timezone.add_component(_block(_opening(ZoneInfo(zone), first), first.replace(tzinfo=None), None))
    for one in onsets:
        for start, rule in _rules(one):
            timezone.add_component(_block(one, start, rule))
    return serialised(timezone)


def _opening(zone: ZoneInfo, first: datetime) -> _Onsets:
    offset = _offset(first, zone)
    return _Onsets(offset, offset, first.astimezone(zone).tzname() or "", ())


def _onsets(zone: ZoneInfo, first: datetime, end: datetime) -> list[_Onsets]:
    found: dict[tuple[timedelta, timedelta, str], list[datetime]] = {}
    for change in _changes(zone, first, end):
        before, after = _offset(change - _SECOND, zone), _offset(change, zone)
        kind = before, after, change.astimezone(zone).tzname() or ""
        # RFC 5545 section 3.6.5: by the clock that runs until then.
        found.setdefault(kind, []).append((change + before).replace(tzinfo=None))
    return [_Onsets(*kind, tuple(starts)) for kind, starts in found.items()]


def _changes(zone: ZoneInfo, first: datetime, end: datetime) -> Iterator[datetime]:
    """The instants at which the offset changes; no zone changes it twice in a day."""
    day = first
    while day < end:
        low, day = day, day + timedelta(days=1)
        if _offset(low, zone) != _offset(day, zone):
            seconds = range(1, 86401)
            yield low + _SECOND * seconds[bisect_left(seconds, True, key=_has_changed(zone, low))]


def _has_changed(zone: ZoneInfo, since: datetime) -> Callable[[int], bool]:
    return lambda seconds: _offset(since + _SECOND * seconds, zone) != _offset(since, zone)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _rules(onsets: _Onsets) -> Iterator[tuple[datetime, vRecur | None]]:
    """Every start by itself, up to the yearly rule that holds until the tables end, where there is one."""
    starts = onsets.starts
    since, weekdays = len(starts) - 1, _weekdays(starts[-1])
    for later, earlier in pairwise(reversed(starts)):
        common = weekdays & _weekdays(earlier)
        if not common or (later.year - 1, later.month, later.time()) != (earlier.year, earlier.month, earlier.time()):
            break
        since, weekdays = since - 1, common
    has_rule = starts[-1].year == _TABLES_END - 1 and since < len(starts) - 1
    yield from ((start, None) for start in (starts[:since] if has_rule else starts))
    if has_rule:
        yield starts[since], vRecur(FREQ="YEARLY", BYMONTH=starts[since].month, BYDAY=min(weekdays))


def _weekdays(day: datetime) -> set[str]:
    """How a rule may name the day of its month: `2SU` the second Sunday, `-1SU` the last."""
    weekday = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[day.weekday()]
    names = {f"{(day.day - 1) // 7 + 1}{weekday}"}
    return names | {f"-1{weekday}"} if (day + timedelta(days=7)).month != day.month else names


def _block(onsets: _Onsets, start: datetime, rule: vRecur | None) -> TimezoneStandard | TimezoneDaylight:
    # By the offset, not by the law: to Ireland its winter time is the exception, and clients stumble over that.
    block = TimezoneDaylight() if onsets.after > onsets.before else TimezoneStandard()
    block.add("DTSTART", start)
    block.add("TZOFFSETFROM", onsets.before)
    block.add("TZOFFSETTO", onsets.after)
    block.add("TZNAME", onsets.name)
    if rule:
        block.add("RRULE", rule)
    return block
