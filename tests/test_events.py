"""Sessions as events of the feed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from icalendar import vText
from samples import DAYS, START, session
from test_feed import FULL, LINK, SITE, WANG, ZHU, event, rendered, uids, unfolded

from notifier import events
from notifier.talks import Link, Livestream, Room, Speaker, Status, Talk


def test_a_session_is_one_event_with_both_talks():
    found = event(session(revision=3, modified=datetime(2021, 11, 20, 12, tzinfo=UTC)))
    assert {name: value.to_ical().decode() for name, value in found.items() if name != "CONFERENCE"} == {
        "UID": "2021-11-27@seminar.example.org",
        "DTSTAMP": "20211120T120000Z",
        "LAST-MODIFIED": "20211120T120000Z",
        "CREATED": "20210101T000000Z",
        "SEQUENCE": "3",
        "DTSTART": "20211127T093000",
        "DTEND": "20211127T113000",
        "SUMMARY": "王宇航: 冷冻电镜原理及相关算法 · 朱通: 基于神经网络实现碳氢燃料的燃烧模拟",
        "DESCRIPTION": found["DESCRIPTION"].to_ical().decode(),
        "LOCATION": f"腾讯会议 Tencent Meeting 329 744 341 {LINK}",
        "URL": f"{SITE}/sessions/2021-11-27",
        "STATUS": "CONFIRMED",
        "TRANSP": "OPAQUE",
        "CLASS": "PUBLIC",
        "CATEGORIES": "Joint Seminar of Machine Learning",
    }


def test_the_time_is_the_seminars_with_its_zone():
    data = rendered(session(START.astimezone(UTC)))
    assert b"\r\nDTSTART;TZID=Asia/Shanghai:20211127T093000\r\n" in data
    assert b"\r\nDTEND;TZID=Asia/Shanghai:20211127T113000\r\n" in data


def test_the_description_begins_with_what_is_urgent_and_how_to_join():
    assert str(event(FULL)["DESCRIPTION"]) == (
        "Starts 15 minutes late.\n\n"
        f"参会链接 Join: {LINK}\n"
        "会议号 Meeting ID: 329 744 341\n"
        "密码 Passcode: 974114\n"
        "备用会议号(无密码) Alternate meeting ID (no passcode): 553 2421 7498\n"
        "直播 Livestream: https://live.bilibili.com/1\n"
        f"详情 Details: {SITE}/sessions/2021-11-27\n\n"
        "1. 冷冻电镜原理及相关算法\n"
        "王宇航 (DP; PKU)\n"
        "主页 Homepage: https://wang.example\n"
        "First.\n\nSecond.\n"
        "幻灯片 Slides: https://slides.example/1\n"
        "回放 Replay: https://www.bilibili.com/video/BV1\n\n"
        "2. 10:30–11:30 基于神经网络实现碳氢燃料的燃烧模拟\n"
        "朱通 (华东师范大学)\n"
        "幻灯片 Slides: 下载链接"
    )


@pytest.mark.parametrize(
    ("language", "first", "second"),
    [("en", f"Join: {LINK}", "Meeting ID: 329 744 341"), ("zh", f"参会链接: {LINK}", "会议号: 329 744 341")],
)
def test_the_description_is_in_the_language_that_was_asked_for(language: str, first: str, second: str):
    assert str(event(session(), language=language)["DESCRIPTION"]).split("\n")[:2] == [first, second]


def test_titles_and_abstracts_are_in_the_language_that_was_asked_for():
    talk = Talk("On engines", "论引擎", (Speaker("Ada"),), abstract="Of engines.", abstract_zh="引擎。")
    zh, en = (event(session(talks=(talk,)), language=language) for language in ("zh", "en"))
    assert (str(zh["SUMMARY"]), str(en["SUMMARY"])) == ("Ada: 论引擎", "Ada: On engines")
    assert (str(zh["DESCRIPTION"])[-3:], str(en["DESCRIPTION"])[-11:]) == ("引擎。", "Of engines.")


@pytest.mark.parametrize(
    ("talks", "summary"),
    [
        ((), "Joint Seminar of Machine Learning: 待定 TBA"),
        ((Talk(), Talk()), "Joint Seminar of Machine Learning: 待定 TBA"),
        ((Talk(speakers=(Speaker("Ada"), Speaker("Bob"))),), "Ada, Bob: 待定 TBA"),
        ((Talk("On engines"), Talk()), "On engines · 待定 TBA"),
        ((Talk(title_zh="论引擎"),), "论引擎"),
        ((Talk(r"Rates of $\nu$, \N and C:\New"),), "Rates of ν, ∖N and C:∖New"),
    ],
)
def test_the_summary_says_what_is_known(talks: tuple[Talk, ...], summary: str):
    assert str(event(session(talks=talks))["SUMMARY"]) == summary


def test_a_summary_is_at_most_255_characters_long():
    summary = str(
        event(session(talks=(Talk("é" * 300, speakers=(Speaker("Ada"),)),), status=Status.CANCELLED))["SUMMARY"]
    )
    assert summary == "[已取消 Cancelled] Ada: " + "é" * 233 + "…"
    assert len(summary) == 255


def test_a_cancelled_session_says_so_and_takes_no_time():
    found = event(session(status=Status.CANCELLED))
    assert str(found["SUMMARY"]).startswith("[已取消 Cancelled] 王宇航: ")
    assert (str(found["STATUS"]), str(found["TRANSP"])) == ("CANCELLED", "TRANSPARENT")


def test_an_uncertain_session_is_tentative():
    assert str(event(session(status=Status.TENTATIVE))["STATUS"]) == "TENTATIVE"


@pytest.mark.parametrize(
    ("room", "livestream", "location"),
    [
        (Room("https://zoom.us/j/1", "1234567890"), Livestream(), "Zoom 123 456 7890 https://zoom.us/j/1"),
        (Room("https://pku.zoom.us/j/1"), Livestream(), "Zoom https://pku.zoom.us/j/1"),
        (
            Room("https://teams.microsoft.com/l/1"),
            Livestream(),
            "Microsoft Teams https://teams.microsoft.com/l/1",
        ),
        (
            Room("https://zoom.us.evil.example/1"),
            Livestream(),
            "在线会议 Online meeting https://zoom.us.evil.example/1",
        ),
        (Room("https://notzoom.us/1"), Livestream(), "在线会议 Online meeting https://notzoom.us/1"),
        (Room("meeting.tencent.com/dm/1"), Livestream(), "腾讯会议 Tencent Meeting meeting.tencent.com/dm/1"),
        (Room(meeting_id="55324217498"), Livestream(), "在线会议 Online meeting 553 2421 7498"),
        (Room(meeting_id="room-5"), Livestream(), "在线会议 Online meeting room-5"),
        (Room("https://[broken"), Livestream(), "在线会议 Online meeting https://[broken"),
        (Room(), Livestream("https://live.bilibili.com/1", "Bilibili"), "Bilibili https://live.bilibili.com/1"),
    ],
)
def test_the_location_names_the_provider_by_the_links_host(room: Room, livestream: Livestream, location: str):
    assert str(event(session(room=room, livestream=livestream))["LOCATION"]) == location


def test_a_session_without_any_link_has_no_location():
    found = event(session(room=Room(), livestream=Livestream()))
    assert [name for name in ("LOCATION", "CONFERENCE") if name in found] == []


def test_the_meeting_and_the_livestream_are_conferences():
    conferences = [line for line in unfolded(rendered(FULL)) if line.startswith("CONFERENCE")]
    assert conferences == [
        f"CONFERENCE;FEATURE=AUDIO,VIDEO,SCREEN;LABEL=腾讯会议 Tencent Meeting;VALUE=URI:{LINK}",
        "CONFERENCE;FEATURE=FEED;LABEL=bilibili living room;VALUE=URI:https://live.bilibili.com/1",
    ]


def test_a_conferences_label_needs_no_escape():
    stream = Livestream("https://live.example", 'the "big" ^n room, upstairs')
    (line,) = (line for line in unfolded(rendered(session(room=Room(), livestream=stream))) if "FEED" in line)
    assert line == 'CONFERENCE;FEATURE=FEED;LABEL="the big n room, upstairs";VALUE=URI:https://live.example'


def test_a_conference_whose_label_is_nothing_but_quotes_is_a_livestream():
    stream = Livestream("https://live.example", '"^"')
    (line,) = (line for line in unfolded(rendered(session(room=Room(), livestream=stream))) if "FEED" in line)
    assert line == "CONFERENCE;FEATURE=FEED;LABEL=直播 Livestream;VALUE=URI:https://live.example"


def test_links_are_in_ascii_and_without_a_comma():
    found = event(session(room=Room("https://会议.example/a,b?q=室&r=%20&s=100%"), livestream=Livestream()))
    link = "https://xn--6oqu09l.example/a%2Cb?q=%E5%AE%A4&r=%20&s=100%25"
    assert str(found["CONFERENCE"]) == link
    assert str(found["LOCATION"]) == f"在线会议 Online meeting {link}"


def test_a_link_that_no_program_should_open_is_no_conference():
    found = event(session(room=Room("javascript:alert(1)"), livestream=Livestream("not a link")))
    assert "CONFERENCE" not in found


def test_a_session_id_of_any_kind_makes_a_link():
    assert str(event(session(id="会议/1 a?b"))["URL"]) == f"{SITE}/sessions/%E4%BC%9A%E8%AE%AE%2F1%20a%3Fb"


def test_a_long_abstract_is_cut_so_that_the_rest_fits():
    talks = (
        replace(WANG, abstract="长" * 9000, slides=Link("https://slides.example/1")),
        replace(ZHU, abstract="Short.", replay="https://replay.example/2"),
    )
    text = str(event(session(talks=talks))["DESCRIPTION"])
    assert 7950 < len(text) <= 8000
    assert text.startswith(f"参会链接 Join: {LINK}\n")
    assert "长…\n幻灯片 Slides: https://slides.example/1\n" in text
    assert text.endswith("\nShort.\n回放 Replay: https://replay.example/2")


@pytest.mark.parametrize("start", range(12))
def test_no_escape_is_cut_in_two_where_calcurse_cuts(start: int):
    talk = replace(WANG, abstract="a" * start + "摘要,逗号;\n" * 900, slides=Link("https://slides.example/1"))
    text = str(event(session(talks=(talk,)))["DESCRIPTION"])
    line = b"DESCRIPTION:" + vText(text).to_ical()
    assert not line[:8191].endswith(b"\\")
    assert len(text) <= 8000
    assert text.endswith("https://slides.example/1")


def test_two_long_abstracts_are_cut_to_the_same_length():
    talks = (replace(WANG, abstract="长" * 9000), replace(ZHU, abstract="文" * 7000))
    text = str(event(session(talks=talks))["DESCRIPTION"])
    assert abs(text.count("长") - text.count("文")) <= 1
    assert text.count("长") > 3500


def test_how_to_join_stays_whatever_is_long():
    speaker = Speaker("A" * 5000, ("B" * 5000,), "https://c.example/" + "c" * 5000)
    talks = tuple(replace(WANG, title="T" * 5000, speakers=(speaker,)) for _ in range(20))
    text = str(event(session(talks=talks, notice="N" * 9000))["DESCRIPTION"])
    assert len(text) == 8000
    assert f"参会链接 Join: {LINK}\n会议号 Meeting ID: 329 744 341\n" in text


def test_a_speaker_without_a_name_leaves_no_gap():
    talks = (Talk(title="On sets", speakers=(Speaker("\ud83d"), Speaker("", ("ECNU",)), Speaker("Ada"))),)
    found = event(session(talks=talks))
    assert found["SUMMARY"] == "Ada: On sets"
    assert found["DESCRIPTION"].endswith("On sets\n(ECNU)\nAda")


def test_what_was_made_already_is_never_taken_for_another_session(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "_MOST_EVENTS", 40)
    events.forget()
    for turn in range(30):  # new objects each time, which may well lie where the last ones lay
        many = [session(START + n * DAYS, id=f"s{n}", uid=f"{turn}-{n}@x", notice=str(turn)) for n in range(20)]
        assert uids(*many) == [f"{turn}-{n}@x" for n in range(20)]
        assert rendered(*many) == rendered(*map(replace, many))
        del many
    assert max(map(len, events._made.values())) <= 100
