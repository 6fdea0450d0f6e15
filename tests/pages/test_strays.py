"""An address that is nearly right leads where it meant; no other one does, and none leads elsewhere."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pages import SNAPSHOT

from notifier import pages
from notifier.pages.strays import TAIL, meant

WHOLE = [
    "/",
    "/zh/",
    "/history",
    "/en/history/2021",
    "/subscribe",
    "/calendar.ics",
    f"/{SNAPSHOT.seminar.id}.ics",
    f"/zh/{SNAPSHOT.seminar.id}.ics",
    "/feed.atom",
    "/talks.json",
    "/sessions/2021-11-27",
    "/zh/sessions/2021-11-27",
    "/sessions/2021-11-27.ics",
]


def led(path: str, query: str = "", method: str = "GET") -> str:
    answer = pages.answer(SNAPSHOT, method, path, query, {})
    assert answer.status == 308, (path, answer.status)
    return dict(answer.headers)["Location"]


@pytest.mark.parametrize("path", WHOLE)
def test_an_address_is_found_behind_a_slash_a_double_one_other_letters_and_the_end_of_a_sentence(path):
    slips = (f"{path}//", f"/{path}", path.upper(), f"{path}。", f"{path}），", f"{path}.", path.replace("/", "//"))
    assert {led(slip) for slip in slips if slip not in (path, path.rstrip("/"))} == {path}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/zh", "/zh/"),
        ("/history/", "/history"),
        ("/en/history/2021/", "/en/history/2021"),
        ("/index.html", "/"),
        ("/zh/index.html", "/zh/"),
        ("/history/index.html", "/history"),
        ("/sessions", "/history"),
        ("/zh/sessions/", "/zh/history"),
    ],
)
def test_other_habits_lead_on_too(path, place):
    assert led(path) == place
    assert led(path, method="HEAD") == place


def test_a_style_of_an_older_page_leads_to_the_one_of_now():
    style = next(path for path in SNAPSHOT.documents if path.startswith("/style-"))
    assert led("/style-0123456789.css") == style


def test_what_was_asked_for_goes_along():
    assert led("/history/", "q=%E7%8E%8B&year=2021&x=a b\xe9\r\n") == "/history?q=%E7%8E%8B&year=2021&x=a%20b%E9%0D%0A"


def test_a_site_in_a_folder_leads_into_it():
    inside = replace(SNAPSHOT, site=replace(SNAPSHOT.site, base_url="https://example.org/seminar"))
    assert dict(pages.answer(inside, "GET", "/zh", "", {}).headers)["Location"] == "/seminar/zh/"


@pytest.mark.parametrize("path", ["/nothing", "/histor", "/sessions/2021-11-2", "/zh/en/", "/cal", "/history/1999"])
def test_what_is_nowhere_near_is_not_found(path):
    assert pages.answer(SNAPSHOT, "GET", path, "", {}).status == 404


def test_only_what_reads_is_led():
    assert pages.answer(SNAPSHOT, "PROPFIND", "/calendar.ics/", "", {}).status == 404


PIECES = st.lists(st.sampled_from(["/", "//", "zh", "EN", "history", "sessions", "evil.example", "\\", "..", *TAIL]))


@given(PIECES.map("".join) | st.text(max_size=40))
def test_nobody_is_led_off_this_site_or_in_a_circle(path):
    answer = pages.answer(SNAPSHOT, "GET", f"/{path}", "", {})
    if answer.status == 308:
        place = urlsplit(dict(answer.headers)["Location"])
        assert (place.scheme, place.netloc) == ("", "")
        assert pages.answer(SNAPSHOT, "GET", unquote(place.path), "", {}).status == 200
        assert meant(SNAPSHOT, unquote(place.path)) == ""
