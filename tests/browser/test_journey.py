"""A reader's whole way in a real browser on a telephone, with scripts and without, to the last mail."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from conftest import needs
from house import DUE, House
from mailserver import MailServer
from playwright.async_api import Page, async_playwright, expect
from stage import CHROMIUM, FLAGS, link

pytestmark = needs("chromium", "chromium")

START = DUE + timedelta(days=1)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    with MailServer() as mail:
        house = House(tmp_path, mail)
        house.now = DUE - timedelta(days=2)
        await house.start()
        yield house
        await house.stop()


@asynccontextmanager
async def telephone(*, scripts: bool) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(
            viewport={"width": 360, "height": 740},
            java_script_enabled=scripts,
            timezone_id="Europe/Berlin",
            locale="en",
        )
        yield page
        await browser.close()


def here(house: House, mail: EmailMessage, purpose: str) -> str:
    """A mail's link, at the address where this daemon listens."""
    assert house.daemon is not None
    return link(mail, purpose).replace("https://seminar.example.org", f"http://{house.daemon.addresses[0]}")


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_reader_subscribes_chooses_is_reminded_leaves_and_comes_back(house: House, scripts: bool) -> None:
    assert house.daemon is not None
    async with telephone(scripts=scripts) as page:
        await page.goto(f"http://{house.daemon.addresses[0]}/en/")
        await page.get_by_label("E-mail address").fill("eve@example.org")
        await page.get_by_role("button", name="Subscribe by mail").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mailbox")
        (question,) = await house.arrived(1)

        await page.goto(here(house, question, "confirm"))
        await page.get_by_role("button", name="Yes, subscribe me").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are subscribed")
        await expect(page.locator(".number").nth(1)).to_have_text("974114")  # the passcode, which no other page has
        welcome = (await house.arrived(2))[1]
        body = welcome.get_body(("plain",))
        assert body is not None
        assert ("Berlin time" in body.get_content()) is scripts  # the browser's zone, where it can be asked

        await page.goto(here(house, welcome, "preferences"))
        await page.get_by_label("3 hours").check()
        await page.get_by_label(re.compile("Announcements")).uncheck()
        await page.get_by_label("Other times").fill("2h30m")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status").first).to_have_text("Saved.")
        await expect(page.get_by_label("3 hours")).to_be_checked()

        await house.pass_time(START - timedelta(hours=3, minutes=1))
        await house.arrived(2)
        await house.pass_time(START - timedelta(hours=3))
        reminder = (await house.arrived(3))[2]
        assert "reminder-3h" in str(reminder["Message-ID"])

        await page.goto(here(house, reminder, "unsubscribe"))
        await page.get_by_role("button", name="Unsubscribe").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are unsubscribed")
        await house.pass_time(START - timedelta(hours=2, minutes=29))
        await house.arrived(3)
        await page.get_by_role("button", name=re.compile("Undo")).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are subscribed again")


async def test_what_is_mistyped_is_marked_and_kept(house: House) -> None:
    assert house.daemon is not None
    async with telephone(scripts=True) as page:
        await page.goto(f"http://{house.daemon.addresses[0]}/en/subscribe")
        await page.get_by_label("E-mail address").fill("eve@example.org")
        await page.get_by_label(re.compile("Time zone")).fill("Atlantis")
        await page.get_by_role("button", name="Subscribe by mail").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        zone = page.get_by_label(re.compile("Time zone"))
        await expect(zone).to_have_attribute("aria-invalid", "true")
        await expect(zone).to_have_value("Atlantis")
        await expect(page.get_by_label("E-mail address")).to_have_value("eve@example.org")
        await page.get_by_label(re.compile("Time zone")).fill("")
        await page.get_by_role("button", name="Subscribe by mail").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mailbox")
        await house.arrived(1)
