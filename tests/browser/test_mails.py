"""The mails in a real browser: whole on a small telephone, the button in sight, open to everybody in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import needs
from playwright.sync_api import Browser, Page
from samples import DAYS, HOURS, ROOM, START, TALKS, recorded, seminar, session
from stage import chromium

from notifier import files, letters
from notifier.letters import Matter, Templates
from notifier.notices import Kind
from notifier.talks import Livestream, Room, Speaker, Talk

pytestmark = needs("chromium", "chromium")

TEMPLATES = Templates(files.shipped())
SMALL_TELEPHONE = {"width": 320, "height": 568}
# Of mails axe is only asked what WCAG wants: a mail is shown inside a page, whose landmarks are not its own.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}

ROOM_BEFORE = replace(ROOM, url="https://meeting.tencent.com/dm/" + "before" * 20, meeting_id="987654321")
BEFORE = session(START - 7 * DAYS - HOURS, room=ROOM_BEFORE, talks=(Talk("T", speakers=(Speaker("Ada"),)), TALKS[1]))
ENDLESS = "endless" * 50
UNBROKEN = session(
    notice=ENDLESS,
    talks=(
        Talk(
            ENDLESS, speakers=(Speaker(ENDLESS, (ENDLESS,)),), abstract=ENDLESS, replay=f"https://b.example/{ENDLESS}"
        ),
    ),
    room=Room(f"https://meeting.tencent.com/dm/{ENDLESS}", ENDLESS, ENDLESS, ENDLESS),
    livestream=Livestream(f"https://live.bilibili.com/{ENDLESS}"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport=SMALL_TELEPHONE)  # type: ignore[arg-type]
    yield page
    page.close()


def html(kind: Kind, language: str, about=None) -> str:
    about = about or (recorded() if kind is Kind.REPLAY else session())
    matter = Matter(kind, about, seminar(), "https://seminar.example.org", BEFORE)
    return letters.write(TEMPLATES, matter, language, "America/New_York").html


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", Kind)
def test_a_mail_is_accessible_and_its_button_in_sight_on_a_small_telephone(page, kind, language):
    page.set_content(html(kind, language))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options=RULES)
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"
    bottoms = page.evaluate("[...document.querySelectorAll('.button')].map((b) => b.getBoundingClientRect().bottom)")
    assert len(bottoms) == {Kind.CANCELLED: 0, Kind.CONFIRMATION: 2, Kind.REPLAY: 2}.get(kind, 1)
    assert [bottom for bottom in bottoms[:1] if bottom > SMALL_TELEPHONE["height"]] == []


@pytest.mark.parametrize("kind", Kind)
def test_no_word_or_link_makes_a_mail_wider_than_the_telephone(page, kind):
    for about in (session(), UNBROKEN):
        page.set_content(html(kind, "en", about))
        assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_TELEPHONE["width"]


@pytest.mark.parametrize("kind", Kind)
def test_a_mail_is_read_and_its_links_seen_without_any_styles(page, kind):
    page.set_content(html(kind, "en"))
    page.evaluate(
        """document.querySelectorAll('style').forEach((one) => one.remove());
           document.querySelectorAll('[style]').forEach((one) => one.removeAttribute('style'))"""
    )
    shown = page.evaluate(
        "[...document.querySelectorAll('a')].map((a) => [a.innerText.trim() !== '', a.offsetHeight > 0])"
    )
    assert shown != []
    assert all(all(one) for one in shown)
