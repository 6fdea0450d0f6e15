from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest
from samples import DAYS, HOURS, ROOM, START, TALKS, session

from notifier.differences import Difference, Field, describe, differences, is_material, is_schedule
from notifier.talks import JOIN_FIELDS, Link, Livestream, Room, Session, Speaker, Status, Talk

WANG, ZHU = TALKS
OLD = session()
MOVED = session(START + 7 * DAYS)


def with_talk(talk: Talk) -> Session:
    return session(talks=(talk, ZHU))


def fields(old: Session, new: Session) -> list[Field]:
    return [difference.field for difference in differences(old, new)]


def test_the_same_content_has_no_differences_whatever_its_stamps():
    assert differences(OLD, session(revision=7, uid="other", created=None, modified=None, quiet=True)) == ()


def test_the_join_fields_are_called_as_in_the_model():
    assert {Field(name) for name in JOIN_FIELDS} < set(Field)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (MOVED, Difference(Field.TIME, (START, START + 2 * HOURS), (START + 7 * DAYS, START + 7 * DAYS + 2 * HOURS))),
        (session(status=Status.CANCELLED), Difference(Field.STATUS, "confirmed", "cancelled")),
        (session(room=replace(ROOM, url="")), Difference(Field.URL, ROOM.url, "")),
        (session(room=replace(ROOM, meeting_id="1")), Difference(Field.MEETING_ID, "329744341", "1")),
        (session(room=replace(ROOM, passcode="000001")), Difference(Field.PASSCODE, "974114", "000001")),
        (session(room=replace(ROOM, alternate_id="2")), Difference(Field.ALTERNATE_ID, "553 2421 7498", "2")),
        (session(room=replace(ROOM, download_url="d")), Difference(Field.DOWNLOAD_URL, "", "d")),
        (session(livestream=Livestream("https://l")), Difference(Field.LIVESTREAM, "", "https://l")),
        (with_talk(replace(WANG, speakers=(Speaker("Ada"),))), Difference(Field.SPEAKER, "王宇航", "Ada")),
        (with_talk(replace(WANG, speakers=())), Difference(Field.SPEAKER, "王宇航", "")),
        (with_talk(replace(WANG, title="X")), Difference(Field.TITLE, "冷冻电镜原理及相关算法", "X")),
        (with_talk(replace(WANG, title_zh="X")), Difference(Field.TITLE, "", "X")),
        (with_talk(replace(WANG, abstract="X")), Difference(Field.ABSTRACT, "An abstract of our own.", "X")),
        (with_talk(replace(WANG, slides=Link("https://s"))), Difference(Field.SLIDES, "", "https://s")),
        (with_talk(replace(WANG, replay="https://r")), Difference(Field.REPLAY, "", "https://r")),
        (session(notice="Late"), Difference(Field.NOTICE, "", "Late")),
        (with_talk(replace(WANG, bio="X")), Difference(Field.OTHER, "", "")),
        (session(talks=(ZHU, WANG)), Difference(Field.OTHER, "", "")),
        (session(room=replace(ROOM, meeting_id="329-744-341")), Difference(Field.OTHER, "", "")),
    ],
)
def test_what_was_edited_is_the_one_difference(new: Session, expected: Difference):
    assert differences(OLD, new) == (expected,)


def test_several_edits_come_in_the_order_in_which_they_matter():
    talks = (replace(WANG, title="X", abstract="", speakers=(Speaker("Ada"),)), ZHU)
    new = session(START + HOURS, status=Status.TENTATIVE, room=Room(), talks=talks, notice="N")
    assert fields(OLD, new) == [
        Field.TIME,
        Field.STATUS,
        Field.URL,
        Field.MEETING_ID,
        Field.PASSCODE,
        Field.ALTERNATE_ID,
        Field.SPEAKER,
        Field.TITLE,
        Field.ABSTRACT,
        Field.NOTICE,
    ]


def test_a_name_in_another_spelling_is_the_same_speaker():
    lu = session(talks=(Talk("T", speakers=(Speaker("Le Lu"),)),))
    assert fields(lu, session(talks=(Talk("T", speakers=(Speaker("Le Lu (吕乐)"),)),))) == [Field.OTHER]


def test_the_same_clock_under_another_zone_name_is_no_other_time():
    assert fields(OLD, session(timezone="Asia/Chongqing")) == [Field.OTHER]


def test_the_same_hour_of_another_zone_is_another_time():
    tokyo = session(START - HOURS, timezone="Asia/Tokyo")
    assert fields(OLD, tokyo) == [Field.TIME]


def test_the_same_instant_written_in_another_zone_is_no_difference():
    assert differences(OLD, session(START.astimezone(UTC))) == ()


@pytest.mark.parametrize("field", [Field.URL, Field.MEETING_ID, Field.PASSCODE, Field.ALTERNATE_ID, Field.LIVESTREAM])
def test_how_to_join_is_material_once_it_was_known(field: Field):
    assert is_material(Difference(field, "a", "b"))
    assert is_material(Difference(field, "a", ""))
    assert not is_material(Difference(field, "", "b"))


@pytest.mark.parametrize("field", [Field.URL, Field.MEETING_ID, Field.PASSCODE, Field.ALTERNATE_ID, Field.LIVESTREAM])
def test_how_to_join_is_material_to_those_who_were_reminded_without_it(field: Field):
    assert is_material(Difference(field, "", "b"), reminded=True)


@pytest.mark.parametrize(
    ("difference", "material", "schedule"),
    [
        (Difference(Field.TIME, (START, START), (START, START + HOURS)), True, True),
        (Difference(Field.STATUS, "confirmed", "cancelled"), True, True),
        (Difference(Field.STATUS, "cancelled", "tentative"), True, True),
        (Difference(Field.STATUS, "tentative", "confirmed"), False, False),
        (Difference(Field.SPEAKER, "Ada", "Bob"), True, False),
        (Difference(Field.SPEAKER, "Ada", ""), True, False),
        (Difference(Field.SPEAKER, "", "Bob"), False, False),
        (Difference(Field.TITLE, "A", "B"), False, False),
        (Difference(Field.ABSTRACT, "A", "B"), False, False),
        (Difference(Field.SLIDES, "A", "B"), False, False),
        (Difference(Field.REPLAY, "A", "B"), False, False),
        (Difference(Field.NOTICE, "A", "B"), False, False),
        (Difference(Field.DOWNLOAD_URL, "A", "B"), False, False),
        (Difference(Field.OTHER, "", ""), False, False),
    ],
)
def test_time_cancellation_and_another_speaker_are_material(difference: Difference, material: bool, schedule: bool):
    assert (is_material(difference, reminded=True), is_schedule(difference)) == (material, schedule)
    assert is_material(difference) == material


@pytest.mark.parametrize(
    ("difference", "english", "chinese"),
    [
        (
            differences(OLD, MOVED)[0],
            "moved from Sat 27 Nov 2021 9:30–11:30 (UTC+8) to Sat 4 Dec 2021 9:30–11:30 (UTC+8)",
            "时间由 11月27日 周六 9:30–11:30 (UTC+8) 改为 12月4日 周六 9:30–11:30 (UTC+8)",
        ),
        (Difference(Field.STATUS, "confirmed", "cancelled"), "cancelled", "已取消"),
        (Difference(Field.STATUS, "cancelled", "confirmed"), "takes place after all", "恢复举行"),
        (Difference(Field.STATUS, "tentative", "confirmed"), "confirmed", "已确认"),
        (Difference(Field.STATUS, "confirmed", "tentative"), "no longer certain", "待确认"),
        (Difference(Field.MEETING_ID, "1", "2"), "meeting ID changed from 1 to 2", "会议号由 1 改为 2"),
        (Difference(Field.URL, "", "https://m"), "meeting link added: https://m", "会议链接已补充：https://m"),
        (Difference(Field.REPLAY, "https://r", ""), "replay removed: https://r", "回放已移除：https://r"),
        (Difference(Field.SPEAKER, "Ada", "Bob"), "speaker changed from Ada to Bob", "报告人由 Ada 改为 Bob"),
        (
            Difference(Field.SPEAKER, "张三, 李四", "Lovelace, Ada"),
            "speaker changed from 张三, 李四 to Lovelace, Ada",
            "报告人由 张三、李四 改为 Lovelace, Ada",
        ),
        (Difference(Field.TITLE, "{a}", "{b}"), "title changed from {a} to {b}", "题目由 {a} 改为 {b}"),
        (Difference(Field.ABSTRACT, "", "Long"), "abstract added", "摘要已补充"),
        (Difference(Field.OTHER, "", ""), "details changed", "其他细节已更改"),
    ],
)
def test_a_difference_is_said_in_both_languages(difference: Difference, english: str, chinese: str):
    assert (describe(difference), describe(difference, "zh")) == (english, chinese)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("before", "after"), [("974114", "000001"), ("", "000001"), ("974114", "")])
def test_a_passcode_is_never_quoted(before: str, after: str, language: str):
    words = describe(Difference(Field.PASSCODE, before, after), language)
    assert "974114" not in words
    assert "000001" not in words


@pytest.mark.parametrize("field", set(Field) - {Field.TIME, Field.STATUS})
@pytest.mark.parametrize(("before", "after"), [("a", "b"), ("", "b"), ("a", "")])
def test_every_field_has_words(field: Field, before: str, after: str):
    assert describe(Difference(field, before, after)) != describe(Difference(field, before, after), "zh")
