"""The way back: the real daemon sends, mail comes back into a real mailbox, and its reader gets no more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes

import pytest
import returned
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from house import DUE, PEOPLE, House
from imapserver import ImapServer, needs_dovecot
from postfixserver import PostfixServer, needs_postfix
from test_dkim import pem, verified

from notifier.dkim import Signer
from notifier.stores.sqlite import SqliteStore


@pytest.fixture
def mailbox() -> Iterator[ImapServer]:
    with ImapServer() as server:
        yield server


async def states(house: House) -> dict[str, str]:
    store = await SqliteStore.open(house.folder / "var" / "notifier.db", read_only=True)
    found = {one.name: f"{one.state} {one.reason}".strip() for one in await store.subscribers()}
    await store.close()
    return found


async def come_to(house: House, wanted: dict[str, str]) -> None:
    """Returns once the subscribers stand so."""
    assert house.daemon is not None
    async with asyncio.timeout(60):
        while await states(house) != wanted:
            house.daemon._collect.set()  # as the scheduler does every few minutes
            await asyncio.sleep(0.05)


@needs_dovecot
async def test_a_dead_address_and_a_mail_to_unsubscribe_end_mail_by_way_of_the_mailbox(
    house: House, mailbox: ImapServer
) -> None:
    house.more = f"""
    [bounces]
    address = "bounce@seminar.example.org"
    host = "127.0.0.1"
    port = {mailbox.port}
    tls = "none"
    username = "bounce"
    password = "{mailbox.password}"
    """
    await house.subscribe(*PEOPLE)
    await house.start()
    house.now = DUE
    await house.arrived(3)
    for letter in house.mail.messages:
        sent = message_from_bytes(letter.body)
        to, who = str(sent["To"]), letter.recipient
        if who == "ada@example.org":
            # From the envelope alone: some servers return nothing of the mail.
            verp = re.fullmatch(r"bounce\+([a-z2-7]{24})@seminar\.example\.org", letter.sender)
            assert verp, f"{letter.sender} to {to}"
            bounce = returned.postfix_unknown_user("", who).replace(b"bounce@", f"bounce+{verp[1]}@".encode())
            mailbox.deliver(bounce, "dead")
        if who == "bob@example.org":
            by_mail = re.search(
                r"<mailto:bounce@seminar\.example\.org\?subject=unsubscribe%20(\S+)>", letter.body.decode()
            )
            assert by_mail
            mailbox.deliver(returned.unsubscribe(by_mail[1]), "request")
    mailbox.deliver(b"From: ada@example.org\nSubject: a question\n\nWhen?\n", "question")
    dead = "blocked there is no such mailbox: 550 5.1.1 <ada@example.org>:"
    await come_to(
        house,
        {
            "Ada": f"{dead} Recipient address rejected: User unknown in virtual mailbox table",
            "Bob": "unsubscribed",
            "Carol": "confirmed",
        },
    )
    async with asyncio.timeout(60):
        while mailbox.unread != {"question"}:  # noqa: ASYNC110 - Dovecot does it
            await asyncio.sleep(0.05)


@needs_dovecot
async def test_a_mailbox_out_of_reach_holds_up_nothing_and_is_told_of_once(house: House, mailbox: ImapServer) -> None:
    house.more = f"""
    [bounces]
    host = "127.0.0.1"
    port = {mailbox.port}
    tls = "none"
    username = "bounce"
    password = "{mailbox.password}"
    """
    mailbox.stop()
    await house.subscribe(*PEOPLE)
    await house.start()
    assert house.daemon is not None
    house.now = DUE
    for _ in range(3):
        house.daemon._collect.set()
        await asyncio.sleep(0.2)
    await house.until(lambda: "returned mail" in house.daemon.trouble())
    letters = await house.arrived(4)
    assert [m["To"] for m in letters if "cannot be read" in m["Subject"]] == ["organiser@example.org"]
    assert mailbox.password not in str(house.daemon.trouble())
    assert (await house.daemon.health())["mail"] == ""
    mailbox.start()
    house.daemon._collect.set()
    await house.until(lambda: "returned mail" not in house.daemon.trouble())


async def test_a_store_on_hold_leaves_the_mailbox_alone(house: House) -> None:
    for folder in ("new", "cur", "tmp"):
        (house.folder / "returned" / folder).mkdir(parents=True)
    house.more = '[bounces]\nmaildir = "returned"'
    await house.subscribe(*PEOPLE)
    await house.start()
    house.now = DUE
    letters = await house.arrived(3)
    await house.stop()
    store = await SqliteStore.open(house.folder / "var" / "notifier.db")
    await store.note({"hold": "restored elsewhere"})
    await store.close()
    marks = [re.search(r"\.([a-z2-7]{24})@", str(letter["Message-ID"])) for letter in letters]
    for number, (letter, mark) in enumerate(zip(letters, marks, strict=True)):
        assert mark
        mail = returned.postfix_unknown_user(mark[1], str(letter["To"].addresses[0].addr_spec))
        (house.folder / "returned" / "new" / str(number)).write_bytes(mail)
    await house.start()
    assert house.daemon is not None
    house.daemon._collect.set()
    await asyncio.sleep(0.5)
    assert set((await states(house)).values()) == {"confirmed"}
    await house.daemon._store.note({"hold": ""})
    async with asyncio.timeout(60):
        while not all(state.startswith("blocked") for state in (await states(house)).values()):
            house.daemon._collect.set()
            await asyncio.sleep(0.05)


async def test_mail_is_signed_with_the_keys_of_the_settings(house: House) -> None:
    keys = {"selector": rsa.generate_private_key(65537, 2048), "second_selector": ed25519.Ed25519PrivateKey.generate()}
    signers = [Signer("example.org", name, pem(key)) for name, key in keys.items()]
    house.more = "[dkim]\n" + "\n".join(
        f'{name} = "{name}"\n{name.replace("selector", "key")} = """{pem(key)}"""' for name, key in keys.items()
    )
    await house.subscribe(*PEOPLE)
    await house.start()
    house.now = DUE
    await house.arrived(3)
    for letter in house.mail.messages:
        assert verified(letter.body, *signers) == [True, True]


@needs_postfix
@pytest.mark.parametrize("address", ["bounce@seminar.test", ""], ids=["by the envelope", "by the report"])
async def test_postfix_says_that_a_mailbox_is_unknown_and_its_owner_gets_no_more(house: House, address: str) -> None:
    comes_back_to = address or "seminar@seminar.test"
    with PostfixServer("ada@readers.test", comes_back_to) as postfix:
        house.mail.port = postfix.port
        house.more = f"""
        [bounces]
        address = "{address}"
        maildir = "{postfix.maildir(comes_back_to)}"
        """
        house.sender = "Seminar <seminar@seminar.test>"
        await house.subscribe(
            replace(PEOPLE[0], address="ada@readers.test"), replace(PEOPLE[1], address="gone@readers.test")
        )
        await house.start()
        house.now = DUE
        (arrived,) = await asyncio.to_thread(postfix.delivered, "ada@readers.test", 1)
        assert str(arrived["Message-ID"]).startswith("<2021-11-27.reminder-1d.0.")
        (report,) = await asyncio.to_thread(postfix.delivered, comes_back_to, 1)
        assert report.get_content_type() == "multipart/report"
        gone = 'blocked there is no such mailbox: 5.1.1 unknown user: "gone@readers.test"'
        await come_to(house, {"Ada": "confirmed", "Bob": gone})
        await house.stop()
