"""A second mail server helps out: with the same mails from a sender of its own, and with none that may have arrived."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from mailserver import Letter, MailServer, Prank, RudeServer, last_words, vanish
from processes import house
from samples import BOB, START, seminar, session
from test_dkim import pem

from notifier import files, wiring
from notifier.letters import Templates
from notifier.messages import Composer
from notifier.notices import Kind, Notice
from notifier.settings import parse
from notifier.tokens import Keyring

OPENED = datetime(2021, 11, 26, 1, 30, tzinfo=UTC)
SETTINGS = """
    [server]
    base_url = "https://seminar.example.org"
    [mail]
    transport = "smtp"
    sender = "Seminar <seminar@example.org>"
    [bounces]
    address = "bounce@example.org"
    maildir = "returned"
    [fallback]
    host = "smtp.qq.com"
"""


def from_both(settings: str) -> list[Letter]:
    """One reminder as it leaves by the first mail server, and by the second."""
    config = parse(settings, folder=Path("/etc/notifier"), environment={})
    notice = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 0, OPENED, START)
    letters = []
    for site in wiring.mail_sites(config, seminar(), Keyring(("key",))).values():
        message = Composer(site, Templates(files.shipped())).compose(notice, session(), BOB, date=OPENED)
        letters.append(Letter(message.sender, message.recipient, message.message_id, message.body))
    return letters


class Outage:
    """A mail server's: it takes a mail and does not say so, and then turns away so many connections."""

    def __init__(self, connections: int) -> None:
        self.left = 0
        self._connections = connections

    @property
    def pranks(self) -> list[tuple[str, Prank]]:
        return [("body", self._begin), *[("connect", self._greet)] * 99]

    async def _begin(self, writer: asyncio.StreamWriter) -> None:
        self.left = self._connections
        await vanish(writer)

    async def _greet(self, writer: asyncio.StreamWriter) -> None:
        if self.left:
            self.left -= 1
            await last_words(b"421 4.3.2 closing\r\n")(writer)
        writer.write(b"220 here again\r\n")


def header(letter: Letter, name: str) -> str:
    return str(message_from_bytes(letter.body)[name])


def test_the_second_server_has_the_same_mail_from_its_own_sender_alone() -> None:
    first, second = from_both(SETTINGS + 'sender = "Seminar <jsml@qq.com>"')
    assert (first.sender.startswith("bounce+"), second.sender) == (True, "jsml@qq.com")
    assert [header(one, "From") for one in (first, second)] == [
        "Seminar <seminar@example.org>", "Seminar <jsml@qq.com>"
    ]  # fmt: skip
    assert header(second, "Reply-To") == "Seminar <seminar@example.org>"
    own = rb"(?m)^(From|Reply-To): .*\r\n"
    assert re.sub(own, b"", first.body) == re.sub(own, b"", second.body)


def test_each_server_s_sender_is_what_its_provider_s_rules_are_held_against() -> None:
    config = parse(SETTINGS + 'sender = "Seminar <jsml@qq.com>"', folder=Path("/etc/notifier"), environment={})
    ways = wiring.ways(config)
    assert (ways["smtp"].sender, ways["smtp"].return_path) == ("seminar@example.org", "bounce@example.org")
    assert (ways["fallback"].sender, ways["fallback"].return_path) == ("jsml@qq.com", "")


@pytest.mark.parametrize(
    ("sender", "signers"),
    [("", 1), ("Seminar <jsml@qq.com>", 0), ("Seminar <jsml@list.example.org>", 1), ("Seminar <jsml@Example.ORG>", 1)],
)
def test_mail_of_the_second_server_is_signed_by_the_domain_of_its_own_sender_alone(sender: str, signers: int) -> None:
    key = json.dumps(pem(rsa.generate_private_key(65537, 2048)))
    settings = f'{SETTINGS}sender = "{sender}"\n[dkim]\nselector = "n1"\nkey = {key}'
    config = parse(settings, folder=Path("/etc/notifier"), environment={})
    assert [len(wiring.signers(config, lane)) for lane in ("", "fallback")] == [1, signers]
    signs = wiring.signs(config)
    assert (*signs,) == ("", "fallback")[: 1 + signers]
    assert all(b"; d=example.org;" in sign(b"From: a\r\n\r\nb\r\n") for sign in signs.values())


def test_the_ledger_is_told_of_the_servers_that_there_are() -> None:
    with_second, alone = SETTINGS, SETTINGS.partition("[fallback]")[0]
    for settings, lanes in ((with_second, ("", "fallback")), (alone, ("",))):
        assert wiring.lane_names(parse(settings, folder=Path("/etc/notifier"), environment={})) == lanes


def test_without_a_sender_of_its_own_the_second_server_has_the_very_same_mail() -> None:
    first, second = from_both(SETTINGS)
    assert first == second


@pytest.mark.chaos
def test_the_daemon_turns_to_the_second_server_and_back_and_nobody_gets_two_mails(tmp_path: Path) -> None:
    outage = Outage(6)
    with RudeServer(*outage.pranks) as first, MailServer() as second:
        second.say("mail", "501 mail from address must be same as authorization user", to="seminar@example.org")
        more = f"""
            links = 1
            rest = ["1s"]
            retry = ["1s"]
            resend_after = "1s"
            [fallback]
            host = "127.0.0.1"
            port = {second.port}
            tls = "none"
            sender = "Seminar <jsml@qq.com>"
        """
        with house(tmp_path, first.port, 30, more) as home:
            config = (tmp_path / "config.toml").read_text()
            organisers = 'organisers = ["boss@example.org"]'
            (tmp_path / "config.toml").write_text(config.replace("[notices]", f"{organisers}\n[notices]"))
            home.born()
            home.wait_until_all_are_sent()
        (uncertain,) = [mail.split("<")[1].strip(">") for mail in first.commands[1:3] if mail.startswith("RCPT")]
        by_first, by_second = (Counter(letter.recipient for letter in one.messages) for one in (first, second))
        told = by_first.pop("boss@example.org", 0) + by_second.pop("boss@example.org", 0)
        assert told >= 1
        assert by_first + by_second == Counter(home.addresses)
        assert (by_first[uncertain], outage.left) == (1, 0)
        assert len(by_second) > 6
        assert {letter.sender for letter in second.messages} == {"jsml@qq.com"}
        assert {header(letter, "From") for letter in second.messages} == {"Seminar <jsml@qq.com>"}
