"""What is chosen of the feed by its address, and that asking for much costs little."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar
from samples import DAYS, ROOM, START, seminar, session

from notifier import feed, pages, talks
from notifier.feed import USUAL, Options
from notifier.pages import Document, Site, Snapshot, Templates, answer, documents, feeds
from notifier.pages.feeds import Choice
from notifier.talks import Audience, Seminar, Status

FOLDER = Path(__file__).parents[2] / "templates"
TEMPLATES = Templates({str(p.relative_to(FOLDER)): p.read_text() for p in FOLDER.rglob("*.*") if p.is_file()})
SITE = Site("https://seminar.example.org")
NOW = START - 3 * DAYS
OLD = session(START - 500 * DAYS, id="old", uid="old@x")
LAST = session(START - 14 * DAYS, id="last", uid="last@x")
OFF = session(START - DAYS, id="off", uid="off@x", status=Status.CANCELLED)
NEXT = session(id="next", uid="next@x")
SERIES = seminar(OLD, LAST, OFF, NEXT)


def built(series: Seminar = SERIES, now: datetime = NOW, previous: Snapshot | None = None) -> Snapshot:
    return pages.build(series, TEMPLATES, SITE, now=now, previous=previous)


def found(snapshot: Snapshot, address: str) -> Document:
    path, _, query = address.partition("?")
    document = snapshot.find(path, query, "en")
    assert document is not None, address
    return document


def uids(document: Document) -> list[str]:
    return [str(event["UID"]).partition("@")[0] for event in Calendar.from_ical(document.body).walk("VEVENT")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["old", "last", "off", "next"]),
        ("past=all", ["old", "last", "off", "next"]),
        ("past=none", ["off", "next"]),
        ("past=90d", ["last", "off", "next"]),
        ("past=10d", ["off", "next"]),
        ("cancelled=0", ["old", "last", "next"]),
        ("past=none&cancelled=0", ["next"]),
        ("past=none&cancelled=0&split=talks", ["next-talk-1", "next-talk-2"]),
        ("past=none&past=all", ["off", "next"]),
        ("past=soon&past=10d", ["off", "next"]),
    ],
)
def test_the_address_says_which_sessions_are_in_the_feed(query: str, expected: list[str]):
    snapshot = built()
    for path in ("/calendar.ics", "/jsml.ics"):
        assert uids(found(snapshot, f"{path}?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "choice"),
    [
        ("utm_source=x&past=&past=-1d&past=1e3d&past=٣d&split=1&lang=fr&cancelled=no&alarm=x&alarm=-5", Choice()),
        ("alarm=40321&past=10000d", Choice()),
        ("alarm=15,60&alarm=15", Choice("", replace(USUAL, alarms=(timedelta(hours=1), timedelta(minutes=15))))),
        ("alarm=1,2,3,4,5,6", Choice("", replace(USUAL, alarms=tuple(timedelta(minutes=n) for n in (4, 3, 2, 1))))),
        ("lang=zh&lang=en", Choice("zh")),
        ("past=all", Choice("", Options(past=None))),
        ("past=0d", Choice("", Options(past=timedelta(0)))),
    ],
)
def test_what_makes_no_sense_is_passed_over(query: str, choice: Choice):
    assert feeds.read(query) == choice


CHOICES = st.builds(
    Choice,
    st.sampled_from(["", "zh", "en"]),
    st.builds(
        Options,
        past=st.none() | st.integers(0, 9999).map(lambda days: timedelta(days=days)),
        cancelled=st.booleans(),
        alarms=st.sets(st.integers(0, 40320), max_size=4).map(
            lambda minutes: tuple(timedelta(minutes=n) for n in sorted(minutes, reverse=True))
        ),
        split=st.booleans(),
    )
    | st.just(USUAL),
)


@given(CHOICES)
def test_a_choice_is_what_its_query_asks_for(choice: Choice):
    assert feeds.read(choice.query) == choice


ANY = built()


@given(st.text(max_size=60) | st.text("past=alnoe0129d&lmrzhcitk,%", max_size=60))
def test_any_query_is_a_choice_that_can_be_rendered(query: str):
    assert found(ANY, f"/calendar.ics?{query}").body.startswith(b"BEGIN:VCALENDAR\r\n")


def test_a_language_can_stand_before_the_path_or_in_the_query():
    snapshot = built()
    public = replace(SERIES, sessions=tuple(talks.shown_to(Audience.PUBLIC, s, SITE.levels) for s in SERIES.sessions))
    chinese = found(snapshot, "/zh/calendar.ics")
    source = f"{SITE.base_url}/jsml.ics?lang=zh"
    assert chinese.body == feed.render(public, now=NOW, base_url=SITE.base_url, language="zh", source=source)
    assert found(snapshot, "/jsml.ics?lang=zh") is chinese
    assert found(snapshot, "/en/jsml.ics?lang=zh") is chinese
    assert found(snapshot, "/zh/jsml.ics").etag != found(snapshot, "/en/jsml.ics").etag
    for path in ("/zh/talks.json", "/zh", "/fr/calendar.ics", "/zh/zh/calendar.ics"):
        assert snapshot.find(path, "", "en") is None, path


def test_the_calendar_is_there_as_jcal_for_whoever_asks(monkeypatch: pytest.MonkeyPatch):
    snapshot = built()
    calendar, made = found(snapshot, "/calendar.ics"), found(snapshot, "/calendar.json?past=none")
    assert (made.media_type, made.modified) == ("application/calendar+json", calendar.modified)
    assert made.etag != calendar.etag
    name, properties, components = json.loads(made.body)
    assert name == "vcalendar"
    assert ["refresh-interval", {}, "duration", "PT4H"] in properties
    assert [part[0] for part in components] == ["vtimezone", *["vevent"] * 4]
    assert ["dtstart", {"tzid": "Asia/Shanghai"}, "date-time", "2021-11-27T09:30:00"] in components[-1][1]
    monkeypatch.setattr(feed, "as_jcal", pytest.fail)
    assert found(snapshot, "/calendar.json") is made
    built(previous=snapshot)  # nobody has asked for this one
    assert snapshot.find("/zh/calendar.json", "", "zh") is None


def test_one_session_can_be_chosen_like_the_feed():
    snapshot = built()
    assert found(snapshot, "/sessions/next.ics?past=none") is not None
    assert uids(found(snapshot, "/sessions/next.ics?split=talks")) == ["next-talk-1", "next-talk-2"]
    assert found(snapshot, "/sessions/next.ics?alarm=15").body.count(b"BEGIN:VALARM") == 1
    assert found(snapshot, "/sessions/last.ics?alarm=15").body.count(b"BEGIN:VALARM") == 0
    assert "参会链接".encode() in found(snapshot, "/zh/sessions/next.ics").body


def test_no_choice_shows_what_is_not_for_the_public():
    snapshot = built()
    for query in ("past=all&alarm=5", "split=talks", "lang=zh", "lang=en"):
        for path in ("/calendar.ics", "/sessions/next.ics"):
            assert ROOM.passcode.encode() not in found(snapshot, f"{path}?{query}").body


def test_a_private_calendar_shows_what_is_for_subscribers_and_no_more():
    site = replace(SITE, levels={"passcode": Audience.SUBSCRIBERS, "meeting_id": Audience.REMINDER})
    snapshot = pages.build(SERIES, TEMPLATES, site, now=NOW)
    answered = pages.private(snapshot, "GET", "past=none", {}, "en")
    text = answered.body.decode().replace("\r\n ", "")
    assert f"Passcode: {ROOM.passcode}" in text
    assert "329 744 341" not in text
    assert "SOURCE" not in text
    assert ROOM.passcode not in found(snapshot, "/calendar.ics?past=none&lang=en").body.decode()
    assert pages.private(snapshot, "PROPFIND", "", {}, "zh").status == 405
    assert pages.private(snapshot, "OPTIONS", "", {}, "zh").status == 204


def test_a_private_calendar_moves_with_an_edit_of_what_is_hidden():
    before = pages.private(built(), "GET", "", {}, "en")
    room = replace(ROOM, passcode="123456")
    edited = replace(SERIES, sessions=(OLD, LAST, OFF, replace(NEXT, room=room, revision=1, modified=NOW)))
    after = pages.private(built(edited, now=NOW + DAYS, previous=built()), "GET", "", {}, "en")
    for name in ("ETag", "Last-Modified"):
        assert dict(after.headers)[name] != dict(before.headers)[name]


def test_what_was_asked_for_is_ready_in_the_next_snapshot():
    before = built()
    for query in ("past=all", "lang=zh"):
        found(before, f"/calendar.ics?{query}")
    found(before, "/sessions/next.ics?lang=zh")
    after = built(replace(SERIES, sessions=(OLD, LAST, replace(NEXT, notice="Moved."))), previous=before)
    assert after.feeds.asked == before.feeds.asked
    assert b"Moved." in found(after, "/calendar.ics?past=all").body
    assert built(seminar(LAST), previous=after).feeds.asked == tuple(one for one in after.feeds.asked if not one[0])


def test_what_is_large_is_compressed_once_it_is_published(monkeypatch: pytest.MonkeyPatch):
    assert set(found(built(), "/calendar.ics?past=all").encodings) == {"br", "gzip"}
    monkeypatch.setattr(documents, "COMPRESSED_AT_ONCE", 1000)
    snapshot = built()
    large = [found(snapshot, path) for path in ("/calendar.ics", "/calendar.ics?past=90d")]
    assert [document.encodings for document in large] == [{}, {}]
    waiting = answer(snapshot, "GET", "/calendar.ics", "", {"accept-encoding": "gzip"})
    assert (waiting.body, dict(waiting.headers)["Vary"]) == (large[0].body, "Accept-Encoding")
    snapshot.warm()
    assert [set(document.encodings) for document in large] == [{"br", "gzip"}] * 2


def test_a_flood_of_addresses_fills_no_memory(monkeypatch: pytest.MonkeyPatch):
    snapshot = built()
    wanted = found(snapshot, "/calendar.ics?past=all")
    for days in range(300):
        found(snapshot, f"/calendar.ics?past={days}d")
        assert found(snapshot, "/calendar.ics?past=all") is wanted
    assert len(snapshot.feeds.asked) == feeds.KEPT
    monkeypatch.setattr(feeds, "KEPT_BYTES", 3 * len(wanted.body))
    found(snapshot, "/calendar.ics?alarm=7")
    assert 1 < len(snapshot.feeds.asked) < 4


def test_last_modified_moves_with_an_edit_and_when_a_session_leaves_the_window():
    tomorrow = (NOW + DAYS).replace(hour=0, minute=0)
    first = built()
    unmoved = built(now=NOW + 12 * DAYS, previous=built(now=NOW + timedelta(hours=1), previous=first))
    assert found(unmoved, "/calendar.ics?past=all&cancelled=0").modified == NOW.astimezone(UTC)
    # the last session ended 11 days ago: at the second midnight from now it leaves a feed of 12 days
    for days, moved in ((0, NOW), (1, NOW), (2, tomorrow + DAYS), (9, tomorrow + DAYS)):
        snapshot = built(now=NOW + days * DAYS, previous=first)
        assert found(snapshot, "/calendar.ics?past=12d&cancelled=0").modified == moved, days
    edited = replace(SERIES, sessions=(OLD, LAST, OFF, replace(NEXT, notice="Moved.")))
    late = built(edited, now=NOW + DAYS, previous=first)
    assert found(late, "/calendar.ics?past=all").modified == NOW + DAYS
