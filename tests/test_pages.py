"""Requests against a snapshot: what is published, in which language, with which validators, and what never is."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import brotli
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from notifier import feed, pages, talks
from notifier.errors import TemplateError
from notifier.pages import Response, Site, Snapshot, Templates
from notifier.talks import Audience, Link, Livestream, Room, Seminar, Session, Speaker, Status, Talk

SHANGHAI = ZoneInfo("Asia/Shanghai")
FOLDER = Path(__file__).parents[1] / "templates"
TEXTS = {str(file.relative_to(FOLDER)): file.read_text() for file in FOLDER.rglob("*.*") if file.is_file()}
TEMPLATES = Templates(TEXTS)
SITE = Site("https://seminar.example.org")
PASSCODE = "974114"


def at(day: int, hour: int = 9, minute: int = 30, *, month: int = 11) -> datetime:
    return datetime(2021, month, day, hour, minute, tzinfo=SHANGHAI)


def session(start: datetime, *contributions: Talk, **others: object) -> Session:
    return Session(
        id=f"{start:%Y-%m-%d}",
        start=start,
        end=start + timedelta(hours=2),
        timezone="Asia/Shanghai",
        talks=contributions,
        uid=f"{start:%Y-%m-%d}@seminar.example.org",
        created=at(1),
        modified=at(1),
        **others,  # type: ignore[arg-type]
    )


ROOM = Room(
    "https://meeting.tencent.com/dm/p1q2HxwW3x4r",
    "329744341",
    PASSCODE,
    "553 2421 7498",
    "https://meeting.tencent.com/download-center.html",
)
NEXT = session(
    at(27),
    Talk("冷冻电镜原理及相关算法", speakers=(Speaker("王宇航", ("北京深势科技有限公司",)),)),
    Talk(
        "基于神经网络实现碳氢燃料的燃烧模拟", speakers=(Speaker("朱通", ("华东师范大学",), "https://example.org/zhu"),)
    ),
    room=ROOM,
    livestream=Livestream("", "bilibili living room"),
)
PAST = session(
    at(13),
    Talk(
        "A talk of the past",
        speakers=(Speaker("Ada"),),
        replay="https://example.org/replay",
        slides=Link("https://example.org/s.pdf"),
    ),
)
LATER = session(at(11, month=12), Talk(speakers=(Speaker("Bob"),)), status=Status.TENTATIVE)
SEMINAR = Seminar(
    "joint-seminar",
    "Joint Seminar",
    "Asia/Shanghai",
    "联合研讨会",
    organisers=("Ada", "Bob"),
    homepage="https://example.org/",
    sessions=(PAST, NEXT, LATER),
)
NOW = at(24, 12, 0)


def built(seminar: Seminar = SEMINAR, site: Site = SITE, now: datetime = NOW, **others: object) -> Snapshot:
    return pages.build(seminar, TEMPLATES, site, now=now, **others)  # type: ignore[arg-type]


SNAPSHOT = built()


def get(
    path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", at: Snapshot = SNAPSHOT
) -> Response:
    path, _, query = path.partition("?")
    return pages.answer(at, method, path, query, headers or {})


def landing(snapshot: Snapshot, language: str = "en") -> BeautifulSoup:
    return BeautifulSoup(get(f"/?lang={language}", at=snapshot).body, "html.parser")


def words(soup: BeautifulSoup, selector: str) -> list[str]:
    return [" ".join(found.get_text(" ").split()) for found in soup.select(selector)]


# What is published


def test_the_feed_is_what_the_feed_module_renders_of_the_public_seminar():
    public = replace(SEMINAR, sessions=tuple(talks.shown_to(Audience.PUBLIC, s, SITE.levels) for s in SEMINAR.sessions))
    answered = get("/calendar.ics")
    assert answered.body == feed.render(public, now=NOW, base_url=SITE.base_url)
    assert get("/joint-seminar.ics") == answered
    assert dict(answered.headers)["Content-Type"] == "text/calendar; charset=utf-8"
    assert dict(answered.headers)["Content-Disposition"] == 'inline; filename="joint-seminar.ics"'
    assert dict(answered.headers)["Cache-Control"] == "public, max-age=300"


def test_one_session_is_a_calendar_file_of_its_own():
    public = talks.shown_to(Audience.PUBLIC, NEXT, SITE.levels)
    answered = get("/sessions/2021-11-27.ics")
    assert answered.body == feed.single(public, replace(SEMINAR, sessions=()), base_url=SITE.base_url)
    assert dict(answered.headers)["Content-Disposition"] == 'inline; filename="2021-11-27.ics"'


def test_the_json_is_the_export_of_the_public_seminar():
    public = replace(SEMINAR, sessions=tuple(talks.shown_to(Audience.PUBLIC, s, SITE.levels) for s in SEMINAR.sessions))
    assert json.loads(get("/talks.json").body) == {**talks.as_json(public), "warnings": []}


def test_robots_may_read_the_feed_and_are_kept_from_the_signed_links():
    assert get("/robots.txt").body.decode().splitlines() == [
        "User-agent: *",
        "Disallow: /confirm/",
        "Disallow: /preferences/",
        "Disallow: /unsubscribe/",
        "Sitemap: https://seminar.example.org/sitemap.xml",
    ]


def test_search_engines_find_every_page_and_no_dialogue():
    sitemap = ElementTree.fromstring(get("/sitemap.xml").body)
    paths = [(loc.text or "").removeprefix(SITE.base_url) for loc in sitemap.iter() if loc.tag.endswith("}loc")]
    assert paths == ["/", "/history", "/subscribe", *(f"/sessions/{one.id}" for one in SEMINAR.sessions)]
    assert {get(path).status for path in paths} == {200}


def test_what_is_not_for_the_public_is_on_no_public_surface():
    for key, document in SNAPSHOT.keyed.items():
        assert PASSCODE.encode() not in document.body, key
    open_site = built(site=replace(SITE, levels={}))
    assert sorted(key for key, document in open_site.keyed.items() if PASSCODE.encode() in document.body) == [
        "/?lang=en", "/?lang=zh", "/calendar.ics", "/feed.atom?lang=en", "/feed.atom?lang=zh", "/joint-seminar.ics",
        "/sessions/2021-11-27.ics", "/sessions/2021-11-27?lang=en", "/sessions/2021-11-27?lang=zh", "/talks.json",
    ]  # fmt: skip


def test_every_join_field_can_be_kept_from_the_public():
    closed = built(site=replace(SITE, levels=dict.fromkeys(talks.JOIN_FIELDS, Audience.SUBSCRIBERS)))
    for key, document in closed.keyed.items():
        for secret in ("p1q2HxwW3x4r", "329744341", "329 744 341", PASSCODE, "553 2421 7498", "living room"):
            assert secret.encode() not in document.body, key
    assert "The link to join comes with the reminder by mail." in landing(closed).get_text()


def test_a_file_name_in_a_header_holds_nothing_but_plain_letters():
    odd = replace(SEMINAR, sessions=(replace(NEXT, id='机器"学习\\27'),))
    answered = get('/sessions/机器"学习\\27.ics', at=built(odd))
    assert dict(answered.headers)["Content-Disposition"] == 'inline; filename="-27.ics"'


# The landing page


def test_the_landing_page_opens_with_the_next_session_and_the_way_in():
    page = landing(SNAPSHOT)
    assert words(page, "h1") == ["Saturday, 27 November 2021"]
    assert [time["datetime"] for time in page.select(".next time")] == [
        "2021-11-27T09:30:00+08:00",
        "2021-11-27T09:30:00+08:00",
        "2021-11-27T11:30:00+08:00",
    ]
    assert words(page, ".hours") == ["9:30 – 11:30 Beijing time (UTC+8)"]
    assert page.select_one("a.button")["href"] == ROOM.url
    assert words(page, ".number") == ["329 744 341", "553 2421 7498"]
    assert words(page, ".next .eyebrow") == ["Next session · in 3 days"]


def test_the_landing_page_speaks_chinese():
    page = landing(SNAPSHOT, "zh")
    assert page.html["lang"] == "zh-CN"
    assert words(page, "h1") == ["2021年11月27日 星期六"]
    assert words(page, ".next .eyebrow") == ["下一场 · 3 天后"]
    assert words(page, ".hours") == ["9:30 – 11:30 北京时间 (UTC+8)"]
    assert words(page, ".next .button") == ["加入腾讯会议", "添加到日历"]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (at(26, 0, 0), "Next session · tomorrow"),
        (at(27, 8, 59), "Next session · today"),
        (at(27, 9, 0), "Starting soon"),
        (at(27, 9, 29), "Starting soon"),
        (at(27, 9, 30), "On now"),
        (at(27, 11, 29), "On now"),
        (at(27, 11, 30), "Next session · in 14 days To be confirmed"),
    ],
)
def test_the_landing_page_says_how_soon_it_is(now, said):
    assert words(landing(built(now=now)), ".next .eyebrow") == [said]


def test_days_are_counted_in_the_seminars_zone():
    late_in_london = datetime(2021, 11, 25, 17, 0, tzinfo=UTC)  # already the 26th in Shanghai
    assert words(landing(built(now=late_in_london)), ".next .eyebrow") == ["Next session · tomorrow"]


def test_a_session_in_another_zone_is_told_in_the_seminars():
    start = datetime(2021, 11, 26, 20, 30, tzinfo=ZoneInfo("America/New_York"))
    abroad = replace(NEXT, start=start, end=start + timedelta(hours=2), timezone="America/New_York")
    page = landing(built(replace(SEMINAR, sessions=(abroad,))))
    assert words(page, "h1") == ["Saturday, 27 November 2021"]
    assert words(page, ".hours") == ["9:30 – 11:30 Beijing time (UTC+8)"]


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("America/St_Johns", "22:00 – Sat, 27 Nov 2021 0:00 St. John’s time (UTC-3:30)"),
        ("Europe/London", "1:30 – 3:30 London time (UTC)"),
        ("UTC", "1:30 – 3:30 UTC"),
        ("Etc/GMT-8", "9:30 – 11:30 UTC+8"),
    ],
)
def test_hours_are_told_with_the_zones_city_and_offset(zone, said):
    assert words(landing(built(replace(SEMINAR, timezone=zone))), ".hours") == [said]


def test_a_session_past_midnight_names_the_day_of_its_end():
    long = replace(NEXT, end=at(28, 1, 0))
    assert words(landing(built(replace(SEMINAR, sessions=(long,)))), ".hours b") == ["9:30 – Sun, 28 Nov 2021 1:00"]


def test_a_cancelled_session_is_never_the_next_and_stands_above_it_for_who_came_for_it():
    called_off = replace(NEXT, status=Status.CANCELLED, notice="The speaker is ill.")
    page = landing(built(replace(SEMINAR, sessions=(PAST, called_off, LATER))))
    assert words(page, "h1") == ["Saturday, 11 December 2021"]
    assert words(page, "main > :first-child") == ["Sat, 27 Nov 2021 Cancelled The speaker is ill."]
    assert page.select("[aria-labelledby=upcoming]") == []


def test_a_cancelled_session_after_the_next_is_listed_with_the_others():
    called_off = replace(LATER, status=Status.CANCELLED, notice="A holiday.")
    page = landing(built(replace(SEMINAR, sessions=(NEXT, called_off))))
    assert words(page, "[aria-labelledby=upcoming] .when") == ["Sat, 11 Dec 2021 9:30 – 11:30 Cancelled"]
    assert words(page, "[aria-labelledby=upcoming] .notice") == ["A holiday."]


def test_a_cancelled_session_is_not_to_be_cited():
    assert "Cite" in get("/en/sessions/2021-11-27").body.decode()
    called_off = built(replace(SEMINAR, sessions=(replace(NEXT, status=Status.CANCELLED),)))
    assert "Cite" not in get("/en/sessions/2021-11-27", at=called_off).body.decode()


@pytest.mark.parametrize(
    ("status", "now", "marks"),
    [
        (Status.CONFIRMED, NOW, []),
        (Status.TENTATIVE, NOW, ["To be confirmed"]),
        (Status.CONFIRMED, at(27, 9, 10), ["Starting soon"]),
        (Status.CONFIRMED, at(27, 10, 0), ["On now"]),
    ],
)
def test_a_frame_tells_who_speaks_and_whether_it_is_on(status, now, marks):
    several = Talk("Why", speakers=(Speaker("Ada"), Speaker("Bob"), Speaker("Carol")))
    shown = built(replace(SEMINAR, sessions=(replace(NEXT, talks=(several,), status=status),)), now=now)
    frame = BeautifulSoup(get("/en/embed", at=shown).body, "html.parser")
    assert words(frame, ".from") == ["Ada, Bob and Carol"]
    assert words(frame, ".eyebrow") == marks


@pytest.mark.parametrize(("title", "cited"), [("Why", "Ada. Why. Joint"), ("Why?", "Ada. Why? Joint")])
def test_a_citation_has_one_stop_behind_the_title(title, cited):
    asks = replace(PAST, talks=(Talk(title, speakers=(Speaker("Ada"),)),))
    page = BeautifulSoup(
        get(f"/en/sessions/{PAST.id}", at=built(replace(SEMINAR, sessions=(asks,)))).body, "html.parser"
    )
    assert words(page, ".cite")[0].startswith(cited)


def test_speakers_of_one_talk_are_parted_and_titles_run_as_their_language_does():
    several = Talk("שיחה one", speakers=(Speaker("Ada", ("A", "B")), Speaker("Bob"), Speaker("Carol", ("C",))))
    shown = built(replace(SEMINAR, sessions=(replace(NEXT, talks=(several,)),)))
    assert words(landing(shown), "article > p") == ["Ada A and B ; Bob ; Carol C"]
    assert words(landing(shown, "zh"), "article > p") == ["Ada A和B ； Bob ； Carol C"]
    assert landing(shown).select_one("article h2 span")["dir"] == "auto"


def test_chinese_sentences_follow_each_other_without_a_space():
    assert "提前1周预告。提前1天和1小时提醒。回放与幻灯片上线时通知。改期时通知。" in get("/zh/").body.decode()


def test_without_a_session_to_come_the_page_says_so_and_still_offers_the_feed():
    page = landing(built(replace(SEMINAR, sessions=())))
    assert words(page, "h1") == ["No session is planned yet"]
    assert page.select_one("[href^='webcal:']")["href"] == "webcal://seminar.example.org/joint-seminar.ics"


def test_talks_without_title_or_speaker_are_said_to_be_announced():
    page = landing(built(replace(SEMINAR, sessions=(replace(NEXT, talks=(Talk(),)), session(at(11, month=12))))))
    assert words(page, "article") == ["Title to be announced Speaker to be announced"]
    assert words(page, "[aria-labelledby=upcoming] li p:last-child") == ["The talks will be announced."]


def test_past_sessions_come_latest_first_with_what_came_of_them():
    older = session(at(30, month=10), Talk("Older"))
    called_off = session(at(6), Talk("Called off"), status=Status.CANCELLED)
    page = landing(built(replace(SEMINAR, sessions=(older, called_off, PAST, NEXT))))
    assert words(page, "[aria-labelledby=past] .when a") == ["Sat, 13 Nov 2021", "Sat, 30 Oct 2021"]
    assert [a["href"] for a in page.select("[aria-labelledby=past] .after a")] == [
        PAST.talks[0].slides.url,
        PAST.talks[0].replay,
    ]


def test_texts_of_the_talk_list_cannot_become_markup():
    evil = '"><script>alert(1)</script>'
    talk = Talk(evil, speakers=(Speaker(evil, (evil,)),), abstract=evil, slides=Link("https://example.org/", evil))
    page = landing(built(replace(SEMINAR, sessions=(replace(NEXT, talks=(talk,), notice=evil),), name=evil)))
    assert [script.get("type") for script in page.find_all("script")] == [None, "application/ld+json"]
    assert words(page, "article h2") == [evil]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//[", "wemeet://page/inmeeting"])
def test_only_web_addresses_become_links(url):
    talk = Talk("T", speakers=(Speaker("Ada", homepage=url),), slides=Link(url, "slides"), replay=url)
    room = replace(ROOM, url=url, download_url=url)
    odd = replace(NEXT, talks=(talk,), room=room, livestream=Livestream(url, "live"))
    page = landing(built(replace(SEMINAR, sessions=(odd,), homepage=url)))
    assert [a["href"] for a in page.find_all("a") if a["href"] == url] == []


HTML = {at: page for at, page in SNAPSHOT.pages.items() if page.media_type.startswith("text/html")}


def test_pages_hold_nothing_that_the_policy_forbids():
    for (name, language), document in HTML.items():
        page = BeautifulSoup(document.body, "html.parser")
        assert page.select("style, [style], iframe, object") == [], (name, language)
        assert all(script.get("src") or script["type"] == "application/ld+json" for script in page.select("script"))
        assert not any(attribute.startswith("on") for tag in page.find_all() for attribute in tag.attrs)
        policy = dict(document.headers)["Content-Security-Policy"].split("; ")
        assert policy[0] == "default-src 'none'"
        assert policy[-1] == ("frame-ancestors *" if name == "/embed" else "frame-ancestors 'none'")


def test_every_link_to_this_site_leads_somewhere():
    for (name, language), document in HTML.items():
        page = BeautifulSoup(document.body, "html.parser")
        for link in page.select("[href]"):
            parts = urlsplit(link["href"])
            if parts.scheme in ("", "https", "webcal") and parts.netloc in ("", "seminar.example.org") and parts.path:
                assert get(f"{parts.path}?{parts.query}").status == 200, (name, language, link)
            if parts.fragment:
                assert page.find(id=parts.fragment), (name, language, link)


def test_pages_of_a_site_in_a_folder_link_into_that_folder():
    snapshot = built(site=replace(SITE, base_url="https://example.org/seminar/"))
    for (name, language), document in snapshot.pages.items():
        if "html" not in document.media_type:
            continue
        page = BeautifulSoup(document.body, "html.parser")
        links = [tag[at] for at in ("href", "src", "action") for tag in page.select(f"[{at}]")]
        assert all(link.startswith("/seminar/") for link in links if link.startswith("/")), (name, language)
    page = landing(snapshot)
    assert page.select_one("link[rel=stylesheet]")["href"].startswith("/seminar/style-")
    assert page.select_one("[href^='webcal:']")["href"] == "webcal://example.org/seminar/joint-seminar.ics"


def test_assets_are_named_by_their_bytes_and_kept_for_ever():
    style = landing(SNAPSHOT).select_one("link[rel=stylesheet]")["href"]
    answered = get(style)
    assert answered.body == TEXTS["pages/style.css"].encode()
    assert dict(answered.headers)["Cache-Control"] == "public, max-age=31536000, immutable"
    repainted = Templates({**TEXTS, "pages/style.css": "body { color: red }"})
    other = pages.build(SEMINAR, repainted, SITE, now=NOW)
    assert landing(other).select_one("link[rel=stylesheet]")["href"] != style


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    full = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    parts = [int(full[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_the_contrast_of_wcag_aa_in_light_and_dark():
    light, dark = [
        dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in TEXTS["pages/style.css"].split("@media")[:2]
    ]
    for scheme in (light, dark):
        pairs = [(ink, paper) for ink in ("ink", "soft", "accent", "warn", "off") for paper in ("paper", "card")]
        for ink, paper in [*pairs, ("on-accent", "accent"), ("warn", "warn-paper")]:
            low, high = sorted((luminance(scheme[ink]), luminance(scheme[paper])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


# The page of one session


def about(one: Session, now: datetime = NOW, language: str = "en") -> BeautifulSoup:
    snapshot = built(replace(SEMINAR, sessions=(one,)), now=now)
    return BeautifulSoup(get(f"/sessions/{one.id}?lang={language}", at=snapshot).body, "html.parser")


def test_a_session_has_a_page_of_its_own_with_the_way_in():
    page = about(NEXT, language="zh")
    assert words(page, "h1") == ["2021年11月27日 星期六"]
    assert page.select_one("a.button")["href"] == ROOM.url
    assert words(page, "article h2") == [talk.title for talk in NEXT.talks]
    assert page.select_one("link[rel=canonical]")["href"] == f"{SITE.base_url}/zh/sessions/2021-11-27"


@pytest.mark.parametrize("one", [NEXT, replace(NEXT, start=at(20), end=at(20, 11), status=Status.CANCELLED)])
def test_nobody_is_sent_into_a_room_where_nothing_is_on(one):
    page = about(one, now=at(28) if one is NEXT else at(19))
    assert ROOM.url not in str(page)
    assert words(page, ".eyebrow") == ["Past session" if one is NEXT else "Session Cancelled"]
    assert words(page, "article h2") == [talk.title for talk in NEXT.talks]


def test_a_session_page_has_all_that_is_known_of_a_talk():
    talk = Talk(
        "A talk", title_zh="报告", abstract="Why.\n\nHow.", abstract_zh="摘要", bio="Ada computes.",
        references=("https://example.org/paper", "Ada, 1843"), speakers=(Speaker("Ada", ("One", "Two")),),
        start=at(27, 10, 0),
    )  # fmt: skip
    page = about(replace(NEXT, talks=(talk,)))
    assert words(page, "article h2") == ["A talk"]
    assert words(page, "article > p") == ["10:00 Ada One and Two"]
    assert [p.get_text() for p in page.select(".prose")] == ["Why.\n\nHow.", "Ada computes."]
    assert words(page, "article li") == ["https://example.org/paper", "Ada, 1843"]
    assert [a["href"] for a in page.select("article li a")] == ["https://example.org/paper"]
    assert words(about(replace(NEXT, talks=(talk,)), language="zh"), "article h2, article details p:first-of-type") == [
        "报告",
        "摘要",
    ]


# Languages


@pytest.mark.parametrize(
    ("path", "accepted", "language"),
    [
        ("/", "", "en"),
        ("/", "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("/", "zh", "zh-CN"),
        ("/", "ZH-hant-TW", "zh-CN"),
        ("/", "en-GB,zh;q=0.9", "en"),
        ("/", "en;q=0.5, zh;q=0.9", "zh-CN"),
        ("/", "zh;q=0, en;q=0.1", "en"),
        ("/", "fr, de;q=0.9", "en"),
        ("/", "*", "en"),
        ("/", "zh;q=much", "en"),
        ("/?lang=zh", "en", "zh-CN"),
        ("/?lang=en", "zh", "en"),
        ("/?lang=klingon", "zh", "zh-CN"),
        ("/?lang=", "zh", "zh-CN"),
        ("/?lang=%ff&lang=en", "zh", "en"),
        ("/?utm_source=mail", "zh", "zh-CN"),
    ],
)
def test_the_language_is_the_one_asked_for_else_the_browsers_else_the_sites(path, accepted, language):
    headers = dict(get(path, {"accept-language": accepted}).headers)
    assert headers["Content-Language"] == language
    assert headers["Vary"] == "Accept-Encoding, Accept-Language"


def test_the_site_chooses_the_language_of_those_who_choose_none():
    snapshot = built(site=replace(SITE, language="zh"))
    assert dict(get("/", at=snapshot).headers)["Content-Language"] == "zh-CN"


def test_every_text_of_the_pages_is_in_the_chinese_catalogue():
    extracted = extract_from_dir(FOLDER / "pages", method_map=[("**.html", "jinja2")])
    texts = {message if isinstance(message, str) else message[0] for _, _, message, _, _ in extracted}
    with (FOLDER / "locale/zh/LC_MESSAGES/pages.po").open("rb") as file:
        catalogue = read_po(file, locale="zh", abort_invalid=True)
    translated = {m.id if isinstance(m.id, str) else m.id[0] for m in catalogue if m.id and m.string and not m.fuzzy}
    assert translated == texts


# Validators and encodings


def validators(response: Response) -> dict[str, str]:
    return {
        name: value for name, value in response.headers if name in ("ETag", "Last-Modified", "Cache-Control", "Vary")
    }


def test_who_has_the_bytes_gets_a_304_with_the_validators_repeated():
    whole = get("/calendar.ics")
    known = get("/calendar.ics", {"if-none-match": validators(whole)["ETag"]})
    assert known == Response(304, tuple(validators(whole).items()))
    assert sorted(validators(whole)) == ["Cache-Control", "ETag", "Last-Modified", "Vary"]


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"other", {tag}', 304),
        ('W/"other" , W/{tag},"more"', 304),
        ("*", 304),
        (" * ", 304),
        ('"other"', 200),
        ("", 200),
        ("unquoted", 200),
        ('"', 200),
    ],
)
def test_entity_tags_are_compared_weakly_and_as_a_list(condition, status):
    tag = validators(get("/calendar.ics"))["ETag"]
    assert get("/calendar.ics", {"if-none-match": condition.format(tag=tag)}).status == status


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Wed, 24 Nov 2021 04:00:00 GMT", 304),
        ("Wednesday, 24-Nov-21 04:00:00 GMT", 304),
        ("Wed Nov 24 04:00:00 2021", 304),
        ("Thu, 25 Nov 2021 04:00:00 GMT", 304),
        (" Wed, 24 Nov 2021 04:00:00 GMT ", 304),
        ("Wed, 24 Nov 2021 03:59:59 GMT", 200),
        ("Wed, 31 Nov 2021 04:00:00 GMT", 200),
        ("Thu, 25 Nov 2021 04:00:00 GMT, Thu, 25 Nov 2021 04:00:00 GMT", 200),
        ("Thu, 25 Nov 2021 04:00:00", 200),
        ("Thu, 25 Nov 2021 04:00:00 +0000", 200),
        ("2021-11-25", 200),
        ("1637800000", 200),
        ("yesterday", 200),
        ("", 200),
        ("Wed, 24 Nov 99999 04:00:00 GMT", 200),
    ],
)
def test_a_date_is_a_condition_too(since, status):
    assert validators(get("/calendar.ics"))["Last-Modified"] == "Wed, 24 Nov 2021 04:00:00 GMT"
    assert get("/calendar.ics", {"if-modified-since": since}).status == status


def test_an_entity_tag_goes_before_a_date():
    late = {"if-modified-since": "Thu, 25 Nov 2021 04:00:00 GMT"}
    assert get("/calendar.ics", {**late, "if-none-match": '"other"'}).status == 200
    assert get("/calendar.ics", {**late, "if-none-match": ""}).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": "{tag}"}, 200),
        ({"if-match": '"other", {tag}'}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": "W/{tag}"}, 412),
        ({"if-match": '"other"'}, 412),
        ({"if-match": '"other"', "if-none-match": "{tag}"}, 412),
        ({"if-match": "{tag}", "if-none-match": "{tag}"}, 304),
        ({"if-match": "{tag}", "if-unmodified-since": "Wed, 24 Nov 2021 03:59:59 GMT"}, 200),
        ({"if-unmodified-since": "Wed, 24 Nov 2021 04:00:00 GMT"}, 200),
        ({"if-unmodified-since": "Wed, 24 Nov 2021 03:59:59 GMT"}, 412),
        ({"if-unmodified-since": "yesterday"}, 200),
    ],
)
def test_who_wants_only_what_it_was_gets_nothing_else(headers, status):
    """In the order of RFC 9110 section 13.2.2."""
    tag = validators(get("/calendar.ics"))["ETag"]
    assert get("/calendar.ics", {name: value.format(tag=tag) for name, value in headers.items()}).status == status


def decoded(answered: Response) -> bytes:
    match dict(answered.headers).get("Content-Encoding"):
        case "br":
            return brotli.decompress(answered.body)
        case "gzip":
            return gzip.decompress(answered.body)
        case None:
            return answered.body


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0.5, GZIP", "gzip"),
        ("*", "br"),
        ("br;q=0, *;q=0.1", "gzip"),
        ("gzip ; q=1.0", "gzip"),
        ("gzip\t;q=1.000", "gzip"),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=0.001", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("identity;q=0", None),
        ("*;q=0, gzip;q=0.5", "gzip"),
        ("", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000, br;q=0, *", None),
        ("*;q=0", None),
        ("deflate, zstd", None),
        ("xgzip", None),
        ("gzip;q=lots", None),
        ("gzip;q=1.5", None),
    ],
)
def test_the_coding_that_is_liked_best_is_given(accepted, coding):
    plain, answered = get("/talks.json"), get("/talks.json", {"accept-encoding": accepted})
    headers = dict(answered.headers)
    assert headers["Vary"] == "Accept-Encoding"
    assert headers.get("Content-Encoding") == coding
    assert decoded(answered) == plain.body
    assert headers["Content-Length"] == str(len(answered.body))


def test_each_encoding_has_a_validator_of_its_own():
    tags = {
        coding: validators(get("/talks.json", {"accept-encoding": coding}))["ETag"] for coding in ("", "gzip", "br")
    }
    assert re.fullmatch('"[0-9a-f]{32}"', tags[""])
    assert tags == {"": tags[""], "gzip": tags[""][:-1] + '-gzip"', "br": tags[""][:-1] + '-br"'}
    for coding in tags:
        for other, tag in tags.items():
            headers = {"accept-encoding": coding, "if-none-match": tag}
            assert get("/talks.json", headers).status == (304 if coding == other else 200), (coding, other)


def test_one_tag_is_one_sequence_of_bytes():
    assert SNAPSHOT.documents["/talks.json"].encodings["gzip"][4:8] == bytes(4)  # no time in it


def test_all_that_is_ready_is_compressed_before_anyone_asks():
    late = (d for d in built().ready.values() if not d.encodings and len(gzip.compress(d.body)) < len(d.body))
    assert list(late) == []


def test_what_has_two_names_is_one_document():
    assert SNAPSHOT.documents["/calendar.ics"] is SNAPSHOT.documents["/joint-seminar.ics"]


def test_what_has_not_changed_is_compressed_once():
    after = built(replace(SEMINAR, sessions=(PAST, replace(NEXT, notice="Bring tea."), LATER)), previous=SNAPSHOT)
    same = {key for key, document in after.ready.items() if document is SNAPSHOT.ready[key]}
    assert set(SNAPSHOT.ready) - same == {
        "/?lang=en", "/?lang=zh", "/embed?lang=en", "/embed?lang=zh", "/calendar.ics", "/joint-seminar.ics",
            "/feed.atom?lang=en", "/feed.atom?lang=zh",
        "/talks.json", "/sessions/2021-11-27?lang=en", "/sessions/2021-11-27?lang=zh",
    }  # fmt: skip


def test_compression_can_be_switched_off():
    snapshot = built(site=replace(SITE, compress=False), previous=SNAPSHOT)
    for coding in ("gzip", "br"):
        headers = dict(get("/calendar.ics", {"accept-encoding": coding}, at=snapshot).headers)
        assert "Content-Encoding" not in headers
        assert "Vary" not in headers


@pytest.mark.parametrize("path", ["/", "/calendar.ics", "/talks.json", "/nothing"])
def test_head_tells_what_get_would(path):
    told, whole = get(path, method="HEAD"), get(path)
    assert (told.status, told.headers, told.body) == (whole.status, whole.headers, b"")
    assert dict(told.headers)["Content-Length"] == str(len(whole.body))


# Methods, unknown paths and queries


@pytest.mark.parametrize("method", ["PROPFIND", "REPORT", "PUT", "POST", "DELETE", "PATCH", "MKCALENDAR", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/calendar.ics", "/joint-seminar.ics", "/.well-known/caldav", "/talks.json"])
def test_what_is_published_can_only_be_read(method, path):
    answered = get(path, method=method)
    assert answered.status == 405
    assert dict(answered.headers)["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/", "/calendar.ics", "/.well-known/caldav"])
def test_options_tells_the_methods_and_speaks_of_no_calendar_server(path):
    answered = get(path, method="OPTIONS")
    assert (answered.status, answered.body) == (204, b"")
    assert dict(answered.headers)["Allow"] == "GET, HEAD, OPTIONS"
    assert "DAV" not in dict(answered.headers)


@pytest.mark.parametrize("path", ["/nothing", "/.well-known/caldav", "/sessions/2021", "/calendar", "not-found2"])
def test_an_unknown_path_is_a_404_in_the_readers_language(path):
    answered = get(path, {"accept-language": "zh"})
    assert answered.status == 404
    assert "没有这个页面" in answered.body.decode()
    assert dict(answered.headers)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("query", ["past=", "past=%00", "lang=xx&&&=", "alarm=-1", "a" * 5000, "%", "cancelled=1"])
def test_queries_that_say_nothing_to_the_feed_change_nothing(query):
    assert get(f"/calendar.ics?{query}") == get("/calendar.ics")


@given(
    method=st.sampled_from(["GET", "HEAD", "OPTIONS", "PROPFIND"]),
    path=st.sampled_from(["/", "/calendar.ics", "/x"]),
    query=st.text(max_size=40),
    headers=st.dictionaries(
        st.sampled_from(["accept-encoding", "accept-language", "if-none-match", "if-modified-since"]),
        st.text(st.characters(codec="latin-1"), max_size=60)
        | st.from_regex(r'(W/)?"?[a-z;=,q.0-9 :+-]{0,30}"?', fullmatch=True),
    ),
)
def test_no_header_or_query_can_break_an_answer(method, path, query, headers):
    assert pages.answer(SNAPSHOT, method, path, query, headers).status in (200, 204, 304, 404, 405)


@pytest.mark.parametrize("name", [*pages.DIALOGUES, *pages.PROBLEMS])
def test_pages_that_answer_for_something_are_never_kept(name):
    answered = pages.page(SNAPSHOT, name, "GET", "lang=zh", {})
    assert answered.status == pages.PROBLEMS.get(name, 200)
    assert dict(answered.headers)["Cache-Control"] == "no-store"
    assert dict(answered.headers)["Referrer-Policy"] == "no-referrer"
    assert len(words(BeautifulSoup(answered.body, "html.parser"), "h1")) == 1


# From one snapshot to the next


def test_an_edit_moves_last_modified_of_what_it_changed_and_of_nothing_else():
    edited = replace(SEMINAR, sessions=(PAST, replace(NEXT, notice="Bring tea.", modified=at(25)), LATER))
    after = built(edited, now=at(25), previous=SNAPSHOT)
    changed = {key for key, (_, moved) in after.modified.items() if moved == at(25)}
    assert changed == {
        "/?lang=en", "/?lang=zh", "/embed?lang=en", "/embed?lang=zh", "/calendar.ics", "/joint-seminar.ics",
        "/feed.atom?lang=en", "/feed.atom?lang=zh",
        "/sessions/2021-11-27.ics", "/talks.json",
        "/calendar.ics?",
        "/sessions/2021-11-27?lang=en", "/sessions/2021-11-27?lang=zh",
    }  # fmt: skip


def test_a_clock_that_was_ahead_leaves_no_last_modified_in_the_future():
    ahead = {key: (tag, NOW + timedelta(days=1)) for key, (tag, _) in SNAPSHOT.modified.items()}
    assert {moved for _, moved in built(modified=ahead).modified.values()} == {NOW}


def test_a_restart_moves_no_last_modified():
    restarted = built(now=NOW + timedelta(minutes=5), modified=SNAPSHOT.modified)
    assert restarted.modified == SNAPSHOT.modified


def test_stored_times_of_other_bytes_are_not_believed():
    stored = {key: ('"other"', at(1)) for key in SNAPSHOT.modified}
    assert built(modified=stored).modified == SNAPSHOT.modified


def test_times_of_change_are_whole_seconds_of_utc():
    odd = built(now=NOW + timedelta(microseconds=999_999))
    assert {moved for _, moved in odd.modified.values()} == {NOW.astimezone(UTC)}


def test_a_reload_renders_only_the_sessions_that_changed():
    many = tuple(session(at(1, month=1) + timedelta(days=n), Talk(f"Talk {n}"), room=ROOM) for n in range(50))
    before = built(replace(SEMINAR, sessions=many))
    read_again = tuple(replace(one) for one in many)
    edited = (*read_again[:7], replace(many[7], notice="Moved."), *read_again[8:])
    after = built(replace(SEMINAR, sessions=edited), previous=before)
    rendered_anew = [name for name, one in after.shown.items() if one is not before.shown[name]]
    assert rendered_anew == [many[7].id]
    assert built(replace(SEMINAR, sessions=edited)).keyed == after.keyed


def test_a_session_that_ends_is_rendered_anew():
    after = built(now=NEXT.end, previous=SNAPSHOT)
    assert [name for name, one in after.shown.items() if one is not SNAPSHOT.shown[name]] == ["2021-11-27"]
    assert built(now=NEXT.end).shown["2021-11-27"].pages["en"].body == after.shown["2021-11-27"].pages["en"].body


def test_pages_that_tell_of_no_session_are_rendered_once():
    edited = built(replace(SEMINAR, sessions=(PAST, replace(NEXT, notice="Late."), LATER)), previous=SNAPSHOT)
    for name in (*pages.DIALOGUES, *pages.PROBLEMS):
        assert edited.pages[name, "zh"] is SNAPSHOT.pages[name, "zh"], name


def test_a_changed_site_or_series_renders_every_session_anew():
    for other in (
        built(site=replace(SITE, levels={}), previous=SNAPSHOT),
        built(replace(SEMINAR, name="X"), previous=SNAPSHOT),
        pages.build(SEMINAR, Templates(TEXTS, {"pages/card.html": ""}), SITE, now=NOW, previous=SNAPSHOT),
    ):
        assert [name for name, one in other.shown.items() if one is SNAPSHOT.shown[name]] == []


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (NOW, at(25, 0, 0)),
        (at(27, 0, 0), at(27, 9, 0)),
        (at(27, 9, 0), at(27, 9, 30)),
        (at(27, 9, 30), at(27, 11, 30)),
        (at(27, 11, 30), at(28, 0, 0)),
    ],
)
def test_a_snapshot_knows_until_when_it_is_true(now, until):
    assert built(now=now).until == until


# Templates


def test_what_does_not_compile_is_refused_with_file_and_line():
    broken = {"locale/zh/LC_MESSAGES/pages.po": "nonsense", "pages/index.html": "fine\n{% if %}\n"}
    with pytest.raises(TemplateError) as caught:
        Templates(TEXTS, broken)
    assert [(p.source, p.line) for p in caught.value.problems] == [
        ("locale/zh/LC_MESSAGES/pages.po", 1),
        ("pages/index.html", 2),
    ]


def test_a_template_that_names_something_unknown_is_refused_with_file_and_line():
    templates = Templates({**TEXTS, "pages/join.html": "fine\nfine\n{{ romo.url }}\n"})
    with pytest.raises(TemplateError) as caught:
        pages.build(SEMINAR, templates, SITE, now=NOW)
    assert [str(p) for p in caught.value.problems] == [
        "pages/join.html:3: UndefinedError: 'romo' is undefined; mend the template"
    ]


@pytest.mark.parametrize("name", ["pages/layout.html", "pages/style.css"])
def test_a_missing_file_is_named(name):
    templates = Templates({at: text for at, text in TEXTS.items() if at != name})
    with pytest.raises(TemplateError, match=name):
        pages.build(SEMINAR, templates, SITE, now=NOW)


def test_an_operators_template_can_extend_the_shipped_one():
    own = '{% extends "shipped/pages/layout.html" %}{% block main %}<h1>Ours</h1>{% endblock %}'
    snapshot = pages.build(SEMINAR, Templates(TEXTS, {"pages/index.html": own}), SITE, now=NOW)
    assert words(landing(snapshot), "h1") == ["Ours"]
    assert words(landing(snapshot), ".name") == ["Joint Seminar"]


# --- Rendered when asked for ------------------------------------------------------------------------------------------

MANY = replace(
    SEMINAR, sessions=tuple(session(at(1, month=1) + timedelta(days=n), Talk(f"Talk {n}")) for n in range(50))
)


def test_a_session_that_nobody_asks_for_is_not_rendered():
    snapshot = built(MANY)
    rendered = {name for name, one in snapshot.shown.items() if "pages" in vars(one)}
    assert rendered == {one.id for one in MANY.sessions[-pages.PAST :]}
    assert get("/sessions/2021-01-01", at=snapshot).status == 200
    assert "pages" in vars(snapshot.shown["2021-01-01"])


def test_what_is_rendered_late_has_the_bytes_and_times_of_its_snapshot():
    early, late = built(MANY), built(MANY)
    expected = dict(early.keyed)
    after = built(MANY, now=NOW + timedelta(minutes=9), previous=late)
    assert {key: after.keyed[key] for key in expected} == expected


def test_a_session_is_found_whatever_its_id_looks_like():
    several = (replace(NEXT, id="a"), replace(PAST, id="a.ics"), replace(LATER, id="x/y"))
    snapshot = built(replace(SEMINAR, sessions=several))
    for path, status in {"a": 200, "a.ics": 200, "a.ics.ics": 200, "x/y": 200, "x/y.ics": 200, ".ics": 404}.items():
        assert get(f"/sessions/{path}", at=snapshot).status == status, path
