"""The real process, killed at random instants while it sends: nobody is skipped, and who gets two got one twice.

NOTIFIER_KILLS says how often, twenty times by default.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from mailserver import MailServer, RudeServer
from processes import house

from notifier.outboxes import MOST

pytestmark = pytest.mark.chaos

KILLS = int(os.environ.get("NOTIFIER_KILLS", "20"))
LINKS = 2
PEOPLE = 60 * KILLS


@pytest.mark.timeout(60 * KILLS)
def test_killed_at_random_while_sending_nobody_is_skipped(tmp_path: Path) -> None:
    chance = random.Random(20211127)
    with MailServer() as mail, house(tmp_path, mail.port, PEOPLE, f"links = {LINKS}") as home:
        mail.pipelining = True
        kills = 0
        while len(set(mail.inbox)) < PEOPLE and kills < KILLS:
            daemon = home.born()
            before = len(mail.messages)
            home.wait_for(lambda before=before: len(mail.messages) > before or len(set(mail.inbox)) == PEOPLE)
            time.sleep(chance.uniform(0, 0.15))
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
            kills += 1
        (tmp_path / "log").unlink()
        daemon = home.born()
        home.wait_until_all_are_sent()
        home.wait_for(lambda: "started" in home.log())
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
        copies = Counter(letter.recipient for letter in mail.messages)
        print(f"{kills} kills, {len(copies)} people, {sum(copies.values()) - len(copies)} of them twice")  # noqa: T201 - for whoever asked for a hundred
        assert len(copies) == PEOPLE
        assert sum(n - 1 for n in copies.values()) <= kills * LINKS * MOST
        assert len({letter.message_id for letter in mail.messages}) == PEOPLE
        assert len({(letter.recipient, letter.body) for letter in mail.messages}) == PEOPLE
        asked = home.asked("verify")
        assert asked.returncode == 0, asked.stdout


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_halted_for_longer_than_its_patience_it_still_reads_a_reply_that_came_in_time(
    tmp_path: Path, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_SERVER_LOOP", loop)
    taken = threading.Event()

    async def take_and_say_so_soon(writer: asyncio.StreamWriter) -> None:
        taken.set()
        await asyncio.sleep(0.5)
        writer.write(b"250 2.0.0 taken\r\n")

    settings = """
        links = 1
        timeout = "2s"
        final_timeout = "2s"
        resend_after = "0s"
    """
    with RudeServer(("body", take_and_say_so_soon)) as mail, house(tmp_path, mail.port, 1, settings) as home:
        daemon = home.born()
        assert taken.wait(60)
        daemon.send_signal(signal.SIGSTOP)
        time.sleep(3)
        daemon.send_signal(signal.SIGCONT)
        home.wait_until_all_are_sent()
        assert mail.inbox == []  # it had no second one


def test_stopped_while_sending_nothing_is_ambiguous_and_nobody_gets_two(tmp_path: Path) -> None:
    with MailServer() as mail, house(tmp_path, mail.port, 300, f"links = {LINKS}") as home:
        for _ in range(3):
            daemon = home.born()
            before = len(mail.messages)
            home.wait_for(lambda before=before: len(mail.messages) > before + 10)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
            assert set(home.counted()) <= {"sent", "queued"}
        daemon = home.born()
        home.wait_until_all_are_sent()
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)
        assert sorted(letter.recipient for letter in mail.messages) == sorted(home.addresses)
