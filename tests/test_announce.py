"""From a person's urgent word to page, feed and inboxes: the real daemon, a real mail server, a set clock."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import icalendar
import pytest
from house import DUE, PEOPLE, House
from mailserver import MailServer
from processes import house as process_house

from notifier.bulletins import Bulletin
from notifier.errors import NotifierError
from notifier.inquiries.notices import announcing as announcing_now
from notifier.notices import Kind
from notifier.stores.sqlite import SqliteStore

LINE = "Starts 15 minutes late; new room 123 456 789"
START = DUE + timedelta(days=1)
END = START + timedelta(hours=2)


def announcing(line: str | None) -> dict[str, str | None]:
    return {"do": "announce", "session": "2021-11-27", "line": line}


def event(feed: bytes) -> icalendar.Event:
    (found,) = icalendar.Calendar.from_ical(feed).events
    return found


async def reminded(house: House) -> list[EmailMessage]:
    """Everybody has had the reminder of a day before."""
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(DUE)
    return await house.arrived(3)


async def shown(house: House) -> list[bool]:
    """Whether the line is on the landing page, the session's page, in the news, the JSON and the feeds."""
    paths = ("/", "/?lang=zh", "/sessions/2021-11-27", "/feed.atom", "/talks.json")
    on = [LINE in (await house.get(path)).text for path in paths]
    feeds = [event((await house.get(path)).content) for path in ("/calendar.ics", "/sessions/2021-11-27.ics")]
    return [*on, *(one["DESCRIPTION"].startswith(f"{LINE}\n") for one in feeds)]


async def test_a_line_is_shown_everywhere_and_mailed_at_once_to_those_who_know_the_session(house: House) -> None:
    reminders = await reminded(house)
    assert not any(await shown(house))
    before = event((await house.get("/calendar.ics")).content)
    house.now = START - timedelta(minutes=20)
    answer = await house.ask(announcing(f" {LINE} "))
    assert answer == {
        "session": "2021-11-27",
        "number": 1,
        "until": "2021-11-27T11:30:00+08:00",
        "people": 3,
        "hold": "",
    }
    assert all(await shown(house))
    (listed,) = (await house.get("/talks.json")).json()["sessions"]
    assert listed["notice"] == LINE
    after = event((await house.get("/calendar.ics")).content)
    assert (after["UID"], after["SEQUENCE"]) == (before["UID"], before["SEQUENCE"] + 1)
    assert after["LAST-MODIFIED"].dt > before["LAST-MODIFIED"].dt
    mails = (await house.arrived(6))[3:]
    for mail in mails:
        assert mail["Subject"].startswith(f"{LINE} · ")
        assert mail["References"] == mail["In-Reply-To"] == reminders[0]["References"]
        text = mail.get_body(("plain",)).get_content()
        assert text.startswith(f"*** {LINE} ***")
        assert "https://meeting.tencent.com/dm/p1q2HxwW3x4r" in text
        assert "974114" in text
    assert {str(mail["To"]) for mail in mails} == {str(mail["To"]) for mail in reminders}


async def test_a_line_survives_a_restart_and_a_reload_and_is_mailed_once(house: House) -> None:
    await reminded(house)
    await house.ask(announcing(LINE))
    await house.arrived(6)
    await house.stop()
    await house.start()
    assert all(await shown(house))
    await house.edit("北京深势科技有限公司", "DP Technology")
    assert all(await shown(house))
    house.write_list("no list at all")
    await house.stop()
    await house.start()
    assert all(await shown(house))
    await house.arrived(6 + 1)  # and the organiser is told of the list


async def test_a_second_line_takes_the_place_of_the_first_and_is_mailed_anew(house: House) -> None:
    await reminded(house)
    await house.ask(announcing("Starts late"))
    await house.arrived(6)
    assert (await house.ask(announcing(LINE)))["number"] == 2
    assert all(await shown(house))
    assert "Starts late" not in (await house.get("/")).text
    assert {m["Subject"].partition(" · ")[0] for m in (await house.arrived(9))[6:]} == {LINE}


async def test_the_last_of_two_lines_goes_to_all_whose_mail_the_first_one_had_taken_over(house: House) -> None:
    """The first had put their reminder away; put away itself, it must leave them to the second."""
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.ask({"do": "hold", "reason": "the provider complains"})
    await house.pass_time(DUE)
    await house.ask(announcing("Starts late"))
    assert (await house.ask(announcing(LINE)))["people"] == 3
    await house.ask({"do": "release"})
    assert {m["Subject"].partition(" · ")[0] for m in await house.arrived(3)} == {LINE}


async def test_a_line_that_is_taken_away_unsent_gives_back_the_reminder_that_it_had_taken_over(house: House) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.ask({"do": "hold", "reason": "the provider complains"})
    await house.pass_time(DUE)
    await house.ask(announcing("Starts late"))
    await house.ask(announcing(None))
    await house.ask({"do": "release"})
    for mail in await house.arrived(3):
        assert "Starts late" not in str(mail)
        assert "329 744 341" in mail.get_body(("plain",)).get_content()


async def test_a_line_that_is_taken_away_is_gone_without_a_mail(house: House) -> None:
    await reminded(house)
    await house.ask(announcing(LINE))
    await house.arrived(6)
    assert (await house.ask(announcing(None)))["people"] == 0
    assert not any(await shown(house))
    with pytest.raises(NotifierError, match="nothing is announced"):
        await house.ask(announcing(None))
    await house.arrived(6)


async def test_a_line_is_gone_when_the_session_is_over(house: House) -> None:
    await reminded(house)
    await house.ask(announcing(LINE))
    await house.pass_time(END - timedelta(seconds=1))
    assert LINE in (await house.get("/sessions/2021-11-27")).text
    await house.pass_time(END)
    assert LINE not in (await house.get("/sessions/2021-11-27")).text
    assert LINE not in (await house.get("/calendar.ics")).text


async def test_before_anybody_was_told_a_line_goes_out_with_the_reminder(house: House) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    assert (await house.ask(announcing(LINE)))["people"] == 0
    await house.pass_time(DUE)
    for mail in await house.arrived(3):
        assert mail["Subject"].startswith(("Sat 27 Nov", "Fri 26 Nov", "11月27日"))
        assert mail.get_body(("plain",)).get_content().startswith(f"*** {LINE} ***")


async def test_a_hold_keeps_the_mail_of_a_line_and_shows_it_all_the_same(house: House) -> None:
    await reminded(house)
    await house.ask({"do": "hold", "reason": "the provider complains"})
    answer = await house.ask(announcing(LINE))
    assert (answer["people"], answer["hold"]) == (3, "the provider complains")
    assert all(await shown(house))
    await house.arrived(3)
    await house.ask({"do": "release"})
    await house.arrived(6)


async def test_on_hold_until_the_session_is_over_a_line_is_never_mailed(house: House) -> None:
    await reminded(house)
    await house.ask({"do": "hold", "reason": ""})
    await house.ask(announcing(LINE))
    await house.pass_time(END)
    await house.ask({"do": "release"})
    await house.pass_time(END + timedelta(minutes=20))
    await house.arrived(3)


@pytest.mark.parametrize(("after_the_start", "mailed"), [(timedelta(minutes=10), 3), (timedelta(days=1), 0)])
async def test_a_line_of_which_a_crash_left_no_more_than_the_word_is_mailed_while_it_holds(
    house: House, after_the_start: timedelta, mailed: int
) -> None:
    await reminded(house)
    await house.stop()
    store = await SqliteStore.open(house.config().store.path)
    await store.announce(Bulletin("2021-11-27", 1, LINE, house.now, END))
    await store.close()
    house.now = START + after_the_start
    await house.start()
    # And the organiser is told of the reminder that nobody had.
    subjects = [mail["Subject"] for mail in await house.arrived(3 + mailed + 1)]
    assert sum(subject.startswith(LINE) for subject in subjects) == mailed


async def test_an_edit_that_waits_is_told_in_the_mail_of_the_line(house: House) -> None:
    """Nobody gets two mails of one matter, nor waits ten minutes for an urgent one."""
    await reminded(house)
    await house.edit("329744341", "123456789")
    _, decision, mailing = await announcing_now(house.config(), house.seminar, "2021-11-27", LINE, house.now)
    assert (mailing.people, decision.before and decision.before.room.meeting_id) == (3, "329744341")
    await house.ask(announcing(LINE))
    for mail in (await house.arrived(6))[3:]:
        text = mail.get_body(("plain",)).get_content()
        assert mail["Subject"].startswith(LINE)
        assert re.search("329 744 341.*123 456 789", text)
    await house.pass_time(house.now + timedelta(hours=1))
    await house.arrived(6)


async def test_what_cannot_be_announced_changes_nothing_and_is_told_all_at_once(house: House) -> None:
    await reminded(house)
    with pytest.raises(NotifierError) as told:
        await house.ask({"do": "announce", "session": "2021-11-28", "line": "974114\n" + "x" * 200})
    assert len(told.value.problems) == 4
    assert "974114" not in str(told.value)
    await house.arrived(3)
    assert not any(await shown(house))


def test_an_organiser_announces_on_the_command_line(tmp_path: Path) -> None:
    with MailServer() as server, process_house(tmp_path, server.port, 3) as house:
        alone = house.asked("announce", "next", "--text", LINE)
        assert (alone.returncode, alone.stdout) == (3, "")
        assert "no daemon runs" in alone.stderr
        house.born()
        house.wait_until_all_are_sent()
        tried = house.asked("announce", "next", "--text", LINE, "--dry-run", "--lang", "zh")
        assert (tried.returncode, tried.stdout.startswith(f"*** {LINE} ***")) == (0, True)
        assert "3 people" in tried.stderr
        assert house.counted() == {"sent": 3}
        said = house.asked("announce", "next", "--text", LINE)
        assert (said.returncode, "mail goes to 3 people" in said.stdout) == (0, True), said
        house.wait_for(lambda: house.counted() == {"sent": 6})
        assert LINE in house.asked("preview", "next", "urgent").stdout
        assert json.loads(house.asked("plan", "--json").stdout)[-1]["verdict"] == "done"
        assert "urgent" not in json.loads(house.asked("export").stdout)["sessions"][0]
        wrong = house.asked("announce", "nxt", "--text", "")
        assert (wrong.returncode, wrong.stdout, len(wrong.stderr.splitlines())) == (1, "", 2)
        assert "did you mean next?" in wrong.stderr
        assert house.asked("announce", "next").returncode == 2
        assert house.asked("announce", "next", "--clear", "--json").returncode == 0


async def test_a_backup_of_the_store_keeps_the_line(house: House) -> None:
    await reminded(house)
    await house.ask(announcing(LINE))
    store = await SqliteStore.open(house.config().store.path, read_only=True)
    facts = await store.facts()
    await store.close()
    assert facts.bulletins["2021-11-27"].line == LINE
    assert [one.rule for one in facts.settled["2021-11-27"] if one.kind is Kind.URGENT] == ["urgent-1"]
