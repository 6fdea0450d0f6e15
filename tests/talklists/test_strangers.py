"""Lists as other people keep them, in whatever form → what a careful reader takes from each, word for word."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier import talklists
from notifier.errors import TalkListError
from notifier.talklists import Context, Reading, toml
from notifier.talklists.parts.dates import read_when
from notifier.talklists.parts.people import is_proper_name
from notifier.talklists.parts.standings import status_in, without_notice
from notifier.talks import Room, Session, Talk


def read(text: str, timezone: str = "Asia/Shanghai") -> Reading:
    return talklists.read(dedent(text).lstrip("\n").encode(), Context(timezone=timezone))


def told(reading: Reading) -> list[str]:
    """Each session in one line: `2026-03-07 09:30-11:30: Ada (Oxford): On engines · Bob: On wheels [cancelled]`."""
    return [_told(session) for session in reading.seminar.sessions]


def _told(session: Session) -> str:
    talks = " · ".join(filter(None, map(_talk, session.talks)))
    status = "" if session.status == "confirmed" else f" [{session.status}]"
    return f"{session.start:%Y-%m-%d %H:%M}-{session.end:%H:%M}: {talks}{status}"


def _talk(talk: Talk) -> str:
    people = [f"{p.name} ({'; '.join(p.affiliations)})" if p.affiliations else p.name for p in talk.speakers]
    return ": ".join(filter(None, (", ".join(people), talk.title)))


def warnings(reading: Reading) -> list[str]:
    return [str(warning) for warning in reading.warnings]


def rooms(reading: Reading) -> list[Room]:
    return [session.room for session in reading.seminar.sessions]


# Times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "start", "end", "zone"),
    [
        ("二〇二六年三月七日（周六）晚上八点半—十点", "2026-03-07 20:30", "22:00", ""),
        ("2026年十月二十一号 上午9点半至11点", "2026-10-21 09:30", "11:00", ""),
        ("2026-03-05 14h30 - 15h30", "2026-03-05 14:30", "15:30", ""),
        ("5 March 2026, 9h–10h", "2026-03-05 09:00", "10:00", ""),
        ("5 March 2026, 16:00-17:00 Uhr", "2026-03-05 16:00", "17:00", ""),
        ("March 7, 2026 9:30 AM → 11:30 AM", "2026-03-07 09:30", "11:30", ""),
        ("1 July 2026, 16:00-17:00 (CET/CEST)", "2026-07-01 16:00", "17:00", "Europe/Berlin"),
        ("1 July 2026, 16:00-17:00 (Paris time)", "2026-07-01 16:00", "17:00", "Europe/Paris"),
        ("2026-07-01 纽约时间 9:00-10:00", "2026-07-01 09:00", "10:00", "America/New_York"),
        ("July 1, 2026, noon - 1pm", "2026-07-01 12:00", "13:00", ""),
        ("July 1, 2026 12:00 PM (PDT) → 1:00 PM", "2026-07-01 12:00", "13:00", "-07:00"),
        ("Dienstag, 14. Oktober 2025, 16:15 – 17:45 Uhr", "2025-10-14 16:15", "17:45", ""),
        ("mardi 1er décembre 2026 de 14h00 à 15h30", "2026-12-01 14:00", "15:30", ""),
        ("2026年7月1日(水)16:00-17:30", "2026-07-01 16:00", "17:30", ""),
    ],
)
def test_a_time_is_read_as_it_is_written_anywhere(said: str, start: str, end: str, zone: str) -> None:
    when = read_when(said)
    assert when.day is not None
    day = f"{when.day.year}-{when.day.month:02}-{when.day.day:02}"
    assert (f"{day} {when.start:%H:%M}", f"{when.end:%H:%M}", when.zone, when.rest) == (start, end, zone, "")


def test_a_day_of_the_week_before_an_hour_in_chinese_is_no_part_of_the_hour() -> None:
    when = read_when("2026年3月3日 星期二十点")
    assert (when.weekday, when.start) == (1, time(10))


def test_a_zone_named_for_winter_and_summer_changes_between_them() -> None:
    found = read(
        """
        A Seminar
        All times are in CET/CEST.

        Time: 2026-01-13 16:00-17:00
        Title: Engines
        Speaker: Ada Byron

        Time: 2026-07-14 16:00-17:00
        Title: Wheels
        Speaker: Bob Stone
        """,
        timezone="Europe/Berlin",
    )
    assert told(found) == ["2026-01-13 16:00-17:00: Ada Byron: Engines", "2026-07-14 16:00-17:00: Bob Stone: Wheels"]


@pytest.mark.parametrize(
    ("proof", "dates"),
    [("3/26/2026", ["2026-03-12", "2026-03-26"]), ("26/3/2026", ["2026-12-03", "2026-03-26"])],
)
def test_one_date_shows_how_a_table_writes_the_others(proof: str, dates: list[str]) -> None:
    found = read(f"Date,Time,Speaker,Title\n3/12/2026,9:30-11:30,Ada Byron,A\n{proof},9:30-11:30,Bob Stone,B\n")
    assert sorted(f"{s.start:%Y-%m-%d}" for s in found.seminar.sessions) == sorted(dates)
    order = "the month before the day" if proof == "3/26/2026" else "the day before the month"
    assert warnings(found) == [f"line 2: dates are read with {order}, as {proof} shows; write dates as 2021-11-27"]


def test_dates_that_contradict_each_other_show_nothing() -> None:
    found = read("Date,Time,Title\n3/12/2026,9:30-11:30,A\n26/3/2026,9:30-11:30,B\n3/27/2026,9:30-11:30,C\n")
    assert [f"{s.start:%Y-%m-%d}" for s in found.seminar.sessions] == ["2026-03-26", "2026-03-27"]
    assert "line 2: 3/12/2026 can be read as two dates" in warnings(found)[0]


# How to join ----------------------------------------------------------------------------------------------------


def test_the_passcode_is_the_one_that_people_type_and_not_the_one_in_the_link() -> None:
    found = read("""
        BEGIN:VCALENDAR
        BEGIN:VEVENT
        UID:1
        SUMMARY:Engines
        DTSTART:20260311T100000Z
        DTEND:20260311T110000Z
        DESCRIPTION:https://zoom.us/j/61234567890?pwd=Zm9v&from=addon\\nMeeting ID: 612 3456 7890\\nPasscode: 77123\\n
        END:VEVENT
        END:VCALENDAR
        """)
    assert rooms(found) == [
        Room("https://zoom.us/j/61234567890?pwd=Zm9v&from=addon", "612 3456 7890", passcode="77123")
    ]
    assert found.seminar.sessions[0].talks == (Talk(title="Engines"),)


def test_a_bracket_around_a_number_and_its_passcode_is_part_of_neither() -> None:
    found = read("""
        讨论班
        时间：2026年3月14日 9:30-11:30
        地点：线上（腾讯会议：987-654-321，密码：1234）
        题目：随机算法
        报告人：唐可（金陵大学）
        """)
    assert rooms(found) == [Room(meeting_id="987-654-321", passcode="1234")]


def test_a_full_width_passcode_is_typed_in_plain_figures() -> None:
    found = read("""
        讨论班
        时间：2026年3月14日 9:30-11:30
        题目：随机算法
        报告人：唐可（金陵大学）
        会议号：１２３－４５６－７８９
        密码：２００８
        """)
    assert rooms(found)[0].passcode == "2008"


def test_a_table_says_in_words_that_there_is_no_passcode() -> None:
    found = read("日期,时间,报告人,题目,腾讯会议号,密码\n2026/3/21,9:30-11:30,张清,稀疏恢复,321 654 987,无\n")
    assert rooms(found) == [Room(meeting_id="321 654 987")]


# Columns and keys -----------------------------------------------------------------------------------------------


def test_a_column_called_title_is_the_title_and_topics_beside_it_are_not() -> None:
    found = read("""
        start_time,end_time,title,speaker,topics,online,room
        2026-03-10 15:00:00+00:00,2026-03-10 16:00:00+00:00,Heights on curves,Dora Quill,math.NT,t,
        """)
    assert told(found) == ["2026-03-10 23:00-00:00: Dora Quill: Heights on curves"]
    assert warnings(found) == [
        'line 1: the column "topics" stands beside one that is called title: not read',
        'line 1: the column "online" stands beside one that is called room: not read',
    ]


def test_a_key_called_title_is_the_title_whatever_stands_before_it() -> None:
    found = read("""
        [{"topics": "math.NT", "title": "Heights on curves", "speaker": "Dora Quill",
          "start": "2026-03-10T15:00:00+00:00", "end": "2026-03-10T16:00:00+00:00"}]
        """)
    assert told(found) == ["2026-03-10 23:00-00:00: Dora Quill: Heights on curves"]


@pytest.mark.parametrize("word", ["true", "yes", '"x"', "是"])
def test_a_record_marked_as_cancelled_is(word: str) -> None:
    found = read(f"""
        - date: 2026-03-31
          time: 16:00-17:00
          speaker: Ana Costa
          title: Two views of one knot
          cancelled: {word}
        """)
    assert told(found) == ["2026-03-31 16:00-17:00: Ana Costa: Two views of one knot [cancelled]"]


def test_a_record_marked_as_not_cancelled_is_on() -> None:
    found = read("""
        - date: 2026-03-31
          time: 16:00-17:00
          speaker: Ana Costa
          title: Two views of one knot
          cancelled: false
        """)
    assert told(found) == ["2026-03-31 16:00-17:00: Ana Costa: Two views of one knot"]


# Pages ----------------------------------------------------------------------------------------------------------


def test_what_is_crossed_out_holds_no_more_and_is_told_of() -> None:
    found = read("""
        <html><body><h1>A Seminar</h1>
        <p><b>Time:</b> <del>2026-03-10 9:30-11:30</del> 2026-03-12 9:30-11:30 (UTC+8)</p>
        <p><b>Title:</b> <span style="text-decoration: line-through">Engines</span> Wheels</p>
        <p><b>Speaker:</b> Ada Byron</p>
        </body></html>
        """)
    assert told(found) == ["2026-03-12 09:30-11:30: Ada Byron: Wheels"]
    assert warnings(found) == [
        "line 2: '2026-03-10 9:30-11:30' is crossed out on the page, and was left out",
        "line 3: 'Engines' is crossed out on the page, and was left out",
    ]


def test_a_number_with_its_slot_begins_the_next_talk_right_below_an_abstract() -> None:
    (session,) = read("""
        讨论班

        第12次
        时间：2026年3月14日（周六）上午9:30—11:30
        报告一：9:30-10:30
        题目：高维方程
        报告人：唐可（金陵大学）
        摘要：介绍三类方法。
        报告二：10:30-11:30
        题目：随机算法
        报告人：Mia Jensen（Aarhus University）
        摘要：去随机化。
        """).seminar.sessions
    assert _told(session) == (
        "2026-03-14 09:30-11:30: 唐可 (金陵大学): 高维方程 · Mia Jensen (Aarhus University): 随机算法"
    )
    assert [talk.abstract for talk in session.talks] == ["介绍三类方法。", "去随机化。"]
    assert [f"{talk.start:%H:%M}" for talk in session.talks if talk.start] == ["09:30", "10:30"]


def test_a_number_alone_below_an_abstract_is_no_part_of_it() -> None:
    found = read("""
        A Seminar

        No. 41
        Speaker: Ada Byron (University of Oxford)
        Title: Engines
        Time: 2026-03-12 16:00-17:00
        Abstract: Engines turn.

        No. 42
        Speaker: Bob Stone (University of Bath)
        Title: Wheels
        Time: 2026-03-26 16:00-17:00
        """)
    assert [talk.abstract for session in found.seminar.sessions for talk in session.talks] == ["Engines turn.", ""]


def test_a_rank_is_no_institution_and_a_spaced_name_no_longer_one() -> None:
    found = read("""
        讨论班
        时 间：2026年3月14日 9:30-11:30
        题 目：流形上的优化
        报 告 人：苏  晴（副教授，云岭大学）
        """)
    assert told(found) == ["2026-03-14 09:30-11:30: 苏晴 (云岭大学): 流形上的优化"]
    assert "line 4: '副教授' beside the speaker was left out" in warnings(found)


def test_a_picture_of_a_page_is_no_label_of_the_slides() -> None:
    found = read("""
        <table><tr><th>Date</th><th>Speaker</th><th>Title</th><th>Slides</th></tr>
        <tr><td>2026-03-10 9:30-11:30</td><td>Ada Byron</td><td>Engines</td>
        <td><a href="https://example.org/a.pdf">📄</a></td></tr></table>
        """)
    slides = found.seminar.sessions[0].talks[0].slides
    assert slides is not None
    assert (slides.url, slides.label) == ("https://example.org/a.pdf", "")


def test_a_link_that_is_a_picture_is_read_by_its_name() -> None:
    found = read("""
        <html><body><h1>A Seminar</h1><p>Mondays 17:00-18:00 (UTC+8)</p>
        <div><p><b>Mon, Feb 16, 2026</b> <a href="https://zoom.us/j/94445556666">Zoom</a></p>
        <p><b>Ola Nordmann</b>, Bergen<br><i>Water waves</i></p>
        <a href="https://example.org/a.pdf" title="Slides"><i class="icon"></i></a>
        <a href="https://youtu.be/zzz111"><img src="v.png" alt="Video"></a></div>
        <div><p><b>Mon, Mar 2, 2026</b></p><p><b>Ada Byron</b>, Bath<br><i>Engines</i></p>
        <details><summary>Abstract</summary><p>Engines turn.</p></details></div>
        </body></html>
        """)
    assert told(found) == [
        "2026-02-16 17:00-18:00: Ola Nordmann (Bergen): Water waves",
        "2026-03-02 17:00-18:00: Ada Byron (Bath): Engines",
    ]
    first, second = (session.talks[0] for session in found.seminar.sessions)
    assert first.slides is not None
    assert (first.slides.url, first.replay) == ("https://example.org/a.pdf", "https://youtu.be/zzz111")
    assert [session.room.url for session in found.seminar.sessions] == ["https://zoom.us/j/94445556666", ""]
    assert second.abstract == "Engines turn."


def test_the_head_and_the_signature_of_a_mail_tell_of_no_talk() -> None:
    found = read("""
        From: office@example.edu
        To: everybody@example.edu
        Subject: [all] Colloquium on Thursday
        Date: Mon, 2 Mar 2026 09:12:44 +0100

        Dear all,

        Title: Waves in boxes
        Speaker: Prof. Eleni Vasiliou (University of Patras)
        Time: Thursday, 5 March 2026, 14h30 - 15h30
        Abstract:
        Boxes hold waves.
        --
        Anja Keller
        Office, Institute of Mathematics
        """)
    assert told(found) == ["2026-03-05 14:30-15:30: Prof. Eleni Vasiliou (University of Patras): Waves in boxes"]
    assert found.seminar.sessions[0].talks[0].abstract == "Boxes hold waves."


# What is said once for all -----------------------------------------------------------------------------------------

ALL_AT_ONCE = """
    Geometry Seminar — Fall 2026

    All talks take place biweekly on Fridays, 9:30–11:30am (Beijing time), Zoom 845 1234 5678, pwd: geometry

    Sep 4 — Hugo Maier (Bonn): Minimal surfaces in boxes
    Oct 2: no seminar (National Day)
    Fri, Oct 16 — Sara Nilsson (KTH) — moved to Oct 23!
    Oct 30 — TBA
    Jan 8 — Kim Jiwon (KAIST): Ricci flow for beginners
    """


def test_lines_that_begin_with_days_take_year_and_hours_and_room_from_above() -> None:
    found = read(ALL_AT_ONCE)
    assert told(found) == [
        "2026-09-04 09:30-11:30: Hugo Maier (Bonn): Minimal surfaces in boxes",
        "2026-10-02 09:30-11:30:  [cancelled]",
        "2026-10-16 09:30-11:30: Sara Nilsson (KTH) [tentative]",
        "2026-10-30 09:30-11:30:  [tentative]",
        "2027-01-08 09:30-11:30: Kim Jiwon (KAIST): Ricci flow for beginners",
    ]
    assert [session.notice for session in found.seminar.sessions] == [
        "", "no seminar (National Day)", "moved to Oct 23", "", "",
    ]  # fmt: skip
    assert set(rooms(found)) == {Room(meeting_id="845 1234 5678", passcode="geometry")}
    assert found.seminar.name == "Geometry Seminar — Fall 2026"
    assert "line 5: 2026-09-04 has no time of day: read as the usual 09:30-11:30 of line 3; write it there" in warnings(
        found
    )


def test_items_in_chinese_take_year_and_hours_and_room_from_above() -> None:
    found = read("""
        # 数据科学双周报告会（2026年春季）

        每两周一次，周五 19:00-21:00，腾讯会议 334-4455-6677（密码 8899）。

        - **3月6日**：罗辰（天目大学），《隐私的代价》
        - **3月20日**：罗辰（天目大学），《隐私的代价（二）》，[幻灯片](https://example.org/2.pdf)，[录像](https://b23.tv/aa411)
        - **4月3日**：停一次（清明）
        - **5月8日**（因五一假期顺延一周）：Emil Roth（TU Graz），*Optimal experiment design*
        """)
    assert told(found) == [
        "2026-03-06 19:00-21:00: 罗辰 (天目大学): 隐私的代价",
        "2026-03-20 19:00-21:00: 罗辰 (天目大学): 隐私的代价（二）",
        "2026-04-03 19:00-21:00:  [cancelled]",
        "2026-05-08 19:00-21:00: Emil Roth (TU Graz): Optimal experiment design",
    ]
    assert found.seminar.sessions[-1].notice == "因五一假期顺延一周"
    assert set(rooms(found)) == {Room(meeting_id="334-4455-6677", passcode="8899")}
    talk = found.seminar.sessions[1].talks[0]
    assert talk.slides is not None
    assert (talk.slides.url, talk.replay) == ("https://example.org/2.pdf", "https://b23.tv/aa411")


def test_the_usual_hours_are_not_those_of_another_day_of_the_week() -> None:
    found = read(ALL_AT_ONCE.replace("Oct 30 — TBA", "Oct 29 — Lena Brandt (Bern): Knots"))
    assert "2026-10-29" not in " ".join(told(found))
    assert (
        "line 8: 2026-10-29 has no time of day: the row is left out; write the time as 2021-11-27 9:30-11:30"
        in warnings(found)
    )


def test_two_usual_hours_are_none() -> None:
    found = read("""
        <html><body><h1>A Seminar</h1><p>Mondays 17:00-18:00</p><p>Since May: Mondays 16:00-17:00</p>
        <p>Date: 2026-02-16</p><p>Title: Waves</p><p>Speaker: Ola Nordmann</p>
        <p>Date: 2026-02-23 9:00-10:00</p><p>Title: Waves, again</p><p>Speaker: Ola Nordmann</p></body></html>
        """)
    assert told(found) == ["2026-02-23 09:00-10:00: Ola Nordmann: Waves, again"]


@pytest.mark.parametrize(
    ("heading", "date"),
    [
        ("Spring 2026", "2026-03-05"),
        ("2026年春季", "2026-03-05"),
        ("Fall Semester 2025", "2026-03-05"),
        ("2025-2026学年第二学期", "2026-03-05"),
        ("Academic year 2025–2026", "2026-03-05"),
        ("2027", "2027-03-05"),
    ],
)
def test_a_heading_gives_the_year_of_the_dates_below_it(heading: str, date: str) -> None:
    found = read(f"""
        <html><body><h1>A Reading Group</h1><h2>{heading}</h2>
        <h3>March 5, 2:00pm - 3:30pm</h3>
        <ul><li><b>Speaker:</b> Petra Lind, Uppsala University</li><li><b>Title:</b> Wide networks</li></ul>
        <h3>March 19, 2:00pm - 3:30pm</h3><p>No meeting (Easter)</p>
        </body></html>
        """)
    assert told(found) == [
        f"{date} 14:00-15:30: Petra Lind (Uppsala University): Wide networks",
        f"{date[:-2]}19 14:00-15:30:  [cancelled]",
    ]


def test_a_list_of_days_takes_the_hours_and_their_zone_from_above() -> None:
    found = read(
        """
        <html><body><h2>Analysis Seminar, Academic year 2025-2026</h2>
        <p>Usual time: Wednesdays, 14:00-15:00 (Paris time).</p>
        <dl><dt>2025-10-08</dt><dd><i>Luc Ferrand</i> (ENS Lyon), <b>Sharp inequalities</b></dd>
        <dt>2026-01-14</dt><dd><i>Anna Kov</i> (Budapest), <b>Traces</b></dd></dl></body></html>
        """,
        timezone="Europe/Paris",
    )
    assert told(found) == [
        "2025-10-08 14:00-15:00: Luc Ferrand (ENS Lyon): Sharp inequalities",
        "2026-01-14 14:00-15:00: Anna Kov (Budapest): Traces",
    ]


def test_a_page_without_ends_gives_two_hours_and_says_so() -> None:
    found = read("""
        讨论班
        时间：2026年3月8日 20:00 (北京时间) / 13:00 CET
        报告人：方启明（深蓝研究院）
        题目：分子生成模型

        时间：2026年4月5日 20:00 (北京时间) / 14:00 CEST【延期，时间待定】
        报告人：郑一（岳麓大学）
        题目：大模型
        """)
    assert told(found) == [
        "2026-03-08 20:00-22:00: 方启明 (深蓝研究院): 分子生成模型",
        "2026-04-05 20:00-22:00: 郑一 (岳麓大学): 大模型 [tentative]",
    ]
    assert found.seminar.sessions[1].notice == "延期,时间待定"
    assert any("gives no end; 22:00 was taken, two hours on" in warning for warning in warnings(found))


@pytest.mark.parametrize("text", [" ," * 70_000, "[(" * 70_000, "— " * 70_000, "2025-2026" * 20_000])
def test_a_line_of_any_length_is_no_reason_to_fail(text: str) -> None:
    above = "# Seminar Fall 2026\n\nFridays 9:30-11:30\n\n"
    found = read(f"{above}- Sep 4 — Ada Byron (Bath): A{text}x\n- Sep 11 — Bob Stone (Bath): B\n")
    assert [f"{session.start:%m-%d}" for session in found.seminar.sessions] == ["09-04", "09-11"]


# Cells, keys and lines of one program or another ---------------------------------------------------------------------


def test_a_cell_across_speaker_and_title_is_nobodys_name_and_moves_no_other_cell() -> None:
    found = read("""
        <table><tr><th>Date</th><th>Speaker</th><th>Title</th><th>Slides</th></tr>
        <tr><td>2026-03-14 9:30-10:30</td><td>Ada Byron (Bath)</td><td>Engines</td><td></td></tr>
        <tr><td>2026-03-28 9:30-10:30</td><td colspan="2">Free discussion</td>
        <td><a href="https://example.org/notes.pdf">notes</a></td></tr>
        <tr><td>2026-04-11 9:30-10:30</td><td colspan="3"><strong>Cancelled</strong> (public holiday)</td></tr></table>
        """)
    assert told(found) == [
        "2026-03-14 09:30-10:30: Ada Byron (Bath): Engines",
        "2026-03-28 09:30-10:30: Free discussion",
        "2026-04-11 09:30-10:30:  [cancelled]",
    ]
    slides = found.seminar.sessions[1].talks[0].slides
    assert slides is not None
    assert slides.url == "https://example.org/notes.pdf"
    assert found.seminar.sessions[2].notice == "Cancelled (public holiday)"


@pytest.mark.parametrize(
    ("said", "title", "notice", "status"),
    [
        ("Cancelled (public holiday)", "", "Cancelled (public holiday)", "cancelled"),
        ("CANCELLED: Heat on graphs", "Heat on graphs", "CANCELLED", "cancelled"),
        ("[Canceled] Heat on graphs", "Heat on graphs", "Canceled", "cancelled"),
        ("Heat on graphs (cancelled due to illness)", "Heat on graphs", "cancelled due to illness", "cancelled"),
        ("Heat on graphs — moved to Oct 23!", "Heat on graphs", "moved to Oct 23", "tentative"),
        ("Postponed - Heat on graphs", "Heat on graphs", "Postponed", "tentative"),
        ("Heat on graphs (rescheduled from March 22)", "Heat on graphs", "rescheduled from March 22", None),
        ("No seminar (Thanksgiving)", "", "No seminar (Thanksgiving)", "cancelled"),
        ("Spring break -- no seminar", "", "Spring break -- no seminar", "cancelled"),
        ("Spring recess", "", "Spring recess", "cancelled"),
        ("国庆放假，停一次", "", "国庆放假，停一次", "cancelled"),
        ("【已取消】图上的热流", "图上的热流", "已取消", "cancelled"),
        ("图上的热流（延期至5月）", "图上的热流", "延期至5月", "tentative"),
        ("Chaleur sur les graphes — Annulé", "Chaleur sur les graphes", "Annulé", "cancelled"),
        ("entfällt", "", "entfällt", "cancelled"),
        ("Postponed gratification in games", "Postponed gratification in games", "", None),
        ("Futures: cancelled orders in markets", "Futures: cancelled orders in markets", "", None),
        ("No talk is an island", "No talk is an island", "", None),
        ("Random walks moved to the edge", "Random walks moved to the edge", "", None),
        ("Coffee break", "Coffee break", "", None),
        ("关于取消关税的研究", "关于取消关税的研究", "", None),
        ("暂停的动力学", "暂停的动力学", "", None),
    ],
)
def test_words_that_call_a_session_off_or_move_it_mean_the_same_everywhere(
    said: str, title: str, notice: str, status: str | None
) -> None:
    assert without_notice(said) == (title, notice)
    assert (status_in(notice) if notice else None) == status


@pytest.mark.parametrize(
    "text",
    [
        "Date,Time,Speaker,Title\n2026-03-12,9:30-11:30,Ada Byron,{}\n",
        "| Date | Time | Speaker | Title |\n|--|--|--|--|\n| 2026-03-12 | 9:30-11:30 | Ada Byron | {} |\n",
        "- 2026-03-12 9:30-11:30 Ada Byron: {}\n",
        "A Seminar\n\nTime: 2026-03-12 9:30-11:30\nTitle: {}\nSpeaker: Ada Byron\n",
        '[{{"time": "2026-03-12 9:30-11:30", "speaker": "Ada Byron", "title": "{}"}}]',
    ],
    ids=["csv", "markdown table", "items", "page", "records"],
)
def test_a_cancelled_talk_is_off_in_a_list_of_any_form(text: str) -> None:
    for said in ("CANCELLED: Engines", "Engines (cancelled)"):
        found = read(text.format(said))
        assert told(found) == ["2026-03-12 09:30-11:30: Ada Byron: Engines [cancelled]"]
        assert found.seminar.sessions[0].notice.lower() == "cancelled"


def test_a_list_of_any_form_that_names_no_zone_says_which_was_taken_unless_a_person_named_it() -> None:
    lists = (
        "Date,Time,Speaker,Title\n2026-03-12,9:30-11:30,Ada Byron,Engines\n",
        "- 2026-03-12 9:30-11:30 Ada Byron: Engines\n",
        "A Seminar\n\nTime: 2026-03-12 9:30-11:30\nTitle: Engines\nSpeaker: Ada Byron\n",
        '[{"time": "2026-03-12 9:30-11:30", "speaker": "Ada Byron", "title": "Engines"}]',
        "<ul><li>2026-03-12 9:30-11:30, Ada Byron: Engines</li><li>2026-03-19 9:30-11:30, Ada Byron: Wheels</li></ul>",
    )
    doubt = "the list names no time zone; its times were read as Europe/Rome"
    for text in lists:
        for is_said in (False, True):
            reading = talklists.read(text.encode(), Context(timezone="Europe/Rome", is_zone_said=is_said))
            assert [doubt in w for w in warnings(reading) if "zone" in w] == ([] if is_said else [True])


def test_a_talk_about_delays_is_not_called_off() -> None:
    found = read("""
        A Seminar
        Time: 2026-03-12 9:30-11:30
        Title: Postponed gratification in games
        Speaker: Ada Byron
        """)
    assert told(found) == ["2026-03-12 09:30-11:30: Ada Byron: Postponed gratification in games"]


def test_an_export_of_indico_gives_the_event_in_its_own_zone_and_its_page_is_no_room() -> None:
    found = read("""
        {"results": [{"_type": "Conference", "id": "4711", "title": "Detectors that dream",
          "description": "<p>They do <b>not</b> sleep.</p>", "url": "https://indico.example.org/event/4711/",
          "startDate": {"date": "2026-03-11", "time": "11:00:00", "tz": "Europe/Zurich"},
          "endDate": {"date": "2026-03-11", "time": "12:00:00", "tz": "Europe/Zurich"}}]}
        """)
    assert told(found) == ["2026-03-11 18:00-19:00: Detectors that dream [tentative]"]
    (talk,) = found.seminar.sessions[0].talks
    assert (talk.abstract, talk.kind, rooms(found)) == ("They do not sleep.", "", [Room()])
    assert any('"url" leads to no meeting that is known: not read' in warning for warning in warnings(found))


def test_the_url_of_a_speaker_is_the_home_page() -> None:
    found = read("""
        - date: 2026-03-03
          time: "16:00-17:00"
          speaker: {name: Fiona Gray, affiliation: University of Glasgow, url: "https://example.org/~fgray"}
          title: Braids
        """)
    assert found.seminar.sessions[0].talks[0].speakers[0].homepage == "https://example.org/~fgray"


def test_an_outline_with_its_times_in_angle_brackets_is_a_list_of_days() -> None:
    found = read("""
        #+TITLE: Probability reading seminar

        * <2026-03-06 Fri 14:00-15:30> Gilles Petit (Nantes) -- Slow methods
        * <2026-03-20 Fri 14:00-15:30> Maria Lopes (Porto) -- Couplings
        """)
    assert found.seminar.name == "Probability reading seminar"
    assert told(found) == [
        "2026-03-06 14:00-15:30: Gilles Petit (Nantes): Slow methods",
        "2026-03-20 14:00-15:30: Maria Lopes (Porto): Couplings",
    ]


def test_what_is_crossed_out_in_markdown_is_not_read_and_told_of() -> None:
    found = read("""
        | 日期 | 时间（北京时间） | 主讲人 | 题目 |
        |---|---|---|---|
        | 2026.03.21 | 19:30–21:00 | ~~叶一舟~~ 孟浩（曲江大学） | 谱方法 |
        """)
    assert told(found) == ["2026-03-21 19:30-21:00: 孟浩 (曲江大学): 谱方法"]
    assert warnings(found) == ['line 3: "叶一舟" is crossed out: not read']


def test_a_chinese_page_with_numbered_talks_and_a_counter_of_visits() -> None:
    (session,) = read("""
        <html><body><h2>计算数学系列报告</h2>
        <p>报告时间：2026 年 3 月 14 日（星期六）  下午 2：30 — 4：30</p>
        <p>报告地点：数学楼 301 / 腾讯会议 ID： 556 677 889 （密码：无）</p>
        <p><strong>报告1：</strong>高阶格式的保界性</p><p>报告人：冯时（天山大学）</p><p>摘要： 讨论保界格式。</p>
        <p><strong>报告2：</strong>低秩张量方法</p><p>报告人：孙悦（黄海研究所）</p><p>摘要： 讨论张量。</p>
        <p>发布时间：2026-03-01 10:20:33 浏览次数：123</p></body></html>
        """).seminar.sessions
    assert (
        _told(session) == "2026-03-14 14:30-16:30: 冯时 (天山大学): 高阶格式的保界性 · 孙悦 (黄海研究所): 低秩张量方法"
    )
    assert [talk.abstract for talk in session.talks] == ["讨论保界格式。", "讨论张量。"]
    assert session.room == Room(meeting_id="556 677 889")


def test_full_width_signs_hide_neither_link_nor_name() -> None:
    found = read("""
        讲座预告

        题　目：量子算法
        主讲人：施　明　研究员
        单　位：西岭研究院
        时　间：２０２６年３月１４日（周六）　１９：００～２１：００
        直　播：ｈｔｔｐｓ：／／ｌｉｖｅ．ｂｉｌｉｂｉｌｉ．ｃｏｍ／５５６６
        """)
    assert told(found) == ["2026-03-14 19:00-21:00: 施明 研究员 (西岭研究院): 量子算法"]
    assert found.seminar.sessions[0].livestream.url == "https://live.bilibili.com/5566"


def test_to_be_announced_in_two_languages_is_no_title() -> None:
    found = read(
        "Date,Time,Speaker,Title\n2026-03-12,9:30-11:30,待定 / TBA,待定 TBA\n2026-03-26,9:30-11:30,Bo Li,无偏估计\n"
    )
    assert told(found) == ["2026-03-12 09:30-11:30:  [tentative]", "2026-03-26 09:30-11:30: Bo Li: 无偏估计"]


def test_the_head_of_a_column_names_the_zone_of_its_times() -> None:
    found = read("""
        Date,Time (CET/CEST),Speaker,Title
        2026-03-12,16:00-17:00,Ada Byron,Engines
        2026-07-12,16:00-17:00,Bob Stone,Wheels
        """)
    assert told(found) == ["2026-03-12 23:00-00:00: Ada Byron: Engines", "2026-07-12 22:00-23:00: Bob Stone: Wheels"]
    assert warnings(found) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [("\ufeff \n", "there is nothing in it; put the talk list back"), ("hello\n", "no talk list in a known form")],
)
def test_what_is_no_list_at_all_is_refused_in_words_that_fit(text: str, told: str) -> None:
    with pytest.raises(TalkListError) as caught:
        talklists.read(text.encode(), Context(source="talks.toml"))
    assert str(caught.value).startswith("talks.toml: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("Hugo Maier", True), ("Deep Patel", True), ("Wu Tong", True), ("Maria da Silva", True), ("Dan Field", True),
        ("Ann Clement", True), ("Lucy Hastings", True), ("Peter Day", True),
        ("Deep Learning", False), ("Graph Neural Networks", False), ("Ricci Flow", False), ("Guest Lecture", False),
        ("Optimal Transport", False), ("Brownian motion", False), ("Journal Club", False),
    ],
)  # fmt: skip
def test_what_talks_are_about_is_nobodys_name(text: str, is_name: bool) -> None:
    assert is_proper_name(text) == is_name


def test_a_table_within_a_cell_that_is_not_read_is_no_reason_to_fail() -> None:
    inner = "<table><tr><th>Date</th><th>Title</th></tr><tr><td>1</td><td>x</td></tr></table>"
    found = read(f"""
        <html><body><table><tr><th>Week</th><th>Date</th><th>Speaker</th><th>Title</th></tr>
        <tr><td>{inner}</td><td>2026-03-05 9:00-10:00</td><td>Petra Lind</td><td>Nets</td></tr></table></body></html>
        """)
    assert told(found) == ["2026-03-05 09:00-10:00: Petra Lind: Nets"]


def test_how_somebody_talks_is_nowhere_to_work() -> None:
    found = read("""
        | Date | Time | Speaker | Title |
        |--|--|--|--|
        | 2026-03-05 | 10:00-11:00 | Petra Lind (board talk) | Nets |
        | 2026-03-12 | 10:00-11:00 | Hugo Maier (Bonn, via Zoom) | Spheres |
        | 2026-03-19 | 10:00-11:00 | 罗辰（线上） | 隐私 |
        """)
    assert [talk.speakers[0].affiliations for s in found.seminar.sessions for talk in s.talks][::2] == [(), ()]


def test_a_title_goes_on_behind_its_colon() -> None:
    found = read("""
        - 2026-03-05 10:00-11:00 Deep Learning: A Survey
        - 2026-03-12 10:00-11:00 Monte Carlo: A Gentle Introduction
        - 2026-03-19 10:00-11:00 Petra Lind: Wide networks
        """)
    assert told(found) == [
        "2026-03-05 10:00-11:00: Deep Learning: A Survey [tentative]",
        "2026-03-12 10:00-11:00: Monte Carlo: A Gentle Introduction [tentative]",
        "2026-03-19 10:00-11:00: Petra Lind: Wide networks",
    ]
    assert len(warnings(found)) == 2


def test_what_a_table_of_a_page_cannot_keep_is_told_of_with_its_line() -> None:
    found = read("""
        <html><body><h1>A Seminar</h1><table><tr><th>Week</th><th>Date</th><th>Speaker</th><th>Title</th></tr>
        <tr><td>1</td><td>2026-03-05 9:00-10:00</td><td>Petra Lind</td><td>Wide networks</td></tr>
        <tr><td colspan="4">Easter break</td></tr></table></body></html>
        """)
    assert told(found) == ["2026-03-05 09:00-10:00: Petra Lind: Wide networks"]
    assert warnings(found) == [
        "line 1: 'Week' heads a column that is not known: not read",
        "line 3: 'Easter break' stands under no day: not read",
    ]


# Whole lists, each beside what a person reads in it ----------------------------------------------------------------

LISTS = sorted(path for path in (Path(__file__).parent / "strangers").iterdir() if path.suffix != ".told")


def told_with_rooms(reading: Reading) -> list[str]:
    lines = []
    for session in reading.seminar.sessions:
        room = f"{session.room.url}|{session.room.meeting_id}|{session.room.passcode}"
        lines += [_told(session), *([f"    {room}"] if room != "||" else [])]
    return lines


@pytest.mark.parametrize("path", LISTS, ids=[path.name for path in LISTS])
def test_a_list_is_read_as_a_person_reads_it(path: Path) -> None:
    timezone, *lines = path.with_name(f"{path.name}.told").read_text(encoding="utf-8").splitlines()
    assert told_with_rooms(talklists.read(path.read_bytes(), Context(timezone=timezone))) == lines


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_mutilated_list_is_read_or_refused_and_names_no_session_twice(data: st.DataObject) -> None:
    text = talklists.decode(data.draw(st.sampled_from(LISTS)).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 80)))
        other = data.draw(st.sampled_from(["", text[start:stop] * 3, "\n", "|", "：", "(", '"', "2024-"]))
        text = text[:start] + other + text[stop:]
    try:
        reading = talklists.read(text.encode(), Context())
    except TalkListError:
        return
    ids = [session.id.casefold() for session in reading.seminar.sessions]
    assert len(set(ids)) == len(ids)
    again = talklists.read(toml.write(reading.seminar, reading.warnings).encode(), Context())
    assert again.seminar.sessions == tuple(map(with_named_speakers, reading.seminar.sessions))


def with_named_speakers(session: Session) -> Session:
    """The session as a list of ours has it, which tells that an affiliation without a speaker is nobody's."""
    named = (replace(talk, speakers=tuple(one for one in talk.speakers if one.name)) for talk in session.talks)
    return replace(session, talks=tuple(named))
