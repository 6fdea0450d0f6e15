from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from conftest import PUBLISHED
from hypothesis import assume, given
from hypothesis import strategies as st

from notifier import talklists
from notifier.errors import Problem, TalkListError
from notifier.talklists import Context, toml
from notifier.talklists.parts.shapes import UNKNOWN
from notifier.talks import Link, Livestream, Room, Seminar, Session, Speaker, Status, Talk, clean_line, clean_text

SHANGHAI = ZoneInfo("Asia/Shanghai")
INIT = Path(__file__).parents[2] / "templates/init/talks.toml"

FULL = r"""
[seminar]
id = "ml-seminar"
name = { en = "Joint Seminar", zh = "联合讨论班" }
description = "Every two weeks."
timezone = "Asia/Shanghai"
organisers = ["Weinan E", "Bin Dong"]
homepage = "https://seminar.example.org"

[defaults]
time = "09:30-11:30"
since = 2021-11-01
[defaults.room]
url = "https://meeting.tencent.com/dm/p1q2HxwW3x4r"
meeting_id = "329 744 341"
passcode = "012345"
[defaults.livestream]
url = "https://live.bilibili.com/1"
label = "Bilibili"

[[session]]
id = "2021-10-30"
date = 2021-10-30
  [[session.talk]]
  title = "Deep Network Approximation"
  speaker = "Shijun Zhang"

[[session]]
id = "2021-11-27"
date = 2021-11-27
room.alternate_id = "553 2421 7498"
  [[session.talk]]
  title = "冷冻电镜原理及相关算法"
  speaker = "王宇航"
  affiliation = "北京深势科技有限公司"
  time = "9:30-10:30"
  abstract = '''
The estimate is $\hat\theta = \arg\max_\theta L(\theta)$.

A second paragraph.
'''
  slides = "https://example.org/slides.pdf"
  replay = "https://www.bilibili.com/video/BV1"
  references = "One paper"
  [[session.talk]]
  title = { en = "Combustion", zh = "燃烧模拟" }
  speaker = { zh = "朱通", en = "Tong Zhu" }
  affiliation = ["华东师范大学", "ECNU"]
  homepage = "https://zhu.example.org"
  time = "10:30-11:30"
  slides = { label = "下载链接" }
  kind = "lecture"
  bio = "He computes."

[[session]]
id = "2021-12-11"
date = 2021-12-11
livestream = false
room = false
  [[session.talk]]
  title = "TBA"
  speakers = ["Ada", { name = "Bob", affiliations = "B", homepage = "https://bob.example.org" }, { en = "Carol" }]
  affiliation = "Everywhere"
  [[session.talk]]
  tba = true
"""


def at(day: int, clock: str, month: int = 11) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return datetime(2021, month, day, hour, minute, tzinfo=SHANGHAI)


ROOM = Room("https://meeting.tencent.com/dm/p1q2HxwW3x4r", "329 744 341", "012345")
SEMINAR = Seminar(
    id="ml-seminar",
    name="Joint Seminar",
    name_zh="联合讨论班",
    description="Every two weeks.",
    timezone="Asia/Shanghai",
    organisers=("Weinan E", "Bin Dong"),
    homepage="https://seminar.example.org",
    sessions=(
        Session(
            "2021-10-30",
            at(30, "9:30", 10),
            at(30, "11:30", 10),
            "Asia/Shanghai",
            (Talk("Deep Network Approximation", speakers=(Speaker("Shijun Zhang"),)),),
        ),
        Session(
            "2021-11-27",
            at(27, "9:30"),
            at(27, "11:30"),
            "Asia/Shanghai",
            (
                Talk(
                    "冷冻电镜原理及相关算法",
                    speakers=(Speaker("王宇航", ("北京深势科技有限公司",)),),
                    start=at(27, "9:30"),
                    end=at(27, "10:30"),
                    abstract="The estimate is $\\hat\\theta = \\arg\\max_\\theta L(\\theta)$.\n\nA second paragraph.",
                    slides=Link("https://example.org/slides.pdf"),
                    replay="https://www.bilibili.com/video/BV1",
                    references=("One paper",),
                ),
                Talk(
                    "Combustion",
                    "燃烧模拟",
                    (Speaker("朱通 (Tong Zhu)", ("华东师范大学", "ECNU"), "https://zhu.example.org"),),
                    start=at(27, "10:30"),
                    end=at(27, "11:30"),
                    slides=Link("", "下载链接"),
                    kind="lecture",
                    bio="He computes.",
                ),
            ),
            room=replace(ROOM, alternate_id="553 2421 7498"),
            livestream=Livestream("https://live.bilibili.com/1", "Bilibili"),
        ),
        Session(
            "2021-12-11",
            at(11, "9:30", 12),
            at(11, "11:30", 12),
            "Asia/Shanghai",
            (
                Talk(
                    speakers=(
                        Speaker("Ada", ("Everywhere",)),
                        Speaker("Bob", ("B",), "https://bob.example.org"),
                        Speaker("Carol", ("Everywhere",)),
                    )
                ),
                Talk(),
            ),
            status=Status.TENTATIVE,
        ),
    ),
)


def read(text: str, **context: str) -> talklists.Reading:
    return toml.read(text, Context(**context))


def problems(text: str) -> list[str]:
    with pytest.raises(TalkListError) as caught:
        read(text)
    return [str(problem.in_source("talks.toml")) for problem in caught.value.problems]


def warnings(text: str) -> list[str]:
    return [str(w.in_source("talks.toml")) for w in read(text, name="A seminar").warnings]


def session(more: str = "", talk: str = "", session_id: str = "a") -> str:
    """One sound session with these lines more: its date is in line 3 and they begin in line 5."""
    talks = f"[[session.talk]]\n{talk}\n" if talk else ""
    return f'[[session]]\nid = "{session_id}"\ndate = 2021-11-27\ntime = "09:30-11:30"\n{more}\n{talks}'


def only(text: str) -> Session:
    [found] = read(text).seminar.sessions
    return found


def test_a_full_list_reads_as_the_seminar_it_describes() -> None:
    reading = read(FULL)
    assert reading.seminar == SEMINAR
    assert reading.warnings == ()
    assert reading.has_ids


def test_a_list_is_recognised_and_read_through_the_family() -> None:
    assert talklists.read(FULL.encode(), Context(source="talks.toml")).seminar == SEMINAR


@pytest.mark.parametrize("line", ["[seminar]", "[[session]]", "  [[session.talk]]", "[session] # x", "[defaults.room]"])
def test_toml_fits_a_text_in_which_a_line_opens_one_of_its_tables(line: str) -> None:
    assert toml.fits(f"# comment\n{line}\n")
    assert not toml.fits(f"Title: {line} and\n- {line}\n")


def test_the_context_says_what_the_list_leaves_unsaid() -> None:
    reading = read(session(), id="x", name="X", timezone="Europe/Berlin")
    assert (reading.seminar.id, reading.seminar.name, reading.seminar.timezone) == ("x", "X", "Europe/Berlin")
    assert reading.seminar.sessions[0].start == datetime(2021, 11, 27, 9, 30, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    "when",
    [
        'date = 2021-11-27\ntime = "9:30 - 11:30"',
        'date = 2021-11-27\ntime = "09：30–11：30"',
        'date = 2021-11-27\nstart = "9:30"\nend = "11:30"',
        "date = 2021-11-27\nstart = 09:30:00\nend = 11:30:00",
        "start = 2021-11-27T09:30:00\nend = 2021-11-27T11:30:00",
        'start = 2021-11-27T09:30:00\nend = "11:30"',
        "start = 2021-11-27T01:30:00Z\nend = 2021-11-27T12:30:00+09:00",
    ],
)
def test_a_time_can_be_written_in_several_ways(when: str) -> None:
    found = only(f'[[session]]\nid = "a"\n{when}\n')
    assert (found.start, found.end) == (at(27, "9:30"), at(27, "11:30"))
    assert str(found.start.tzinfo) == "Asia/Shanghai"


def test_a_session_may_last_until_midnight_or_over_it() -> None:
    assert only('[[session]]\nid = "a"\ndate = 2021-11-27\ntime = "22:00-24:00"').end == at(28, "0:00")
    assert only('[[session]]\nid="a"\nstart = 2021-11-27T22:00:00\nend = 2021-11-28T01:00:00').end == at(28, "1:00")


@pytest.mark.parametrize("title", ["TBA", "tba", " 待定 ", "To be announced…"])
def test_a_title_or_speaker_that_is_only_announced_is_unknown(title: str) -> None:
    text = session(talk=f'title = "{title}"\nspeaker = "{title}"')
    assert only(text).talks == (Talk(),)
    assert warnings(text) == []


@pytest.mark.parametrize(
    ("more", "talk", "status"),
    [
        ("", 'title = "T"\nspeaker = "Ada"', Status.CONFIRMED),
        ("", 'title = "T"', Status.TENTATIVE),
        ("", 'speaker = "Ada"\ntitle = "TBA"', Status.TENTATIVE),
        ("", "", Status.TENTATIVE),
        ('status = "confirmed"', "", Status.CONFIRMED),
        ('status = "cancelled"', 'title = "T"\nspeaker = "Ada"', Status.CANCELLED),
    ],
)
def test_a_session_of_which_nothing_is_known_is_tentative_unless_it_says_otherwise(
    more: str, talk: str, status: Status
) -> None:
    assert only(session(more, talk)).status is status


DEFAULTS = """
[defaults.room]
url = "https://meeting.tencent.com/dm/x"
meeting_id = "329744341"
passcode = "012345"
"""


def test_a_room_overrides_the_defaults_field_by_field() -> None:
    own = 'room = { url = "https://meeting.tencent.com/dm/y", meeting_id = "111222333", passcode = "" }'
    assert only(DEFAULTS + session()).room == Room("https://meeting.tencent.com/dm/x", "329744341", "012345")
    assert only(DEFAULTS + session(own)).room == Room("https://meeting.tencent.com/dm/y", "111222333")
    assert only(DEFAULTS + session("room = false")).room == Room()


def test_a_room_of_its_own_that_borrows_anothers_passcode_is_doubted() -> None:
    assert warnings(DEFAULTS + session('room.url = "https://meeting.tencent.com/dm/y"')) == [
        (
            "talks.toml:10:1: session a has a room of its own, but its meeting_id, passcode would be that of "
            '[defaults.room]; write those too, or "" for none'
        )
    ]


def test_defaults_since_a_day_leave_earlier_sessions_without_their_room() -> None:
    text = "[defaults]\nsince = 2021-11-28\n" + DEFAULTS + session()
    assert only(text).room == Room()
    assert only(text.replace("2021-11-28", "2021-11-27")).room == only(DEFAULTS + session()).room


def test_every_problem_is_told_at_once_with_its_line_and_what_to_do() -> None:
    text = """\
[seminar]
timezone = "Asia/Shanghi"
organisers = ["Weinan E", 3]
[defaults.room]
passcode = 12345
[[session]]
id = 2021-11-27
date = "2021-11-27"
[[session]]
id = "a b"
date = 2021-11-27
time = "09:30-11:30"
[[session]]
id = "ends-early"
date = 2021-11-27
time = "11:30-09:30"
  [[session.talk]]
  titel = "x"
  homepage = "javascript:alert(1)"
  notice = "late"
[[session]]
id = "no-date"
status = "canceled"
start = "25:00"
[[session]]
id = "two-fold"
start = 2021-11-27T11:30:00
end = 2021-11-27T09:30:00
[[sesion]]
"""
    assert problems(text) == [
        'talks.toml:2:1: "Asia/Shanghi" is no time zone; did you mean "Asia/Shanghai"?',
        "talks.toml:3:27: organisers is 3, expected text; write it in quotes",
        'talks.toml:5:1: the passcode is a number, so leading zeros are lost; write it in quotes: passcode = "…"',
        "talks.toml:7:1: id is 2021-11-27, expected text; write it in quotes",
        'talks.toml:8:1: date is "2021-11-27", expected a date; write it as 2021-11-27, without quotes',
        'talks.toml:10:1: "a b" cannot stand in a web address; use up to 64 of A-Z a-z 0-9 . _ -',
        (
            'talks.toml:16:1: it ends before it starts ("11:30-09:30"); put the earlier time first; over midnight, '
            "write start and end with their dates"
        ),
        'talks.toml:18:3: unknown key "titel" in [[session.talk]]; did you mean "title"?',
        'talks.toml:19:3: "javascript:alert(1)" is no web link; write it like "https://seminar.example.org"',
        (
            'talks.toml:20:3: unknown key "notice" in [[session.talk]]; it belongs to [[session]]: write it above '
            "[[session.talk]]"
        ),
        (
            "talks.toml:23:1: status is \"canceled\", expected 'confirmed', 'tentative' or 'cancelled'; "
            'did you mean "cancelled"?'
        ),
        'talks.toml:24:1: "25:00" is no time of day; write hours from 00 to 24 and minutes from 00 to 59',
        (
            "talks.toml:28:1: session two-fold ends before it starts (2021-11-27 09:30 is not after 2021-11-27 11:30); "
            "mend its end; over midnight, write start and end with their dates"
        ),
        'talks.toml:29:1: unknown key "sesion" at the top of the file; did you mean "session"?',
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[session]]\ndate = 2021-11-27", "1:1: [[session]] has no id; write id = …"),
        ('[[session]]\nid = "a"\ndate = 2021-11-27', "1:1: session a has no time; write time = "),
        ('[[session]]\nid = "a"\ntime = "09:30-11:30"', "1:1: session a has no date; write date = "),
        ('[[session]]\nid = "a"\ndate = 2021-11-27\nstart = "09:30"', "1:1: session a has no end; write end = "),
        (
            '[[session]]\nid = "a"\ndate = 2021-11-27\nstart = 2021-11-28T09:30:00\nend = "11:30"',
            "3:1: session a has a date as well as a start with one; keep one of the two",
        ),
        (session('start = "9:00"'), "4:1: session a has a time as well as a start or end; keep one"),
        ('[[session]]\nid = "a"\ndate = 2021-11-27T09:30:00', "3:1: 2021-11-27 09:30:00 is a date with a time; "),
        ('[[session]]\nid = "a"\ndate = 0021-11-27', "3:1: the year 21 is out of bounds; "),
        ('[[session]]\nid = "a"\ndate = 2021-11-27\ntime = "9:30"', '4:1: "9:30" is no range of time; '),
        ('[session]\nid = "a"', "1:1: session is a table, expected a list of tables; begin each with two brackets: [["),
        (session("room = true"), "5:1: true says nothing here; write a table, or false for none"),
        (session("room.meeting_id = 329744341"), "5:6: meeting_id is 329744341, expected text; write it in quotes"),
        (session("quiet = 1"), "5:1: quiet is 1, expected true or false; write it without quotes"),
        (session(talk='speaker = ["Ada"]'), "7:1: one speaker was expected, not a list; write speakers = [ … ]"),
        (session(talk='speaker = "A"\nspeakers = ["B"]'), "7:1: this talk has a speaker as well as speakers; "),
        (session(talk='speaker = { nam = "A" }'), '7:13: unknown key "nam" in [session.talk.speaker]; did you mean'),
        (session(talk='speakers = ["A", "B"]\nhomepage = "https://x.org"'), "8:1: it is not said whose homepage"),
        (session(talk='time = "09:00-10:00"'), "7:1: the slot 09:00-10:00 is not inside its session, 2021-11-27 09:30"),
        (session(talk='start = "10:30"\nend = "10:00"'), "8:1: this talk ends before it starts (2021-11-27 10:00"),
        (session(talk="title = 3"), "7:1: 3 is no text; write it in quotes, or in two languages"),
        (session('timezone = "CST"'), '5:1: "CST" is no time zone; write a name like "Asia/Shanghai"'),
        (session('timezone = "../etc/passwd"'), '5:1: "../etc/passwd" is no time zone; write a name like'),
    ],
)
def test_each_mistake_is_told_where_it_stands(text: str, told: str) -> None:
    found = [problem.removeprefix("talks.toml:") for problem in problems(text)]
    assert any(problem.startswith(told) for problem in found), found


def test_two_sessions_with_one_id_are_both_told() -> None:
    assert problems(session() + session()) == [
        f'talks.toml:{line}:1: 2 sessions have the id "a"; give the newer one another; an id that was published stays '
        "with its session"
        for line in (2, 7)
    ]


def test_a_passcode_never_stands_in_a_message() -> None:
    text = "[defaults.room]\npasscode = 974114\n" + session("room = { passcode = [974114], pascode = 974114 }")
    assert len(problems(text)) == 3
    assert "974114" not in "".join(problems(text))


def test_a_time_that_the_clocks_skip_is_refused_and_one_they_show_twice_is_doubted() -> None:
    york = 'timezone = "America/New_York"'
    assert problems(f'[[session]]\nid = "a"\n{york}\ndate = 2021-03-14\ntime = "02:30-04:00"') == [
        (
            "talks.toml:5:1: 2021-03-14 02:30 does not exist in America/New_York: its clocks are put forward over it; "
            "write the time that its clocks show"
        )
    ]
    assert warnings(f'[[session]]\nid = "a"\n{york}\ndate = 2021-11-07\ntime = "01:30-04:00"') == [
        (
            "talks.toml:5:1: 2021-11-07 01:30 comes twice in America/New_York, and the first is taken; "
            "write start and end with their offsets, like 2021-11-07T01:30:00-04:00"
        )
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (session() + session(session_id="b"), "6:1: session b begins before session a ends; mend the date"),
        (session('room.meeting_id = "12345678"'), '5:6: meeting_id "12345678" does not look like a meeting'),
        (session(talk='affiliation = "X"'), "6:1: an affiliation or homepage is given, but no speaker"),
        (
            session(talk='tba = true\ntitle = "T"\nspeaker = "Ada"'),
            "7:1: this talk is still marked tba, and has a title and a speaker; drop tba = true",
        ),
        (
            '[[session]]\nid = "a"\nstart = 2021-11-27T09:30:00\nend = 2021-12-27T09:30:00',
            "4:1: session a lasts longer than a day; mend its end",
        ),
        ("[seminar]\n", " the list has no session; begin each with [[session]]"),
        (
            session(talk='replay = "https://x.org/1"')
            + session('timezone = "UTC"', 'replay = "https://x.org/1"', session_id="b"),
            "14:1: session b has the same replay as session a: https://x.org/1; one of the two",
        ),
    ],
)
def test_what_is_doubtful_is_a_warning_with_its_line(text: str, told: str) -> None:
    [found] = warnings(text)
    assert found.removeprefix("talks.toml:").startswith(told)


def test_a_cancelled_session_may_overlap_the_one_in_its_place() -> None:
    assert warnings(session('status = "cancelled"') + session(session_id="b")) == []


def test_a_list_truncated_anywhere_is_refused_or_holds_sessions_of_the_whole() -> None:
    whole = {s.id for s in SEMINAR.sessions}
    for end in range(len(FULL)):
        try:
            found = read(FULL[:end]).seminar.sessions
        except TalkListError:
            continue
        assert {s.id for s in found} <= whole, end


# Round trip -----------------------------------------------------------------------------------------------------

NASTY = st.sampled_from(
    [
        "'''",
        '"""',
        "\\",
        "\\n",
        "$\\alpha$",
        '"',
        "'",
        "\n",
        "\n\n",
        "\t",
        "#",
        "]",
        "}",
        "=",
        " ",
        "🎓",
        "中文",
        "é",
        ",",
    ]
)
TEXT = st.lists(NASTY | st.text(max_size=5), max_size=8).map("".join)
LINE = TEXT.map(clean_line).filter(lambda text: text.casefold() not in UNKNOWN)
PROSE = (
    (TEXT | st.builds(lambda text: (text + " ") * 40, TEXT))
    .map(clean_text)
    .filter(lambda text: text.casefold() not in UNKNOWN)
)
NAME = LINE.filter(bool)
URL = st.sampled_from(["", "https://x.example.org/a?b=c#d", "http://[::1]:80/\\'"])
LINES = st.lists(NAME, max_size=3).map(tuple)
IDS = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)
ZONES = st.sampled_from(["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"])
SPANS = st.sampled_from([60, 90, 120, 1440, 3000]).map(lambda m: timedelta(minutes=m)) | st.timedeltas(
    timedelta(microseconds=1), timedelta(days=3)
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=47000)).map(lambda span: EPOCH + span) | st.builds(
    # Quarters of hours in a month in which clocks are put back.
    lambda quarter: datetime(2021, 11, 1, tzinfo=UTC) + timedelta(minutes=15 * quarter),
    st.integers(0, 30 * 96),
)


@st.composite
def talks(draw: st.DrawFn, start: datetime, end: datetime) -> Talk:
    slots = st.sampled_from(
        [(None, None), (start, None), (start, end), (None, end), (start, start + (end - start) / 2)]
    )
    slot_start, slot_end = draw(slots)
    assume(slot_end is None or slot_start is None or slot_start < slot_end)
    return Talk(
        title=draw(LINE),
        title_zh=draw(LINE),
        speakers=tuple(draw(st.lists(st.builds(Speaker, NAME, LINES, URL), max_size=3))),
        start=slot_start,
        end=slot_end,
        abstract=draw(PROSE),
        abstract_zh=draw(PROSE),
        bio=draw(PROSE),
        references=draw(LINES),
        slides=draw(st.none() | st.builds(Link, URL, LINE)),
        replay=draw(URL),
        kind=draw(LINE),
    )


@st.composite
def sessions(draw: st.DrawFn, session_id: str) -> Session:
    name = draw(ZONES)
    start = draw(INSTANTS).astimezone(ZoneInfo(name))
    end = (start.astimezone(UTC) + draw(SPANS)).astimezone(ZoneInfo(name))
    return Session(
        id=session_id,
        start=start,
        end=end,
        timezone=name,
        talks=tuple(draw(st.lists(talks(start, end), max_size=3))),
        status=draw(st.sampled_from(Status)),
        notice=draw(PROSE),
        room=draw(st.builds(Room, URL, LINE, LINE, LINE, URL)),
        livestream=draw(st.builds(Livestream, URL, LINE)),
        quiet=draw(st.booleans()),
    )


@st.composite
def seminars(draw: st.DrawFn) -> Seminar:
    ids = draw(st.lists(IDS, max_size=3, unique_by=str.casefold))
    return Seminar(
        id=draw(IDS),
        name=draw(LINE),
        timezone=draw(ZONES),
        name_zh=draw(LINE),
        description=draw(PROSE),
        description_zh=draw(PROSE),
        organisers=draw(LINES),
        homepage=draw(URL),
        sessions=tuple(draw(sessions(session_id)) for session_id in ids),
    )


@given(seminars(), st.lists(TEXT, max_size=2))
def test_a_seminar_that_was_written_reads_as_itself(seminar: Seminar, doubts: list[str]) -> None:
    text = toml.write(seminar, [Problem(doubt) for doubt in doubts])
    again = read(text).seminar
    assert again == seminar
    # Equal datetimes may still show different instants, where clocks show one time twice.
    assert [s.start.timestamp() for s in again.sessions] == [s.start.timestamp() for s in seminar.sessions]
    assert toml.fits(text)


def test_a_session_over_the_hour_that_clocks_show_twice_reads_as_itself() -> None:
    york = ZoneInfo("America/New_York")
    start = datetime(2021, 11, 7, 1, 30, tzinfo=york)
    late = datetime(2021, 11, 7, 1, 10, fold=1, tzinfo=york)
    talk = Talk("T", speakers=(Speaker("Ada"),), start=start, end=late)
    seminar = Seminar("s", "S", "Asia/Shanghai", sessions=(Session("a", start, late, york.key, (talk,)),))
    again = read(toml.write(seminar)).seminar
    assert again == seminar
    assert again.sessions[0].end.astimezone(UTC) == datetime(2021, 11, 7, 6, 10, tzinfo=UTC)


def test_a_written_list_is_fit_for_people() -> None:
    written = toml.write(SEMINAR, [Problem("the link was lost", "write it", line=3)])
    assert "# To be looked at:\n#   line 3: the link was lost; write it\n" in written
    assert written.index("2021-12-11") < written.index("2021-11-27")
    assert "  [[session.talk]]\n  tba = true\n\n" in written
    assert (
        """
[[session]]
id = "2021-11-27"
date = 2021-11-27
time = "09:30-11:30"
room.url = "https://meeting.tencent.com/dm/p1q2HxwW3x4r"
room.meeting_id = "329 744 341"
room.passcode = "012345"
room.alternate_id = "553 2421 7498"
livestream.url = "https://live.bilibili.com/1"
livestream.label = "Bilibili"
  [[session.talk]]
  title = "冷冻电镜原理及相关算法"
  speaker = "王宇航"
  affiliation = "北京深势科技有限公司"
  time = "09:30-10:30"
  replay = "https://www.bilibili.com/video/BV1"
  slides = "https://example.org/slides.pdf"
  abstract = '''
The estimate is $\\hat\\theta = \\arg\\max_\\theta L(\\theta)$.

A second paragraph.
'''
  references = "One paper"
  [[session.talk]]
"""
        in written
    )


# The list that init writes --------------------------------------------------------------------------------------


def test_the_list_of_init_reads_without_a_warning() -> None:
    text = INIT.read_text().replace("{{ next_saturday }}", "2026-11-28")
    reading = read(text)
    assert reading.warnings == ()
    assert len(reading.seminar.sessions) == 20
    assert sum(len(s.talks) for s in reading.seminar.sessions) == 35
    sample = reading.seminar.sessions[-1]
    assert (sample.id, sample.start.date(), sample.status) == ("2026-11-28", date(2026, 11, 28), Status.CONFIRMED)


@pytest.mark.real_page
def test_the_past_of_inits_list_is_what_the_seminars_page_says() -> None:
    page = PUBLISHED / "seminar-page.txt"
    published = "".join(page.read_text().split())
    text = INIT.read_text().replace("{{ next_saturday }}", "2026-11-28")
    past = read(text).seminar.sessions[:-1]
    for talk in (talk for s in past for talk in s.talks):
        facts = (talk.title, talk.replay, *(fact for s in talk.speakers for fact in (s.name, s.homepage)))
        missing = [fact for fact in facts if "".join(fact.split()) not in published]
        assert missing == []
    assert sum(len(s.talks) for s in past) == published.count("Reporter:") + published.count("Report:")
    assert {s.id for s in past if s.room != Room()} == {"2021-11-27"}


# --- Read again -------------------------------------------------------------------------------------------------------

SEVERAL = "".join(
    f"""
    [[session]]
    id = "s{n}"
    date = 2021-11-{n:02}
    time = "09:30-11:30"
      [[session.talk]]
      title = "Talk {n}"
      speaker = "Ada"
    """
    for n in range(1, 6)
)
HEAD = '[seminar]\nname = "A Seminar"\ntimezone = "Asia/Shanghai"\n'


@pytest.mark.parametrize(
    "edited",
    [
        HEAD + SEVERAL.replace("Talk 3", "Another talk"),
        HEAD + SEVERAL.replace("2021-11-04", "2021-12-04"),
        HEAD.replace("Shanghai", "Tokyo") + SEVERAL,
        HEAD + '[defaults]\nroom.url = "https://meeting.tencent.com/dm/p1q2HxwW3x4r"\n' + SEVERAL,
        HEAD + SEVERAL + SEVERAL.replace("2021-11", "2021-12").replace('id = "s', 'id = "t'),
        HEAD + SEVERAL[: SEVERAL.index('"s4"') - 30],
        HEAD + SEVERAL + "[defaults]\nsince = 2021-11-03\n",
    ],
)
def test_a_list_read_again_after_an_edit_reads_as_for_the_first_time(edited: str) -> None:
    toml.read(HEAD + SEVERAL, Context())
    again = toml.read(edited, Context())
    toml.read('[[session]]\nid = "x"\ndate = 2021-11-27\ntime = "09:30-11:30"\n', Context())
    assert again == toml.read(edited, Context())


def test_a_doubt_is_told_again_when_the_list_is_read_again() -> None:
    doubtful = HEAD + SEVERAL.replace('id = "s2"', 'id = "s2"\nroom.meeting_id = "12"')
    first = toml.read(doubtful, Context())
    assert first.warnings
    assert toml.read(doubtful, Context()) == first


def test_a_session_s_head_inside_a_text_begins_no_session() -> None:
    quoted = HEAD + SEVERAL + '      abstract = """\n[[session]]\nid = "none"\n"""\n'
    sessions = toml.read(quoted, Context()).seminar.sessions
    assert [session.id for session in sessions] == ["s1", "s2", "s3", "s4", "s5"]
    assert sessions[-1].talks[0].abstract == '[[session]]\nid = "none"'


def test_two_sessions_of_one_text_are_still_two_of_one_id() -> None:
    with pytest.raises(TalkListError, match='2 sessions have the id "s1"'):
        toml.read(HEAD + SEVERAL + SEVERAL[: SEVERAL.index("[[session]]", 10)], Context())
    with pytest.raises(TalkListError, match='2 sessions have the id "s1"'):
        toml.read(HEAD + SEVERAL + SEVERAL[: SEVERAL.index("[[session]]", 10)], Context())
