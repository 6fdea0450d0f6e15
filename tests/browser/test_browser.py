"""The pages in a real browser: whole without scripts, better with them, open to everybody, and asking nobody else."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from conftest import needs
from playwright.sync_api import Browser, BrowserContext, Page, expect
from stage import SHANGHAI, Stage, chromium, daemon, join, paths, short_list

pytestmark = needs("chromium", "chromium")

OWN = ("confirm", "preferences", "unsubscribe")
PAGES = ("landing", "session", "past", "history", "search", "subscribe", "embed", "nothing", *OWN)
LANGUAGES = ("en", "zh")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with daemon(tmp_path_factory.mktemp("stage")) as running:
        join(running, "ada@example.org")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(timezone_id="America/New_York", locale="en-GB")
    yield context
    context.close()


def opened(context: BrowserContext, stage: Stage, name: str, language: str = "en") -> Page:
    page = context.new_page()
    page.goto(address(stage, name, language))
    return page


def address(stage: Stage, name: str, language: str = "en") -> str:
    path = paths(stage)[name]
    return f"{stage.url}{path}{'&' if '?' in path else '?'}lang={language}"


# What every page must be


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_in_light_and_dark_and_on_a_telephone(context, stage, name, language):
    page = opened(context, stage, name, language)
    for scheme, width in (("light", 1200), ("dark", 1200), ("dark", 360)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        found = Axe().run(page)
        assert found.violations_count == 0, f"{scheme} {width}: {found.generate_report()}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_nothing_on_the_console_and_asks_nothing_of_others(context, stage, name):
    said: list[str] = []
    asked: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(f"failed {request.url}"))
    page.on("request", lambda request: asked.append(urlsplit(request.url).netloc))
    page.goto(address(stage, name))
    page.wait_for_load_state("networkidle")
    assert [line for line in said if name != "nothing" or "404" not in line] == []
    assert set(asked) == {urlsplit(stage.url).netloc}
    assert context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_at_320_pixels_and_at_twice_its_size_also_where_only_letters_grow(context, stage, name, language):
    page = opened(context, stage, name, language)
    for width, letters in ((320, "100%"), (360, "100%"), (640, "100%"), (320, "200%")):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate("(size) => (document.documentElement.style.fontSize = size)", letters)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{width} pixels, letters at {letters}"


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_alone_reaches_everything_and_shows_where_it_is(context, stage, name):
    page = opened(context, stage, name)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    wanted = page.evaluate(
        """[...document.querySelectorAll('a[href], button, input, select, summary')]
           .filter((one) => one.checkVisibility() && one.type !== 'hidden')
           .map((one, nth) => (one.dataset.nth = nth)).length"""
    )
    wanted = min(wanted, 60)
    reached: set[int] = set()
    for _ in range(wanted + 10):  # a date has several places of its own
        page.keyboard.press("Tab")
        nth, outline, width = page.evaluate(
            """() => {
              const one = document.activeElement;
              return [one.dataset.nth, getComputedStyle(one).outlineStyle, one.getBoundingClientRect().width];
            }"""
        )
        if nth is not None:
            assert outline != "none", nth
            assert width > 0, nth
            reached.add(int(nth))
    assert reached >= set(range(wanted))


def test_the_first_key_offers_to_skip_to_the_content(context, stage):
    page = opened(context, stage, "landing")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_every_link_and_anchor_of_the_whole_site_leads_somewhere(stage):
    seen: set[str] = set()
    waiting = [f"{stage.url}/"]
    broken = []
    while waiting:
        url = waiting.pop()
        seen.add(url)
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                body = answer.read()
        except OSError as error:
            broken.append(f"{url}: {error}")
            continue
        if "html" not in answer.headers["Content-Type"]:
            continue
        page = BeautifulSoup(body, "html.parser")
        for link in page.select("[href], [src], [action]"):
            there = urlsplit(urljoin(url, link.get("href") or link.get("src") or link.get("action")))
            if there.netloc != urlsplit(stage.url).netloc or there.scheme != "http":
                continue
            if there.fragment and there.path == urlsplit(url).path and not page.find(id=there.fragment):
                broken.append(f"{url}#{there.fragment}")
            target = there._replace(fragment="").geturl()
            if target not in seen and target not in waiting:
                waiting.append(target)
    assert broken == []
    assert len(seen) > 140


# Without scripts, and with them


def test_everything_is_there_without_scripts(browser, stage):
    with_scripts, without = browser.new_context(), browser.new_context(java_script_enabled=False)
    for name in PAGES:
        pages = [opened(context, stage, name) for context in (with_scripts, without)]
        links = [[a.get_attribute("href") for a in page.locator("a").all()] for page in pages]
        assert links[0] == links[1], name
        pages[0].evaluate("document.querySelectorAll('.yours, .countdown, .copy').forEach((own) => own.remove())")
        told = [set(page.locator("main").inner_text().split()) for page in pages]
        assert told[0] <= told[1], name
    with_scripts.close()
    without.close()


def test_a_search_and_its_menus_work_without_scripts(browser, stage):
    context = browser.new_context(java_script_enabled=False)
    page = opened(context, stage, "history")
    page.get_by_role("searchbox").fill("（17）")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("status").first).to_contain_text("session")
    expect(page.locator(".sessions li").first).to_contain_text("part 17")
    page.goto(address(stage, "landing"))
    page.get_by_text("Add to calendar").click()
    expect(page.get_by_role("link", name="Google Calendar")).to_be_visible()
    context.close()


def test_the_time_is_told_by_the_readers_clock_too_where_it_differs(browser, stage):
    for zone, said in (
        ("America/New_York", r"\w{3} \d+ \w+.*20:30\W22:30 by your clock \(Eastern Time\)"),
        ("Asia/Shanghai", None),
        ("Asia/Singapore", None),  # another name, the same time
    ):
        context = browser.new_context(timezone_id=zone)
        line = opened(context, stage, "landing").locator(".yours")
        if said:
            assert re.search(said, line.inner_text())
        else:
            expect(line).to_be_hidden()
        context.close()


def test_nothing_moves_under_a_finger_while_a_page_comes_in(context, stage):
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    for name in ("landing", "session"):
        page.goto(address(stage, name))
        expect(page.locator(".yours")).to_be_visible()
        shifted = page.evaluate(
            """() => new Promise((done) => {
              let sum = 0;
              const add = (list) => list.getEntries().forEach((shift) => (sum += shift.value));
              new PerformanceObserver(add).observe({ type: 'layout-shift', buffered: true });
              setTimeout(() => done(sum), 500);
            })"""
        )
        assert shifted < 0.01, name


def test_the_countdown_is_right_though_the_page_is_old(context, stage):
    start = datetime.fromisoformat(short_list(stage)["soon"] + "T09:30:00").replace(tzinfo=SHANGHAI)
    page = context.new_page()
    for at, said in (
        (start - timedelta(days=2, hours=3), "starts in 2 days 3 hours"),
        (start - timedelta(minutes=61), "starts in 1 hour 1 minute"),
        (start - timedelta(seconds=20), "starts in 1 minute"),
        (start + timedelta(minutes=1), "on now"),
        (start + timedelta(hours=2), "it is over"),
    ):
        page.clock.set_fixed_time(at)
        page.goto(address(stage, "landing"))
        expect(page.locator(".countdown")).to_have_text(said)


def test_the_countdown_goes_on_by_itself(context, stage):
    start = datetime.fromisoformat(short_list(stage)["soon"] + "T09:30:00").replace(tzinfo=SHANGHAI)
    page = context.new_page()
    page.clock.install(time=start - timedelta(seconds=90))
    page.goto(address(stage, "landing"))
    expect(page.locator(".countdown")).to_have_text("starts in 2 minutes")
    page.clock.fast_forward(120_000)
    expect(page.locator(".countdown")).to_have_text("on now")


def test_a_number_is_copied_as_digits_and_the_whole_as_text(context, stage):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened(context, stage, "landing")
    page.get_by_role("button", name="Copy the meeting ID").click()
    expect(page.locator(".told")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "329744341"
    page.get_by_role("button", name="Copy it all as text").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "https://meeting.tencent.com/dm/p1q2HxwW3x4r" in copied
    assert "Meeting ID: 329 744 341" in copied
    assert "974114" not in copied


def test_a_menu_closes_at_escape_and_at_a_click_beside_it(context, stage):
    page = opened(context, stage, "landing")
    menu, summary = page.locator(".menu"), page.locator(".menu summary")
    summary.click()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(summary).to_be_focused()
    summary.click()
    expect(menu).to_have_attribute("open", "")
    page.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")


def test_a_replay_asks_nobody_before_it_is_pressed_and_then_plays_in_place(context, stage):
    asked: list[str] = []
    context.route(re.compile(r"^https://"), lambda route: (asked.append(route.request.url), route.abort()))
    page = opened(context, stage, "past")
    assert asked == []
    page.get_by_role("link", name="Replay:").first.click()
    expect(page.locator("iframe")).to_have_attribute("title", re.compile("Replay: "))
    assert [urlsplit(url).hostname for url in asked] == ["player.bilibili.com"]
    assert "autoplay=0" in asked[0]


def test_the_history_narrows_as_one_types(context, stage):
    page = opened(context, stage, "history")
    page.get_by_role("searchbox").fill("（17）")
    expect(page.locator(".sessions li:visible")).to_have_count(1)
    page.get_by_role("searchbox").fill("shilijiangzhe ÉRIN （17")
    expect(page.locator(".sessions li:visible")).to_have_count(1)
    page.get_by_role("searchbox").fill("nobody")
    expect(page.get_by_text("Nothing on this page")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    assert page.locator(".sessions li:visible").count() > 40
    expect(page.get_by_text("Nothing on this page")).to_have_count(0)


def test_a_host_of_plain_files_is_searched_by_the_script(browser, stage, tmp_path):
    stage.run("publish", str(tmp_path))
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=tmp_path))
    threading.Thread(target=host.serve_forever, daemon=True).start()
    whole = f"http://127.0.0.1:{host.server_port}/en/history"
    shown = {}
    for has_scripts in (True, False):
        context = browser.new_context(java_script_enabled=has_scripts)
        page = context.new_page()
        page.goto(whole)
        page.get_by_role("searchbox").fill("（17）")
        page.get_by_role("button", name="Search").click()
        page.wait_for_url(re.compile(r"/\?q=%EF%BC%8817%EF%BC%89&year=$"))
        shown[has_scripts] = page.locator(".sessions li:visible").count()
        context.close()
    assert (shown[True], shown[False] > 40) == (1, True)
    page = browser.new_page()
    page.goto(whole)
    years = page.locator("#year option").evaluate_all("all => all.map((one) => one.value)")
    page.goto(f"{whole}?year={years[-1]}&q=")
    page.wait_for_url(f"{whole}/{years[-1]}/?q=")
    expect(page.locator("#year")).to_have_value(years[-1])
    page.goto(f"{whole}?year=1789&q=")
    page.wait_for_timeout(300)
    assert page.url.endswith("/?year=1789&q=")
    page.close()
    host.shutdown()
    host.server_close()


def test_a_printed_page_leaves_out_what_paper_cannot_do(context, stage):
    page = opened(context, stage, "landing")
    page.emulate_media(media="print")
    for unwanted in ("nav", "button", ".ways", ".menu"):
        assert page.locator(f"{unwanted}:visible").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_formulas_are_drawn_without_any_script(browser, stage):
    context = browser.new_context(java_script_enabled=False)
    page = opened(context, stage, "session")
    fraction = page.locator("mfrac").bounding_box()
    assert fraction
    assert fraction["height"] > 1.5 * 16  # one above the other
    context.close()


# The policy


@pytest.mark.parametrize("name", ["landing", "history", "subscribe"])
def test_the_policy_stops_what_would_be_smuggled_in(context, stage, name):
    page = opened(context, stage, name)
    stopped = page.evaluate(
        """async () => {
          const stopped = [];
          document.addEventListener('securitypolicyviolation', (event) => stopped.push(event.effectiveDirective));
          const add = (html) => document.body.insertAdjacentHTML('beforeend', html);
          add('<p style="color: red">x</p><img src="https://evil.example/x.png">');
          add('<img src="x" onerror="window.smuggled = 1">');
          add('<iframe src="https://evil.example/"></iframe>');
          const script = document.createElement('script');
          script.textContent = 'window.smuggled = 1';
          document.body.append(script);
          await fetch('https://evil.example/').catch(() => 0);
          await new Promise((done) => setTimeout(done, 300));
          return [stopped, window.smuggled];
        }"""
    )
    directives = {"style-src-attr", "img-src", "script-src-attr", "script-src-elem", "frame-src", "connect-src"}
    assert (set(stopped[0]), stopped[1]) == (directives, None)


def test_only_the_page_made_for_it_stands_in_a_frame_of_others(context, stage):
    framed = "".join(f'<iframe src="{stage.url}{path}"></iframe>' for path in ("/en/embed", "/en/"))

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(framed.encode())

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
        inside = page.frame_locator("iframe").nth(0)
        expect(inside.get_by_role("heading", level=2)).to_be_visible()
        assert {a.get_attribute("target") for a in inside.locator("a").all()} == {"_top"}
        expect(page.frame_locator("iframe").nth(1).locator("main")).to_have_count(0)
        elsewhere.shutdown()


# What search engines read


@pytest.mark.parametrize("name", ["landing", "session", "past"])
def test_a_session_is_described_for_search_engines_and_the_browser_lets_it_stand(context, stage, name):
    page = opened(context, stage, name)
    event = json.loads(page.locator("script[type='application/ld+json']").text_content() or "")
    assert event["@type"] == "EducationEvent"
    assert datetime.fromisoformat(event["startDate"]).utcoffset() == timedelta(hours=8)
    assert page.locator("meta[property='og:title']").get_attribute("content") == page.title()
    alternates = page.locator("link[hreflang]").all()
    assert [link.get_attribute("hreflang") for link in alternates] == ["zh-CN", "en", "x-default"]
    assert all((link.get_attribute("href") or "").startswith(stage.url) for link in alternates)


# The operator's desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with daemon(tmp_path_factory.mktemp("desk"), settings='[desk]\nkey = "a-key-of-chance-123456"\n') as running:
        running.run("subscribers", "add", "ada@example.org")
        yield running


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_desk_is_accessible_and_clean_and_can_be_used(context, desk, language):
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{desk.url}/desk?lang={language}")
    assert Axe().run(page).violations_count == 0
    page.fill("input[name=key]", "a-key-of-chance-123456")
    page.click("button[value=enter]")
    page.fill("input[name=address]", "ada@example.org")
    page.click("button[value=explain]")
    for scheme, width in (("light", 1200), ("dark", 1200), ("dark", 360)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        found = Axe().run(page)
        assert found.violations_count == 0, f"{scheme} {width}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("a[href*='/preview/']").first.click()
    expect(page.frame_locator("iframe").nth(1).get_by_text("Meeting ID").first).to_be_visible()
    # The mails in the frames are of an origin of their own: axe could not talk to them, and the console would tell.
    assert Axe().run(page, options={"iframes": False}).violations_count == 0
    page.goto(f"{desk.url}/desk")
    page.click("button[value=leave]")
    expect(page.locator("input[name=key]")).to_be_visible()
    assert said == []
