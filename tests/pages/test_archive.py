"""The history: its years, what a search finds, and that both are bounded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from bs4 import BeautifulSoup
from samples import DAYS, START, TALKS, seminar, session

from notifier import pages
from notifier.pages import Response, Site, Snapshot, Templates
from notifier.talks import Speaker, Status, Talk

FOLDER = Path(__file__).parents[2] / "templates"
TEMPLATES = Templates({str(p.relative_to(FOLDER)): p.read_text() for p in FOLDER.rglob("*.*") if p.is_file()})
SITE = Site("https://seminar.example.org")


def past(number: int, **values: object) -> object:
    """The session that was held so many fortnights ago."""
    start = START - 14 * number * DAYS
    given = {"id": f"{start:%Y-%m-%d}", "talks": (Talk(f"Talk {number}", speakers=(Speaker("Ada Example"),)),)}
    return session(start, **{**given, **values})


def built(*sessions: object) -> Snapshot:
    return pages.build(seminar(*sessions), TEMPLATES, SITE, now=START - DAYS)  # type: ignore[arg-type]


def asked(snapshot: Snapshot, path: str = "/en/history", **form: str) -> BeautifulSoup:
    answered = answer(snapshot, path, **form)
    assert answered.status == 200
    return BeautifulSoup(answered.body, "html.parser")


def answer(snapshot: Snapshot, path: str = "/en/history", **form: str) -> Response:
    return pages.answer(snapshot, "GET", path, urlencode(form), {})


def titles(page: BeautifulSoup) -> list[str]:
    return [span.get_text() for span in page.select(".sessions .title")]


FEW = built(
    *(past(n) for n in range(1, 5)),
    past(30, talks=(replace(TALKS[0], abstract="σ-ａｃｔｉｖａｔｅｄ networks"),)),
    past(31, talks=(Talk("On $\\mathbb{R}^d$", title_zh="论空间"),)),
    past(5, talks=(Talk("Called off"),), status=Status.CANCELLED),
    session(),
)


def test_the_history_lists_what_was_held_from_the_latest_by_year():
    page = asked(FEW)
    assert [h.get_text() for h in page.select("h2")] == ["2021", "2020"]
    assert titles(page) == [
        "Talk 1",
        "Talk 2",
        "Talk 3",
        "Talk 4",
        TALKS[0].title,
        page.select("math")[0].parent.get_text(),
    ]
    assert [a["href"] for a in page.select(".years a")] == ["/en/history/2021", "/en/history/2020"]


def test_a_year_has_a_page_of_its_own_with_its_strip():
    page = asked(FEW, "/zh/history/2020")
    assert [h.get_text() for h in page.select("h2")] == ["2020"]
    assert page.svg["aria-label"] == "2020 年：共 2 场，已举行 2 场"
    assert page.select_one("link[rel=canonical]")["href"] == "https://seminar.example.org/zh/history/2020"
    assert answer(FEW, "/history/1999").status == 404


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("2021-10", ["Talk 2", "Talk 3", "Talk 4"]),
        ("ADA", ["Talk 1", "Talk 2", "Talk 3", "Talk 4"]),
        ("ada 4", ["Talk 4"]),
        ("冷冻", [TALKS[0].title]),
        ("activated", [TALKS[0].title]),
        ("论空间", 1),
        ("ℝᵈ", 1),
        ("2020", 2),
        ("wang yuhang", [TALKS[0].title]),
        ("Ádä 4", ["Talk 4"]),
        ("深势科技", [TALKS[0].title]),
        ("called off", []),
        ("燃烧", []),
        ("</script>", []),
    ],
)
def test_a_search_finds_the_sessions_that_hold_all_its_words(words, found):
    page = asked(FEW, q=words)
    count = found if isinstance(found, int) else len(found)
    assert len(page.select(".sessions li")) == count
    assert page.select_one("[role=status]").get_text().split()[0] == str(count)
    if not isinstance(found, int):
        assert titles(page) == found
    assert page.select_one("#q")["value"] == words


def test_a_search_can_be_kept_to_a_year():
    assert titles(asked(FEW, q="network", year="2020")) == [TALKS[0].title]
    assert titles(asked(FEW, q="network", year="2021")) == []
    assert [h.get_text() for h in asked(FEW, year="2020").select("h2")] == ["2020"]
    assert len(asked(FEW, year="1066").select("h2")) == 2


def test_a_search_keeps_its_words_in_the_other_language_and_out_of_search_engines():
    page = asked(FEW, q="ada 4&x", year="2021")
    other = page.select_one("nav [rel=alternate]")["href"]
    assert titles(asked(FEW, other.partition("?")[0] or "/en/history", q="ada 4")) == ["Talk 4"]
    assert other == "?lang=zh&q=ada+4%26x&year=2021"
    assert page.select_one("meta[name=robots]")["content"] == "noindex"


def test_empty_words_are_no_search():
    assert answer(FEW, q="  ") == answer(FEW)


MANY = built(*(past(n) for n in range(1, 2001)))


def test_a_long_history_opens_with_its_last_years_and_leads_to_the_others():
    page = asked(MANY)
    assert 40 <= len(page.select(".sessions li")) < 40 + 27
    assert len(page.select(".years a")) == len(MANY.archive.groups) > 70


def test_a_search_in_vain_asks_what_was_meant_and_leads_to_what_is_to_come():
    page = asked(FEW, "/zh/history", q="tolk ada", year="2021")
    assert page.select_one("main a[href*='q=']")["href"] == "/zh/history?q=talk%20ada&year=2021"
    assert page.select_one("main p > a[href='/zh/']").get_text() == "尚未举行的报告会见首页。"
    assert [a["href"] for a in asked(FEW, q="xyzzy").select("main a[href*='q=']")] == []
    assert [a["href"] for a in asked(FEW, q="talk").select("main p > a[href='/en/']")] == []


def test_what_was_found_is_compressed_and_as_new_as_what_was_looked_through():
    whole = pages.answer(MANY, "GET", "/en/history", "q=talk", {"accept-encoding": "br"})
    assert dict(whole.headers)["Content-Encoding"] == "br"
    assert dict(whole.headers)["Last-Modified"] == dict(answer(MANY, "/en/history").headers)["Last-Modified"]
    before = {"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert pages.answer(MANY, "GET", "/en/history", "q=talk", before).status == 200


def test_an_answer_lists_no_more_than_fifty():
    page = asked(MANY, q="talk")
    assert len(page.select(".sessions li")) == 50
    assert page.select_one("[role=status]").get_text().split()[0] == "2000"


def test_a_year_that_nobody_asks_for_is_not_rendered():
    snapshot = built(*(past(n) for n in range(1, 200)))
    rendered = {path for path, page in snapshot.archive.pages.items() if "pages" in vars(page)}
    assert rendered == {"/history"}


def test_what_has_not_changed_of_the_history_is_not_rendered_again():
    before = built(*(past(n) for n in range(1, 200)), session())
    answer(before, "/history/2020")
    edited = seminar(*(past(n) for n in range(2, 200)), past(1, notice="Late."), session())  # type: ignore[arg-type]
    after = pages.build(edited, TEMPLATES, SITE, now=START - DAYS, previous=before)
    same = {path for path, page in after.archive.pages.items() if page is before.archive.pages[path]}
    assert set(after.archive.pages) - same == {"/history", "/history/2021"}


def test_the_first_search_waits_for_no_texts():
    snapshot = built(*(past(n) for n in range(1, 5)))
    snapshot.warm()
    assert [one for group in snapshot.archive.groups for one in group.shown if "text" not in vars(one)] == []
