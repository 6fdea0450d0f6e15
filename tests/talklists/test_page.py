"""The seminar's page → a seminar: the same talks in many clothes, the real page word for word, torn pages refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time
from html import escape
from pathlib import Path
from textwrap import dedent
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.errors import TalkListError
from notifier.talklists import Context, Reading, page
from notifier.talks import Link, Livestream, Room, Seminar, Session, Speaker, Status, Talk

SHANGHAI = ZoneInfo("Asia/Shanghai")
REAL_PAGE = Path(__file__).parents[3] / "shared/data/seminar-page.txt"


def read(text: str, **context: str) -> Reading:
    return page.read(text, Context(**({"is_zone_said": False} | context)))


def read_dedented(text: str, **context: str) -> Reading:
    return read(dedent(text).lstrip("\n"), **context)


def refusal(text: str) -> str:
    with pytest.raises(TalkListError) as caught:
        read(text)
    return str(caught.value)


def warnings_of(reading: Reading) -> list[tuple[int | None, str]]:
    return [(warning.line, warning.message) for warning in reading.warnings]


def only_talk(text: str) -> Talk:
    (session,) = read_dedented(text).seminar.sessions
    (talk,) = session.talks
    return talk


def talk_with(*lines: str) -> str:
    return "\n".join(("A Seminar", "Time: 2021-11-27 9:30-11:30", "Title: Engines", *lines, ""))


# --- Pages nobody has seen yet ---------------------------------------------------------------------------------------


def test_a_slot_alone_on_its_line_begins_the_next_talk_also_behind_an_abstract():
    (session,) = read_dedented("""
        A Seminar
        时 间：2026年12月5日 星期六 上午9点30分至11点30分

        09:30-10:30
        题 目：Transformers
        报告人：Jian Li, Tsinghua University
        摘 要：We study.

        10:30-11:30
        题 目：扩散模型
        报告人：卢策吾（上海交通大学）
    """).seminar.sessions
    first, second = session.talks
    assert (first.abstract, first.start.time(), second.start.time()) == ("We study.", time(9, 30), time(10, 30))


def test_a_dated_heading_that_says_cancelled_begins_a_cancelled_session():
    cancelled, held = read_dedented("""
        A Seminar

        ## Dec 5, 2026 (Sat) 09:30–11:30 Beijing time

        **Title**: Neural ODEs
        **Speaker**: Zhong Li

        ## Nov 21, 2026 (Sat) 09:30–11:30 Beijing time — CANCELLED

        **Title**: Gone
        **Speaker**: Ada Example
    """).seminar.sessions
    assert (cancelled.status, cancelled.notice, held.status) == (Status.CANCELLED, "CANCELLED", Status.CONFIRMED)


@pytest.mark.parametrize("label", ["会议形式", "举办方式", "面向对象", "会议平台", "Platform"])
def test_a_field_that_a_list_has_no_place_for_is_no_talk(label):
    reading = read_dedented(f"""
        A Seminar
        报告时间：2026年12月5日 9:30-11:30
        {label}：线上（腾讯会议）
        报告一
        报告人：李明（清华大学）
        报告题目：泛化
    """)
    (session,) = reading.seminar.sessions
    assert [talk.title for talk in session.talks] == ["泛化"]
    assert (3, f"a talk list has no place for '{label}'; '线上（腾讯会议）' was left out") in warnings_of(reading)


@pytest.mark.parametrize(
    ("line", "room"),
    [
        (
            "Tencent Meeting: https://meeting.tencent.com/dm/zz, ID 329 744 341, password 974114",
            Room("https://meeting.tencent.com/dm/zz", "329 744 341", "974114"),
        ),
        (
            "Zoom: https://zoom.us/j/123456789?pwd=abc (Passcode: 123456)",
            Room("https://zoom.us/j/123456789?pwd=abc", passcode="123456"),
        ),
    ],
)
def test_what_stands_beside_a_meeting_link_is_kept(line, room):
    (session,) = read(talk_with("Speaker: Ann Lee (MIT)", line)).seminar.sessions
    assert session.room == room


@pytest.mark.parametrize("said", ["Saturday 12/5/2026", "5/12/2026 (周六)", "Sat, 05.12.2026"])
def test_a_weekday_tells_which_of_two_dates_is_meant(said):
    (session,) = read(f"A Seminar\nTime: {said} 9:30-11:30\nTitle: Engines\nSpeaker: Ann Lee\n").seminar.sessions
    assert session.start.date() == date(2026, 12, 5)


@pytest.mark.parametrize("box", ["div", "section", "table", "ul", "p"])
def test_boxes_keep_talks_apart_whatever_stands_first_in_them(box):
    """Without the boxes the replay, which comes first, would be taken for the end of the talk before."""
    line = {"table": "<tr><td>{}</td></tr>", "ul": "<li>{}</li>", "p": "{}<br><br>"}.get(
        box, "<div>{}</div><p>&nbsp;</p>"
    )
    talks = [
        ("Replay: https://replay.example.org/1", "Date: 2026-12-05, 9:30-11:30", "Speaker: Ann Lee", "Title: One"),
        ("Replay: https://replay.example.org/2", "Date: 2026-12-19, 9:30-11:30", "Speaker: Bob Ray", "Title: Two"),
        ("Date: 2026-12-26, 9:30-11:30", "Speaker: Carl Ma", "Title: Three"),
        ("Replay: https://replay.example.org/4", "Date: 2027-01-09, 9:30-11:30", "Speaker: Dee Fu", "Title: Four"),
    ]
    boxes = "".join(f"<{box}>{''.join(line.format(entry) for entry in talk)}</{box}>" for talk in talks)
    read_talks = [s.talks[0] for s in read(f"<html><body><h1>A Seminar</h1>{boxes}</body></html>").seminar.sessions]
    assert [(talk.title, talk.replay[-1:]) for talk in read_talks] == [
        ("One", "1"), ("Two", "2"), ("Three", ""), ("Four", "4"),
    ]  # fmt: skip


def test_a_video_id_is_the_page_of_its_video():
    talk = only_talk(talk_with("Speaker: Ann Lee (MIT)", "Replay: BV1xx411c7mD"))
    assert talk.replay == "https://www.bilibili.com/video/BV1xx411c7mD"


# --- The same talks in other clothes ---------------------------------------------------------------------------------

TWO_PARAGRAPHS = (
    "We ask what a title, a topic and a reporter have in common. Time: there is never enough.\n\n"
    "The second paragraph is short."
)


@dataclass(frozen=True)
class Given:
    """A talk as an organiser knows it."""

    title: str
    speaker: str
    affiliation: str = ""
    homepage: str = ""
    replay: str = ""
    abstract: str = ""
    bio: str = ""


@dataclass(frozen=True)
class Meeting:
    """A session as an organiser knows it."""

    day: date
    start: time
    end: time
    talks: tuple[Given, ...]
    join: dict[str, str] = field(default_factory=dict)


MEETINGS = (
    Meeting(
        date(2021, 11, 27),
        time(9, 30),
        time(11, 30),
        (
            Given(
                "冷冻电镜原理及相关算法",
                "王宇航",
                "北京深势科技有限公司",
                abstract="我们介绍冷冻电镜。",
                bio="王宇航，算法研究员。",
            ),
            Given(
                "基于神经网络实现碳氢燃料的燃烧模拟",
                "朱通",
                "华东师范大学",
                abstract="我们模拟燃烧：从头算起。",
                bio="朱通，副研究员。",
            ),
        ),
        {
            "meeting": "https://meeting.tencent.com/dm/p1q2HxwW3x4r",
            "meeting_id": "329744341",
            "passcode": "974114",
            "alternate_id": "553 2421 7498",
        },
    ),
    Meeting(
        date(2021, 10, 30),
        time(14, 0),
        time(16, 0),
        (
            Given(
                "Deep Network Approximation: Achieving Arbitrary Error with Fixed Size",
                "Shijun Zhang",
                "National University of Singapore",
                "https://shijunzhang.top/",
                "https://www.bilibili.com/video/BV1pf4y1u79M",
                TWO_PARAGRAPHS,
                "Shijun works on networks.",
            ),
            Given(
                "Global Loss Landscape of Neural Networks: What do We Know and What do We Not Know?",
                "Ruoyu Sun",
                "University of Illinois at Urbana-Champaign",
                "https://ruoyus.github.io/",
                "https://www.bilibili.com/video/BV1cq4y1G7Zn",
                "Landscapes are looked at.",
                "Ruoyu works on landscapes.",
            ),
        ),
    ),
    Meeting(
        date(2021, 9, 11),
        time(9, 30),
        time(11, 30),
        (
            Given(
                "Convergence analysis for the gradient descent optimization method",
                "Arnulf Jentzen",
                "Institute for Analysis and Numerics, University of Muenster, Germany",
                "http://www.ajentzen.de/",
                "https://www.bilibili.com/video/BV1DU4y177A1",
                "We prove a conjecture.",
                "Arnulf proves.",
            ),
        ),
    ),
)


def instant(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, SHANGHAI)


def expected_talk(given: Given) -> Talk:
    speaker = Speaker(given.speaker, (given.affiliation,) if given.affiliation else (), given.homepage)
    return Talk(title=given.title, speakers=(speaker,), abstract=given.abstract, bio=given.bio, replay=given.replay)


def expected_session(meeting: Meeting) -> Session:
    room = {("url" if name == "meeting" else name): value for name, value in meeting.join.items()}
    return Session(
        id=meeting.day.isoformat(),
        start=instant(meeting.day, meeting.start),
        end=instant(meeting.day, meeting.end),
        timezone="Asia/Shanghai",
        talks=tuple(map(expected_talk, meeting.talks)),
        room=Room(**room),
    )


EXPECTED = tuple(sorted(map(expected_session, MEETINGS), key=lambda session: session.start))

ENGLISH = {
    "time": "Time",
    "title": "Title",
    "speaker": "Reporter",
    "affiliation": "Affiliations",
    "homepage": "Homepage",
    "replay": "Replay",
    "abstract": "Abstract",
    "bio": "Bio",
    "meeting": "Tecent Meeting Link",
    "meeting_id": "Meeting ID",
    "passcode": "Password",
    "alternate_id": "Alternate meeting ID (no password)",
}
SYNONYMS = ENGLISH | {
    "time": "Date & Time",
    "title": "TOPIC",
    "speaker": "speaker(s)",
    "affiliation": "Institution",
    "homepage": "Personal Website",
    "replay": "Video Recording",
    "abstract": "Talk Abstract",
    "bio": "About the Speaker",
    "meeting": "Zoom Link",
    "meeting_id": "Zoom Meeting ID",
    "passcode": "Passcode",
    "alternate_id": "Backup Meeting ID",
}
CHINESE = {
    "time": "时间",
    "title": "报告题目",
    "speaker": "报告人",
    "affiliation": "单位",
    "homepage": "个人主页",
    "replay": "回放",
    "abstract": "摘要",
    "bio": "报告人简介",
    "meeting": "腾讯会议",
    "meeting_id": "会议号",
    "passcode": "会议密码",
    "alternate_id": "备用会议号",
}
OTHER_CHINESE = CHINESE | {
    "time": "日 期",
    "title": "题  目",
    "speaker": "主 讲 人",
    "affiliation": "所属单位",
    "homepage": "主页",
    "replay": "视频",
    "abstract": "内容简介",
    "bio": "个人简介",
    "meeting": "入会链接",
    "meeting_id": "会议 ID",
    "passcode": "入会密码",
    "alternate_id": "备用会议ID",
}


def iso(m: Meeting) -> str:
    return f"{m.day.year}-{m.day.month}-{m.day.day}   {m.start:%H:%M}-{m.end:%H:%M}"


def chinese_date(m: Meeting) -> str:
    half = "上午" if m.start.hour < 12 else "下午"
    hours = [f"{(clock.hour - 1) % 12 + 1 if half == '下午' else clock.hour}:{clock:%M}" for clock in (m.start, m.end)]
    weekday = "一二三四五六日"[m.day.weekday()]
    return f"{m.day.year}年{m.day.month}月{m.day.day}日（周{weekday}）{half}{hours[0]}—{hours[1]}"


def full_width(m: Meeting) -> str:
    wide = str.maketrans("0123456789:", "０１２３４５６７８９：")
    return f"{m.day:%Y/%m/%d} {m.start:%H:%M}～{m.end:%H:%M}".translate(wide)


def american(m: Meeting) -> str:
    return f"{m.day:%A, %B} {m.day.day}, {m.day.year}, {m.start:%I:%M %p} - {m.end:%I:%M %p}"


def british(m: Meeting) -> str:
    return f"{m.day:%a.}, {m.day.day} {m.day:%b %Y} {m.start:%H.%M} to {m.end:%H.%M}"


def dotted(m: Meeting) -> str:
    return f"{m.day.year}.{m.day.month}.{m.day.day}, {m.start:%H:%M} – {m.end:%H:%M} (Beijing time)"


DATES = (iso, chinese_date, full_width, american, british, dotted)


def colon(label: str, value: str) -> str:
    return f"{label}: {value}"


def tight(label: str, value: str) -> str:
    return f"{label}:{value}"


def wide_colon(label: str, value: str) -> str:
    return f"{label}：{value}"


def bold(label: str, value: str) -> str:
    return f"**{label}:** {value}"


def bold_before_colon(label: str, value: str) -> str:
    return f"- **{label}**: {value}"


def bracketed(label: str, value: str) -> str:
    return f"【{label}】{value}"


def alone(label: str, value: str) -> str:
    return f"{label}:\n{value}"


WRITINGS = (colon, tight, wide_colon, bold, bold_before_colon, bracketed, alone)

USUAL_ORDER = ("time", "title", "speaker", "affiliation", "replay", "homepage", "abstract", "bio")


@dataclass(frozen=True)
class Clothes:
    """How a page writes its talks. `once` gives the time once a session, where its place in the order is."""

    labels: dict[str, str] = field(default_factory=lambda: ENGLISH)
    order: tuple[str, ...] = USUAL_ORDER
    write: Callable[[str, str], str] = tight
    when: Callable[[Meeting], str] = iso
    between: str = "\n\n"
    apart: str = "\n\n"
    once: bool = False

    def fields(self, meeting: Meeting, talk: Given) -> Iterator[tuple[str, str]]:
        for name in self.order:
            value = self.when(meeting) if name == "time" else getattr(talk, name)
            if value and not (name == "time" and self.once and talk is not meeting.talks[0]):
                yield self.labels[name], value

    def blocks(self, meeting: Meeting) -> Iterator[list[tuple[str, str]]]:
        for talk in meeting.talks:
            yield list(self.fields(meeting, talk))
        if meeting.join:
            yield [(self.labels[name], value) for name, value in meeting.join.items()]

    def page(self) -> str:
        blocks = [
            self.between.join(self.write(label, value) for label, value in block)
            for meeting in MEETINGS
            for block in self.blocks(meeting)
        ]
        return self.apart.join(["Joint Seminar of Machine Learning", *blocks]) + "\n"


def as_paragraphs(clothes: Clothes) -> str:
    """The page in HTML, a paragraph for each field, links as links."""
    rows = []
    for meeting in MEETINGS:
        for block in clothes.blocks(meeting):
            for label, value in block:
                shown = f'<a href="{value}">{escape(value)}</a>' if value.startswith("http") else escape(value)
                shown = shown.replace("\n\n", "</p>\n<p>").replace("   ", "&nbsp;&nbsp; ")
                rows.append(f"<p><strong>{label}:</strong>{shown}</p>")
    return html_page("\n".join(rows))


def as_table_rows(clothes: Clothes) -> str:
    """The page in HTML, a table of two columns for each talk."""
    tables = []
    for meeting in MEETINGS:
        for block in clothes.blocks(meeting):
            cells = [
                f"<tr><td>{label}</td><td>{escape(value).replace(chr(10) * 2, '<br><br>')}</td></tr>"
                for label, value in block
            ]
            tables.append("<table>" + "\n".join(cells) + "</table>")
    return html_page("\n".join(tables))


def as_breaks(clothes: Clothes) -> str:
    """The page in HTML, one `<div>` for each talk with its fields between `<br>`."""
    divs = []
    for meeting in MEETINGS:
        for block in clothes.blocks(meeting):
            lines = [f"<b>{label}</b>: {escape(value).replace(chr(10) * 2, '</p><p>')}" for label, value in block]
            divs.append("<div>" + "<br/>\n".join(lines) + "</div><hr>")
    return html_page("\n".join(divs))


def as_items(clothes: Clothes) -> str:
    """The page in HTML, a list for each talk."""
    lists = []
    for meeting in MEETINGS:
        for block in clothes.blocks(meeting):
            items = [f"<li><em>{label}</em>：{escape(value)}</li>" for label, value in block]
            lists.append("<ul>" + "".join(items).replace("\n\n", "</p><p>") + "</ul>")
    return html_page("\n".join(lists))


def html_page(body: str) -> str:
    return dedent(
        """\
        <!DOCTYPE html>
        <html><head><title>Seminar</title><style>p { color: red }</style>
        <script>var time = "Time: 2000-01-01 1:00-2:00";</script></head>
        <body><nav><a href="/">Home</a> <a href="/history">History</a></nav>
        <h1>Joint Seminar of Machine Learning</h1>
        %s
        <footer>Copyright © 2021</footer></body></html>
        """
    ).replace("%s", body)


SPEAKER_FIRST = ("speaker", "affiliation", "homepage", "title", "time", "abstract", "bio", "replay")
TITLE_FIRST = ("title", "speaker", "affiliation", "time", "replay", "homepage", "abstract", "bio")
TIME_LAST = ("title", "speaker", "affiliation", "homepage", "replay", "abstract", "bio", "time")
REPLAY_EARLY = ("time", "replay", "speaker", "affiliation", "homepage", "title", "bio", "abstract")

CLOTHES = {
    "as the page writes them": Clothes().page(),
    "the time once a session": Clothes(once=True).page(),
    "no blank lines at all": Clothes(between="\n", apart="\n").page(),
    "no blank lines, the time once": Clothes(between="\n", apart="\n", once=True).page(),
    "blank lines only between talks": Clothes(SYNONYMS, between="\n", when=american, write=colon).page(),
    "rules between talks": Clothes(between="\n", apart="\n\n---\n\n", when=british).page(),
    "Chinese": Clothes(CHINESE, when=chinese_date, write=wide_colon, between="\n").page(),
    "Chinese, other words": Clothes(OTHER_CHINESE, SPEAKER_FIRST, wide_colon, full_width).page(),
    "Chinese in brackets": Clothes(CHINESE, write=bracketed, when=chinese_date, between="\n").page(),
    "speaker first": Clothes(order=SPEAKER_FIRST, write=colon).page(),
    "title first, time after": Clothes(SYNONYMS, TITLE_FIRST, colon, dotted, between="\n").page(),
    "time last": Clothes(order=TIME_LAST, when=american).page(),
    "replay early": Clothes(order=REPLAY_EARLY, write=bold).page(),
    "Markdown": Clothes(SYNONYMS, write=bold_before_colon, when=british, between="\n").page(),
    "labels on lines of their own": Clothes(write=alone).page(),
    "labels on lines of their own, Chinese": Clothes(
        OTHER_CHINESE, write=alone, when=chinese_date, between="\n"
    ).page(),
    "HTML paragraphs": as_paragraphs(Clothes()),
    "HTML paragraphs, Chinese, speaker first": as_paragraphs(Clothes(CHINESE, SPEAKER_FIRST, when=chinese_date)),
    "HTML tables": as_table_rows(Clothes(when=american)),
    "HTML tables, title first": as_table_rows(Clothes(SYNONYMS, TITLE_FIRST)),
    "HTML breaks": as_breaks(Clothes(SYNONYMS, when=dotted)),
    "HTML lists": as_items(Clothes(OTHER_CHINESE, when=full_width)),
}


@pytest.mark.parametrize("clothes", CLOTHES)
def test_the_same_talks_in_other_clothes_are_the_same_talks(clothes: str) -> None:
    text = CLOTHES[clothes]
    assert page.fits(text)
    seminar = read(text).seminar
    assert seminar.sessions == EXPECTED
    assert seminar.name == "Joint Seminar of Machine Learning"


@st.composite
def any_clothes(draw: st.DrawFn) -> Clothes:
    between = draw(st.sampled_from(("\n", "\n\n")))
    apart = draw(st.sampled_from(("\n\n", "\n\n\n", "\n\n***\n\n")))
    # Where no blank line shows it, a talk begins with its title or its speaker, the time before it or not: with a field
    # that some talks lack not even a person could tell.
    openers: tuple[tuple[str, ...], ...] = (("time", "title"), ("time", "speaker"), ("title",), ("speaker",))
    opener = draw(st.sampled_from((*openers, ("time",), ("affiliation",)) if len(apart) > len(between) else openers))
    rest = draw(st.permutations([name for name in USUAL_ORDER if name not in opener]))
    return Clothes(
        labels=draw(st.sampled_from((ENGLISH, SYNONYMS, CHINESE, OTHER_CHINESE))),
        order=(*opener, *rest),
        write=draw(st.sampled_from(WRITINGS)),
        when=draw(st.sampled_from(DATES)),
        between=between,
        apart=apart,
        once=opener[:1] == ("time",) and draw(st.booleans()),
    )


@settings(deadline=None, max_examples=150)
@given(any_clothes())
def test_no_order_label_or_punctuation_changes_the_talks(clothes: Clothes) -> None:
    assert read(clothes.page()).seminar.sessions == EXPECTED


@pytest.mark.parametrize("gap", ["", "\n"])
def test_a_time_given_once_stays_with_the_talks_below_it(gap: str) -> None:
    days = ("2021-11-27", "2021-11-13", "2021-10-30")
    talk = "{gap}Title: Talk {n} of {day}\nReporter: Ada Lovelace\n"
    text = "".join(
        f"Time: {day} 9:30-11:30\n" + "".join(talk.format(gap=gap, n=n, day=day) for n in "12") + gap for day in days
    )
    found = {session.id: [talk.title for talk in session.talks] for session in read(text).seminar.sessions}
    assert found == {day: [f"Talk 1 of {day}", f"Talk 2 of {day}"] for day in days}


@pytest.mark.parametrize(("between", "apart"), [("\n", "\n\n"), ("\n\n", "\n\n\n"), ("\n\n", "\n\n---\n\n")])
@pytest.mark.parametrize("first", ["Slides: https://example.org/{}", "Affiliation: The school of {}"])
def test_blank_lines_and_rules_tell_whose_a_field_is(between: str, apart: str, first: str) -> None:
    """A talk may begin with a field that the talk before it lacks."""
    talks = [
        between.join((*opening, f"Title: {x}", "Reporter: Ada Lovelace", f"Time: 2021-11-{day} 9:30-11:30"))
        for x, day, opening in (("A", 27, [first.format("A")]), ("B", 20, []), ("C", 13, [first.format("C")]))
    ]
    sessions = read(apart.join(["A Seminar", *talks]) + "\n").seminar.sessions
    found = {t.title: t.slides is not None or bool(t.speakers[0].affiliations) for s in sessions for t in s.talks}
    assert found == {"A": True, "B": False, "C": True}


# --- The real page ---------------------------------------------------------------------------------------------------


def told(seminar: Seminar) -> str:
    """The facts of a seminar, youngest session first, in the form of the table below."""
    return "\n\n".join(told_talk(s, t) for s in reversed(seminar.sessions) for t in s.talks)


def told_talk(session: Session, talk: Talk) -> str:
    slot = f", the talk {talk.start:%H:%M}-{talk.end:%H:%M}" if talk.start and talk.end else ""
    people = [" | ".join(filter(None, (p.name, *p.affiliations, p.homepage))) for p in talk.speakers]
    rest = {
        "slides": talk.slides.label if talk.slides else "",
        "replay": talk.replay.removeprefix("https://www.bilibili.com/video/"),
        "abstract": len(talk.abstract),
        "bio": len(talk.bio),
        "references": len(talk.references),
        "kind": talk.kind,
    }
    known = ", ".join(f"{name} {value}" for name, value in rest.items() if value)
    return "\n".join(
        (f"{session.id} {session.start:%H:%M}-{session.end:%H:%M}{slot}", talk.title, *people, known)
    ).strip()


REAL_TALKS = """
2021-11-27 09:30-11:30
冷冻电镜原理及相关算法
王宇航 | 北京深势科技有限公司
abstract 384, bio 229

2021-11-27 09:30-11:30
基于神经网络实现碳氢燃料的燃烧模拟
朱通 | 华东师范大学
abstract 371, bio 147

2021-10-30 09:30-11:30
Deep Network Approximation: Achieving Arbitrary Error with Fixed Size
Shijun Zhang | National University of Singapore | https://shijunzhang.top/
slides Install, replay BV1pf4y1u79M, abstract 858

2021-10-30 09:30-11:30
Deep Network Approximation: Error Characterization in term of Width and Depth
Haizhao Yang | Purdue University | https://haizhaoyang.github.io/
slides Install, replay BV1TL4y1q76Z, abstract 755

2021-10-17 09:30-11:30
Embedding Principle of Loss Landscape of Deep Neural Networks
Yaoyu Zhang | Shanghai Jiao Tong University | http://old.ins.sjtu.edu.cn/p/zhangyaoyu
replay BV1x44y1x7Qg, abstract 1274

2021-10-17 09:30-11:30
Global Loss Landscape of Neural Networks: What do We Know and What do We Not Know?
Ruoyu Sun | University of Illinois at Urbana-Champaign | https://ruoyus.github.io/
slides 下载链接, replay BV1cq4y1G7Zn, abstract 1369

2021-09-25 09:30-11:30
Some theoretical results on model-based reinforcement learning
Mengdi Wang | Princeton University | https://mwang.princeton.edu/
abstract 1566

2021-09-25 09:30-11:30
Policy Cover Guided Exploration in Model-free and Model-based Reinforcement Learning
Wen Sun | Cornell University | https://wensun.github.io/
replay BV1hL4y1z7GN, abstract 1127

2021-09-11 09:30-11:30
In Search of Effective and Reproducible Clinical Imaging Biomarkers for Population Health and Oncology Applications of Screening, Diagnosis and Prognosis.
Le Lu (吕乐) | PhD, FIEEE, MICCAI Board Member, AE for TPAMI | https://www.cs.jhu.edu/~lelu/
abstract 2626

2021-08-28 09:30-11:30
Deep Learning for inverse problems
Lexing Ying | Stanford University | https://web.stanford.edu/~lexing/
replay BV1Qq4y1K71Q, abstract 639

2021-08-28 09:30-11:30
Self-supervised Deep Learning for Solving Inverse Problems in Imaging
Hui ji | National University of Singapore | https://blog.nus.edu.sg/matjh/
replay BV1uU4y177VF, abstract 1244

2021-08-14 09:30-11:30
Barron Spaces
Jinchao Xu | Pennsylvania State University | http://www.personal.psu.edu/jxx1/
replay BV1Yq4y1Q7n2, abstract 1283

2021-08-14 09:30-11:30
Convergence analysis for the gradient descent optimization method in the training of artificial neural networks with ReLU activation for piecewise linear target functions
Arnulf Jentzen | Applied Mathematics: Institute for Analysis and Numerics, Faculty of Mathematics and Computer Science, University of Muenster, Germany | School of Data Science and Shenzhen Research Institute of Big Data, The Chinese University of Hong Kong, Shenzhen, China | http://www.ajentzen.de/
slides Install, replay BV1DU4y177A1, abstract 1018

2021-07-31 09:30-11:30
Learning and Learning to Solve PDEs
董彬 | 北京大学 | https://bicmr.pku.edu.cn/~dongbin/
slides Install, replay BV1dh411z7JA, abstract 723

2021-07-31 09:30-11:30
Neural Operator: Learning Maps Between Function Spaces
李宗宜 | 加州理工学院 | https://zongyi-li.github.io/
slides Install, replay BV1MA411P7HU, abstract 1029

2021-07-17 09:30-11:30
Frequency Principle
许志钦 (Zhi-Qin John Xu) | 上海交通大学 | https://ins.sjtu.edu.cn/people/xuzhiqin/
slides Install, replay BV1Yy4y1T7M8, abstract 464

2021-07-03 09:30-11:30
基于深度学习的分子动力学模拟
王涵 | 北京应用物理与计算数学研究所
slides 下载链接, abstract 392

2021-07-03 09:30-11:30
DeePKS: a machine learning assisted electronic structure model
张林峰 | 北京大数据研究院 | 深势科技 | https://cn.linkedin.com/in/linfeng-zhang-%E5%BC%A0%E6%9E%97%E5%B3%B0-312242a8
slides 下载链接, abstract 607

2021-06-19 09:30-11:30
Modelling Temporal Data: from RNNs to CNNs
Zhong Li
Qianxiao Li | https://blog.nus.edu.sg/qianxiaoli/
replay BV1Wq4y1L7Cg, abstract 2215

2021-06-05 09:30-11:30
Implicit biases of SGD for neural network models
Lei Wu | https://leiwu0.github.io/index.html
slides Install, replay BV1xv411V7v3, abstract 1155

2021-06-05 09:30-11:30
The landscape-dependent annealing strategy in machine learning: How Stochastic-Gradient-Descent finds flat minima
Yuhai Tu | IBM T. J. Watson Research Center | https://researcher.watson.ibm.com/researcher/view.php?person=us-yuhai
slides Install, replay BV1v64y1R7Xx, abstract 1447, references 2

2021-06-05 09:30-11:30
Stochastic gradient descent for noise with ML-type scaling
Stephan Wojtowytsch | Princeton University | https://www.swojtowytsch.com/
slides Install, replay BV1ky4y137ou, abstract 977

2021-05-22 09:30-11:30
Learn like a child: super-large-scale multi-modal pre-training model
Jirong Wen
replay BV1Z54y1G7du, abstract 1015

2021-05-22 09:30-11:30
Knowledge-guided pre-training language model
Zhiyuan Liu
replay BV1MK4y1G7Eb, abstract 720

2021-05-09 09:30-11:30
Introduction to Reinforced Dynamics
Han Wang
slides Install, abstract 534

2021-05-09 09:30-11:30
Flow Model: A Computational Physics Perspective
Lei Wang
slides Install, replay BV1gp4y1t7ND, abstract 393

2021-04-17 09:30-11:30, the talk 09:30-10:30
Machine Learning and Dynamical Systems
Qianxiao Li
slides Install, replay BV1jh411S7ds, abstract 883

2021-04-17 09:30-11:30, the talk 10:30-11:30
Understand the training process of neural networks
Zhiqin John Xu
slides Install, replay BV1Rh411U7xH, abstract 859

2021-04-03 09:30-11:30, the talk 09:30-10:30
Use deep learning to solve high-dimensional control problems
Jiequn Han
replay BV1uK411c7Cz, abstract 1276

2021-04-03 09:30-11:30, the talk 10:30-11:30
Neural network and high-dimensional function approximation
Lei Wu
replay BV1R64y1m7fJ, abstract 927

2020-11-15 10:00-12:00
The 3rd course of 2020 "Deep Learning Fundamentals and Practice"
Linfeng Zhang
replay BV1i64y1y7nN?p=2, kind course

2020-11-08 10:00-12:00
The 2nd course of 2020 "Deep Learning Fundamentals and Practice"
Lei Wu
replay BV1i64y1y7nN?p=1, kind course

2020-11-01 10:00-12:00
The 1st course of 2020 "Deep Learning Fundamentals and Practice"
Weinan E
kind course
"""  # noqa: E501


@pytest.fixture(scope="module")
def real_page() -> str:
    if not REAL_PAGE.exists():
        pytest.skip(
            "the seminar's page is not here: its abstracts are other people's words and stay out of the repository"
        )
    return REAL_PAGE.read_text(encoding="utf-8")


def test_every_talk_of_the_real_page_is_read_right(real_page: str) -> None:
    assert told(read(real_page).seminar) == REAL_TALKS.strip()


def test_the_real_page_tells_of_the_seminar(real_page: str) -> None:
    seminar = read(real_page, id="ml").seminar
    assert (seminar.id, seminar.name, seminar.name_zh) == ("ml", "Joint Seminar of Machine Learning", "")
    assert seminar.organisers == (
        *("Weinan E", "Bin Dong", "Weiguo Gao", "Zhongyi Huang"),
        *("Han Wang", "Zhiqin John Xu", "Zhouwang Yang", "Linfeng Zhang"),
    )
    assert [len(paragraph) for paragraph in seminar.description.split("\n\n")] == [388, 515]
    assert seminar.homepage == ""


def test_the_real_page_tells_how_to_join_its_next_session_only(real_page: str) -> None:
    *past, upcoming = read(real_page).seminar.sessions
    assert upcoming.room == Room(
        url="https://meeting.tencent.com/dm/p1q2HxwW3x4r",
        meeting_id="329744341",
        passcode="974114",
        alternate_id="553 2421 7498",
        download_url="https://meeting.tencent.com/download-center.html",
    )
    assert upcoming.livestream == Livestream(label="bilibili living room")
    assert {(session.room, session.livestream) for session in past} == {(Room(), Livestream())}


def test_the_real_page_has_a_warning_for_all_that_it_leaves_open(real_page: str) -> None:
    reading = read(real_page)
    lost = [(line, message) for line, message in warnings_of(reading) if "link target lost" in message]
    slides = (68, 84, 114, 212, 226, 240, 254, 268, 278, 306, 320, 338, 370, 382, 394, 406)
    assert [line for line, _ in lost] == [56, *slides]
    shared = [line for line, message in warnings_of(reading) if "when each begins is unknown" in message]
    assert shared == [15, 60, 92, 122, 160, 188, 220, 262, 298, 344, 364]
    others = [warning for warning in warnings_of(reading) if warning[0] not in slides and warning[0] not in shared[1:]]
    assert others == [
        (1, "the line 'Machine Learning and Scientific Application' was not understood and left out"),
        (5, "the description points to a link whose target is lost"),
        (11, "the line 'If you want to learn about history lectures, please visit…' was not understood and left out"),
        (15, "2 talks share 2021-11-27 09:30-11:30; when each begins is unknown"),
        (15, "the list names no time zone; its times were read as Asia/Shanghai"),
        (56, "livestream 'bilibili living room': link target lost"),
        (58, "the page does not say whose system the alternate meeting ID '553 2421 7498' is"),
        (
            154,
            "the affiliation 'PhD, FIEEE, MICCAI Board Member, AE for TPAMI' names titles rather than an institution",
        ),
        (292, "the homepage https://blog.nus.edu.sg/qianxiaoli/ was given to Qianxiao Li, one of 2 speakers"),
    ]


def test_an_abstract_of_the_real_page_keeps_its_paragraphs_and_not_its_references(real_page: str) -> None:
    sessions = read(real_page).seminar
    (modelling,) = sessions.session("2021-06-19").talks
    assert modelling.abstract.count("\n\n") == 1
    landscape = sessions.session("2021-06-05").talks[1]
    assert "Reference" not in landscape.abstract
    assert [reference[:30] for reference in landscape.references] == [
        "“The inverse variance-flatness",
        "“Phases of learning dynamics i",
    ]


def test_the_real_page_cut_anywhere_is_refused_or_read_without_a_wrong_word(real_page: str) -> None:
    """Every talk of a page that was cut and not refused is a talk of the whole page, or its beginning."""
    whole = {
        talk.title: (session.start, talk.speakers)
        for session in read(real_page).seminar.sessions
        for talk in session.talks
    }
    for end in range(0, len(real_page), 211):
        try:
            seminar = read(real_page[:end]).seminar
        except TalkListError:
            continue
        for session in seminar.sessions:
            for talk in filter(lambda talk: talk.title, session.talks):
                start, speakers = whole[talk.title]
                assert (session.start, [p.name for p in talk.speakers]) == (start, [p.name for p in speakers]), end


@pytest.mark.parametrize(
    "tail",
    [
        "\nTime:2021-10-30 \xa0 9:30-11:30",
        "\nTime:2021-10-30 \xa0 9:30-11:30\n",
        "\nTitle:Barron Spaces\n",
        "Reporter:Jinchao X",
        "Reporter:李宗",
        "Reporter:王涵 (",
        "Affiliations:\n",
        "University of Muenster, Germany;\n",
        "https://www.bilibili.com/video/BV1Yq4",
        "\nReference:\n1.",
        '"Deep Learning Fundamentals and Practice"\n\nReporter:Linfeng Zhang\n',
        "Reporter:Weinan E\n",
        "Reporter:Weinan E\n\nTime:2020-11-01 10:00 - 12:0",
        "Reporter:Weinan E\n\nTime:2020-11-01 10",
        "Meeting ID:3297",
        "Passw",
    ],
)
def test_the_real_page_cut_behind_this_is_refused(real_page: str, tail: str) -> None:
    end = real_page.index(tail) + len(tail)
    assert "the page seems cut off here" in refusal(real_page[:end])


# --- Times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "Time:2021-11-27   9:30-11:30",
        "Time: 2021-11-27,9:30-11:30",
        "时间：2021年11月27日（周六）上午9:30—11:30",
        "时间：２０２１年１１月２７日　９：３０～１１：３０",
        "时 间：2021年11月27日上午9点半至11点半",
        "Date: Sat., Nov. 27, 2021\nTime: 9:30 AM - 11:30 AM",
        "日期：2021.11.27\n时间：9:30-11:30",
        "Time: 27th of November 2021, 09:30 to 11:30 (UTC+8)",
        "Time: 2021/11/27 09:30-11:30 (GMT+08:00) 中国标准时间 - 北京",
        "**Time**: November 27, 2021, 9:30-11:30",
        "Time\t2021-11-27 9:30-11:30",
        "Time 2021-11-27 9:30-11:30",
        "2021-11-27 9:30-11:30",
        "## Saturday, 27 November 2021, 9:30-11:30",
        "Time: 2021-11-27 2:30-4:30 (GMT+1)",
    ],
)
def test_a_time_is_read_however_it_is_written(written: str) -> None:
    (session,) = read(f"A Seminar\n{written}\nTitle: Engines\nReporter: Ada Lovelace\n").seminar.sessions
    day = date(2021, 11, 27)
    assert (session.start, session.end) == (instant(day, time(9, 30)), instant(day, time(11, 30)))


@pytest.mark.parametrize(
    ("hours", "start", "end"),
    [
        ("下午2:00-4:00", "14:00", "16:00"),
        ("2:00 PM - 4:00 PM", "14:00", "16:00"),
        ("2-4 pm", "14:00", "16:00"),
        ("11:00-1:00 PM", "11:00", "13:00"),
        ("上午11:00-12:30", "11:00", "12:30"),
        ("晚上7:00-9:00", "19:00", "21:00"),
        ("中午12:00-下午1:30", "12:00", "13:30"),
    ],
)
def test_halves_of_the_day_are_understood(hours: str, start: str, end: str) -> None:
    (session,) = read(f"Time: 2021-11-27 {hours}\nTitle: Engines\nReporter: Ada Lovelace\n").seminar.sessions
    assert (f"{session.start:%H:%M}", f"{session.end:%H:%M}") == (start, end)


def page_of(*times: str) -> str:
    letters = "ABCDEFG"
    talks = [f"{when}\nTitle: Talk of {x}\nReporter: {x}da Lovelace\n" for when, x in zip(times, letters, strict=False)]
    return "\n".join(["A seminar whose times are all Beijing time", "", *talks])


def test_a_missing_year_is_taken_from_a_neighbour_and_told() -> None:
    reading = read(page_of("Time: 11月27日 9:30-11:30", "Time: 2021-11-13 9:30-11:30"))
    assert [session.id for session in reading.seminar.sessions] == ["2021-11-13", "2021-11-27"]
    assert warnings_of(reading) == [
        (3, "the date 11-27 has no year; 2021 was taken, as its neighbour 2021-11-13 has"),
    ]


def test_a_missing_year_over_the_turn_of_the_year_is_the_nearest() -> None:
    reading = read(page_of("Time: Jan 8, 9:30-11:30", "Time: 2021-12-25 9:30-11:30"))
    assert [session.id for session in reading.seminar.sessions] == ["2021-12-25", "2022-01-08"]


def test_a_year_that_no_session_has_is_not_invented() -> None:
    assert "gives no year" in refusal(page_of("Time: 11月27日 9:30-11:30"))


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("Time: 2021-13-45 9:30-11:30", "there is no such day as 2021-13-45"),
        ("Time: 2021-10-30 25:00-26:00", "there is no such time of day as 25:00-26:00"),
        ("Time: 3/4/2021 9:30-11:30", "3/4/2021 can be read as two dates"),
        ("Time: 2021-10-30 11:30-9:30", "the session of 2021-10-30 ends before it starts (11:30 > 09:30)"),
        ("Time: TBA", "the time 'TBA' gives no date"),
    ],
)
def test_a_time_that_cannot_be_is_left_out_and_told(when: str, reason: str) -> None:
    reading = read(page_of("Time: 2021-11-27 9:30-11:30", when, "Time: 2021-11-13 9:30-11:30"))
    assert [session.id for session in reading.seminar.sessions] == ["2021-11-13", "2021-11-27"]
    assert warnings_of(reading) == [(7, f"{reason}; the talk was left out")]


def test_a_weekday_that_is_not_the_dates_is_told() -> None:
    reading = read(page_of("Time: 2021-11-27 (Sunday) 9:30-11:30"))
    assert warnings_of(reading) == [(3, "2021-11-27 is a Sat, not a Sun")]


def test_a_start_without_an_end_lasts_as_long_as_the_others_and_is_told() -> None:
    reading = read(page_of("Time: 2021-11-27 9:30", "Time: 2021-11-13 9:30-11:30"))
    assert f"{reading.seminar.sessions[-1].end:%H:%M}" == "11:30"
    assert warnings_of(reading) == [
        (3, "the time '2021-11-27 9:30' gives no end; 11:30 was taken, as long as others here")
    ]


def test_hours_without_a_half_of_the_day_before_dawn_are_told() -> None:
    reading = read(page_of("Time: 2021-11-27 2:00-4:00"))
    assert warnings_of(reading) == [(3, "02:00 is at night")]


def test_a_page_in_beijing_time_is_in_that_zone_wherever_it_is_read() -> None:
    seminar = read(page_of("Time: 2021-11-27 9:30-11:30"), timezone="Europe/Berlin").seminar
    assert (seminar.timezone, seminar.sessions[0].timezone) == ("Asia/Shanghai", "Asia/Shanghai")
    assert seminar.sessions[0].start == instant(date(2021, 11, 27), time(9, 30))


def test_a_page_without_a_zone_is_in_the_one_given_and_tells() -> None:
    reading = read(page_of("Time: 2021-11-27 9:30-11:30").partition("\n")[2], timezone="Europe/Berlin", name="A")
    assert reading.seminar.sessions[0].start.isoformat() == "2021-11-27T09:30:00+01:00"
    assert warnings_of(reading) == [(2, "the list names no time zone; its times were read as Europe/Berlin")]


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("2021-11-27 23:00-01:00", "28 01:00"),
        ("2021-11-27 22:00-24:00", "28 00:00"),
        ("2021年11月27日 晚上11:00-1:00", "28 01:00"),
        ("2021-11-27 11:00 PM - 1:00 AM", "28 01:00"),
        ("2021-11-27 23:00 - 2021-11-28 01:00", "28 01:00"),
        ("Nov 27, 2021, 23:00 – Nov 28, 2021, 01:30", "28 01:30"),
        ("2021-11-27 20:00 - 2021-11-28 09:30", "28 09:30"),  # that long because it says so
        ("2021-11-27 23:00-23:30, 2021-11-28 23:00-23:30", None),
        ("2021-11-27 9:30-11 am, 2021-11-28", None),
        ("2021-11-27 23:00 - 2021-11-29 01:00", None),
        ("2021-11-27 20:00-9:30", None),
        ("2021-11-27 下午3:00-1:00", None),
        ("2021-11-27 9:30-24:30", None),
    ],
)
def test_a_session_may_end_soon_after_midnight_or_where_it_says_on_the_next_day(said: str, end: str | None) -> None:
    sessions = read(page_of(f"Time: {said}", "Time: 2021-11-13 9:30-11:30")).seminar.sessions[1:]
    days = [f"{session.end:%d %H:%M}" for session in sessions if session.end.date() != session.start.date()]
    assert days == ([] if end is None else [end])


@pytest.mark.parametrize(
    ("said", "start"),
    [
        ("10:00-11:00 EST", "27 23:00"),
        ("10:00-11:00 ET", "27 23:00"),
        ("10:00-11:00am ET", "27 23:00"),
        ("10:00-11:00 Eastern Time", "27 23:00"),
        ("10:00-11:00 (Pacific Time)", "28 02:00"),
        ("10:00-11:00 UTC+1", "27 17:00"),
        ("10:00-11:00 Australian Eastern Time", "27 10:00"),  # not America's
    ],
)
def test_times_of_another_zone_are_turned_into_the_seminar_s(said: str, start: str) -> None:
    page = page_of(f"Time: 2021-11-27 {said}").replace("(Beijing time)", "")
    assert f"{read(page).seminar.sessions[0].start:%d %H:%M}" == start


def test_a_page_whose_times_are_of_another_zone_is_told_of_once() -> None:
    page = "A Seminar of Ends (all times ET)\n\n" + "".join(
        f"Time: 2021-{month}-05 10:00-11:00\nTitle: Talk {month}\nReporter: Ada Lovelace\n\n" for month in ("07", "12")
    )
    reading = read(page)
    assert [s.start.isoformat() for s in reading.seminar.sessions] == [
        "2021-07-05T22:00:00+08:00",
        "2021-12-05T23:00:00+08:00",
    ]
    told = "times are written in America/New_York here; they were turned into those of Asia/Shanghai"
    assert warnings_of(reading) == [(3, told)]
    at_home = read(page, timezone="America/New_York")
    assert (warnings_of(at_home), at_home.seminar.timezone) == ([], "America/New_York")
    standard = read(page.replace("all times ET", "all times EST"), timezone="America/New_York")
    assert warnings_of(standard) == []


LIST = """<html><head><title>A page</title></head><body><nav><a href="/">Home</a></nav>
<h1>A Seminar of Ends</h1>
<p>All times are {zone}.</p>
<ul>
<li><b>2021-11-27 9:30-11:30</b>, <a href="https://ada.example">Ada Lovelace</a> (ETH): <i>Sums</i>
[<a href="https://ada.example/s.pdf">slides</a>]</li>
<li>2021-12-04 9:30-11:30, Bob Miller (ETH), "Mills"
<p>Abstract: They turn.</p></li>
<li>2021-12-11, Carl Wheeler: Wheels</li>
</ul>
<h2>Contact</h2><p>Write to us.</p>
<footer>2021-12-18 9:30-11:30: Changed by Ada</footer>
</body></html>
"""


def test_a_page_of_days_without_any_label_is_read_line_by_line() -> None:
    reading = read(LIST.format(zone="Beijing time"))
    seminar = reading.seminar
    assert (seminar.name, [s.id for s in seminar.sessions]) == ("A Seminar of Ends", ["2021-11-27", "2021-12-04"])
    ada = Speaker("Ada Lovelace", ("ETH",), "https://ada.example")
    assert [talk for session in seminar.sessions for talk in session.talks] == [
        Talk(title="Sums", speakers=(ada,), slides=Link("https://ada.example/s.pdf", "slides")),
        Talk(title="Mills", speakers=(Speaker("Bob Miller", ("ETH",)),), abstract="They turn."),
    ]
    assert warnings_of(reading) == [
        (9, "2021-12-11 has no time of day: the row is left out"),
        (11, "this text stands under no day: not read"),
    ]


def test_a_day_on_a_page_with_labels_is_no_talk() -> None:
    talk = "<p>Time: 2021-11-27 9:30-11:30 (Beijing time)<br>Title: Sums<br>Speaker: Ada Lovelace</p>"
    changed = "<p>2021-12-18 9:30-11:30: this page was changed</p>"
    reading = read(f"<html><body><h1>A Seminar of Ends</h1>{changed}{talk}</body></html>")
    assert [(s.id, [t.title for t in s.talks]) for s in reading.seminar.sessions if s.talks] == [
        ("2021-11-27", ["Sums"])
    ]


def test_the_times_of_a_page_of_days_are_in_the_zone_that_it_names() -> None:
    reading = read(LIST.format(zone="Eastern Time"))
    assert [s.start.isoformat() for s in reading.seminar.sessions] == [
        "2021-11-27T22:30:00+08:00",
        "2021-12-04T22:30:00+08:00",
    ]
    told = "times are written in America/New_York here; they were turned into those of Asia/Shanghai"
    assert (3, told) in warnings_of(reading)
    silent = read(LIST.format(zone="in the morning"))
    assert (5, "the list names no time zone; its times were read as Asia/Shanghai") in warnings_of(silent)


def test_a_page_of_nothing_but_days_that_cannot_be_used_is_refused_with_each_of_them() -> None:
    told = refusal(LIST.format(zone="Beijing time").replace(" 9:30-11:30", ""))
    assert "2021-11-27 has no time of day" in told
    assert "no session was found" in told


def test_words_that_look_like_zones_are_none() -> None:
    page = page_of("Time: 2021-11-27 9:30-11:30 (pt. 1), Meyer et al.").replace("(Beijing time)", "")
    assert f"{read(page).seminar.sessions[0].start:%H:%M%z}" == "09:30+0800"


def test_talks_with_slots_of_their_own_are_one_session_in_their_order() -> None:
    reading = read(page_of("Time:2021-4-17,10:30-11:30", "Time:2021-4-17,9:30-10:30"))
    (session,) = reading.seminar.sessions
    assert (f"{session.start:%H:%M}", f"{session.end:%H:%M}") == ("09:30", "11:30")
    assert [(t.title, f"{t.start:%H:%M}", f"{t.end:%H:%M}") for t in session.talks] == [
        ("Talk of B", "09:30", "10:30"),
        ("Talk of A", "10:30", "11:30"),
    ]
    assert reading.warnings == ()


def test_a_time_below_its_talks_is_lent_to_all_of_them_and_told() -> None:
    reading = read_dedented(
        """
        A Seminar of Ends
        Title: A
        Reporter: Ada Lovelace
        Title: B
        Reporter: Bob Byte
        Time: 2021-11-27 9:30-11:30 (Beijing time)

        Title: C
        Reporter: Carol Crypt
        Title: D
        Reporter: Dan Dare
        Time: 2021-11-13 9:30-11:30
        """
    )
    found = [(session.id, [talk.title for talk in session.talks]) for session in reading.seminar.sessions]
    assert found == [("2021-11-13", ["C", "D"]), ("2021-11-27", ["A", "B"])]
    lent = [line for line, message in warnings_of(reading) if "no time of its own" in message]
    assert lent == [2, 8]


def test_slots_below_a_sessions_time_belong_to_its_talks() -> None:
    (session,) = read_dedented(
        """
        Time: 2021-11-27 9:30-12:00

        9:30-10:30
        Title: One
        Reporter: Ada Lovelace

        10:30-11:30
        Title: Two
        Reporter: Bob Byte
        """
    ).seminar.sessions
    assert (f"{session.start:%H:%M}", f"{session.end:%H:%M}") == ("09:30", "12:00")
    assert [f"{t.start:%H:%M}" for t in session.talks] == ["09:30", "10:30"]


def test_the_hours_of_a_talk_may_stand_in_its_heading() -> None:
    (session,) = read_dedented(
        """
        Session 1 (9:30-10:30)
        Date: 2021-11-27
        Title: One
        Reporter: Ada Lovelace

        Session 2 (10:30-11:30)
        Date: 2021-11-27
        Title: Two
        Reporter: Bob Byte
        """
    ).seminar.sessions
    assert [(t.title, f"{t.start:%H:%M}") for t in session.talks] == [("One", "09:30"), ("Two", "10:30")]


def test_speakers_of_one_talk_may_be_numbered() -> None:
    talk = only_talk(
        talk_with("Speaker 1: Ada Lovelace", "Affiliation 1: UCL", "Speaker 2: Bob Byte", "Affiliation 2: MIT")
    )
    assert talk.speakers == (Speaker("Ada Lovelace", ("UCL",)), Speaker("Bob Byte", ("MIT",)))


def test_a_page_without_a_name_is_called_by_its_id_and_tells() -> None:
    reading = read("Time: 2021-11-27 9:30-11:30\nTitle: A\nReporter: Ada Lovelace\n", id="ml")
    assert reading.seminar.name == "ml"
    assert warnings_of(reading) == [
        (1, "the list names no time zone; its times were read as Asia/Shanghai"),
        (1, "the page does not name the seminar; 'ml' was taken"),
    ]


def test_a_long_pause_makes_a_second_session_of_the_day() -> None:
    sessions = read(page_of("Time: 2021-11-27 9:30-11:30", "Time: 2021-11-27 14:00-16:00")).seminar.sessions
    assert [session.id for session in sessions] == ["2021-11-27", "2021-11-27-2"]


# --- People -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "speakers"),
    [
        ("Zhong Li, Qianxiao Li", [("Zhong Li",), ("Qianxiao Li",)]),
        ("董彬、王涵", [("董彬",), ("王涵",)]),
        ("董彬, 北京大学", [("董彬", "北京大学")]),
        ("王宇航，深势科技", [("王宇航", "深势科技")]),
        ("王涵，旷视", [("王涵", "旷视")]),
        ("A. Einstein, Princeton University, New Jersey", [("A. Einstein", "Princeton University, New Jersey")]),
        ("北京大学 董彬", [("董彬", "北京大学")]),
        ("Le Lu (吕乐)", [("Le Lu (吕乐)",)]),
        ("Le Lu (PAII)", [("Le Lu", "PAII")]),
        ("许志钦 (Zhi-Qin John Xu), 上海交通大学", [("许志钦 (Zhi-Qin John Xu)", "上海交通大学")]),
        ("王涵 (北京应用物理与计算数学研究所)", [("王涵", "北京应用物理与计算数学研究所")]),
        ("张林峰 (北京大数据研究院、深势科技)", [("张林峰", "北京大数据研究院", "深势科技")]),
        ("张林峰（北京大数据研究院，深势科技）", [("张林峰", "北京大数据研究院", "深势科技")]),
        ("Prof. Bob Builder, ETH Zürich", [("Prof. Bob Builder", "ETH Zürich")]),
        ("Yuhai Tu (IBM T. J. Watson Research Center)", [("Yuhai Tu", "IBM T. J. Watson Research Center")]),
        ("Arnulf Jentzen, University of Muenster, Germany", [("Arnulf Jentzen", "University of Muenster, Germany")]),
        ("Zhong Li (NUS), Qianxiao Li (NUS)", [("Zhong Li", "NUS"), ("Qianxiao Li", "NUS")]),
        ("Bin Dong, Peking University; Han Wang, IAPCM", [("Bin Dong", "Peking University"), ("Han Wang", "IAPCM")]),
        ("Bin Dong and Han Wang", [("Bin Dong",), ("Han Wang",)]),
        ("Bin Dong, School of Data Science and Engineering", [("Bin Dong", "School of Data Science and Engineering")]),
        ("Weinan E (鄂维南, 北京大学)", [("Weinan E (鄂维南)", "北京大学")]),
        ("鄂维南 院士", [("鄂维南 院士",)]),
        ("Dong, Bin", [("Dong, Bin",)]),
    ],
)
def test_names_are_told_from_institutions(line: str, speakers: list[tuple[str, ...]]) -> None:
    found = only_talk(talk_with(f"Reporter: {line}")).speakers
    assert [(speaker.name, *speaker.affiliations) for speaker in found] == speakers


def test_affiliations_may_be_a_list_below_their_label() -> None:
    talk = only_talk(talk_with("Reporter: Ada", "Affiliations:", "Institute A, Faculty B, Germany;", "School C, China"))
    assert talk.speakers == (Speaker("Ada", ("Institute A, Faculty B, Germany", "School C, China")),)


def test_a_home_page_is_given_to_the_speaker_whose_name_it_holds_and_told() -> None:
    reading = read(talk_with("Reporter: Zhong Li, Qianxiao Li", "Homepage: https://blog.nus.edu.sg/qianxiaoli/"))
    (session,) = reading.seminar.sessions
    assert [s.homepage for s in session.speakers] == ["", "https://blog.nus.edu.sg/qianxiaoli/"]
    told = "the homepage https://blog.nus.edu.sg/qianxiaoli/ was given to Qianxiao Li, one of 2 speakers"
    assert (5, told) in warnings_of(reading)


# --- Fields -----------------------------------------------------------------------------------------------------------


def test_inside_an_abstract_only_what_is_meant_as_a_label_is_one() -> None:
    abstract = (
        "We study the title of things.\n"
        "Note: this is no label.\n"
        "time: a notion that we explain below. Time: mid-line.\n"
        "Video: we show that our approach is good for long sequences of frames, too.\n"
        "\n"
        "Introduction: here another paragraph begins.\n"
        "\n"
        "Summary: all is well."
    )
    talk = only_talk(talk_with("Reporter: Ada", f"Abstract: {abstract}", "Slides: https://example.org/s.pdf"))
    assert (talk.abstract, talk.slides) == (abstract, Link("https://example.org/s.pdf"))


def test_lines_broken_to_fit_a_width_are_joined() -> None:
    lines = (
        "Gradient descent type optimization methods are the standard instrument to",
        "train networks. In this talk we prove a conjecture in a special situation",
        "where all is known.",
    )
    assert only_talk(talk_with("Reporter: Ada", "Abstract:", *lines)).abstract == " ".join(lines)


def test_long_lines_are_paragraphs_of_their_own() -> None:
    lines = ("A long line that nobody broke, because it is written as one. " * 3, "Another line of the kind. " * 7)
    talk = only_talk(talk_with("Reporter: Ada", "Abstract:", *lines))
    assert talk.abstract == "\n".join(line.strip() for line in lines)


def test_references_stand_apart_without_their_numbers() -> None:
    talk = only_talk(talk_with("Reporter: Ada", "Abstract: Words.", "References:", "[1] A, 2020.", "[2] B is", "long."))
    assert (talk.abstract, talk.references) == ("Words.", ("A, 2020.", "B is long."))


def test_an_abstract_that_stops_in_a_sentence_is_kept_and_told() -> None:
    reading = read(talk_with("Reporter: Ada", "", "Abstract: We look at engines, and then we also"))
    assert reading.seminar.sessions[0].talks[0].abstract == "We look at engines, and then we also"
    message = "the abstract ends in the middle of a sentence: '…k at engines, and then we also'"
    assert warnings_of(reading)[-1] == (6, message)


def test_fields_may_share_a_line() -> None:
    (session,) = read_dedented(
        """
        Time: 2021-11-27 9:30-11:30\tTitle: Space, Time: A Survey\tSpeaker: Ada Lovelace\tAffiliation: UCL
        腾讯会议：329 744 341（密码：974114）
        """
    ).seminar.sessions
    assert session.talks == (Talk(title="Space, Time: A Survey", speakers=(Speaker("Ada Lovelace", ("UCL",)),)),)
    assert session.room == Room(meeting_id="329 744 341", passcode="974114")


def test_an_invitation_of_tencent_meeting_is_a_room() -> None:
    (session,) = read_dedented(
        """
        机器学习讨论班

        张三 邀请您参加腾讯会议
        会议时间：2021/11/27 09:30-11:30 (GMT+08:00) 中国标准时间 - 北京

        点击链接入会，或添加至会议列表：
        https://meeting.tencent.com/dm/p1q2HxwW3x4r

        #腾讯会议：329-744-341
        会议密码：974114

        报告题目：深度势能
        报告人：王涵
        """
    ).seminar.sessions
    assert session.room == Room("https://meeting.tencent.com/dm/p1q2HxwW3x4r", "329-744-341", "974114")


def test_a_line_of_its_own_is_the_title_where_no_label_says_one() -> None:
    sessions = read_dedented(
        """
        A Seminar of Courses

        Reporter: Bob Byte
        Title: Keys
        Time: 2020-11-15 10:00-12:00
        Abstract: We look at keys. There are many of them.

        The 2nd course of 2020 "Deep Learning"

        Reporter: Ada Lovelace

        Time: 2020-11-08 10:00-12:00

        第一讲 深度学习

        Reporter: Ada Lovelace

        Time: 2020-11-01 10:00-12:00
        """
    ).seminar.sessions
    assert [(talk.title, talk.kind) for session in sessions for talk in session.talks] == [
        ("第一讲 深度学习", "course"),
        ('The 2nd course of 2020 "Deep Learning"', "course"),
        ("Keys", ""),
    ]
    assert sessions[-1].talks[0].abstract == "We look at keys. There are many of them."


@pytest.mark.parametrize("above", ["The autumn of the seminar", "An odd line, far away\n\n"])
def test_a_line_above_all_talks_is_no_title_where_it_names_the_series_or_stands_apart(above: str) -> None:
    (session,) = read(
        f"Some Institute\n\n{above}\nReporter: Ada Lovelace\nTime: 2021-11-27 9:30-11:30\n"
    ).seminar.sessions
    assert [talk.title for talk in session.talks] == [""]


def test_titles_and_abstracts_in_two_languages_are_one_talks() -> None:
    talk = only_talk(
        """
        时间 Time: 2021-11-27 9:30-11:30
        题目：深度势能
        Title: Deep Potential
        报告人 Speaker: 王涵 (Han Wang)
        摘要：中文。
        Abstract: English.
        """
    )
    assert (talk.title, talk.title_zh) == ("Deep Potential", "深度势能")
    assert (talk.abstract, talk.abstract_zh) == ("English.", "中文。")


def test_what_is_to_be_announced_is_empty_and_the_session_tentative() -> None:
    (session,) = read("Time: 2021-11-27 9:30-11:30\nTitle: TBA\n报告人：待定\n").seminar.sessions
    assert (session.status, session.talks) == (Status.TENTATIVE, (Talk(),))


@pytest.mark.parametrize(
    ("text", "notice"),
    [
        ("Time: 2021-11-27 9:30-11:30\nCancelled\nTitle: A\nSpeaker: Ada Lovelace\n", "Cancelled"),
        ("Time: 2021-11-27 9:30-11:30 (cancelled)\nTitle: A\nSpeaker: Ada Lovelace\n", "cancelled"),
        ("Time: 2021-11-27 9:30-11:30\nTitle: [Cancelled] A\nSpeaker: Ada Lovelace\n", "Cancelled"),
        ("Status: cancelled\nTitle: A\nSpeaker: Ada Lovelace\nTime: 2021-11-27 9:30-11:30\n", "cancelled"),
        ("时间：2021年11月27日 9:30-11:30\n本次讨论班取消\n", "本次讨论班取消"),
    ],
)
def test_a_session_that_was_called_off_is_cancelled(text: str, notice: str) -> None:
    (session,) = read(text).seminar.sessions
    assert (session.status, session.notice) == (Status.CANCELLED, notice)


def test_one_talk_called_off_is_not_the_session() -> None:
    text = "Time: 2021-11-27 9:30-11:30\nTitle: A\nSpeaker: Ada Lovelace\nCancelled\n\nTitle: B\nSpeaker: Bob Byte\n"
    reading = read(text)
    assert reading.seminar.sessions[0].status is Status.TENTATIVE
    told = "the page says 'Cancelled': one talk of the session; the session is kept as tentative"
    assert (4, told) in warnings_of(reading)


def test_a_notice_below_the_time_is_the_sessions() -> None:
    text = "Time: 2021-11-27 9:30-11:30\nCancelled\nTitle: A\nSpeaker: Ada Lovelace\nTitle: B\nSpeaker: Bob Byte\n"
    assert read(text).seminar.sessions[0].status is Status.CANCELLED


def test_a_postponed_session_is_tentative_and_told() -> None:
    reading = read("Time: 2021-11-27 9:30-11:30\nTitle: A\nSpeaker: Ada Lovelace\n延期举行\n")
    (session,) = reading.seminar.sessions
    assert (session.status, session.notice) == (Status.TENTATIVE, "延期举行")
    assert warnings_of(reading)[-1][0] == 4


def test_what_a_talk_list_has_no_place_for_is_told() -> None:
    text = "Time: 2021-11-27 9:30-11:30\nTitle: A\nSpeaker: Ada Lovelace\n地点：静园六院\nWhat is this\n"
    reading = read(text, name="A Seminar")
    assert warnings_of(reading)[1:] == [
        (4, "a talk list has no place for '地点'; '静园六院' was left out"),
        (5, "the line 'What is this' was not understood and left out"),
    ]


def test_the_seminar_has_a_name_in_each_language_a_description_and_a_home_page() -> None:
    seminar = read_dedented(
        """
        机器学习联合讨论班
        Joint Seminar of Machine Learning

        A seminar for all who want to learn. It is held every two weeks.

        组委会：鄂维南、董彬（北京大学）和王涵
        Website: https://example.org/seminar

        时间：2021年11月27日 9:30-11:30
        题目：深度势能
        报告人：王涵
        """
    ).seminar
    assert (seminar.name, seminar.name_zh) == ("Joint Seminar of Machine Learning", "机器学习联合讨论班")
    assert seminar.description == "A seminar for all who want to learn. It is held every two weeks."
    assert seminar.organisers == ("鄂维南", "董彬（北京大学）和王涵")
    assert seminar.homepage == "https://example.org/seminar"


# --- HTML -------------------------------------------------------------------------------------------------------------


def html_talk(*lines: str) -> str:
    return html_page(
        "<p>Time: 2021-11-27 9:30-11:30</p><p>Title: Engines</p><p>Speaker: Ada Lovelace</p>" + "\n".join(lines)
    )


def test_links_of_html_keep_their_targets_and_words() -> None:
    (session,) = read(
        html_talk(
            '<p>Slides: <a href="/files/a.pdf">Install</a></p>',
            '<p>Replay: <a href="https://www.bilibili.com/video/BV1pf4y1u79M">here</a></p>',
            '<p><a href="https://ada.example.org/">Homepage</a></p>',
            '<p>Tencent Meeting Link: <a href="https://meeting.tencent.com/dm/x">join</a></p>',
            '<p>Living Room: <a href="https://live.bilibili.com/22">bilibili living room</a></p>',
        ),
        source="https://example.org/seminar/index.html",
    ).seminar.sessions
    (talk,) = session.talks
    assert talk.slides == Link("https://example.org/files/a.pdf", "Install")
    assert talk.replay == "https://www.bilibili.com/video/BV1pf4y1u79M"
    assert talk.speakers == (Speaker("Ada Lovelace", (), "https://ada.example.org/"),)
    assert session.room == Room(url="https://meeting.tencent.com/dm/x")
    assert session.livestream == Livestream("https://live.bilibili.com/22", "bilibili living room")


def test_a_relative_link_of_a_file_is_lost_and_told_with_its_line() -> None:
    text = html_talk("", '<p>Slides: <a href="/files/a.pdf">Install</a></p>')
    reading = read(text, source="page.html")
    assert reading.seminar.sessions[0].talks[0].slides == Link("", "Install")
    line = text[: text.index("Slides")].count("\n") + 1
    assert (line, "slides 'Install': link target lost") in warnings_of(reading)


def test_a_link_that_leads_nowhere_is_lost_and_told_with_its_line() -> None:
    """Written into a list of ours it would be refused there."""
    reading = read(talk_with("Speaker: Ann Lee (MIT)", "Tencent Meeting: https://：meeting.tencent.com/dm/zz"))
    assert reading.seminar.sessions[0].room == Room()
    assert any(message.endswith("link target lost") for _, message in warnings_of(reading))


def test_links_named_for_what_they_lead_to_need_no_label() -> None:
    talk = read(html_talk('<p><a href="https://e.org/s">Slides</a> | <a href="https://e.org/v">Video</a></p>'))
    (only,) = talk.seminar.sessions[0].talks
    assert (only.slides, only.replay) == (Link("https://e.org/s"), "https://e.org/v")


def test_markdown_links_keep_their_targets() -> None:
    assert only_talk(talk_with("Reporter: Ada", "Slides: [Install](https://example.org/s.pdf)")).slides == Link(
        "https://example.org/s.pdf", "Install"
    )


def test_bold_type_is_enough_to_make_a_label() -> None:
    text = "<ul><li><b>Time</b> 2021-11-27 9:30-11:30</li><li><b>Title</b> Engines</li><li><b>Speaker</b> Ada</li></ul>"
    assert read(text).seminar.sessions[0].talks == (Talk(title="Engines", speakers=(Speaker("Ada"),)),)


def test_raised_and_lowered_type_is_written_plainly() -> None:
    text = html_page(
        "<p>Time: 2021-11-27 9:30-11:30</p><p>Speaker: Ada</p>"
        "<p>Title: The 3<sup>rd</sup> view of R<sup>d</sup>, 2<sup>n+1</sup> &amp; x<sub>i</sub></p>"
    )
    assert read(text).seminar.sessions[0].talks[0].title == "The 3rd view of R^d, 2^(n+1) & x_i"


def test_a_table_with_a_row_of_heads_is_a_page() -> None:
    text = html_page(
        """
        <table><thead><tr><th>Date</th><th>Speaker</th><th>Title</th><th>Slides</th></tr></thead><tbody>
        <tr><td rowspan="2">2021-11-27 9:30-11:30</td><td>Ada Lovelace<br>(UCL)</td><td>Engines</td>
          <td><a href="https://e.org/a.pdf">PDF</a></td></tr>
        <tr><td><a href="https://bob.example.org">Bob Byte</a></td><td>Bytes</td><td></td></tr>
        <tr><td>2021-11-13 9:30-11:30</td><td>Carol Crypt</td><td>Keys</td><td></td></tr>
        </tbody></table>
        """
    )
    sessions = read(text).seminar.sessions
    assert [(session.id, session.talks) for session in sessions] == [
        ("2021-11-13", (Talk(title="Keys", speakers=(Speaker("Carol Crypt"),)),)),
        (
            "2021-11-27",
            (
                Talk(
                    title="Engines",
                    speakers=(Speaker("Ada Lovelace", ("UCL",)),),
                    slides=Link("https://e.org/a.pdf", "PDF"),
                ),
                Talk(title="Bytes", speakers=(Speaker("Bob Byte", (), "https://bob.example.org"),)),
            ),
        ),
    ]


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\n", "Hello\nworld.\n", "<html><body><p>Nothing</p></body></html>"])
def test_a_page_without_sessions_is_refused_with_what_was_looked_for(text: str) -> None:
    assert "no session was found: looked for a time and a title or a speaker" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "<html><body><p>Time: 2021-11-27 9:30-11:30</p><p>Title: A</p><p>Speaker: Ada</p>",
        "<html><body><p>Time: 2021-11-27 9:30-11:30</p><p>Title: A</p><p>Speaker: Ada</p></body>",
        "<div><p>Time: 2021-11-27 9:30-11:30</p><p>Title: A</p><p>Speaker: Ada</p>",
        "<p>Time: 2021-11-27 9:30-11:30</p><p>Title: A</p><p>Speaker: Ada</p",
    ],
)
def test_html_that_never_closes_is_refused(text: str) -> None:
    assert "the page seems cut off here" in refusal(text)


@pytest.mark.parametrize("end", ["", " ", "Reporter: Ada Love", "Homepage: https://ada.exam", "Abstract: We look at"])
def test_a_line_that_may_go_on_is_refused_with_what_to_do(end: str) -> None:
    text = talk_with("Reporter: Ada", end).rstrip("\n") if end.strip() else "Time: 2021-11-27 9:30-11:30\nTitle: Eng"
    line = text.count("\n") + 1
    told = refusal(text)
    assert told.startswith(f"line {line}: the page seems cut off here")
    assert told.endswith("if it is whole, end it with a line break; else load it again")


# Two talks without a blank line cannot be told from a page whose last time stands behind its talk.
@pytest.mark.parametrize(("talks", "gap"), [("AB", "\n"), ("ABC", "\n"), ("ABC", "")])
def test_a_time_at_the_end_of_a_page_that_gives_it_before_several_talks_is_refused(talks: str, gap: str) -> None:
    given = gap.join(f"Title: {x}\nReporter: {x}da Lovelace\n" for x in talks)
    text = f"A Seminar\nTime: 2021-11-27 9:30-11:30\n{given}{gap}Time: 2021-11-13 9:30-11:30\n"
    assert "(its last time may be that of a next session)" in refusal(text)


@pytest.mark.parametrize(
    "end",
    [
        "Abstract: We look at engines.",
        "Time: 2021-11-27 9:30-11:30",
        "Slides: TBA",
        "Affiliations: 华东师范大学",
        "Affiliation: Princeton University",
        "Meeting ID:329744341",
        "Alternate meeting ID (no password): 553 2421 7498",
        "Password:974114",
        "Living Room: bilibili living room",
    ],
)
def test_a_line_that_is_whole_needs_no_line_break(end: str) -> None:
    text = f"Title: Engines\nReporter: Ada\n{end}"
    if "Time" not in end:
        text = f"Time: 2021-11-27 9:30-11:30\n{text}"
    assert len(read(text).seminar.sessions) == 1


def test_a_page_is_told_from_other_texts() -> None:
    assert page.fits("时间：2021年11月27日 9:30-11:30\n报告人：王涵\n")
    assert page.fits("<p>Hello</p><p>world</p>")
    assert not page.fits("Dear Bob,\nthe title of the talk is at 9:30 on 2021-11-27.\nAda\n")


SIGNS = (":", "：", "\n", "\n\n", "\t", " ", "<p>", "</p>", "<br>", "**", "[", "](", "(", "https://", "。", "---")
WORDS = ("Cancelled", "Talk 1", "2021-11-27 9:30-11:30", "TBA", "Ada Lovelace")
SCRAPS = st.sampled_from((*ENGLISH.values(), *CHINESE.values(), *WORDS, *SIGNS))


@settings(deadline=None, max_examples=200)
@given(st.lists(SCRAPS, max_size=40).map("".join))
def test_no_text_makes_it_fail_in_another_way(text: str) -> None:
    with suppress(TalkListError):
        assert read(text).seminar.sessions


def test_links_below_an_abstract_of_several_paragraphs_stay_with_its_talk() -> None:
    html = (
        "<div><p>时间：2027年5月8日 9:30-11:30</p><p>报告人：孙七</p><p>题目：随机优化</p>"
        "<p>摘要：<br>第一段。<br><br>第二段。</p>"
        '<p>课件：<a href="https://x.example.org/k.pdf">下载</a></p><p>回放：<a href="https://b.example.org/1">链接</a></p>'
        "<p>时间：2027年5月22日 9:30-11:30</p><p>报告人：周八</p><p>题目：凸优化</p></div>"
    )
    first, second = read(html).seminar.sessions
    assert first.talks[0].slides == Link("https://x.example.org/k.pdf", "下载")
    assert first.talks[0].replay == "https://b.example.org/1"
    assert (second.talks[0].slides, second.talks[0].replay) == (None, "")


def test_a_talk_that_is_numbered_right_below_a_bio_begins_there() -> None:
    text = (
        "时间：2026年12月12日 9:30-11:30\n报告一\n报告人：张三\n题目：极限\n简介：张三，教授。\n"
        "报告二\n报告人：李四\n题目：控制\n简介：李四，博士。\n"
    )
    (session,) = read(text).seminar.sessions
    assert [talk.bio for talk in session.talks] == ["张三，教授。", "李四，博士。"]


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("*On sums*", "On sums"),
        ("_On sums_ of things", "On sums of things"),
        ("**On sums**", "On sums"),
        ("*On $x_1$*", "On $x_1$"),
        ("On $x^*$ and a*b*c and $y_1$ or $_2$", "On $x^*$ and a*b*c and $y_1$ or $_2$"),
    ],
)
@pytest.mark.parametrize("label", ["**Title**:", "**Title:**", "Title:"])
def test_type_around_the_words_of_a_title_goes_and_formulas_stay(label: str, written: str, title: str) -> None:
    assert only_talk(f"**Time**: 2027-03-13 9:30-11:30\n**Speaker**: Li Si\n{label} {written}\n").title == title


@pytest.mark.parametrize("dot", ["·", "•", "・"])
def test_a_dot_may_part_a_day_from_its_hours(dot: str) -> None:
    (session,) = read(f"Tuesday, March 2, 2027 {dot} 11:00 AM – 12:00 PM\nDeep sums\nSpeaker: Ada\n").seminar.sessions
    assert session.start == datetime(2027, 3, 2, 11, tzinfo=SHANGHAI)
    assert session.talks[0].title == "Deep sums"
