"""What stands between our mail and its reader: spam filters, and programs that answer for who is away."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from conftest import needs
from samples import ADA, BOB, ROOM, START, recorded, seminar, session

from notifier import files, messages
from notifier.errors import Problem
from notifier.letters import Templates
from notifier.messages import Composer, Mailbox, Message, Site
from notifier.notices import Kind, Notice
from notifier.talks import Status

DATE = START - timedelta(days=1)
SITE = Site(
    base_url="https://seminar.example.org",
    domain="seminar.example.org",
    sender=Mailbox("Joint Seminar", "reminder@seminar.example.org"),
    seminar=replace(seminar(), name_zh="机器学习联合研讨会"),
    link=lambda purpose, subscriber, date: f"https://seminar.example.org/{purpose}/AZrj2k9x0bVdq7pTnU4mWc",
    reply_to=Mailbox("Organisers", "organisers@seminar.example.org"),
    mark_key="a key for tests",
    return_path="bounce@seminar.example.org",
    unsubscribe_by_mail="bounce@seminar.example.org",
)
BEFORE = session(START - timedelta(days=7), room=replace(ROOM, passcode="112233"))
SHOWN = {Kind.CANCELLED: session(status=Status.CANCELLED), Kind.REPLAY: recorded()}


def every_mail() -> Iterator[Message]:
    """One of every kind in both languages, one to a stranger before any session is known, and one to an organiser."""
    composer = Composer(SITE, Templates(files.shipped()))
    ada, bob = replace(ADA, id=1), replace(BOB, id=2)
    for kind, reader in product(Kind, (ada, bob)):
        shown = SHOWN.get(kind, session())
        notice = Notice(shown.id, kind, str(kind), 0, DATE, START)
        yield composer.compose(notice, shown, reader, date=DATE, before=BEFORE)
    for kind, reader in product((Kind.CONFIRMATION, Kind.WELCOME), (ada, bob)):
        yield composer.compose(Notice("@", kind, str(kind), 0, DATE, START), None, reader, date=DATE)
    yield messages.trouble(SITE, "ada@example.org", "the talk list was refused", [Problem("it ends here")], date=DATE)


def delivered(message: Message) -> bytes:
    """The mail as a server puts it into a mailbox."""
    received = (
        f"Return-Path: <{message.sender}>\n"
        "Received: from mail.seminar.example.org (mail.seminar.example.org [8.8.4.4])\n"
        f" by mx.example.org (Postfix) with ESMTPS id 4F2A1 for <{message.recipient}>;\n"
        f" {format_datetime(DATE + timedelta(seconds=2))}\n"
    )
    return received.encode() + message.body.replace(b"\r\n", b"\n")


@needs("spamassassin", "spamassassin")
def test_spamassassin_finds_nothing_against_any_mail(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.write_bytes(b"".join(b"From x Fri Nov 26 09:30:00 2021\n" + delivered(m) + b"\n" for m in every_mail()))
    settings = ("use_bayes 0", "clear_headers", "add_header all Scores _TESTSSCORES(,)_", "report_safe 0")
    judged = subprocess.run(
        ["spamassassin", "--local", "--nocreate-prefs", *(f"--cf={one}" for one in settings), "--mbox", box],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
        timeout=600,
    ).stdout.decode()
    scores = re.findall(r"^X-Spam-Scores: ?((?:.*)(?:\n[\t ].*)*)", judged, re.MULTILINE)
    assert len(scores) == len(list(every_mail()))
    found = re.findall(r"(\w+)=(-?[0-9.]+)", " ".join(scores))
    assert found != []
    assert {rule: points for rule, points in found if float(points) > 0.1} == {}


@needs("sieve-test", "dovecot-sieve")
def test_the_vacation_of_a_sieve_script_answers_people_and_none_of_our_mails() -> None:
    stranger = (
        b"From: Carol <carol@example.org>\nTo: ada@example.org\nSubject: Hello\nMessage-ID: <1@example.org>\n\nHello\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)  # Dovecot lets root have no mail
        nobody = pwd.getpwnam("nobody")
        as_user: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        as_user = as_user if os.geteuid() == 0 else {}
        script = folder / "away.sieve"
        script.write_text('require "vacation"; vacation :addresses ["bob@example.org", "ada@example.org"] "Away.";')

        def verdict(sender: str, recipient: str, mail: bytes) -> str:
            (folder / "mail").write_bytes(mail)
            options = ("-o", f"mail_home={folder}", "-o", "lda_mailbox_autocreate=yes", "-l", f"maildir:{folder}/box")
            envelope = ("-f", sender, "-a", recipient, "-r", recipient)
            told = subprocess.run(
                ["sieve-test", "-e", *options, *envelope, script, folder / "mail"],
                **as_user,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=True,
                timeout=600,
            )
            return " ".join(re.findall(r"info: .*vacation action: (\w+) vacation response", told.stdout.decode()))

        assert verdict("carol@example.org", "ada@example.org", stranger) == "sent"
        assert {verdict(m.sender, m.recipient, delivered(m)) for m in every_mail()} == {"discarding"}


@pytest.mark.parametrize("header", ["Auto-Submitted", "X-Auto-Response-Suppress"])
def test_every_mail_asks_not_to_be_answered_by_programs(header: str) -> None:
    assert [m.message_id for m in every_mail() if f"\r\n{header}: ".encode() not in m.body] == []
