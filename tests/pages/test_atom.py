"""The news of a seminar: valid by RFC 4287, the same entries for ever, and nothing that cannot be read elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from samples import DAYS, ROOM, START, seminar, session

from notifier import pages
from notifier.pages import Site, Snapshot, Templates, atom
from notifier.talks import Link, Seminar, Speaker, Status, Talk

FOLDER = Path(__file__).parents[2] / "templates"
TEMPLATES = Templates({str(p.relative_to(FOLDER)): p.read_text() for p in FOLDER.rglob("*.*") if p.is_file()})
SITE = Site("https://seminar.example.org")
A = "{http://www.w3.org/2005/Atom}"
FIRST = session()
SECOND = session(START + 14 * DAYS, id="second/2", uid="second@x", modified=START, status=Status.CANCELLED)
SERIES = replace(seminar(FIRST, SECOND), name_zh="研讨会", organisers=("Ada", "Bob"))


def built(series: Seminar = SERIES) -> Snapshot:
    return pages.build(series, TEMPLATES, SITE, now=START - DAYS)


def read(snapshot: Snapshot, language: str = "en") -> ElementTree.Element:
    answered = pages.answer(snapshot, "GET", f"/{language}/feed.atom", "", {})
    assert answered.status == 200
    assert dict(answered.headers)["Content-Type"] == "application/atom+xml"
    return ElementTree.fromstring(answered.body)


def texts(node: ElementTree.Element, path: str) -> list[str]:
    return [found.text or "" for found in node.findall(path)]


def links(node: ElementTree.Element) -> dict[str, str]:
    return {link.attrib["rel"]: link.attrib["href"] for link in node.findall(f"{A}link")}


def assert_valid(feed: ElementTree.Element) -> None:
    """What RFC 4287 sections 4.1.1 and 4.1.2 ask for."""
    assert feed.tag == f"{A}feed"
    assert len(feed.findall(f"{A}author")) >= 1
    for node in (feed, *feed.findall(f"{A}entry")):
        for name in ("id", "title", "updated"):
            assert len(node.findall(f"{A}{name}")) == 1, name
        assert datetime.fromisoformat(texts(node, f"{A}updated")[0]).tzinfo
        assert texts(node, f"{A}id")[0].startswith("urn:uuid:")
    for entry in feed.findall(f"{A}entry"):
        assert entry.find(f"{A}link[@rel='alternate']") is not None
        assert entry.find(f"{A}content[@type='html']") is not None
    every = texts(feed, f".//{A}id")
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("series", [SERIES, Seminar("s", "", "UTC"), seminar(session(talks=()))])
def test_the_feed_is_valid_in_every_language(series: Seminar):
    snapshot = built(series)
    for language in ("zh", "en"):
        assert_valid(read(snapshot, language))


def test_the_feed_says_whose_it_is_and_where():
    feed = read(built(), "zh")
    assert feed.attrib["{http://www.w3.org/XML/1998/namespace}lang"] == "zh-CN"
    assert texts(feed, f"{A}title") == ["研讨会"]
    assert texts(feed, f"{A}author/{A}name") == ["Ada", "Bob"]
    assert links(feed) == {"self": f"{SITE.base_url}/zh/feed.atom", "alternate": f"{SITE.base_url}/zh/"}
    assert texts(feed, f"{A}updated") == ["2021-11-27T01:30:00Z"]


def test_what_changed_last_comes_first_and_leads_to_its_page():
    snapshot = built()
    first, second = read(snapshot).findall(f"{A}entry")
    assert texts(first, f"{A}title")[0].startswith("[已取消 Cancelled] ")
    assert texts(second, f"{A}contributor/{A}name") == ["王宇航", "朱通"]
    assert links(first) == {"alternate": f"{SITE.base_url}/en/sessions/second%2F2"}
    assert pages.answer(snapshot, "GET", "/en/sessions/second/2", "", {}).status == 200


def test_an_entry_is_the_same_wherever_its_session_goes():
    before = read(built()).findall(f"{A}entry")[1]
    moved = replace(FIRST, start=START + DAYS, end=START + 2 * DAYS, talks=(), modified=START + timedelta(seconds=5))
    after = read(built(replace(SERIES, sessions=(moved, SECOND)))).findall(f"{A}entry")[0]
    assert texts(after, f"{A}id") == texts(before, f"{A}id")
    assert texts(after, f"{A}published") == texts(before, f"{A}published")
    assert texts(after, f"{A}updated") == ["2021-11-27T01:30:05Z"]
    assert texts(read(built(), "zh").findall(f"{A}entry")[1], f"{A}id") != texts(before, f"{A}id")


def test_an_entry_tells_when_how_and_what_in_plain_markup():
    (content,) = texts(read(built()).findall(f"{A}entry")[1], f"{A}content")
    page = BeautifulSoup(content, "html.parser")
    assert page.get_text(" ").split()[:4] == ["Saturday,", "27", "November", "2021,"]
    assert page.find("a")["href"] == ROOM.url  # type: ignore[index]
    assert [title.get_text() for title in page.find_all("h3")] == [talk.title for talk in FIRST.talks]
    assert page.select("script, style, link") == []
    assert all(link["href"].startswith("https://") for link in page.select("[href]"))
    assert ROOM.passcode not in content


def test_an_entry_leads_to_slides_and_replay_by_what_every_reader_keeps():
    """Feed readers drop what scripts go by, and validators warn of it."""
    replay = "https://www.bilibili.com/video/BV1xx411c7mD"
    talk = replace(FIRST.talks[0], slides=Link("https://slides.example.org/1"), replay=replay)
    content = texts(read(built(seminar(replace(FIRST, talks=(talk,))))), f"{A}entry/{A}content")[0]
    page = BeautifulSoup(content, "html.parser")
    named = {link.get_text(): link.attrs for link in page.select("p > a")}
    assert named == {"Slides": {"href": "https://slides.example.org/1"}, "Replay": {"href": replay}}
    kept = {"href", "datetime", "class", "lang", "dir"}
    assert {name for tag in page.find_all(True) for name in tag.attrs} <= kept


def test_the_feed_holds_the_sessions_that_changed_last():
    many = [session(START + n * DAYS, id=f"s{n}", uid=f"s{n}@x", modified=START + n * DAYS) for n in range(60)]
    titles = texts(read(built(seminar(*many))), f"{A}entry/{A}updated")
    assert (len(titles), titles[0]) == (atom.NEWEST, "2022-01-25T01:30:00Z")
    assert titles == sorted(titles, reverse=True)


@given(st.text(), st.text(max_size=300))
def test_any_text_stays_a_text(name: str, abstract: str):
    talk = Talk(name, speakers=(Speaker(name),), abstract=abstract)
    series = Seminar("s", name, "UTC", description=abstract, sessions=(replace(FIRST, talks=(talk,)),))
    feed = read(built(series))
    assert_valid(feed)
    assert texts(feed, f"{A}title") == [series.name_in("en")]
