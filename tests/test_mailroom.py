"""Mail that tells what is so when it is composed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from samples import ADA, BOB, DAYS, HOURS, ROOM, START, recorded, seminar, session

from notifier import settings, wiring
from notifier.errors import Problem
from notifier.mailroom import TROUBLE_EVERY, Mailroom
from notifier.messages import Message
from notifier.notices import Kind, Notice
from notifier.stores import Claim
from notifier.subscribers import Subscriber
from notifier.talks import Session, Status
from notifier.tokens import Keyring

SETTINGS = """
[mail]
organisers = ["ada@example.org", "bob@example.org"]
[visibility]
passcode = "reminder"
"""


class Room:
    """A mailroom whose list and clock are set."""

    def __init__(self, folder: Path, troubles: str = "") -> None:
        config = settings.parse(SETTINGS, folder=folder)
        self.seminar = seminar()
        self.now = START - 1 * HOURS
        self.mailroom = Mailroom(
            config,
            seminar=lambda: self.seminar,
            keyring=lambda: Keyring.parse("a key for tests alone"),
            now=lambda: self.now,
            troubles=troubles,
        )
        self.templates = wiring.mail_templates(config)
        self.mailroom.renew(self.templates)

    def change(self, **facts: object) -> None:
        self.seminar = seminar(replace(session(), **facts))
        self.mailroom.renew(self.templates)

    def compose(
        self, reader: Subscriber = ADA, of: Session | None = None, kind: Kind = Kind.REMINDER
    ) -> Message | None:
        told = of or session()
        notice = Notice(told.id, kind, kind, 0, self.now, START, timedelta(days=1))
        return self.mailroom.compose(Claim(1, notice, reader, self.now, told))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_line_that_was_taken_back_or_replaced_is_told_no_more(room: Room) -> None:
    said = session(urgent="Starts late")
    room.change(urgent="Starts late")
    assert text(room.compose(of=said, kind=Kind.URGENT)).startswith("*** Starts late ***")
    for urgent in ("", "On time after all"):
        room.change(urgent=urgent)
        assert room.compose(of=said, kind=Kind.URGENT) is None
        room.change(urgent=urgent)
        assert urgent in text(room.compose(of=said))  # a reminder tells what is so now


def test_a_change_told_with_a_line_is_told_without_it_once_that_was_taken_back(room: Room) -> None:
    moved = session(START + HOURS)
    room.change(start=moved.start, end=moved.end)
    notice = Notice(moved.id, Kind.URGENT, "urgent-1", 1, room.now, moved.end)
    claim = Claim(1, notice, BOB, room.now, replace(moved, urgent="Starts late"), before=session())
    told = text(room.mailroom.compose(claim))
    assert told.startswith("This session was moved.")


def text(message: Message | None) -> str:
    assert message is not None
    part = message_from_bytes(message.body, policy=default).get_body(("plain",))
    assert part is not None
    return part.get_content()


def test_a_replay_is_told_as_it_is_now_unless_it_was_taken_back(room: Room) -> None:
    for talks, told in ((recorded().talks, "BV1"), (recorded().talks[:1], "BV0")):
        room.change(talks=talks, room=replace(ROOM, meeting_id="111111111"))
        assert told in text(room.compose(of=recorded(), kind=Kind.REPLAY))
    room.change()
    assert room.compose(BOB, recorded(), Kind.REPLAY) is None


def test_the_readers_of_one_notice_are_told_the_list_as_it_is_when_each_is_written_to(room: Room) -> None:
    late = "The slides are late."
    assert late not in text(room.compose(ADA))
    room.change(notice=late)
    assert late in text(room.compose(BOB))


@pytest.mark.parametrize("facts", [{"status": Status.CANCELLED}, {"start": START + 7 * DAYS, "end": START + 8 * DAYS}])
def test_what_is_no_longer_so_is_told_to_nobody(room: Room, facts: dict[str, object]) -> None:
    room.change(**facts)
    assert room.compose() is None


def test_a_session_that_is_on_the_list_no_more_is_told_of_to_nobody(room: Room) -> None:
    assert room.compose(of=session(id="gone")) is None


def test_what_only_a_reminder_tells_is_told_from_the_day_before_on(room: Room) -> None:
    passcode = session().room.passcode
    room.now = START - 25 * HOURS
    assert passcode not in text(room.compose(ADA))
    room.now = START - 23 * HOURS
    assert passcode in text(room.compose(BOB))


def told(room: Room, cause: str, at: datetime) -> list[str]:
    room.now = at
    return [lanes[""].recipient for lanes in room.mailroom.troubles(cause, [Problem("broken")])]


def test_every_organiser_is_told_of_a_trouble_once_an_hour_for_each_cause(room: Room) -> None:
    everyone = ["ada@example.org", "bob@example.org"]
    assert told(room, "The list", START) == everyone
    assert told(room, "The mail", START + TROUBLE_EVERY - timedelta(seconds=1)) == everyone
    assert told(room, "The list", START + TROUBLE_EVERY - timedelta(seconds=1)) == []
    assert told(room, "The list", START + TROUBLE_EVERY) == everyone


def test_what_organisers_were_told_of_is_known_after_a_restart(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.mailroom.known_trouble("The clock", START - TROUBLE_EVERY)
    told(room, "The mail", START)  # and no mail server took it
    known = room.mailroom.known_trouble("The list", START)
    assert json.loads(known) == {"The list": START.isoformat()}
    again, later = Room(tmp_path, known), START + TROUBLE_EVERY - timedelta(seconds=1)
    assert told(again, "The list", later) == []
    assert len(told(again, "The mail", later)) == 2
