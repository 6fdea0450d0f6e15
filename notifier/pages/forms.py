"""Forms that readers send → what they say; a subscriber → what the pages made for them alone know by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo, available_timezones

from notifier.errors import Problem
from notifier.spans import format_span
from notifier.subscribers import DECLINABLE, Subscriber, written
from notifier.talks import Livestream, Room, Seminar, Session

MOST_FIELDS = 50
OFFERED_LEADS = tuple(timedelta(minutes=m) for m in (7 * 1440, 1440, 180, 60, 15))
TRAP = "website"  # a field that no person sees; programs that fill in forms do

Form = Mapping[str, list[str]]
Problems = Mapping[str, Problem]
_NO_PROBLEMS: Problems = MappingProxyType({})


def read(body: bytes) -> Form:
    """The fields of a form sent in this body; none where it is no form of ours."""
    try:
        return parse_qs(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}


def first(form: Form, name: str) -> str:
    """The field's first text, or ""."""
    return form.get(name, [""])[0]


def request(form: Form) -> dict[str, str]:
    """What a request for a subscription says, as `subscribers.check` reads it."""
    return {name: first(form, name) for name in ("address", "language", "timezone")}


def wishes(form: Form) -> dict[str, str]:
    """What the form of preferences says, as `subscribers.check` reads it."""
    kept = form.get("kind", ())
    return {
        **{name: first(form, name) for name in ("name", "language", "timezone", "words", "paused_until")},
        "leads": " ".join((*form.get("lead", ()), first(form, "leads"))),
        "declined": " ".join(kind for kind in DECLINABLE if kind not in kept),
    }


def ways(given: Mapping[str, str] = MappingProxyType({}), problems: Problems = _NO_PROBLEMS) -> dict[str, Any]:
    """What `subscribe.html` knows: what was typed, and what is wrong with it, by field."""
    return {"given": {"address": "", "timezone": "", **given}, "problems": problems, "zones": _zones()}


def preferences(
    one: Subscriber,
    seminar: Seminar,
    links: Mapping[str, str],
    now: datetime,
    *,
    given: Mapping[str, str] = MappingProxyType({}),
    problems: Problems = _NO_PROBLEMS,
    is_saved: bool = False,
) -> dict[str, Any]:
    """What `preferences.html` knows: the subscriber's wishes, or what they typed and what is wrong with it."""
    values = {**written(one), "paused_until": ""}
    if one.paused_until and one.paused_until > now:
        values["paused_until"] = f"{one.paused_until.astimezone(_zone(one, seminar)):%Y-%m-%d}"
    values |= given
    offered = [format_span(lead) for lead in OFFERED_LEADS]
    leads = values["leads"].split()
    return {
        "one": one,
        "given": {**values, "leads": " ".join(lead for lead in leads if lead not in offered)},
        "leads": [(text, lead, text in leads) for text, lead in zip(offered, OFFERED_LEADS, strict=True)],
        "kinds": [(str(kind), kind not in values["declined"].split()) for kind in DECLINABLE],
        "problems": problems,
        "is_saved": is_saved,
        "zones": _zones(),
        "links": links,
    }


def confirmed(
    one: Subscriber,
    seminar: Seminar,
    links: Mapping[str, str],
    session: Session | None = None,
    about: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """What `confirmed.html` knows: the next session as its reader may see it, by their clock.

    `about` is what the pages for everybody know of that session.
    """
    return {**about, "session": session, "here": _zone(one, seminar), "links": links, "mailed": ()}


def samples(seminar: Seminar) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every page that is made for one reader alone, to be tried before any reader comes: its name, what it knows."""
    now = datetime(2021, 11, 27, 1, 30, tzinfo=UTC)
    one = Subscriber("ada@example.org", "Ada", words=("word",), paused_until=now + timedelta(days=1))
    links = dict.fromkeys(("preferences", "unsubscribe", "feed"), "https://example.org/")
    room = Room("https://meeting.tencent.com/dm/x", "123456789", "123456", "12345678901", "https://example.org/get")
    session = Session(
        "sample", now, now + timedelta(hours=2), "Asia/Shanghai", room=room, livestream=Livestream("", "l")
    )
    calendars = dict.fromkeys(("google", "outlook", "office"), "https://example.org/")
    about = {"calendars": calendars, "page_url": "https://example.org/", "phase": "upcoming", "is_over": False}
    problems = dict.fromkeys(("address", "timezone", "leads", "words", "paused_until", "name", "sure"), Problem("odd"))
    yield "subscribe", {**ways({"address": "ada"}, problems), "path": "/subscribe"}
    yield "preferences", preferences(one, seminar, links, now, problems=problems, is_saved=True)
    yield "preferences", preferences(replace(one, leads=OFFERED_LEADS), seminar, links, now)
    yield "confirmed", confirmed(one, seminar, links, session, about)
    yield "confirmed", confirmed(one, seminar, links)
    yield "revoked", {"links": links}


def _zone(one: Subscriber, seminar: Seminar) -> ZoneInfo:
    return ZoneInfo(one.timezone or seminar.timezone)


@cache
def _zones() -> tuple[str, ...]:
    """The names of time zones that people know theirs by."""
    odd = ("Etc/", "SystemV/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/")
    return tuple(sorted(name for name in available_timezones() if "/" in name and not name.startswith(odd)))
