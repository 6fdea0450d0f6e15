"""iCalendar bytes → everything in which they are not what RFC 5545, 7986 and 9074 ask for, each with its line.

Programs forgive a great deal, each something else, so that a feed which all of them read may still be wrong. This
forgives nothing, and shares no code with what writes the feed. What it has no rule for is a fault as well.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from dateutil.tz import tzical

from interop.parts import Line, Part, Where, read
from interop.rules import FEATURES, NESTED, PROPERTIES, Rule, clock, moment


def faults(data: bytes) -> list[str]:
    """What is wrong, as `line N: what`; empty where nothing is."""
    calendar, found = read(data)
    if calendar is not None:
        found += _components(calendar)
        found += _identities(calendar)
        found += _zones(calendar, data)
    return [f"line {line}: {fault}" for line, fault in sorted(set(found))]


def events(data: bytes) -> Iterator[dict[str, str | int]]:
    """The events of a calendar without faults, word for word, with times in UTC."""
    calendar, _ = read(data)
    for event in calendar.parts if calendar else ():
        if event.name == "VEVENT":
            yield {
                "uid": event.value("UID"),
                "start": f"{_instant(event.all('DTSTART')):%Y-%m-%dT%H:%M:%SZ}",
                "end": f"{_instant(event.all('DTEND')):%Y-%m-%dT%H:%M:%SZ}",
                "summary": _unescaped(event.value("SUMMARY")),
                "description": _unescaped(event.value("DESCRIPTION")),
                "location": _unescaped(event.value("LOCATION")),
                "url": event.value("URL"),
                "status": event.value("STATUS"),
                "sequence": int(event.value("SEQUENCE")),
            }


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], value)


def _components(part: Part) -> Iterator[Where]:
    rules = PROPERTIES.get("STANDARD" if part.name == "DAYLIGHT" else part.name)
    if rules is None:
        yield Where(part.number, f"there is no {part.name}")
        return
    counts = Counter(line.name for line in part.lines)
    for name, rule in rules.items():
        if (rule.count == "1" and counts[name] != 1) or (rule.count == "?" and counts[name] > 1):
            yield Where(part.number, f"{part.name} has {counts[name]} {name}")
    for line in part.lines:
        if line.name not in rules:
            yield Where(line.number, f"{part.name} has no {line.name}")
            continue
        if fault := rules[line.name].check(line.value):
            yield Where(line.number, f"{line.name}: {fault}")
        yield from _parameters(line, rules[line.name])
    yield from _together(part)
    for nested in part.parts:
        if nested.name not in NESTED.get(part.name, ()):
            yield Where(nested.number, f"{nested.name} inside {part.name}")
        yield from _components(nested)


def _parameters(line: Line, rule: Rule) -> Iterator[Where]:
    allowed = {name.partition("=")[0] for name in rule.parameters}
    wanted = dict(name.split("=") for name in rule.parameters if "=" in name)
    for name, values in line.parameters.items():
        if name not in allowed:
            yield Where(line.number, f"{line.name} has no parameter {name}")
        if name == "FEATURE" and (odd := sorted(set(values) - FEATURES)):
            yield Where(line.number, f"FEATURE: {odd}")
        if any(re.search(r"[\^\n]", value) for value in values):  # RFC 6868, which some do not know
            yield Where(line.number, f"{name} holds a circumflex")
    for name, value in wanted.items():
        if line.parameters.get(name) != [value]:
            yield Where(line.number, f"{line.name} is not said to be {name}={value}")


def _together(part: Part) -> Iterator[Where]:
    """What properties of one component have to do with each other."""
    if part.name == "VCALENDAR" and not part.parts:
        yield Where(part.number, "VCALENDAR holds nothing")
    if part.name == "VCALENDAR" and part.value("NAME") != part.value("X-WR-CALNAME"):
        yield Where(part.number, "NAME and X-WR-CALNAME are two names")
    if part.value("METHOD") and not all(event.all("ORGANIZER") for event in part.parts if event.name == "VEVENT"):
        yield Where(part.number, "a message without its ORGANIZER")  # RFC 5546 section 3.2
    if part.name == "VTIMEZONE" and not part.parts:
        yield Where(part.number, "VTIMEZONE holds no rule")
    if part.name == "VEVENT":
        for line in (*part.all("DTSTART"), *part.all("DTEND")):
            if line.value.endswith("Z") == ("TZID" in line.parameters):
                yield Where(line.number, f"{line.name} floats" if "TZID" not in line.parameters else "UTC in a zone")
        if part.value("CREATED") > part.value("LAST-MODIFIED"):
            yield Where(part.number, "was changed before it was made")
        if part.value("STATUS") == "CANCELLED" and part.parts:
            yield Where(part.number, "rings though it is cancelled")


def _identities(calendar: Part) -> Iterator[Where]:
    """RFC 5545 sections 3.8.4.7 and 3.8.3.1; a session does not recur, so that its UID stands once."""
    seen: set[str] = set()
    alarms = (alarm for part in calendar.parts for alarm in part.parts)
    for part in (*calendar.parts, *alarms):
        for line in (*part.all("UID"), *part.all("TZID")):
            if line.value in seen:
                yield Where(line.number, f"{line.name} {line.value} stands twice")
            seen.add(line.value)


def _zones(calendar: Part, data: bytes) -> Iterator[Where]:
    """Each zone that is used is defined, from before its first event on, and gives what the world's tables give."""
    defined = {part.value("TZID") for part in calendar.parts if part.name == "VTIMEZONE"}
    events = [part for part in calendar.parts if part.name == "VEVENT"]
    times = [line for event in events for line in (*event.all("DTSTART"), *event.all("DTEND"))]
    used = {zone for line in times for zone in line.parameters.get("TZID", [])}
    yield from (Where(calendar.number, f"there is no VTIMEZONE for {zone}") for zone in sorted(used - defined))
    if events:
        yield from (Where(calendar.number, f"nothing is in the zone {zone}") for zone in sorted(defined - used))
    try:
        zones = tzical(io.StringIO(data.decode(errors="replace").replace("\r\n", "\n")))
    except ValueError as error:
        yield Where(calendar.number, f"VTIMEZONE: {error}")
        return
    begun = {
        part.value("TZID"): min((block.value("DTSTART") for block in part.parts), default="")
        for part in calendar.parts
        if part.name == "VTIMEZONE"
    }
    for line in times:
        for zone in line.parameters.get("TZID", []):
            if begun.get(zone, "") > line.value:
                yield Where(line.number, f"{line.name} is before {zone} begins")
    for line in times:
        for zone in line.parameters.get("TZID", []):
            if zone in defined and zone in available_timezones() and not moment(line.value):
                naive = clock(line.value)
                said, true = (naive.replace(tzinfo=each).utcoffset() for each in (zones.get(zone), ZoneInfo(zone)))
                if said != true:
                    yield Where(line.number, f"{line.name}: {zone} is {said} here, and {true} everywhere else")
    for event in events:
        start, end = (_instant(event.all(name)) for name in ("DTSTART", "DTEND"))
        if start and end and end <= start:
            yield Where(event.number, "ends before it starts")


def _instant(lines: Sequence[Line]) -> datetime | None:
    if not lines or moment(lines[0].value):
        return None
    zones = [zone for zone in lines[0].parameters.get("TZID", []) if zone in available_timezones()]
    return clock(lines[0].value).replace(tzinfo=ZoneInfo(zones[0]) if zones else UTC).astimezone(UTC)
