"""What there is to say of a session + templates → subject, text and HTML, with holes where the reader comes in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import css_inline
from markupsafe import Markup, escape

from notifier import differences
from notifier.differences import Field
from notifier.errors import Problem, TemplateError
from notifier.mathtext import plain_math
from notifier.moments import Clock, clock
from notifier.notices import OF_SUBSCRIPTIONS, Kind
from notifier.paragraphs import unwrapped
from notifier.talks import Link, Livestream, Room, Seminar, Session, Speaker, Status, Talk
from notifier.templates import LANGUAGES, Filters, TemplateFolder, common_filters

_LOCALES = MappingProxyType({"zh": "zh_Hans_CN", "en": "en"})  # a mail's language → the CLDR locale of its lists
LARGEST_HTML = 90_000  # octets; above 102 kB Gmail cuts a mail off and with it the way to unsubscribe

NAME, ADDRESS, UNSUBSCRIBE_URL, PREFERENCES_URL, CONFIRM_URL, FEED_URL = map(chr, range(0xFDD0, 0xFDD6))  # holes


@dataclass(frozen=True, slots=True)
class Reader:
    """What a template may know of the person it writes to: holes. `name` is empty for those without one."""

    name: str = NAME
    address: str = ADDRESS
    unsubscribe_url: str = UNSUBSCRIBE_URL
    preferences_url: str = PREFERENCES_URL
    confirm_url: str = CONFIRM_URL
    feed_url: str = FEED_URL


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as everybody of one language and one zone gets it, but for the holes."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Matter:
    """What a letter is about. `before` is the session as its readers know it, where the letter tells of a change.

    Only a letter about a subscription may have no session.
    """

    kind: Kind
    session: Session | None
    seminar: Seminar
    base_url: str
    before: Session | None = None


def write(templates: Templates, matter: Matter, language: str, zone: str = "", *, named: bool = True) -> Letter:
    """The letter for readers of this language by the clocks of this zone, by the seminar's where it is "".

    `named` tells whether its readers have names. A letter too long for mail programs is written with shortened texts.

    Raises:
        TemplateError: a template failed, or even the shortened letter is too long.
    """
    values = _values(matter, language, zone)
    values["subject"] = " ".join(templates.render("mail/subject.txt", language, values).split())
    values["reader"] = Reader() if named else Reader(name="")
    text = templates.render(f"mail/{matter.kind}.txt", language, values)
    html = _html(templates, f"mail/{matter.kind}.html", language, values)
    return Letter(values["subject"], re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", html)


def _html(templates: Templates, name: str, language: str, values: dict[str, Any]) -> str:
    html = _with_styles(templates.render(name, language, values), name)
    if len(html.encode()) <= LARGEST_HTML:
        return html
    html = _with_styles(templates.render(name, language, values | {"in_full": False}), name)
    if (size := len(html.encode())) > LARGEST_HTML:
        raise TemplateError(Problem(f"it makes {size} octets of HTML, more than {LARGEST_HTML}", "shorten it", name))
    return html


def _values(matter: Matter, language: str, zone: str) -> dict[str, Any]:
    """What templates know by name, but for the reader."""
    session, before = _as_known(matter), matter.before
    zone = zone or matter.seminar.timezone
    changes = differences.differences(before, session) if before and session else ()
    has_moved = any(change.field is Field.TIME for change in changes)
    is_back = bool(before and before.is_cancelled and session and not session.is_cancelled)
    # What the letter shows anyhow: the time by the reader's own clock, the notice above all else, that it is back on.
    shown = (Field.TIME, Field.NOTICE, *((Field.STATUS,) if is_back else ()))
    return {
        "kind": str(matter.kind),
        "in_full": matter.kind is Kind.ANNOUNCEMENT,
        "seminar": matter.seminar,
        "session": _by_the_clock(session, zone) if session else None,
        "clocks": _clocks(session, zone, language) if session else (),
        "clocks_before": _clocks(before, zone, language) if before and has_moved else (),
        "is_back": is_back,
        "urgent": session.urgent if session and matter.kind is Kind.URGENT else "",
        # Links are not among the words: the new one stands below to be pressed, and nobody should press the old one.
        "changes": [differences.describe(c, language, with_links=False) for c in changes if c.field not in shown],
        "base_url": matter.base_url,
        "page_url": f"{matter.base_url}/sessions/{quote(session.id, safe='')}" if session else "",
    }


def _as_known(matter: Matter) -> Session | None:
    """The session as the letter tells of it: what is called off is what its readers know, also where it moved since."""
    session, before = matter.session, matter.before
    if matter.kind is not Kind.CANCELLED or session is None or before is None:
        return session
    return replace(session, start=before.start, end=before.end, timezone=before.timezone, talks=before.talks)


def _clocks(session: Session, zone: str, language: str) -> tuple[Clock, ...]:
    """The session's time by the reader's clock and then, where that shows another time, by the session's."""
    show = partial(clock, session.start, session.end, language=language, home=session.timezone)
    here, home = show(zone=zone), show(zone=session.timezone)
    return (home,) if here.offset == home.offset else (here, home)


def _by_the_clock(session: Session, zone: str) -> Session:
    """The session with the slots of its talks as the reader's clock shows them, like the first of `_clocks`."""
    at = ZoneInfo(zone)
    talks = (
        replace(t, start=t.start and t.start.astimezone(at), end=t.end and t.end.astimezone(at)) for t in session.talks
    )
    return replace(session, talks=tuple(talks))


# Rules for the dark and for narrow screens stay in the head, where the programs that know them look.
_INLINER = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


def _with_styles(html: str, name: str) -> str:
    try:
        return _INLINER.inline(html)
    except css_inline.InlineError as error:
        raise TemplateError(Problem(f"its styles cannot be used: {error}", "mend mail/mail.css", name)) from error


class Templates(TemplateFolder):
    """The templates of `mail/`, and what is wrong with them as far as letters tell it."""

    def __init__(self, shipped: Mapping[str, str], overrides: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(shipped, overrides, folder="mail", suffixes=(".txt", ".html", ".css"), filters=_filters)

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with them, found by writing a sample of every kind of letter in every language."""
        return super().problems() or tuple(dict.fromkeys(self._letter_problems()))

    def _letter_problems(self) -> Iterator[Problem]:
        found: list[Problem] = []
        lenient = self.noting(found)
        for matter, language in product(_samples(), LANGUAGES):
            try:
                letter = write(lenient, matter, language, "America/New_York", named=matter.before is not None)
            except TemplateError as error:
                found += error.problems
                continue
            needs = "confirm" if matter.kind is Kind.CONFIRMATION else "unsubscribe"
            hole = CONFIRM_URL if matter.kind is Kind.CONFIRMATION else UNSUBSCRIBE_URL
            for suffix, body in (("txt", letter.text), ("html", letter.html)):
                if hole not in body:
                    advice = f"write {{{{ reader.{needs}_url }}}} in it, as the shipped templates do"
                    yield Problem(f"it has no link to {needs}", advice, f"mail/{matter.kind}.{suffix}")
        yield from found


def _filters(language: str) -> Filters:
    """How templates write formulas and long texts, beside what all do."""
    return {
        **common_filters(_LOCALES[language]),
        "math": lambda text: plain_math(unwrapped(text)),
        "shortened": shortened,
        "lines": lambda text: Markup("<br>\n").join(escape(text).split("\n")),
    }


def shortened(text: str, limit: int = 280) -> str:
    """The text's first sentences or, where one alone is longer than the limit, its first words and an ellipsis."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    ends = [end.end() for end in re.finditer(r"[。！？]|[.!?](?=\s)", head)]
    if ends and ends[-1] > limit // 2:
        return head[: ends[-1]]
    words = head.rpartition(" ")[0]
    return (words if len(words) > limit * 3 // 4 else head).rstrip() + "…"


def _samples() -> Iterator[Matter]:
    """Of every kind a letter with all that one can hold, and one with hardly anything."""
    start = datetime(2021, 11, 27, 1, 30, tzinfo=UTC)
    end = start + timedelta(hours=2)
    talk = Talk(
        title="A Talk",
        title_zh="报告",
        speakers=(Speaker("Ada", ("University",), "https://example.org/ada"), Speaker("Bob")),
        start=start,
        end=end,
        abstract="An abstract. " * 40,
        bio="A life.",
        references=("A paper",),
        slides=Link("https://example.org/slides", "Slides"),
        replay="https://example.org/replay",
        kind="tutorial",
    )
    bare = Session("bare", start, end, "Asia/Shanghai")
    full = replace(
        bare,
        talks=(talk, Talk()),
        status=Status.TENTATIVE,
        notice="It starts late.\nBring your own tea.",
        urgent="It starts late.",
        room=Room("https://meeting.tencent.com/dm/x", "123456789", "123456", "12345678901", "https://example.org/get"),
        livestream=Livestream("https://example.org/live", "live"),
    )
    before = replace(full, start=start - timedelta(days=7), status=Status.CANCELLED, room=Room())
    seminar = Seminar("sample", "Seminar", "Asia/Shanghai", name_zh="研讨会", homepage="https://example.org/")
    for kind in Kind:
        yield Matter(kind, full, seminar, "https://example.org", before)
        yield Matter(kind, bare, seminar, "https://example.org")
    for kind in OF_SUBSCRIPTIONS:
        yield Matter(kind, None, seminar, "https://example.org")
