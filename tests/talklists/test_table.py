import json

import pytest
import samples
from conftest import PUBLISHED
from hypothesis import given
from hypothesis import strategies as st

from notifier import talklists
from notifier.errors import TalkListError
from notifier.talklists import Context, Reading, ics, records, table, toml
from notifier.talks import Link, Livestream, Room, Session, Speaker, Status, Talk, clean_line

# The same four talks in every form. The last day has one talk, with slides and a replay.
HEADS = ("Date", "Time", "Speaker", "Affiliation", "Title", "Slides", "Replay")
ROWS = (
    ("2021-11-27", "9:30-11:30", "王宇航", "北京深势科技有限公司", "冷冻电镜原理及相关算法", "", ""),
    ("2021-11-27", "9:30-11:30", "朱通", "华东师范大学", "基于神经网络实现碳氢燃料的燃烧模拟", "", ""),
    (
        "2021-10-30",
        "9:30-11:30",
        "Shijun Zhang",
        "National University of Singapore",
        "Deep Network Approximation: Achieving Arbitrary Error with Fixed Size",
        "https://shijunzhang.example.org/slides.pdf",
        "https://www.bilibili.com/video/BV1pf4y1u79M",
    ),
)


def delimited(mark: str) -> str:
    return "\n".join(mark.join(f'"{cell}"' if mark in cell else cell for cell in row) for row in (HEADS, *ROWS))


def markdown_table() -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (HEADS, *ROWS)]
    return "\n".join([lines[0], "|" + "---|" * len(HEADS), *lines[1:]])


def links(row: tuple[str, ...]) -> str:
    return "".join(f" [{name}]({url})" for name, url in zip(("slides", "replay"), row[5:], strict=True) if url)


def markdown_items() -> str:
    return "\n".join(f"- {row[0]} {row[1]} {row[2]} ({row[3]}): {row[4]}{links(row)}" for row in ROWS)


def markdown_headings() -> str:
    lines, day = [], ""
    for row in ROWS:
        if day != row[0]:
            day = row[0]
            lines.append(f"## {row[0]} {row[1]}")
        fields = zip(HEADS[2:], row[2:], strict=True)
        lines += [f"- **{head}:** {cell}" for head, cell in fields if cell]
    return "\n".join(lines)


def records_of_rows() -> list[dict[str, str]]:
    return [{head.lower(): cell for head, cell in zip(HEADS, row, strict=True) if cell} for row in ROWS]


def in_yaml() -> str:
    items = (
        "\n".join(f"{'- ' if n == 0 else '  '}{key}: {json.dumps(value)}" for n, (key, value) in enumerate(one.items()))
        for one in records_of_rows()
    )
    return "\n".join(items)


FORMS = {
    "csv": delimited(","),
    "tsv": delimited("\t"),
    "semicolon": delimited(";"),
    "markdown table": markdown_table(),
    "markdown items": markdown_items(),
    "markdown headings": markdown_headings(),
    "yaml": in_yaml(),
    "json": json.dumps(records_of_rows()),
}

OCTOBER = samples.START - 28 * samples.DAYS
SESSIONS = (
    Session(
        id="2021-10-30",
        start=OCTOBER,
        end=OCTOBER + 2 * samples.HOURS,
        timezone="Asia/Shanghai",
        talks=(
            Talk(
                title="Deep Network Approximation: Achieving Arbitrary Error with Fixed Size",
                speakers=(Speaker("Shijun Zhang", ("National University of Singapore",)),),
                slides=Link("https://shijunzhang.example.org/slides.pdf"),
                replay="https://www.bilibili.com/video/BV1pf4y1u79M",
            ),
        ),
    ),
    Session(
        id="2021-11-27",
        start=samples.START,
        end=samples.START + 2 * samples.HOURS,
        timezone="Asia/Shanghai",
        talks=(
            Talk(title="冷冻电镜原理及相关算法", speakers=(Speaker("王宇航", ("北京深势科技有限公司",)),)),
            Talk(title="基于神经网络实现碳氢燃料的燃烧模拟", speakers=(Speaker("朱通", ("华东师范大学",)),)),
        ),
    ),
)


def read(text: str) -> Reading:
    return talklists.read(text.encode(), Context(name="Joint Seminar"))


def only(reading: Reading) -> Session:
    (session,) = reading.seminar.sessions
    return session


def told(reading: Reading) -> list[str]:
    return [str(warning) for warning in reading.warnings]


def row(title: str = "Sums", **columns: str) -> str:
    """A head and one row on the fixed day, with these columns more."""
    return f"Date,Time,Title,{','.join(columns)}\n2021-11-27,9:30-11:30,{title},{','.join(columns.values())}\n"


@pytest.mark.parametrize("form", FORMS)
def test_the_same_talks_read_equal_in_every_form(form: str) -> None:
    reading = read(FORMS[form])
    found = tuple(_without_labels(session) for session in reading.seminar.sessions)
    assert (found, reading.warnings, reading.has_ids) == (SESSIONS, (), False)


def _without_labels(session: Session) -> Session:
    """The session as it is, but for the words of a link, which only Markdown can tell."""
    return Session(
        **{
            name: getattr(session, name)
            for name in ("id", "start", "end", "timezone", "status", "notice", "room", "livestream")
        },
        talks=tuple(
            Talk(
                title=talk.title,
                speakers=talk.speakers,
                slides=Link(talk.slides.url) if talk.slides else None,
                replay=talk.replay,
            )
            for talk in session.talks
        ),
    )


# Delimited text -------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    data = b"\xef\xbb\xbf" + FORMS["csv"].replace("\n", "\r\n").encode()
    assert talklists.read(data, Context(name="Joint Seminar")) == read(FORMS["csv"])


def test_heads_may_be_chinese_and_columns_in_any_order() -> None:
    text = "题目；报告人；单位；日期；时间\n冷冻电镜；王宇航；北京深势科技有限公司；2021年11月27日；上午9:30-11:30\n"
    session = only(read(text))
    assert (session.start, session.talks) == (
        samples.START,
        (Talk(title="冷冻电镜", speakers=(Speaker("王宇航", ("北京深势科技有限公司",)),)),),
    )


def test_a_cell_may_hold_line_breaks_and_rows_below_keep_their_lines() -> None:
    text = 'Date,Time,Title,Abstract\n2021-11-27,9:30-11:30,Sums,"One\n\ntwo, ""three"""\n2021-02-30,9:30,Bad,\n'
    reading = read(text)
    assert only(reading).talks == (Talk(title="Sums", abstract='One\n\ntwo, "three"'),)
    assert told(reading)[0].startswith("line 5: there is no such day as 2021-02-30: the row is left out")


def test_a_row_without_a_day_is_of_the_session_above_it() -> None:
    reading = read(FORMS["csv"].replace("2021-11-27,9:30-11:30,朱通", ",,朱通"))
    assert [len(session.talks) for session in reading.seminar.sessions] == [1, 2]
    assert told(reading) == [
        "line 3: there is no day: read as of 2021-11-27, like the row above; write the date in every row"
    ]


def test_a_row_without_a_day_below_one_that_is_left_out_is_left_out_too() -> None:
    text = f"{FORMS['csv']}\n2021-13-11,9:30-11:30,Ada Lovelace,,Sums,,\n,,Bob Cat,,More,,\n"
    reading = read(text)
    assert tuple(map(_without_labels, reading.seminar.sessions)) == SESSIONS
    assert [problem.line for problem in reading.warnings] == [5, 6]


def test_rows_of_a_wrong_length_are_read_and_told_of() -> None:
    reading = read(
        "Date,Time,Speaker,Title\n2021-11-27,9:30-11:30,Ada Lovelace\n2021-11-28,9:30-11:30,Bob Cat,B,more\n"
    )
    assert [session.talks for session in reading.seminar.sessions] == [
        (Talk(speakers=(Speaker("Ada Lovelace"),)),),
        (Talk(title="B", speakers=(Speaker("Bob Cat"),)),),
    ]
    assert [warning.message for warning in reading.warnings] == [
        "the row has 3 cells, but the head has 4",
        "the row has 5 cells, but the head has 4: what is too many is not read",
    ]


def test_an_unknown_column_is_told_of_with_what_may_be_meant() -> None:
    assert told(read(row(Afiliation="Oxford"))) == [
        'line 1: the column "Afiliation" is not known: not read; did you mean "affiliations"?'
    ]


def test_a_table_without_a_head_is_refused_with_the_heads_that_are_known() -> None:
    with pytest.raises(TalkListError) as caught:
        read("2021-11-27,9:30-11:30,Ada Lovelace,974114\n2021-12-11,9:30-11:30,Bob Cat,974114\n")
    (problem,) = caught.value.problems
    assert "Date/日期, Time/时间, Speaker/报告人" in problem.advice
    assert (problem.line, "974114" in str(problem)) == (1, False)


def test_what_a_spreadsheet_says_above_its_head_is_told_of() -> None:
    reading = read("Joint Seminar 2021,,\n" + FORMS["csv"])
    assert tuple(map(_without_labels, reading.seminar.sessions)) == SESSIONS
    assert told(reading) == ["line 1: this row above the head is not read"]


def test_a_table_of_which_no_row_can_be_used_is_refused_with_every_reason() -> None:
    with pytest.raises(TalkListError) as caught:
        read("Date,Title\n03/04/2021,A\nsoon,B\n")
    assert [problem.line for problem in caught.value.problems] == [2, 3, None]


def test_how_to_join_is_read_from_its_columns_or_from_a_place() -> None:
    columns = {"Meeting ID": "329744341", "Password": "974114", "直播": "bilibili living room"}
    session = only(read(row(**columns)))
    assert session.room == Room(meeting_id="329744341", passcode="974114")
    assert session.livestream == Livestream(label="bilibili living room")
    place = only(read(row(Location="Tencent Meeting 329 744 341 https://meeting.tencent.com/dm/p1q2HxwW3x4r")))
    assert place.room == Room("https://meeting.tencent.com/dm/p1q2HxwW3x4r", "329 744 341")


@pytest.mark.parametrize(
    ("said", "left_out"),
    [
        ("静园五院 204", "静园五院 204"),
        ("Room 101, https://zoom.us/j/123", ""),
        ("Online", ""),
        ("腾讯会议 329 744 341", ""),
    ],
)
def test_a_place_to_go_to_is_told_of_as_left_out(said: str, left_out: str) -> None:
    reading = read(f'date\ttime\ttitle\tspeaker\troom\n2021-11-27\t9:30-11:30\tA\tAda Example\t"{said}"\n')
    told = f"a session has no place beside its online room: {left_out!r} was left out"
    assert [warning.message for warning in reading.warnings] == [told] * bool(left_out)


def test_a_column_for_the_meeting_may_hold_its_number_or_be_told_of() -> None:
    assert only(read(row(腾讯会议="329 744 341"))).room == Room(meeting_id="329 744 341")
    reading = read(row(Link="javascript:alert(1)"))
    assert only(reading).room == Room()
    assert [warning.message for warning in reading.warnings] == ["the meeting link is no web link: not read"]


def test_a_passcode_beside_a_time_or_in_a_note_reaches_no_warning_and_no_notice() -> None:
    reading = read("Date,Title,Note\n2021-11-27 9:30-11:30 (password 974114),Sums,密码：974114\n")
    session = only(reading)
    assert (session.room.passcode, session.notice) == ("974114", "")
    assert "974114" not in " ".join(told(reading))


@pytest.mark.parametrize(
    ("text", "status"),
    [("已取消", Status.CANCELLED), ("Tentative", Status.TENTATIVE), ("", Status.TENTATIVE), ("odd", Status.TENTATIVE)],
)
def test_a_status_is_read_and_is_tentative_while_speaker_or_title_is_missing(text: str, status: Status) -> None:
    assert only(read(row(Status=text))).status is status


def test_a_weekday_that_is_not_that_of_the_day_is_told_of() -> None:
    reading = read("Date,Time,Title\n2021-11-27 (周日),9:30-11:30,Sums\n")
    assert (only(reading).start, told(reading)) == (
        samples.START,
        ["line 2: 2021-11-27 is a Saturday, not a Sunday; mend the date or the weekday"],
    )


# Markdown -------------------------------------------------------------------------------------------------------


def test_a_markdown_table_drops_no_cell_without_a_word() -> None:
    text = "| Date | Time | Title |\n|---|---|---|\n| 2021-11-27 | 9:30-11:30 | A \\| B | more |\n"
    reading = read(text)
    assert only(reading).talks == (Talk(title="A | B"),)
    assert told(reading)[0].startswith("line 3: the row has 4 cells, but the head has 3")


def test_marks_of_markdown_are_no_part_of_words_and_the_heading_is_the_name() -> None:
    text = "# Joint *Seminar* of Sums\n\n- **2021-11-27 9:30-11:30** *Ada Lovelace*, ETH – **On** `x`\n"
    reading = read(text)
    assert (reading.seminar.name, only(reading).talks) == (
        "Joint Seminar of Sums",
        (Talk(title="On x", speakers=(Speaker("Ada Lovelace", ("ETH",)),)),),
    )


def test_fields_under_a_heading_belong_to_its_session_up_to_the_next() -> None:
    text = "## 2021-11-27 9:30-11:30\n- Ada Lovelace: Sums\n- Abstract: One\n\n  two\n- Meeting ID: 329744341\n- Odd.\n"
    reading = read(text + "## Archive\n- Nothing\n")
    session = only(reading)
    assert session.talks == (Talk(title="Sums", speakers=(Speaker("Ada Lovelace"),), abstract="One\n\ntwo"),)
    assert session.room == Room(meeting_id="329744341")
    assert told(reading) == [
        "line 7: this is neither a talk nor a field of one: not read; write Speaker: … and Title: …",
        "line 9: this text stands under no day: not read; begin it with a day such as 2021-11-27",
    ]


@pytest.mark.parametrize(
    "who_and_what",
    [
        "Ada Lovelace (ETH): Sums, and more",
        'Ada Lovelace (ETH), "Sums, and more"',
        "Ada Lovelace (ETH) “Sums, and more”",
        "“Sums, and more”, Ada Lovelace (ETH)",
        '"Sums, and more" by Ada Lovelace (ETH)',
        "Ada Lovelace (ETH)《Sums, and more》",
    ],
)
def test_an_item_without_labels_tells_its_speaker_by_signs(who_and_what: str) -> None:
    reading = read(f"- 2021-11-27, 9:30-11:30: {who_and_what}\n")
    assert only(reading).talks == (Talk(title="Sums, and more", speakers=(Speaker("Ada Lovelace", ("ETH",)),)),)
    assert told(reading) == []


@pytest.mark.parametrize(
    ("what", "is_told"),
    [
        ("Deep learning: a survey", True),
        ("Christmas party, with punch", True),
        ("“On sums” and other talks", False),
        ("Christmas party", False),
    ],
)
def test_an_item_in_which_nobody_is_named_is_a_title_and_told_of(what: str, is_told: bool) -> None:
    reading = read(f"- 2021-11-27 9:30-11:30 {what}\n")
    assert only(reading).talks == (Talk(title=what),)
    warning = "line 1: no speaker was told apart here: all of it is the title; write it as Name: Title"
    assert told(reading) == [warning] * is_told


def test_an_item_of_a_day_that_does_not_exist_is_told_of() -> None:
    reading = read(FORMS["markdown items"] + "\n- 2021-02-30 9:30-11:30 Ada Lovelace: Sums\n")
    assert tuple(map(_without_labels, reading.seminar.sessions)) == SESSIONS
    assert told(reading)[0].startswith("line 4: there is no such day as 2021-02-30: the row is left out")


# Which form -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_recognised(form: str) -> None:
    fitting = [module for module in (ics, records, toml, table) if module.fits(FORMS[form])]
    assert fitting[0] is (records if form in ("yaml", "json") else table)


@pytest.mark.parametrize(
    "text",
    [
        "Time: 2021-11-27   9:30-11:30\n\nReporter: Ada Lovelace\n\nTitle: Sums\n\n- 2021-10-30 History\n",
        "<table><tr><td>Date, Speaker, Title</td></tr></table>",
        "[[session]]\nid = '2021-11-27'\n",
        "Hello, dear all",
        "",
    ],
)
def test_a_page_html_or_toml_is_no_table(text: str) -> None:
    assert not table.fits(text)


@pytest.mark.real_page
def test_the_seminars_own_page_is_left_to_the_page_reader() -> None:
    text = talklists.decode((PUBLISHED / "seminar-page.txt").read_bytes())
    assert [module.__name__ for module in (ics, records, toml, table) if module.fits(text)] == []


cells = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="[]()<>"), min_size=1, max_size=12)


@given(st.lists(cells.map(lambda text: f"On {text}"), min_size=1, max_size=5), st.sampled_from(",;\t"))
def test_no_row_of_a_written_table_is_lost(titles: list[str], mark: str) -> None:
    quoted = ("".join(('"', title.replace('"', '""'), '"')) for title in titles)
    text = f"Date{mark}Time{mark}Title\n" + "".join(f"2021-11-27{mark}9:30-11:30{mark}{title}\n" for title in quoted)
    reading = table.read(text, Context())
    assert [talk.title for talk in only(reading).talks] == [clean_line(title) for title in titles]


def test_a_time_that_clocks_skip_is_left_out_with_its_line() -> None:
    skipped = "2026-03-29 01:30,2026-03-29 02:30,Bob,Skipped"
    kept = "2026-03-29 00:30,2026-03-29 02:30,Eve,Kept"
    reading = table.read(f"Start,End,Speaker,Title\n{skipped}\n{kept}", Context("t.csv", timezone="Europe/London"))
    assert [session.talks[0].title for session in reading.seminar.sessions] == ["Kept"]
    told = "2026-03-29 01:30 does not exist in Europe/London: its clocks are put forward over it: the row is left out"
    assert [(p.line, p.message) for p in reading.warnings] == [(2, told)]


def test_a_line_that_only_wraps_ends_no_paragraph() -> None:
    text = "## 2021-11-27 9:30-11:30\n- Title: Sums\n- Abstract: One\n  and two\n\n  Three\n"
    assert only(read(text)).talks[0].abstract == "One\nand two\n\nThree"


FRONT = "---\ntitle: 'Seminar of Sums'\nlayout: page\ntags:\n  - sums\n---\n\n"


@pytest.mark.parametrize(
    "below",
    [
        "| Date | Time | Speaker | Title |\n|--|--|--|--|\n| 2021-11-27 | 9:30-11:30 | Ada | Sums |\n",
        "Time: 2021-11-27 9:30-11:30\nSpeaker: Ada\nTitle: Sums\n",
    ],
    ids=["table", "page"],
)
def test_front_matter_names_the_seminar_and_is_no_talk(below: str) -> None:
    reading = talklists.read((FRONT + below).encode(), Context())
    assert (reading.seminar.name, only(reading).talks) == (
        "Seminar of Sums",
        (Talk(title="Sums", speakers=(Speaker("Ada"),)),),
    )
    assert all((problem.line or 0) > FRONT.count("\n") for problem in reading.warnings)


def test_a_post_for_a_talk_is_read_without_quotes_and_keys_of_the_site() -> None:
    when = "date: 2021-11-27\ntime: '9:30-11:30'\n"
    head = f'layout: post\ntitle: "Sums"\n{when}tags:\n  - maths\nspeaker: "Ada Lovelace"\n'
    reading = talklists.read(
        f"---\n{head}---\n\nAbstract: They add up.\n".encode(), Context(name="Sums", is_zone_said=False)
    )
    talk = Talk(title="Sums", speakers=(Speaker("Ada Lovelace"),), abstract="They add up.")
    assert (only(reading).start, only(reading).talks) == (samples.START, (talk,))
    doubt = "line 4: the list names no time zone; its times were read as Asia/Shanghai"
    assert told(reading) == [f"{doubt}; name the seminar's own with --timezone, or in config.toml"]


def test_the_time_of_a_post_without_an_end_is_no_session() -> None:
    post = "---\ntitle: Sums\ndate: 2021-11-27T09:30:00+08:00\nspeaker: Ada Lovelace\n---\n"
    with pytest.raises(TalkListError) as caught:
        talklists.read(post.encode(), Context())
    why = "the time '2021-11-27T09:30:00+08:00' gives no end; the talk was left out"
    assert [(problem.line, problem.message) for problem in caught.value.problems][:1] == [(3, why)]


def test_a_talk_between_two_rules_is_no_front_matter() -> None:
    text = "---\ntitle: Sums\ndate: 2021-11-27 9:30-11:30\n---\n"
    assert only(talklists.read(text.encode(), Context(), "page")).talks[0].title == "Sums"
