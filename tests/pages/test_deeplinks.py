"""The links into other programs: their forms, and that no value can leave its place in them."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import ROOM, seminar, session

from notifier.pages import deeplinks
from notifier.talks import Talk

FEED = "https://seminar.example.org/ml-seminar.ics"


def test_a_feed_is_subscribed_to_by_each_client_in_its_own_form():
    assert deeplinks.for_feed(FEED, "研讨会 & more") == {
        "apple": "webcal://seminar.example.org/ml-seminar.ics",
        "google": "https://calendar.google.com/calendar/u/0/r/settings/addbyurl",
        "google_feed": "https://calendar.google.com/calendar/render"
        "?cid=webcal%3A%2F%2Fseminar.example.org%2Fml-seminar.ics",
        "outlook": "https://outlook.live.com/calendar/0/addfromweb/"
        "?url=https%3A%2F%2Fseminar.example.org%2Fml-seminar.ics&name=%E7%A0%94%E8%AE%A8%E4%BC%9A%20%26%20more",
        "office": "https://outlook.office.com/calendar/0/addfromweb/"
        "?url=https%3A%2F%2Fseminar.example.org%2Fml-seminar.ics&name=%E7%A0%94%E8%AE%A8%E4%BC%9A%20%26%20more",
    }


def test_a_session_is_taken_by_each_client_at_its_time_in_utc():
    links = deeplinks.for_session(session(), seminar(), "en", "https://seminar.example.org/sessions/2021-11-27")
    google = parse_qs(urlsplit(links["google"]).query)
    assert google["dates"] == ["20211127T013000Z/20211127T033000Z"]
    assert google["ctz"] == ["Asia/Shanghai"]
    assert google["location"] == [ROOM.url]
    assert google["text"] == [
        "Joint Seminar of Machine Learning / 冷冻电镜原理及相关算法 / 基于神经网络实现碳氢燃料的燃烧模拟"
    ]
    for name, host in (("outlook", "outlook.live.com"), ("office", "outlook.office.com")):
        assert urlsplit(links[name]).hostname == host
        outlook = parse_qs(urlsplit(links[name]).query)
        assert outlook["path"] == ["/calendar/action/compose"]
        assert (outlook["startdt"], outlook["enddt"]) == (["2021-11-27T01:30:00Z"], ["2021-11-27T03:30:00Z"])


@given(title=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), url=st.text(st.characters(codec="utf-8")))
def test_no_value_can_leave_its_parameter(title, url):
    odd = replace(session(), talks=(Talk(title),), room=replace(ROOM, url=url))
    for link in deeplinks.for_session(odd, seminar(), "en", "https://x.example/").values():
        assert link.isascii()
        assert len(parse_qs(urlsplit(link).query, keep_blank_values=True)) in (6, 7)
    for form in deeplinks.FORMS:
        if "{name}" in deeplinks.FORMS[form]:
            asked = parse_qs(urlsplit(deeplinks.filled(form, feed=url, name=title)).query, keep_blank_values=True)
            assert asked == {"url": [url], "name": [title]}


@pytest.mark.parametrize(
    ("number", "link"),
    [
        ("329 744 341", "wemeet://page/inmeeting?meeting_code=329744341"),
        ("553-2421-7498", "wemeet://page/inmeeting?meeting_code=55324217498"),
        ("p1q2HxwW3x4r", ""),
        ("12345", ""),
        ("", ""),
    ],
)
def test_a_meeting_opens_in_its_program_by_its_number_alone(number, link):
    assert deeplinks.meeting_app(number) == link


@pytest.mark.parametrize(
    ("url", "played"),
    [
        ("https://www.bilibili.com/video/BV1pf4y1u79M", ("BV1pf4y1u79M", "1")),
        ("http://www.bilibili.com/video/BV1pf4y1u79M/?spm_id_from=333", ("BV1pf4y1u79M", "1")),
        ("https://www.bilibili.com/video/BV1i64y1y7nN?p=2", ("BV1i64y1y7nN", "2")),
        ("https://www.bilibili.com/video/BV1i64y1y7nN?p=x%26", ("BV1i64y1y7nN", "1")),
        ("https://evil.example/video/BV1pf4y1u79M", None),
        ("https://www.bilibili.com.evil.example/video/BV1pf4y1u79M", None),
        ("https://www.bilibili.com/video/BV1pf4y1u79M/../x", None),
        ("javascript://www.bilibili.com/video/BV1pf4y1u79M", None),
        ("https://live.bilibili.com/99", None),
        ("//[", None),
        ("", None),
    ],
)
def test_only_a_video_of_bilibili_is_played_in_place_and_starts_silent(url, played):
    link = deeplinks.player(url)
    if played is None:
        assert link == ""
        return
    asked = parse_qs(urlsplit(link).query)
    assert link.startswith("https://player.bilibili.com/player.html?")
    assert (asked["bvid"][0], asked["p"][0], asked["autoplay"][0]) == (*played, "0")
