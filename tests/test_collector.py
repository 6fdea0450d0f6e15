"""Returned mail on its way into the ledger: what is believed, what is not, and that it counts once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import returned
from samples import ADA, BOB, CAROL, DAYS, HOURS, LONG_AGO, START, session

from notifier import marks
from notifier.collector import Collector, Leniency
from notifier.errors import MailboxError
from notifier.mailboxes import MaildirMailbox
from notifier.notices import Decision, Kind, Notice, Recipients, Verdict
from notifier.stores import Claim, DeliveryState, Result
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import State
from notifier.tokens import Grant, Keyring, Purpose

NOW = START - DAYS
KEY = "a key for tests"
RULES = ("reminder-1d", "reminder-1h", "announcement")


@dataclass
class Desk:
    """A ledger in which everyone was sent three mails, and the Maildir into which they come back."""

    store: SqliteStore
    inbox: Path
    collector: Collector
    keyring: Keyring

    def mark(self, address: str, rule: str = "reminder-1d", key: str = KEY) -> str:
        number = [ADA.address, BOB.address, CAROL.address].index(address) + 1
        return marks.mark(key, ("2021-11-27", rule, 0), number)

    def deliver(self, *mails: bytes) -> None:
        for mail in mails:
            there = len([*(self.inbox / "new").iterdir(), *(self.inbox / "cur").iterdir()])
            (self.inbox / "new" / f"{there}").write_bytes(mail)

    async def people(self) -> dict[str, tuple[str, str]]:
        return {one.name: (str(one.state), one.reason) for one in await self.store.subscribers()}

    @property
    def unread(self) -> int:
        return len([*(self.inbox / "new").iterdir()])


def collector(store: SqliteStore, inbox: Path, keyring: Keyring) -> Collector:
    return Collector(store, MaildirMailbox(inbox), lambda: keyring, lambda: NOW, Leniency(2, timedelta(days=60)))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    for folder in ("new", "cur", "tmp"):
        (tmp_path / folder).mkdir()
    store = await SqliteStore.open(":memory:")
    await store.begin(LONG_AGO, RULES)
    await store.subscribe([ADA, BOB, CAROL], LONG_AGO)
    for rule in RULES:
        kind = Kind(rule.split("-")[0])
        notice = Notice("2021-11-27", kind, rule, 0, NOW, NOW + 8 * HOURS, None, Recipients(everyone=True))
        await store.settle([Decision(notice, Verdict.OPEN)], session(), NOW)
    for claim in await store.claim(100, NOW):
        await _sent(store, claim)
    keyring = Keyring((KEY,))
    yield Desk(store, tmp_path, collector(store, tmp_path, keyring), keyring)
    await store.close()


async def _sent(store: SqliteStore, claim: Claim) -> None:
    assert await store.intend([claim], NOW) == [True]
    await store.record([Result(claim, DeliveryState.SENT, code=250, reply="ok")], NOW)


EVERYONE_CONFIRMED = {"Ada": ("confirmed", ""), "Bob": ("confirmed", ""), "Carol": ("confirmed", "")}


async def test_what_came_back_is_noted_and_settled_and_the_dead_are_blocked(desk: Desk) -> None:
    desk.deliver(
        returned.netease_user_not_found(desk.mark(ADA.address), ADA.address),
        returned.complaint(desk.mark(BOB.address), BOB.address),
        returned.postfix_delayed(desk.mark(CAROL.address), CAROL.address),
        returned.holiday(desk.mark(CAROL.address), CAROL.address),
    )
    assert await desk.collector.collect() == {"hard": 1, "complaint": 1, "delayed": 1, "automatic": 1}
    assert await desk.people() == {
        "Ada": ("blocked", "there is no such mailbox: 5.0.0 SMTP error, RCPT TO: 550 User not found: ada@example.org"),
        "Bob": ("blocked", "they complained: abuse reported by Provider/1.0"),
        "Carol": ("confirmed", ""),
    }
    assert desk.unread == 0
    assert await desk.collector.collect() == {}


async def test_a_forged_mail_changes_nothing_and_stays_for_a_person(desk: Desk) -> None:
    mark = desk.mark(BOB.address)
    desk.deliver(
        returned.postfix_unknown_user("", BOB.address),
        returned.postfix_unknown_user(desk.mark(BOB.address, key="a guess"), BOB.address),
        returned.postfix_unknown_user(desk.mark(BOB.address, rule="reminder-9d"), BOB.address),
        returned.postfix_unknown_user(desk.mark(ADA.address)[:8] + mark[8:], BOB.address),
        returned.postfix_unknown_user(mark[:-1] + "abcd"["abcd".find(mark[-1]) - 1], BOB.address),
        returned.complaint("a" * 24, BOB.address),
        returned.answer(mark, BOB.address),
        returned.unsubscribe("MTIz." + "x" * 27),
        returned.unsubscribe(desk.keyring.sign(Purpose.FEED, Grant(2, 0))),
        b"\xff" * 1000,
    )
    assert await desk.collector.collect() == {"not ours": 10}
    assert desk.unread == 10
    assert await desk.people() == EVERYONE_CONFIRMED


async def test_a_mail_that_is_told_again_counts_once(desk: Desk) -> None:
    full = returned.postfix_full(desk.mark(BOB.address), BOB.address)
    desk.deliver(full, full, full)
    await desk.collector.collect()
    desk.deliver(full)
    await collector(desk.store, desk.inbox, desk.keyring).collect()
    assert await desk.people() == EVERYONE_CONFIRMED
    desk.deliver(returned.postfix_full(desk.mark(BOB.address, "announcement"), BOB.address))
    await desk.collector.collect()
    assert (await desk.people())["Bob"] == (
        "blocked",
        "2 mails came back, the last one because: 552 5.2.2 Mailbox full",
    )


async def test_one_who_is_killed_before_settling_tells_the_same_again_to_no_effect(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.deliver(returned.postfix_unknown_user(desk.mark(BOB.address), BOB.address))
    with monkeypatch.context() as patched:
        patched.setattr(MaildirMailbox, "settle", _die)
        with pytest.raises(MailboxError):
            await desk.collector.collect()
    assert (await desk.people())["Bob"][0] == "blocked"
    assert desk.unread == 1
    bob = await desk.store.subscriber(BOB.address)
    assert bob is not None
    await desk.store.subscribe([replace(bob, state=State.CONFIRMED, reason="")], NOW)
    await collector(desk.store, desk.inbox, desk.keyring).collect()
    assert (desk.unread, await desk.people()) == (0, EVERYONE_CONFIRMED)


def _die(mailbox: MaildirMailbox, keys: object) -> None:
    raise MailboxError("the line broke")


async def test_a_subscription_ends_by_mail_only_with_its_token_whoever_sends_it(desk: Desk) -> None:
    desk.deliver(returned.unsubscribe(desk.keyring.sign(Purpose.UNSUBSCRIBE, Grant(2))))
    await desk.collector.collect()
    assert await desk.people() == EVERYONE_CONFIRMED | {"Bob": ("unsubscribed", "")}
    bob = await desk.store.subscriber(BOB.address)
    assert bob is not None
    assert [consent.how for consent in await desk.store.consents(bob.id)][-1] == "mail"


async def test_a_mark_of_an_older_key_is_known_until_the_key_is_retired(desk: Desk) -> None:
    rotated = desk.keyring.rotated("a new key")
    desk.deliver(returned.postfix_unknown_user(desk.mark(BOB.address), BOB.address))
    await collector(desk.store, desk.inbox, rotated.retired()).collect()
    assert await desk.people() == EVERYONE_CONFIRMED
    await collector(desk.store, desk.inbox, rotated).collect()
    assert (await desk.people())["Bob"][0] == "blocked"


async def test_what_is_not_ours_is_looked_at_once_and_stays_unread(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.mailboxes.BATCH", 3)
    desk.deliver(*[b"From: a person\nSubject: a question\n\n"] * 7)
    desk.deliver(returned.postfix_unknown_user(desk.mark(BOB.address), BOB.address))
    assert await desk.collector.collect() == {"not ours": 7, "hard": 1}
    assert await desk.collector.collect() == {}
    assert desk.unread == 7


async def test_of_much_mail_that_is_not_ours_the_newest_are_remembered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.collector._MOST_PASSED", 5)
    desk.deliver(*[b"From: a person\nSubject: a question\n\n"] * 7)
    await desk.collector.collect()
    assert len(desk.collector._passed) == 5
