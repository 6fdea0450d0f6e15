"""`notifier verify`: it says that all is well where it is, and finds everything that was tampered with."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from house import DUE, PEOPLE, House
from mailserver import MailServer
from processes import house as processes
from samples import ADA, BOB, CAROL, DAYS, HOURS, START, seminar

from notifier import settings
from notifier.cli import main
from notifier.config import Config
from notifier.inquiries import store as inquiries
from notifier.intake import Accepted
from notifier.notices import Verdict
from notifier.stores import HIGH_WATER, DeliveryState
from notifier.stores import Result as Outcome
from notifier.stores.sqlite import SqliteStore
from notifier.verdicts import decide, rule_names

NOTICE = "2021-11-27/reminder-1d/0"
END = START + 2 * HOURS


@pytest.fixture
async def mailed(tmp_path: Path) -> Config:
    """The settings of a store whose three people had an announcement and two reminders, each when it was due."""
    config = settings.parse('[store]\npath = "notifier.db"', folder=tmp_path)
    store = await SqliteStore.open(config.store.path)
    talks = seminar()
    await store.begin(START - 20 * DAYS, rule_names(config.notices.rules))
    await store.accept(Accepted(talks, b"", "", START - 20 * DAYS), ())
    await store.subscribe([ADA, BOB, CAROL], START - 20 * DAYS)
    for now in (START - 7 * DAYS, START - DAYS, START - HOURS, END):
        decisions = decide(talks, config.notices.rules, await store.facts(), now)
        actions = [d for d in decisions if d.verdict not in (Verdict.WAITING, Verdict.DONE)]
        await store.settle(actions, talks.sessions[0], now)
        claims = await store.claim(99, now)
        await store.intend(claims, now)
        await store.record([Outcome(claim, DeliveryState.SENT) for claim in claims], now)
        await store.expire(now)
        await store.note({HIGH_WATER: now.isoformat()})
    await store.close()
    return config


def tamper(config: Config, statements: str) -> None:
    with closing(sqlite3.connect(config.store.path)) as db:
        db.executescript(f"PRAGMA foreign_keys = ON; {statements}")


async def found(config: Config) -> set[tuple[str, str, str, str]]:
    told = await inquiries.proved(config, END)
    return {(one.check, one.notice, one.address, one.what) for one in told.findings}


async def test_what_was_sent_to_everyone_in_time_is_proved(mailed: Config) -> None:
    told = await inquiries.proved(mailed, END)
    assert (told.findings, told.notices, told.deliveries) == ((), 3, {"sent": 9})
    assert (told.ambiguous, told.resent, told.until) == (0, 0, END)


OF_REMINDER = "notice_id = (SELECT id FROM notice WHERE rule = 'reminder-1d')"
SENT_TWICE = """
    PRAGMA foreign_keys = OFF;
    CREATE TABLE notice_ (id INTEGER PRIMARY KEY, session_id, kind, rule, generation, due, deadline, lead, verdict,
        reason, at, snapshot, before, reached, is_tallied);
    INSERT INTO notice_ SELECT * FROM notice;
    DROP TABLE notice; ALTER TABLE notice_ RENAME TO notice;
    INSERT INTO notice SELECT 99, session_id, kind, rule, generation, due, deadline, lead, verdict, reason, at,
        snapshot, before, 1, 0 FROM notice WHERE rule = 'reminder-1d';
    INSERT INTO delivery (notice_id, subscriber_id, state, attempts, updated) VALUES (99, 1, 'sent', 1, 0);
"""
REMINDED_TWICE = """
    INSERT INTO notice SELECT 99, session_id, kind, rule, 1, due, deadline, lead, verdict, reason, at, snapshot, before,
        1, 0 FROM notice WHERE rule = 'reminder-1d';
    INSERT INTO delivery (notice_id, subscriber_id, state, attempts, updated) VALUES (99, 1, 'sent', 1, 0);
"""


@pytest.mark.parametrize(
    ("statements", "check", "notice", "address", "what"),
    [
        (SENT_TWICE, "twice", NOTICE, "ada@example.org", "it was sent twice"),
        (
            REMINDED_TWICE, "reminded twice", "2021-11-27/reminder-1d/1", "ada@example.org",
            "it was sent for the same beginning already, as generation 0",
        ),
        (
            f"DELETE FROM delivery WHERE {OF_REMINDER} AND subscriber_id = 2",
            "recipients", NOTICE, "", "it was for 3 people, and the ledger has 2 of them",
        ),
        (
            "UPDATE notice SET verdict = 'skipped', reached = 0 WHERE rule = 'reminder-1d'",
            "owed to nobody", NOTICE, "bob@example.org", "its notice is skipped",
        ),
        (
            "INSERT INTO delivery (notice_id, subscriber_id, state, attempts, updated) VALUES (77, 2, 'sent', 1, 0)",
            "owed to nobody", "77", "bob@example.org", "there is no such notice",
        ),
        (
            "UPDATE delivery SET state = 'lost' WHERE subscriber_id = 3",
            "state", NOTICE, "carol@example.org", "it cannot be lost after 1 attempts",
        ),
        (
            "UPDATE delivery SET attempts = 0 WHERE subscriber_id = 3",
            "state", NOTICE, "carol@example.org", "it cannot be sent after 0 attempts",
        ),
        (
            "UPDATE delivery SET state = 'queued', not_before = NULL WHERE subscriber_id = 1",
            "waits for nothing", NOTICE, "ada@example.org", "it is queued and never tried",
        ),
        (
            "UPDATE delivery SET state = 'deferred', not_before = 0 WHERE subscriber_id = 1",
            "late", NOTICE, "ada@example.org", "its deadline passed, and it is deferred still",
        ),
        (
            "UPDATE delivery SET state = 'in-flight' WHERE subscriber_id = 1",
            "on the wire", NOTICE, "ada@example.org", "it was on its way when it was last heard of",
        ),
        (
            "UPDATE tally SET count = count + 1 WHERE state = 'sent'",
            "tally", "", "", "10 deliveries of notices that are over are counted as sent, and there are 9",
        ),
        (
            f"DELETE FROM delivery WHERE {OF_REMINDER}; DELETE FROM notice WHERE rule = 'reminder-1d'",
            "missing", NOTICE, "",
            "it was never opened, and is too late now, due 2021-11-26T01:30:00+00:00",
        ),
        (
            "DROP INDEX delivery_owed",
            "schema", "", "", "delivery_owed is missing, so that nothing that it kept from happening is certain",
        ),
        (
            "CREATE TRIGGER meddling AFTER INSERT ON delivery BEGIN SELECT 1; END",
            "schema", "", "", "meddling is not of this program, so that nothing that it kept from happening is certain",
        ),
        (SENT_TWICE, "schema", "", "", "notice is altered, so that nothing that it kept from happening is certain"),
        (
            "PRAGMA foreign_keys = OFF; INSERT INTO lead VALUES (4711, 3600)",
            "damaged", "", "", "a row of lead refers to no subscriber",
        ),
    ],
)  # fmt: skip
async def test_what_was_tampered_with_is_found(
    mailed: Config, statements: str, check: str, notice: str, address: str, what: str
) -> None:
    if check == "owed to nobody" and notice == "77":
        statements = "PRAGMA foreign_keys = OFF;" + statements
    tamper(mailed, statements)
    if notice == "77":  # SQLite itself finds it
        assert await found(mailed) == {("damaged", "", "", "a row of delivery refers to no notice")}
    else:
        assert (check, notice, address, what) in await found(mailed)


async def test_a_damaged_file_is_a_finding_too(mailed: Config) -> None:
    path = mailed.store.path
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'delivery_of_subscriber'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096 + 8)
        file.write(b"\x5a" * 4000)
    assert {check for check, *_ in await found(mailed)} == {"damaged"}


async def test_what_may_have_arrived_is_counted_apart(mailed: Config) -> None:
    tamper(mailed, "UPDATE delivery SET state = 'ambiguous', not_before = NULL WHERE subscriber_id = 1")
    tamper(mailed, "UPDATE delivery SET resends = 1 WHERE subscriber_id = 2; DELETE FROM tally;")
    tamper(mailed, "INSERT INTO tally SELECT state, count(*) FROM delivery GROUP BY state")
    told = await inquiries.proved(mailed, END)
    assert (told.findings, told.ambiguous, told.resent) == ((), 3, 3)


async def test_what_a_person_counted_as_sent_and_who_is_erased_is_no_finding(mailed: Config) -> None:
    tamper(mailed, "UPDATE delivery SET attempts = 0, reply = 'counted as sent by a person' WHERE subscriber_id = 1")
    tamper(mailed, "UPDATE delivery SET attempts = 0 WHERE subscriber_id = 2; DELETE FROM subscriber WHERE id = 2")
    assert await found(mailed) == set()


async def test_beside_a_daemon_what_is_seen_for_a_moment_alone_is_no_finding(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(DUE)
    await house.arrived(3)
    real, looks = inquiries._audit, []

    async def mend_between(config, now):  # type: ignore[no-untyped-def]
        if looks:
            await house.daemon._store._write(lambda db: db.execute("UPDATE notice SET reached = 3 WHERE reached = 4"))
            await house.daemon._store._write(lambda db: db.execute("UPDATE delivery SET attempts = 0"))
        looks.append(now)
        return await real(config, now)

    monkeypatch.setattr(inquiries, "_audit", mend_between)
    await house.daemon._store._write(lambda db: db.execute("UPDATE notice SET reached = 4 WHERE reached = 3"))
    assert (await inquiries.proved(house.config(), house.now)).findings == ()
    assert len(looks) == 2
    await house.daemon._store._write(lambda db: db.execute("UPDATE notice SET reached = 5 WHERE reached = 3"))
    assert {one.check for one in (await inquiries.proved(house.config(), house.now)).findings} == {
        "recipients",
        "state",
    }


# --- the command ---


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOTIFIER_CONFIG", raising=False)
    return lambda *words: CliRunner().invoke(main, words, catch_exceptions=False)


def test_the_command_says_so_in_one_line_or_with_every_row(run: Callable[..., Result]) -> None:
    with MailServer() as mail, processes(Path(), mail.port, 3) as home:
        daemon = home.born()
        home.wait_until_all_are_sent()
        well = home.asked("verify")
        assert (well.returncode, well.stderr) == (0, "")
        assert well.stdout.startswith(
            "nothing due is missing, nothing was sent twice: 3 notices, 3 deliveries (3 sent), "
        )
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
    with closing(sqlite3.connect("var/notifier.db")) as db:
        db.executescript(
            "PRAGMA foreign_keys = ON; UPDATE delivery SET state = 'in-flight' WHERE subscriber_id = 2;"
            " DELETE FROM subscriber WHERE id = 2"
        )
    bad = run("verify")
    first, last = bad.stdout.splitlines()
    assert bad.exit_code == 1
    assert first == "on the wire: next/reminder-1h/0: #2: it was on its way when it was last heard of"
    assert last.startswith("1 finding in 3 notices, 3 deliveries (1 in-flight, 2 sent), ")
    told = json.loads(run("verify", "--json").stdout)
    assert (told["holds"], told["notices"], told["deliveries"]) == (False, 3, {"in-flight": 1, "sent": 2})
    assert told["findings"] == [
        {
            "check": "on the wire", "notice": "next/reminder-1h/0", "subscriber": 2, "address": None,
            "what": "it was on its way when it was last heard of",
        }
    ]  # fmt: skip


def test_without_a_store_nothing_can_be_proved(run: Callable[..., Result]) -> None:
    assert run("init").exit_code == 0
    asked = run("verify")
    assert (asked.exit_code, asked.stdout) == (3, "")
    assert "there is no store yet; start the daemon once" in asked.stderr


@pytest.mark.chaos
def test_after_kills_in_the_midst_of_a_mailing_it_holds_and_says_what_is_uncertain(tmp_path: Path) -> None:
    with MailServer() as mail, processes(tmp_path, mail.port, 200, "rate = { per_second = 20 }") as home:
        for _ in range(3):
            daemon = home.born()
            before = len(mail.messages)
            home.wait_for(lambda before=before: len(mail.messages) > before + 20)
            asked = home.asked("verify")
            assert asked.returncode == 0, asked.stdout
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
            asked = home.asked("verify")
            assert {line.partition(":")[0] for line in asked.stdout.splitlines()[:-1]} <= {"on the wire"}
        daemon = home.born()
        home.wait_until_all_are_sent()
        assert home.asked("verify").returncode == 0
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
