import json
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import samples
import yaml
from hypothesis import given
from hypothesis import strategies as st

from notifier import talklists
from notifier.errors import TalkListError
from notifier.talklists import Context, Reading, ics, records, table, toml
from notifier.talklists.parts.people import is_nobody
from notifier.talks import (
    Link,
    Livestream,
    Room,
    Seminar,
    Session,
    Speaker,
    Status,
    Talk,
    as_json,
    clean_line,
    clean_text,
)

# Two talks of one session, as a person might note them down.
NOTED = """\
- date: 2021-11-27
  time: 9:30-11:30
  speaker: 王宇航
  affiliation: 北京深势科技有限公司
  title: 冷冻电镜原理及相关算法
- date: 2021-11-27
  time: 9:30-11:30
  speaker: 朱通
  affiliation: 华东师范大学
  title: 基于神经网络实现碳氢燃料的燃烧模拟
"""
TALKS = (
    Talk(title="冷冻电镜原理及相关算法", speakers=(Speaker("王宇航", ("北京深势科技有限公司",)),)),
    Talk(title="基于神经网络实现碳氢燃料的燃烧模拟", speakers=(Speaker("朱通", ("华东师范大学",)),)),
)


def read(text: str) -> Reading:
    return talklists.read(text.encode(), Context(name="Joint Seminar"))


def only(reading: Reading) -> Session:
    (session,) = reading.seminar.sessions
    return session


def told(reading: Reading) -> list[str]:
    return [str(warning) for warning in reading.warnings]


def record(**values: object) -> str:
    """One talk on the fixed day, as JSON, with these values over the usual ones."""
    usual: dict[str, object] = {"date": "2021-11-27", "time": "9:30-11:30", "speaker": "Ada Lovelace", "title": "Sums"}
    return json.dumps([usual | values], ensure_ascii=False)


# Round trips ----------------------------------------------------------------------------------------------------

# What says that it is still to come, like TBA, is read as unknown, and would not come back.
lines = st.just("") | st.text(max_size=40).map(clean_line).map(lambda text: "Sums" if is_nobody(text) else text)
texts = st.just("") | st.text(max_size=80).map(clean_text).map(lambda text: "Sums" if is_nobody(text) else text)
names = lines.map(lambda text: text or "Ada Lovelace")
addresses = st.sampled_from(("", "https://seminar.example.org/a?b=c#d", "http://example.org:8000/讲座"))
identifiers = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)
zones = st.sampled_from(("Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"))
links = st.none() | st.builds(Link, url=addresses, label=names)
speakers = st.builds(Speaker, name=names, affiliations=st.lists(lines, max_size=2).map(tuple), homepage=addresses)
rooms = st.builds(Room, url=addresses, meeting_id=lines, passcode=lines, alternate_id=lines, download_url=addresses)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    # Only instants that exist: a wall time in the hour that a clock skips is none.
    years = 100 * 365 * samples.DAYS
    return (samples.LONG_AGO + draw(st.timedeltas(-years, years))).astimezone(ZoneInfo(zone))


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    zone = draw(zones)
    start = draw(moments(zone))
    end = (start.astimezone(ZoneInfo("UTC")) + draw(st.timedeltas(timedelta(minutes=1), timedelta(days=2)))).astimezone(
        ZoneInfo(zone)
    )
    talk = st.builds(
        Talk,
        title=lines,
        title_zh=lines,
        speakers=st.lists(speakers, max_size=2).map(tuple),
        start=st.none() | st.just(start),
        abstract=texts,
        abstract_zh=texts,
        bio=texts,
        references=st.lists(lines, max_size=2).map(tuple),
        slides=links,
        replay=addresses,
        kind=lines,
    ).map(lambda talk: replace(talk, end=end if talk.start else None))
    return draw(
        st.builds(
            Session,
            id=identifiers,
            start=st.just(start),
            end=st.just(end),
            timezone=st.just(zone),
            talks=st.lists(talk, max_size=2).map(tuple),
            status=st.sampled_from(Status),
            notice=texts,
            room=rooms,
            livestream=st.builds(Livestream, url=addresses, label=lines),
            quiet=st.booleans(),
            uid=identifiers | st.just(""),
            revision=st.integers(0, 99),
            created=st.none() | moments("UTC"),  # a local hour that is lived through twice equals no other (PEP 495)
        )
    )


seminars = st.builds(
    Seminar,
    id=identifiers,
    name=names,
    timezone=zones,
    name_zh=lines,
    description=texts,
    organisers=st.lists(lines, max_size=2).map(tuple),
    homepage=addresses,
    sessions=st.lists(sessions(), min_size=1, max_size=3, unique_by=lambda s: s.id.casefold()).map(tuple),
)


@given(seminars)
def test_our_own_json_is_read_back_as_the_seminar_it_was_made_of(seminar: Seminar) -> None:
    reading = records.read(json.dumps(as_json(seminar)), Context())
    assert (reading.seminar, reading.has_ids, reading.warnings) == (seminar, True, ())


def test_our_own_json_in_yaml_is_the_same() -> None:
    text = yaml.safe_dump(as_json(samples.seminar()), allow_unicode=True, sort_keys=False)
    assert read(text).seminar == samples.seminar()


# Lists in anybody's keys ----------------------------------------------------------------------------------------


def test_talks_of_one_day_are_one_session() -> None:
    reading = read(NOTED)
    session = only(reading)
    assert (session.id, session.start, session.end, session.talks) == (
        "2021-11-27",
        samples.START,
        samples.START + 2 * samples.HOURS,
        TALKS,
    )
    assert (reading.has_ids, reading.warnings, reading.seminar.name) == (False, (), "Joint Seminar")


def test_keys_may_be_chinese() -> None:
    chinese = {"date": "日期", "time": "时间", "speaker": "报告人", "affiliation": "单位", "title": "题目"}
    text = NOTED
    for english, word in chinese.items():
        text = text.replace(f"{english}:", f"{word}:")
    assert read(text).seminar == read(NOTED).seminar


def test_records_of_researchseminars_are_read() -> None:
    reading = read(
        json.dumps(
            [
                {
                    "start_time": "2021-11-27T01:30:00+00:00",
                    "end_time": "2021-11-27T02:30:00+00:00",
                    "speaker_name": "Ada Lovelace",
                    "speaker_affiliation": "University of Oxford",
                    "speaker_homepage": "https://ada.example.org",
                    "title": "On the Engine",
                    "live_link": "https://us02web.zoom.us/j/1",
                    "stream_link": "https://live.bilibili.com/22",
                    "slides_link": "https://ada.example.org/engine.pdf",
                    "video_link": "https://www.youtube.com/watch?v=1",
                }
            ]
        )
    )
    session = only(reading)
    assert (session.start, session.end) == (samples.START, samples.START + samples.HOURS)
    assert (session.room.url, session.livestream.url) == ("https://us02web.zoom.us/j/1", "https://live.bilibili.com/22")
    assert session.talks == (
        Talk(
            title="On the Engine",
            speakers=(Speaker("Ada Lovelace", ("University of Oxford",), "https://ada.example.org"),),
            slides=Link("https://ada.example.org/engine.pdf"),
            replay="https://www.youtube.com/watch?v=1",
        ),
    )
    assert reading.warnings == ()


def test_talks_one_after_the_other_have_slots_of_their_own() -> None:
    text = NOTED.replace("9:30-11:30", "9:30-10:30", 1).replace("9:30-11:30", "10:30-11:30", 1)
    session = only(read(text))
    half = samples.START + samples.HOURS
    assert (session.start, session.end) == (samples.START, samples.START + 2 * samples.HOURS)
    assert [(talk.start, talk.end) for talk in session.talks] == [(samples.START, half), (half, session.end)]


def test_two_rooms_on_one_day_are_two_sessions() -> None:
    text = NOTED.replace("  title:", "  meeting_id: 329744341\n  title:", 1)
    text = text[::-1].replace("  title:"[::-1], "  meeting_id: 111222333\n  title:"[::-1], 1)[::-1]
    assert [(s.id, s.room.meeting_id) for s in read(text).seminar.sessions] == [
        ("2021-11-27", "329744341"),
        ("2021-11-27-2", "111222333"),
    ]


def test_defaults_that_records_merge_are_theirs() -> None:
    text = NOTED.replace("- date: 2021-11-27\n  time", "- &first\n  date: 2021-11-27\n  time", 1)
    text = text.replace("- date: 2021-11-27\n  time: 9:30-11:30\n  speaker: 朱通", "- <<: *first\n  speaker: 朱通")
    assert only(read(text)).talks == TALKS


def test_a_session_may_hold_its_talks_and_its_room() -> None:
    text = """\
seminar: {name: Joint Seminar, timezone: Europe/Berlin}
sessions:
  - id: first
    start: 2021-11-27 9:30
    end: 2021-11-27 11:30
    room: {url: "https://zoom.us/j/1", passcode: 012345}
    livestream: {label: bilibili living room}
    talks:
      - {title: Sums, speaker: "王涵 (北京应用物理与计算数学研究所)"}
      - {title: NO, speakers: [{name: Ada Lovelace, affiliations: [Oxford, ETH]}]}
"""
    reading = read(text)
    session = only(reading)
    assert (session.id, session.timezone, f"{session.start:%H:%M %z}") == ("first", "Europe/Berlin", "09:30 +0100")
    assert session.room == Room("https://zoom.us/j/1", passcode="012345")
    assert session.livestream == Livestream(label="bilibili living room")
    assert session.talks == (
        Talk(title="Sums", speakers=(Speaker("王涵", ("北京应用物理与计算数学研究所",)),)),
        Talk(title="NO", speakers=(Speaker("Ada Lovelace", ("Oxford", "ETH")),)),
    )
    assert (reading.has_ids, reading.warnings) == (True, ())


# What is doubtful or broken -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text"), [("title", "NO"), ("title", "007"), ("title", "1e3"), ("speaker", "Null Yes")]
)
def test_what_yaml_would_make_something_else_of_stays_as_written(key: str, text: str) -> None:
    noted = NOTED.replace("title: 冷冻电镜原理及相关算法" if key == "title" else "speaker: 王宇航", f"{key}: {text}", 1)
    talk = only(read(noted)).talks[0]
    assert text in (talk.title, talk.speakers[0].name)


def test_a_passcode_in_yaml_keeps_its_zeros() -> None:
    assert only(read(NOTED.replace("title: 冷", "passcode: 007411\n  title: 冷"))).room.passcode == "007411"


def test_times_that_yaml_made_numbers_of_are_recovered_and_told_of() -> None:
    reading = read(record(time=None, start=570, end=34200 + 7200))
    assert (only(reading).start, only(reading).end) == (samples.START, samples.START + 2 * samples.HOURS)
    assert told(reading) == [
        'line 1: "start" is the number 570: read as 9:30; write it in quotes: "9:30"',
        'line 1: "end" is the number 41400: read as 11:30; write it in quotes: "11:30"',
    ]


def test_a_number_that_may_be_two_times_is_not_read() -> None:
    with pytest.raises(TalkListError, match="no time of day"):
        read(record(time=None, start=930))


def test_a_passcode_that_is_a_number_is_doubted_without_being_told() -> None:
    reading = read(record(passcode=97411))
    assert only(reading).room.passcode == "97411"
    assert told(reading) == ["line 1: the passcode is a number: zeros at its start are lost; write it in quotes"]


def test_a_truth_value_is_no_title() -> None:
    reading = read(record(title=False))
    assert only(reading).talks[0].title == ""
    assert told(reading) == [
        'line 1: "title" is false, not a text: not read; write it in quotes; YAML takes NO and off for false'
    ]


def test_an_unknown_key_is_told_once_with_what_may_be_meant() -> None:
    assert told(read(NOTED.replace("title:", "tittle:"))) == [
        'line 5: the key "tittle" is not known: not read (in 2 records); did you mean "title"?'
    ]


def test_a_key_that_stands_twice_is_told_of() -> None:
    reading = read(NOTED.replace("  title: 冷", "  title: Old\n  title: 冷"))
    assert told(reading) == ['line 6: "title" stands twice in one record: the later is read; drop one of the two']


def test_a_record_that_cannot_be_used_is_left_out_and_the_others_are_kept() -> None:
    reading = read(NOTED + "- date: 2021-02-30\n  time: 9:30-11:30\n- title: Nothing else\n")
    assert only(reading).talks == TALKS
    assert told(reading) == [
        "line 11: there is no such day as 2021-02-30: the row is left out; write the time as 2021-11-27 9:30-11:30",
        "line 13: there is no day: the row is left out; write the time as 2021-11-27 9:30-11:30",
    ]


@pytest.mark.parametrize("key", ["homepage", "replay"])
def test_a_link_that_is_no_web_link_is_left_out_and_told_of(key: str) -> None:
    reading = read(record(**{key: "javascript:alert(1)"}))
    assert only(reading) == only(read(record()))
    assert told(reading) == [f"line 1: the {key} 'javascript:alert(1)' is no web link: not read"]


def test_a_link_in_a_record_of_its_own_is_held_to_the_same_rule() -> None:
    bad = "javascript:alert(1)"
    reading = read(record(speaker=[{"name": "Ada Lovelace", "homepage": bad}], room={"url": bad}, slides={"url": bad}))
    session = only(reading)
    assert (session.room, session.speakers) == (Room(), (Speaker("Ada Lovelace"),))
    assert bad not in repr(session)
    assert sorted(warning.message for warning in reading.warnings) == [
        '"homepage" is no web link: not read',
        '"url" is no web link: not read',
        '"url" is no web link: not read',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sessions:\n  - id: a\n   start: b\n", "line 3: this is no YAML: did not find expected '-' indicator"),
        ('{"sessions": [\n{"id": }]}', "line 2: this is no JSON: Expecting value"),
        ('{"a": 1}', "there is no list of sessions or talks"),
        ("[" * 200 + "]" * 200, "the values are nested too deeply"),
        ("[" * 100_000, "line 1: this is no YAML: exceeded maximum nesting depth"),
    ],
)
def test_a_broken_document_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(TalkListError) as caught:
        records.read(text, Context())
    assert str(caught.value.problems[-1]).startswith(problem)


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    with pytest.raises(TalkListError, match="more than 500000 values"):
        records.read(bomb, Context())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (NOTED, "records"),
        ("# talks\n---\n" + NOTED, "records"),
        ("sessions:\n- date: [\n", "records"),
        ("[seminar]\nname = 'x'\n", "toml"),
        ("[[session]]\nid = 'x'\n", "toml"),
        ("Time: 2021-11-27 9:30-11:30\nReporter: Ada Lovelace\nTitle: Sums\n", ""),
        ("- Speaker: Ada Lovelace\n- Title: Sums\n", ""),
        ("<html><body>{}</body></html>", ""),
    ],
)
def test_a_text_fits_the_form_that_it_is_in(text: str, name: str) -> None:
    fitting = [form.__name__.rpartition(".")[2] for form in (ics, records, toml, table) if form.fits(text)]
    assert fitting[:1] == [name][: len(name)]


def test_a_speaker_without_a_name_is_left_out_and_told_of() -> None:
    reading = read('[{"time": "2021-11-27 9:30-11:30", "title": "Sums", "speakers": [{"affiliation": "Bath"}]}]')
    assert reading.seminar.sessions[0].talks[0].speakers == ()
    assert any("a speaker has no name" in str(warning) for warning in reading.warnings)
