"""`python.py LIBRARY FILE...` → one JSON line for each file: the events as that library has them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

Shown = dict[str, Any]


def in_utc(moment: date | None) -> str | None:
    if not isinstance(moment, datetime):
        return moment and moment.isoformat()
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def by_icalendar(data: bytes) -> Iterator[Shown]:
    import icalendar

    calendar = icalendar.Calendar.from_ical(data)
    calendar.validate()
    yield from map(_component, calendar.events)


def by_recurring_ical_events(data: bytes) -> Iterator[Shown]:
    import icalendar
    import recurring_ical_events

    calendar = icalendar.Calendar.from_ical(data)
    yield from map(_component, recurring_ical_events.of(calendar).between((2000, 1, 1), (2037, 1, 1)))


def _component(event: Any) -> Shown:
    if event.errors:
        raise ValueError(event.errors)
    texts = {name: event.get(name) for name in ("uid", "summary", "description", "location", "url", "status")}
    return {name: None if text is None else str(text) for name, text in texts.items()} | {
        "start": in_utc(event.start),
        "end": in_utc(event.end),
        "sequence": event.get("sequence"),
    }


def by_ical(data: bytes) -> Iterator[Shown]:
    from ical.calendar_stream import IcsCalendarStream

    for event in IcsCalendarStream.calendar_from_ics(data.decode()).events:
        yield {
            "uid": event.uid,
            "start": in_utc(event.dtstart),
            "end": in_utc(event.dtend),
            "summary": event.summary,
            "description": event.description,
            "location": event.location,
            "url": event.url and str(event.url),
            "status": event.status and event.status.value,
            "sequence": event.sequence,
        }


def by_ics(data: bytes) -> Iterator[Shown]:
    import ics

    for event in ics.Calendar(data.decode()).events:
        yield {
            "uid": event.uid,
            "start": in_utc(event.begin.datetime),
            "end": in_utc(event.end.datetime),
            "summary": event.name,
            "description": event.description,
            "location": event.location,
            "url": event.url,
            "status": event.status,
        }


def by_vobject(data: bytes) -> Iterator[Shown]:
    import vobject

    for calendar in vobject.readComponents(data.decode()):
        for event in calendar.contents.get("vevent", ()):
            texts = ("uid", "summary", "description", "location", "url", "status")
            yield {
                **{name: event.contents[name][0].value if name in event.contents else None for name in texts},
                "sequence": int(event.sequence.value),
                "start": in_utc(event.dtstart.value),
                "end": in_utc(event.dtend.value),
            }


LIBRARIES: dict[str, Callable[[bytes], Iterator[Shown]]] = {
    "icalendar": by_icalendar,
    "ical": by_ical,
    "ics": by_ics,
    "recurring-ical-events": by_recurring_ical_events,
    "vobject": by_vobject,
}


def reading(library: str, path: str) -> dict[str, Any]:
    try:
        return {"events": list(LIBRARIES[library](Path(path).read_bytes()))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    name, *files = sys.argv[1:]
    if files == ["--version"]:
        print(version(name))
    else:
        for file in files:
            print(json.dumps(reading(name, file), default=str))
