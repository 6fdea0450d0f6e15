"""Backups: whole however they are made, put back on hold, and nothing that the world has seen is taken back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Said
from house import DUE, PEOPLE, House
from hypothesis import settings as profile
from hypothesis.stateful import initialize, precondition, rule
from mailserver import MailServer
from processes import house as processes
from samples import ADA, BOB, CAROL, DAYS, START, session
from test_ledger_model import RULES, Ledger
from test_stores import opening

from notifier import backups, clock, desk, settings
from notifier.cli import main
from notifier.config import Config
from notifier.daemon import Daemon
from notifier.errors import NotifierError, OutputError, SourceError, StoreError, StoreLocked
from notifier.stores import DeliveryState, Result
from notifier.stores.sqlite import SqliteStore
from notifier.stores.sqlite.schema import SCHEMAS
from notifier.subscribers import State, Subscriber
from notifier.verdicts import rule_names
from notifier.witness import Witness

NOW = datetime(2021, 11, 26, 1, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings.parse('[store]\npath = "notifier.db"', folder=tmp_path)


def at_store(config: Config, *acts: Callable[[SqliteStore], object], path: Path | None = None) -> list[object]:
    """What these acts at the store give, one after the other; it is closed again."""

    async def act() -> list[object]:
        store = await SqliteStore.open(path or config.store.path)
        try:
            return [await one(store) for one in acts]  # type: ignore[misc]
        finally:
            await store.close()

    return asyncio.run(act())


def begin(store: SqliteStore):  # type: ignore[no-untyped-def]
    return store.begin(NOW - 9 * DAYS, rule_names(RULES))


def people(store: SqliteStore):  # type: ignore[no-untyped-def]
    return store.subscribers()


async def send_all(store: SqliteStore) -> list[str]:
    claims = await store.claim(99, LATER)
    await store.intend(claims, LATER)
    await store.record([Result(claim, DeliveryState.SENT) for claim in claims], LATER)
    return [claim.subscriber.address for claim in claims]


def leave(one: int, state: State = State.UNSUBSCRIBED):  # type: ignore[no-untyped-def]
    return lambda store: store.set_state(one, state, LATER, how="link", reason="it bounced" * (state is State.BLOCKED))


def in_folder(config: Config) -> set[str]:
    return {path.name for path in config.store.path.parent.iterdir()}


# --- a backup ---


def test_a_backup_is_one_file_of_its_owner_alone_and_holds_everything(config: Config, tmp_path: Path) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA, BOB], NOW), lambda s: s.settle([opening()], session(), NOW))
    target = tmp_path / "backup.db"
    held = backups.take(config, target, NOW, overwrite=False)
    assert (held.subscribers, held.sessions, held.deliveries, held.taken_at) == (2, 0, 2, NOW.isoformat())
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_bytes()[18:20] == b"\x01\x01"  # SQLite can read it where it can write nothing beside it
    assert {name for name in in_folder(config) if "backup" in name} == {"backup.db"}
    assert at_store(config, people) == at_store(config, people, path=target)


def test_a_backup_is_of_the_moment_when_it_was_begun_however_much_is_written_meanwhile(
    config: Config, tmp_path: Path
) -> None:
    at_store(config, begin, lambda s: s.subscribe([Subscriber(f"p{n}@example.org") for n in range(20_000)], NOW))
    steps = []
    with closing(sqlite3.connect(config.store.path, isolation_level=None)) as other:

        def step(done: int, total: int) -> None:
            if len(steps) < 9:
                other.execute("DELETE FROM subscriber WHERE id = ?", (len(steps) + 1,))
            steps.append((done, total))

        held = backups.take(config, tmp_path / "backup.db", NOW, overwrite=False, step=step)
        assert other.execute("SELECT count(*) FROM subscriber").fetchone()[0] < 20_000
    assert held.subscribers == 20_000
    assert len(steps) > 2
    assert sorted(steps) == steps
    assert steps[-1][0] == steps[-1][1]


def test_a_backup_put_to_use_by_hand_sends_nothing_and_gives_nobody_the_number_of_another(
    config: Config, tmp_path: Path
) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA], NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    at_store(config, lambda s: s.subscribe([BOB], LATER))
    bob = at_store(config, lambda s: s.subscriber(BOB.address))[0].id  # type: ignore[attr-defined]
    shutil.copy(tmp_path / "backup.db", config.store.path)
    hold, _, carol = at_store(
        config, lambda s: s.fact("hold"), lambda s: s.subscribe([CAROL], LATER), lambda s: s.subscriber(CAROL.address)
    )
    assert "copy of the store, made on 2021-11-26 at 01:30Z" in str(hold)
    assert carol.id > bob  # type: ignore[attr-defined]


def test_a_backup_never_replaces_a_file_unasked_nor_one_of_the_store(config: Config, tmp_path: Path) -> None:
    at_store(config, begin)
    target = tmp_path / "backup.db"
    target.write_text("mine")
    with pytest.raises(OutputError, match="there is such a file already"):
        backups.take(config, target, NOW, overwrite=False)
    assert target.read_text() == "mine"
    target.chmod(0o640)
    backups.take(config, target, NOW, overwrite=True)
    assert target.stat().st_mode & 0o777 == 0o640
    link = tmp_path / "link"
    link.symlink_to(config.store.path)
    for own in ("notifier.db", "notifier.db-wal", "notifier.published", "notifier.lock", "link"):
        with pytest.raises(OutputError, match="a file of the store itself"):
            backups.take(config, tmp_path / own, NOW, overwrite=True)
    with pytest.raises(OutputError, match="no file"):
        backups.take(config, Path("/dev/null"), NOW, overwrite=True)
    talks = Path(config.talks)
    talks.write_text("mine")
    with pytest.raises(OutputError, match="the talk list"):
        backups.take(config, talks, NOW, overwrite=True)
    assert talks.read_text() == "mine"


def test_where_there_is_no_store_or_no_room_there_is_no_backup(config: Config, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store yet"):
        backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    at_store(config, begin, lambda s: s.subscribe([Subscriber(f"p{n}@example.org") for n in range(3000)], NOW))
    (tmp_path / "config.toml").write_text('[store]\npath = "notifier.db"')
    said = limited("ulimit -f 100", tmp_path, "backup", "backup.db")
    assert (said.returncode, said.stderr) == (
        3,
        "backup.db: it cannot be written: there is no room for it; make room\n",
    )
    assert not {name for name in in_folder(config) if name.startswith((".notifier", "backup"))}


def limited(limit: str, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a command says where the shell allows it only so much."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    line = f'{limit}; exec "$0" "$@"'
    words = ["sh", "-c", line, sys.executable, "-m", "notifier", *command]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_a_damaged_store_gives_no_backup(config: Config, tmp_path: Path) -> None:
    at_store(config, begin, lambda s: s.subscribe([Subscriber(f"p{n}@example.org") for n in range(3000)], NOW))
    damage(config.store.path)
    with pytest.raises(StoreError, match="damaged"):
        backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    assert "backup.db" not in in_folder(config)


def damage(path: Path) -> None:
    """Overwrites some pages in the midst of the file."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\x5a" * 9000)


# --- put back ---


def test_a_backup_put_back_is_on_hold_and_the_store_of_until_then_is_kept(config: Config, tmp_path: Path) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA, BOB], NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    at_store(config, lambda s: s.subscribe([CAROL], LATER))
    done = backups.put_back(config, tmp_path / "backup.db", LATER)
    assert done.aside is not None
    assert done.aside.name == "notifier.before-20211126T043000Z.db"
    assert not (tmp_path / "notifier.db-wal").exists()
    assert [one.address for one in at_store(config, people)[0]] == [ADA.address, BOB.address]  # type: ignore[attr-defined]
    assert len(at_store(config, people, path=done.aside)[0]) == 3  # type: ignore[arg-type]
    assert done.carried is not None
    assert done.carried.joined == 1
    (hold,) = at_store(config, lambda s: s.fact("hold"))
    assert "what was sent since is known" in str(hold)
    again = backups.put_back(config, tmp_path / "backup.db", LATER)
    assert again.aside is not None
    assert again.aside.name == "notifier.before-20211126T043000Z-1.db"
    kept = {"notifier.db", "notifier.lock", done.aside.name, again.aside.name, "backup.db"}
    assert in_folder(config) == kept


def test_what_was_sent_since_the_backup_is_not_sent_again(config: Config, tmp_path: Path) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA, BOB], NOW), lambda s: s.settle([opening()], session(), NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    late = opening(rule="reminder-1h")
    sent, _ = at_store(config, send_all, lambda s: s.settle([late], session(), LATER))
    assert len(sent) == 2  # type: ignore[arg-type]
    done = backups.put_back(config, tmp_path / "backup.db", LATER)
    assert done.carried is not None
    assert (done.carried.sent, done.carried.lost) == (2, ())
    claims, summary = at_store(config, lambda s: s.claim(99, LATER), lambda s: s.summary(LATER))
    assert [claim.notice.rule for claim in claims] == ["reminder-1h"] * 2  # type: ignore[attr-defined]
    assert summary.deliveries == {"sent": 2, "claimed": 2}  # type: ignore[attr-defined]


def test_who_left_since_the_backup_stays_away(config: Config, tmp_path: Path) -> None:
    dora, eve = Subscriber("dora@example.org"), Subscriber("eve@example.org")
    at_store(config, begin, lambda s: s.subscribe([ADA, BOB, CAROL, dora, eve], NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    at_store(config, leave(1), leave(2, State.BLOCKED), lambda s: s.erase(3, LATER), lambda s: s.revoke(4, LATER))
    done = backups.put_back(config, tmp_path / "backup.db", LATER)
    assert done.carried is not None
    told = done.carried
    assert (told.unsubscribed, told.blocked, told.erased, told.revoked, told.joined) == (1, 1, 1, 1, 0)
    everyone, consents = at_store(config, people, lambda s: s.consents(1))
    assert [(one.address, one.state, one.reason, one.series) for one in everyone] == [  # type: ignore[attr-defined]
        (ADA.address, State.UNSUBSCRIBED, "", 0),
        (BOB.address, State.BLOCKED, "it bounced", 0),
        (dora.address, State.CONFIRMED, "", 1),
        (eve.address, State.CONFIRMED, "", 0),
    ]
    assert [(one.state, one.how) for one in consents] == [("confirmed", ""), ("unsubscribed", "link")]  # type: ignore[attr-defined]


def test_who_came_since_the_backup_is_not_brought_but_counted_and_their_number_is_nobodys(
    config: Config, tmp_path: Path
) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA, replace(BOB, state=State.UNSUBSCRIBED)], NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    at_store(config, lambda s: s.subscribe([BOB, CAROL], LATER))
    for now in (LATER, LATER - 400 * DAYS):  # also where it goes wrong
        done = backups.put_back(config, tmp_path / "backup.db", now)
    assert done.carried is not None
    (before,) = at_store(
        config, lambda s: s._run(lambda db: db.execute("SELECT max(seq) FROM sqlite_sequence").fetchone())
    )
    assert before[0] >= LATER.timestamp()  # type: ignore[index]
    at_store(config, lambda s: s.subscribe([CAROL], LATER))
    everyone, consents = at_store(config, people, lambda s: s.consents(2))
    assert [(one.address, one.state, one.id > 3) for one in everyone] == [  # type: ignore[attr-defined]
        (ADA.address, State.CONFIRMED, False),
        (BOB.address, State.UNSUBSCRIBED, False),
        (CAROL.address, State.CONFIRMED, True),
    ]
    # What Bob said meanwhile stays on record, and what he is held to have said now.
    said = [(one.state, one.how) for one in consents]  # type: ignore[attr-defined]
    assert said == [("unsubscribed", ""), ("confirmed", ""), ("unsubscribed", "backup")]


def test_a_key_that_was_retired_stays_so_and_links_of_the_newest_work(config: Config, tmp_path: Path) -> None:
    at_store(config, begin, lambda s: s.note({"link_key": "old"}))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    at_store(config, lambda s: desk.perform(s, {"do": "rotate", "retire": True}, LATER))
    (newest,) = at_store(config, lambda s: s.fact("link_key"))
    backups.put_back(config, tmp_path / "backup.db", LATER)
    assert at_store(config, lambda s: s.fact("link_key")) == [newest] != ["old"]


def test_another_seminar_s_store_is_put_aside_and_nothing_of_it_carried_over(config: Config, tmp_path: Path) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA, BOB], NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    config.store.path.unlink()
    at_store(config, lambda s: s.begin(LATER, ()), lambda s: s.subscribe([BOB], LATER), leave(1))
    done = backups.put_back(config, tmp_path / "backup.db", LATER)
    assert done.carried is None
    assert "another seminar's" in done.unknown
    assert [one.state for one in at_store(config, people)[0]] == ["confirmed"] * 2  # type: ignore[attr-defined]
    assert at_store(config, lambda s: s.fact("used_until")) == [LATER.isoformat()]


def test_from_a_damaged_store_what_can_be_read_is_carried_over_and_the_rest_told(
    config: Config, tmp_path: Path
) -> None:
    crowd = [Subscriber(f"p{n}@example.org") for n in range(3000)]
    at_store(config, begin, lambda s: s.subscribe(crowd, NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    at_store(config, leave(1), lambda s: s.settle([opening()], session(), NOW))
    with sqlite3.connect(config.store.path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'delivery'").fetchone()
    db.close()
    with config.store.path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\x5a" * 4096)
    done = backups.put_back(config, tmp_path / "backup.db", LATER)
    assert done.carried is not None
    assert done.carried.unsubscribed == 1
    assert any(what.startswith("mail that was sent: ") for what in done.carried.lost)
    (hold, until) = at_store(config, lambda s: s.fact("hold"), lambda s: s.fact("used_until"))
    assert "knows nothing of later mail" in str(hold)
    assert until == LATER.isoformat()


def test_a_store_that_is_no_database_any_more_is_put_aside_as_it_is(config: Config, tmp_path: Path) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA], NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    Witness(tmp_path / "notifier.published").note((), used=NOW + timedelta(hours=1))
    config.store.path.write_bytes(b"no database at all" * 999)
    (tmp_path / "notifier.db-wal").write_bytes(b"nor a log")
    done = backups.put_back(config, tmp_path / "backup.db", LATER)
    assert done.unknown == "file is not a database"
    assert done.aside is not None
    assert done.aside.read_bytes().startswith(b"no database at all")
    assert (tmp_path / f"{done.aside.name}-wal").read_bytes() == b"nor a log"
    until, everyone = at_store(config, lambda s: s.fact("used_until"), people)
    assert until == (NOW + timedelta(hours=1)).isoformat()
    assert len(everyone) == 1  # type: ignore[arg-type]


def test_mail_that_a_lost_store_alone_knew_of_stays_unknown_until_a_person_decides(
    config: Config, tmp_path: Path
) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA], NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    config.store.path.unlink()
    for now in (LATER, LATER + timedelta(hours=1)):
        backups.put_back(config, tmp_path / "backup.db", now)
        hold, until = at_store(config, lambda s: s.fact("hold"), lambda s: s.fact("used_until"))
        assert "knows nothing of later mail" in str(hold)
        assert until == LATER.isoformat()
    at_store(config, lambda s: desk.perform(s, {"do": "release"}, LATER))
    backups.put_back(config, tmp_path / "backup.db", LATER)
    assert at_store(config, lambda s: s.fact("used_until")) == [""]


def test_without_any_store_a_backup_makes_one(config: Config, tmp_path: Path) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA], NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    config.store.path.unlink()
    done = backups.put_back(config, tmp_path / "backup.db", LATER)
    assert (done.aside, done.carried, done.unknown) == (None, None, "")
    assert config.store.path.stat().st_mode & 0o777 == 0o600
    assert len(at_store(config, people)[0]) == 1  # type: ignore[arg-type]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand a file to somebody else")
@pytest.mark.parametrize("is_first", [True, False], ids=["on a new machine", "over a store"])
def test_what_root_puts_back_is_the_daemon_s(config: Config, tmp_path: Path, is_first: bool) -> None:
    at_store(config, begin)
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    os.chown(config.store.path, 65534, 65534)
    if is_first:
        config.store.path.unlink()
        os.chown(tmp_path, 65534, 65534)
    backups.put_back(config, tmp_path / "backup.db", LATER)
    made = ["notifier.db", "notifier.lock"] if is_first else ["notifier.db"]
    assert [(tmp_path / name).stat().st_uid for name in made] == [65534] * len(made)


def test_no_kind_of_row_is_forgotten_when_a_backup_is_put_back() -> None:
    """A table that is new here is carried over, or is about people alone and comes from the backup: say which."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(" ".join(SCHEMAS))
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    carried = {"session", "document", "accepted", "listed", "fact", "rule", "notice", "delivery", "returned"}
    of_people = {"subscriber", "lead", "consent", "sqlite_sequence"}  # who left, and what was said, is carried besides
    counted_anew = {"tally"}
    assert tables == carried | of_people | counted_anew


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "cut", "damaged", "newer", "foreign"])
def test_what_is_no_backup_is_refused_and_the_store_stays(config: Config, tmp_path: Path, kind: str) -> None:
    at_store(config, begin, lambda s: s.subscribe([Subscriber(f"p{n}@example.org") for n in range(3000)], NOW))
    bad = tmp_path / "backup.db"
    backups.take(config, bad, NOW, overwrite=False)
    match kind:
        case "missing":
            bad.unlink()
        case "folder":
            bad = tmp_path
        case "text":
            bad.write_text("[[session]]\n" * 900)
        case "empty":
            bad.write_bytes(b"")
        case "cut":
            bad.write_bytes(bad.read_bytes()[: 4096 * 40])
        case "damaged":
            damage(bad)
        case "newer" | "foreign":
            with sqlite3.connect(bad) as db:
                db.execute("PRAGMA user_version = 99" if kind == "newer" else "DROP TABLE accepted")
            db.close()
    before = config.store.path.read_bytes()
    with pytest.raises(SourceError) as refused:
        backups.put_back(config, bad, LATER)
    words = {
        "missing": "no such file",
        "folder": "this is a folder",
        "newer": "newer version",
        "foreign": "no store of ours",
    }
    assert str(refused.value).startswith(f"{bad}: ")
    assert words.get(kind, "") in str(refused.value)
    assert config.store.path.read_bytes() == before
    assert in_folder(config) <= {"notifier.db", "notifier.db-wal", "notifier.db-shm", "notifier.lock", "backup.db"}


def test_a_backup_of_any_older_version_is_brought_to_this_one(config: Config, tmp_path: Path) -> None:
    """The store of then stays of its version, for the program of then."""
    for version in range(1, len(SCHEMAS) + 1):
        old = tmp_path / f"{version}.db"
        with sqlite3.connect(old) as db:
            db.executescript(f"{' '.join(SCHEMAS[:version])} PRAGMA user_version = {version};")
            db.execute("INSERT INTO fact VALUES ('baseline', '1000')")
            db.execute(
                "INSERT INTO subscriber (id, comparable, address, name, language, timezone, state, created, changed)"
                " VALUES (7, 'ada@example.org', 'ada@example.org', 'Ada', 'zh', '', 'confirmed', 0, 0)"
            )
        db.close()
        shutil.copy(old, config.store.path)
        backup = tmp_path / f"{version}.backup"
        backups.take(config, backup, NOW, overwrite=False)
        with sqlite3.connect(config.store.path) as db:
            db.execute("UPDATE subscriber SET state = 'unsubscribed', changed = 1")
        db.close()
        done = backups.put_back(config, backup, LATER)
        assert done.carried is not None, done.unknown
        assert (done.carried.unsubscribed, done.carried.lost) == (1, ())
        assert done.aside is not None
        with sqlite3.connect(done.aside) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (version,)
        db.close()
        done.aside.unlink()
        _, everyone = at_store(config, lambda s: s.subscribe([BOB], LATER), people)
        assert [(one.id == 7, one.state) for one in everyone] == [(True, "unsubscribed"), (False, "confirmed")]  # type: ignore[attr-defined]


def test_no_backup_is_put_back_under_a_running_daemon(config: Config, tmp_path: Path) -> None:
    at_store(config, begin)
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    holder = "import sys; from notifier.locks import lock; held = lock(sys.argv[1]); print(1, flush=True); input()"
    command = [sys.executable, "-c", holder, str(tmp_path / "notifier.lock")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StoreLocked, match=f"in use by process {other.pid}"):
            backups.put_back(config, tmp_path / "backup.db", LATER)
        other.kill()


def test_what_was_due_before_is_counted_as_sent_where_nobody_knows_better(config: Config, tmp_path: Path) -> None:
    at_store(config, begin, lambda s: s.subscribe([ADA, BOB], NOW))
    with pytest.raises(NotifierError, match="no other copy of this store is known"):
        at_store(config, lambda s: desk.perform(s, {"do": "release", "is_sent": True}, NOW))
    early, late = opening(), opening(rule="reminder-1h")
    early = replace(early, notice=replace(early.notice, session_id="another", due=LATER))
    late = replace(late, notice=replace(late.notice, due=LATER + timedelta(minutes=1)))
    told = at_store(
        config,
        lambda s: s.settle([early, late], session(), LATER),
        lambda s: s.note({"used_until": LATER.isoformat(), "hold": "a backup was put back"}),
        lambda s: desk.perform(s, {"do": "release", "is_sent": True}, LATER),
        lambda s: s.claim(99, LATER),
        lambda s: s.fact("used_until"),
    )
    assert told[2] == {"hold": "", "counted": 2}
    assert [claim.notice.rule for claim in told[3]] == ["reminder-1h"] * 2  # type: ignore[attr-defined]
    assert told[4] == ""


# --- with the daemon ---


async def test_after_a_mailing_a_backup_of_before_mails_nobody_twice(house: House) -> None:
    config = await mailed_after_a_backup(house)
    backups.put_back(config, house.folder / "backup.db", house.now)
    await house.start()
    await house.until(lambda: "what was sent since is known" in house.hold)
    assert await house.ask({"do": "release"}) == {"hold": ""}
    await house.pass_time(DUE + timedelta(minutes=2))
    await house.arrived(3)
    await house.pass_time(START - timedelta(minutes=59))
    await house.arrived(6)


async def mailed_after_a_backup(house: House) -> Config:
    """The settings of a daemon that was backed up, mailed three people, and was stopped."""
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.reconciled()
    backups.take(house.config(), house.folder / "backup.db", house.now, overwrite=False)
    await house.pass_time(DUE)
    await house.arrived(3)
    await house.reconciled()
    await house.stop()
    return house.config()


@pytest.mark.parametrize("how", ["notifier restore", "by hand"])
async def test_where_the_store_is_lost_what_was_due_before_can_be_counted_as_sent(house: House, how: str) -> None:
    config = await mailed_after_a_backup(house)
    for path in (house.folder / "var").glob("notifier.db*"):
        path.unlink()
    house.now += timedelta(minutes=9)
    if how == "by hand":
        shutil.copy(house.folder / "backup.db", config.store.path)
    else:
        backups.put_back(config, house.folder / "backup.db", house.now)
    await house.start()
    await house.until(lambda: bool(house.hold))
    assert await house.ask({"do": "release", "is_sent": True}) == {"hold": "", "counted": 3}
    await house.pass_time(DUE + timedelta(minutes=11))
    await house.arrived(3)
    # They count as told: of a change they hear like everybody else.
    await house.edit('meeting_id = "329744341"', 'meeting_id = "553225532"')
    await house.pass_time(house.now + timedelta(minutes=11))
    await house.arrived(6)


async def test_a_replay_told_by_day_is_counted_as_sent_by_night_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By night none is opened, and what is opened in the morning would be sent once more."""
    since_boot = clock.since_boot  # else the clock would seem to leap, and until when it was used would not be noted
    monkeypatch.setattr(clock, "since_boot", lambda: house.now - DUE + since_boot())
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(DUE)
    await house.arrived(3)
    await house.pass_time(START + timedelta(hours=2))
    backups.take(house.config(), house.folder / "backup.db", house.now, overwrite=False)
    await house.edit('affiliation = "华东师范大学"', 'affiliation = "华东师范大学"\n  replay = "https://b23.tv/BV1"')
    await house.pass_time(START + timedelta(hours=4))
    await house.until(lambda: told_of_replays(house) == 3)
    await house.stop()
    for path in (house.folder / "var").glob("notifier.db*"):
        path.unlink()
    house.now = START + timedelta(hours=13, minutes=30)  # 23:00 in Shanghai
    backups.put_back(house.config(), house.folder / "backup.db", house.now)
    await house.start()
    await house.reconciled()
    assert await house.ask({"do": "release", "is_sent": True}) == {"hold": "", "counted": 3}
    await house.pass_time(START + timedelta(hours=25))
    await asyncio.sleep(0.3)
    assert told_of_replays(house) == 3


def told_of_replays(house: House) -> int:
    return [one.message_id.split(".")[1] for one in house.mail.messages].count("replay")


async def test_what_is_counted_as_sent_is_opened_before(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the first moment of a daemon, in which it has not looked yet at what is due."""
    config = await mailed_after_a_backup(house)
    for path in (house.folder / "var").glob("notifier.db*"):
        path.unlink()
    backups.put_back(config, house.folder / "backup.db", house.now)

    async def look_at_nothing(daemon: Daemon) -> None:
        daemon._reconciled = clock.since_boot()

    with monkeypatch.context() as patched:
        patched.setattr(Daemon, "_reconcile", look_at_nothing)
        await house.start()
        assert await house.ask({"do": "release", "is_sent": True}) == {"hold": "", "counted": 3}
    await house.pass_time(DUE + timedelta(minutes=2))
    await house.arrived(3)


async def test_a_restored_backup_takes_no_revision_back(house: House) -> None:
    await house.start()
    backups.take(house.config(), house.folder / "backup.db", house.now, overwrite=False)
    await house.edit("09:30-11:30", "14:00-16:00")
    published = {s.id: (s.revision, s.modified) for s in house.seminar.sessions}
    await house.stop()
    backups.put_back(house.config(), house.folder / "backup.db", house.now)
    await house.start()
    assert {s.id: (s.revision, s.modified) for s in house.seminar.sessions} == published
    assert published["2021-11-27"][0] == 1


@pytest.mark.chaos
def test_backups_of_a_daemon_that_mails_are_whole_and_none_put_back_owes_what_was_sent(tmp_path: Path) -> None:
    with MailServer() as mail, processes(tmp_path, mail.port, 300, "rate = { per_second = 20 }") as home:
        daemon = home.born()
        for number in range(20):
            home.wait_for(lambda number=number: len(mail.messages) > number * 12)
            made = home.asked("backup", f"{number}.db", "--json")
            assert made.returncode == 0, made.stderr
            assert json.loads(made.stdout)["subscribers"] == 300
            if number == 10:
                daemon.send_signal(signal.SIGKILL)
                daemon.wait()
                daemon = home.born()
        refused = home.asked("restore", "0.db")
        assert refused.returncode == 3
        assert f"in use by process {daemon.pid}" in refused.stderr
        home.wait_until_all_are_sent()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
        for number in (0, 7, 19):
            put_back = home.asked("restore", f"{number}.db", "--json")
            assert put_back.returncode == 0, put_back.stderr
            assert json.loads(put_back.stdout)["owed"] == 0
            assert home.counted() == {"sent": 300}
            assert home.asked("verify").returncode == 0
        copies = Counter(letter.recipient for letter in mail.messages)
        assert len(copies) == 300


# --- on the command line ---


def test_the_commands_say_what_they_did_and_what_is_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOTIFIER_CONFIG", raising=False)

    def run(*words: str) -> Said:
        return CliRunner().invoke(main, words, catch_exceptions=False)

    config = settings.parse('[store]\npath = "notifier.db"', folder=tmp_path)
    assert run("init").exit_code == 0
    at_store(config, begin, lambda s: s.subscribe([ADA, BOB], NOW))
    made = run("backup", "kept.db")
    assert (made.exit_code, made.stderr) == (0, "")
    assert made.stdout.startswith("kept.db: 2 subscribers, 0 sessions, 0 deliveries, as of 20")
    assert made.stdout.endswith(" bytes\n")
    again = run("backup", "kept.db")
    assert (again.exit_code, again.stdout) == (3, "")
    assert again.stderr == "kept.db: there is such a file already; move it away, or choose another name\n"
    assert run("backup", "kept.db", "--force").exit_code == 0
    at_store(config, lambda s: s.subscribe([CAROL], LATER), leave(1))
    done = run("restore", "kept.db")
    assert (done.exit_code, done.stderr) == (0, "")
    put_back, aside, carried, lost, last = done.stdout.splitlines()
    assert put_back.startswith("put back kept.db: 2 subscribers, 0 sessions, 0 deliveries, as of 20")
    assert aside.startswith(f"the store of until now is {tmp_path}/notifier.before-20")
    assert carried == "carried over from it: 0 sent, 1 unsubscribed, 0 blocked, 0 erased, links of 0 revoked"
    assert lost == "not carried over: 1 who were confirmed since; they are in it still"
    assert last.startswith("nothing is sent until notifier release, which would now send ")
    asked = run("status")
    assert asked.exit_code == 1
    assert "hold a backup was put back, and what was sent since is known" in asked.stdout
    assert run("release", "--sent").exit_code == 1
    kept = {"NOTIFIER_STORE_PATH": aside.removeprefix("the store of until now is ")}
    people_then = CliRunner().invoke(main, ["subscribers", "export"], env=kept)
    assert people_then.stdout.count("@example.org") == 3


# --- killed at every step ---

DIE_AT = """
import os, sys
from pathlib import Path
number, folder = int(sys.argv.pop(1)), sys.argv.pop(1)
def step(event, arguments, seen=[0]):
    if event in ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "sqlite3.connect") and (
        any(folder in os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | os.PathLike))):
        seen[0] += 1
        if seen[0] == number:
            os._exit(99)
sys.addaudithook(step)
from notifier.cli import main
main()
"""


def killed_at(number: int, folder: Path, *command: str) -> int:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", DIE_AT, str(number), folder.name, "--config", str(folder / "config.toml"), *command]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, timeout=120).returncode


@pytest.mark.chaos
def test_killed_at_any_step_there_is_a_whole_store_and_a_whole_backup_or_none(config: Config, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[store]\npath = "notifier.db"')
    (tmp_path / "talks.toml").write_text('[seminar]\nid = "jsml"\nname = "Seminar"')
    at_store(config, begin, lambda s: s.subscribe([ADA, BOB], NOW))
    backups.take(config, tmp_path / "backup.db", NOW, overwrite=False)
    begun: dict[str, bytes] = {}

    async def look(store: SqliteStore) -> None:
        begun.update((path.name, path.read_bytes()) for path in tmp_path.iterdir())

    at_store(config, leave(1), look)  # what a killed daemon leaves: who left is in the log of writes alone
    assert begun["notifier.db-wal"]
    for command in (("backup", "new.db"), ("backup", "backup.db", "--force"), ("restore", "backup.db")):
        for number in range(1, 99):
            for path in tmp_path.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for name, octets in begun.items():
                (tmp_path / name).write_bytes(octets)
            code = killed_at(number, tmp_path, *command)
            (everyone,) = at_store(config, people)
            assert [one.state for one in everyone] == ["unsubscribed", "confirmed"], number  # type: ignore[attr-defined]
            for name in ("new.db", "backup.db"):
                if (tmp_path / name).exists():
                    backups.copies.inspect(tmp_path / name)
            if code != 99:
                break
        assert code == 0
        assert number > 5


# --- random histories ---


class LedgerWithBackups(Ledger):
    """The histories of the ledger's model, in which now and then a backup is made, and put back."""

    @initialize()
    def start(self) -> None:
        super().start()
        self.run(self.store.close())
        self.folder = Path(tempfile.mkdtemp(prefix="backups-"))
        self.config = settings.parse('[store]\npath = "notifier.db"', folder=self.folder)
        self.open()
        self.run(self.store.begin(self.now - 2 * DAYS, (*rule_names(RULES), "reminder-3h")))
        self.run(self.store.subscribe([ADA, BOB], self.now))

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def open(self) -> None:
        self.store = self.run(SqliteStore.open(self.config.store.path))
        self.run(self.store._run(lambda db: db.execute("PRAGMA synchronous = OFF")))

    @rule()
    def a_backup_is_made(self) -> None:
        backups.take(self.config, self.folder / "backup", self.now, overwrite=True)

    @precondition(lambda self: hasattr(self, "folder") and (self.folder / "backup").exists())
    @rule()
    def the_backup_is_put_back(self) -> None:
        confirmed = self.confirmed()
        gone = {one.address for one in self.run(self.store.subscribers()) if one.state is State.UNSUBSCRIBED}
        self.run(self.store.close())
        self.on_wire.clear()  # as when the daemon is killed
        done = backups.put_back(self.config, self.folder / "backup", self.now)
        assert done.carried is not None
        assert (done.carried.lost, done.carried.used_until) == ((), "")
        self.open()
        # Who came since is lost with what they were told, which is said to the operator.
        self.left |= confirmed - self.confirmed()
        assert not gone & self.confirmed()
        self.run(self.store.begin(self.now, (*rule_names(RULES), "reminder-3h")))

    def confirmed(self) -> set[str]:
        return {one.address for one in self.run(self.store.subscribers()) if one.state is State.CONFIRMED}


TestLedgerWithBackups = LedgerWithBackups.TestCase
TestLedgerWithBackups.settings = profile(max_examples=30, stateful_step_count=30, deadline=None)
