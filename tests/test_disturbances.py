"""The real process while the world around it misbehaves: it waits, and then goes on as if nothing had been."""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mailserver import MailServer
from processes import House, house

pytestmark = pytest.mark.chaos

PEOPLE = 300
LOCK = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
"""


def begun(home: House, mail: MailServer) -> subprocess.Popen[bytes]:
    """A daemon in the middle of its mailing."""
    daemon = home.born()
    home.wait_for(lambda: len(mail.messages) > 20)
    return daemon


def ended_well(home: House, mail: MailServer, daemon: subprocess.Popen[bytes]) -> bool:
    """Whether everyone has one copy, and the ledger knows it."""
    home.wait_until_all_are_sent()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(30) == 0
    return sorted(letter.recipient for letter in mail.messages) == sorted(home.addresses)


def test_a_process_that_was_put_to_sleep_goes_on_and_lets_nobody_in_meanwhile(tmp_path: Path) -> None:
    with MailServer() as mail, house(tmp_path, mail.port, PEOPLE) as home:
        daemon = begun(home, mail)
        daemon.send_signal(signal.SIGSTOP)
        second = home.born()
        assert second.wait(60) == 3
        assert str(daemon.pid) in home.log()
        time.sleep(2)
        daemon.send_signal(signal.SIGCONT)
        assert ended_well(home, mail, daemon)


def test_a_ledger_that_is_locked_by_another_process_is_waited_for(tmp_path: Path) -> None:
    with MailServer() as mail, house(tmp_path, mail.port, PEOPLE) as home:
        daemon = begun(home, mail)
        # Longer than a write waits by itself, so that it fails and is tried again.
        path = str(tmp_path / "var" / "notifier.db")
        with subprocess.Popen([sys.executable, "-c", LOCK, path, "8"], stdout=subprocess.PIPE) as locker:
            assert locker.stdout is not None
            assert locker.stdout.readline() == b"locked\n"
            time.sleep(1)
            there = len(mail.messages)
            time.sleep(4)
            assert len(mail.messages) == there, "something was sent that the ledger could not know of"
        assert ended_well(home, mail, daemon)


def test_a_disk_that_takes_no_more_stops_the_mail_until_it_does(tmp_path: Path) -> None:
    with MailServer() as mail, house(tmp_path, mail.port, PEOPLE) as home:
        daemon = begun(home, mail)
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (1024, hard))  # nothing more can be written anywhere
        time.sleep(2)
        there = len(mail.messages)
        time.sleep(3)
        assert len(mail.messages) == there
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert ended_well(home, mail, daemon)
        database = sqlite3.connect(tmp_path / "var" / "notifier.db")
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()


def test_how_far_a_mailing_is_can_be_watched(tmp_path: Path) -> None:
    with MailServer() as mail, house(tmp_path, mail.port, 40, "rate = { per_second = 8 }") as home:
        daemon = begun(home, mail)
        watching = home.asked("status", "--watch")
        assert "next/reminder-1h: " in watching.stderr
        assert " of 40, " in watching.stderr
        assert "mailings: none" in watching.stdout
        assert ended_well(home, mail, daemon)
        assert "open notice=next/reminder-1h/0 people=40" in home.log()
