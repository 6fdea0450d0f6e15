"""The store ↔ one file from which all of it can come back, taken while the daemon runs, put back while none does."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from notifier import files, wiring
from notifier.config import Config
from notifier.errors import NotifierError, OutputError, Problem, StoreError
from notifier.locks import lock
from notifier.stores import BACKUP, USED_UNTIL
from notifier.stores.sqlite import copies
from notifier.stores.sqlite.copies import Carried, Held, Step

_COPIED = (
    "this is a copy of the store, made on {at:%Y-%m-%d at %H:%MZ}: if it is put to use in its place, look at notifier"
    " plan, then notifier release"
)
_PUT_BACK = "a backup was put back, and what was sent since is known: look at notifier plan, then notifier release"
_PUT_BACK_ALONE = (
    "a backup was put back which knows nothing of later mail: look at notifier plan, then notifier release, or notifier"
    " release --sent to count as sent what was due before"
)


@dataclass(frozen=True, slots=True)
class PutBack:
    """What was put back, where the store of before lies now, and what was carried over from it.

    `unknown` is why nothing could be, "" where something was or there was no store.
    """

    held: Held
    aside: Path | None = None
    carried: Carried | None = None
    unknown: str = ""


def take(
    config: Config, target: Path, now: datetime, *, overwrite: bool, step: Step = lambda done, total: None
) -> Held:
    """Makes the file a backup of the store as it is now, and says what it holds.

    It is proved whole before it has its name. Whoever uses it finds it on hold.

    Raises:
        StoreError: there is no store, or it is damaged.
        OutputError: the file cannot be written, or is there and `overwrite` is not set, or is the
            store's own or the talk list.
    """
    store = _store_of(config)
    if not store.exists():
        raise StoreError(Problem("there is no store yet", "start the daemon once", str(store)))
    _refuse_own_files(store, target)
    if os.path.realpath(target) == os.path.realpath(config.talks):
        raise OutputError(Problem("this is the talk list", "name another file", str(target)))
    with files.drafted(target, overwrite=overwrite) as draft, _in_words(store, target):
        copies.copy(store, draft, step)
        copies.note(draft, {BACKUP: now.isoformat(), "hold": _COPIED.format(at=now)}, now)
        try:
            return copies.inspect(draft)
        except NotifierError as error:
            told = (Problem(problem.message, "put an older backup back", str(store)) for problem in error.problems)
            raise StoreError(told) from error


def put_back(config: Config, source: Path, now: datetime) -> PutBack:
    """Puts a backup in the place of the store, on hold, and the store of until then aside under another name.

    What the world has seen of that store since is carried over, as far as it can be read.

    Raises:
        StoreLocked: a daemon runs.
        SourceError: the file is no backup, damaged, or of a newer version of the program.
    """
    store = _store_of(config)
    files.make_folder(store.parent)
    held_by = wiring.lock_path(config.store.path)
    is_first_lock = not held_by.exists()
    with lock(held_by):
        if is_first_lock:
            _hand_to_owner_of(store.parent, held_by)
        _refuse_own_files(store, source)
        files.see(source)
        copies.inspect(source)
        with files.drafted(store, overwrite=store.exists()) as draft, _in_words(store, store):
            carried, unknown = _fill(draft, source, store, now)
            # Until when there is mail that it knows nothing of; "" where it knows of all.
            until = carried.used_until if carried and not carried.lost else _used_until(config, now)
            copies.note(draft, {"hold": _PUT_BACK_ALONE if until else _PUT_BACK, USED_UNTIL: until}, now)
            copies.fold(draft)  # what SQLite keeps beside it would stay under the draft's name
            held = copies.inspect(draft)
            aside = _put_aside(store, now) if store.exists() else None
    return PutBack(held, aside, carried, unknown)


def _fill(draft: Path, source: Path, store: Path, now: datetime) -> tuple[Carried | None, str]:
    """Makes of the draft what the source is, in this version, with what was done since; or why that is not known."""
    copies.copy(source, draft)
    copies.note(draft, {BACKUP: copies.inspect(draft).taken_at}, now)
    copies.bring_up(draft)
    if store.exists():
        return _carried(draft, store, now)
    _hand_to_owner_of(store.parent, draft)
    return None, ""


def _store_of(config: Config) -> Path:
    """The file itself: beside what a link to it points to SQLite keeps the log of writes."""
    return Path(os.path.realpath(config.store.path))


def _refuse_own_files(store: Path, given: Path) -> None:
    own = [store, *(store.with_name(store.name + end) for end in ("-wal", "-shm"))]
    own += [store.with_suffix(end) for end in (".lock", ".published", ".sock")]
    if Path(os.path.realpath(given)) in own:
        raise OutputError(Problem("this is a file of the store itself", "name another file", str(given)))


def _used_until(config: Config, now: datetime) -> str:
    """Until when the store was in use that is lost: nobody knows it better than the witness beside it."""
    used = wiring.witness(config).used
    return (used or now).isoformat()


def _carried(draft: Path, store: Path, now: datetime) -> tuple[Carried | None, str]:
    """What was carried over from the store into the draft or, where nothing could be, why."""
    with tempfile.TemporaryDirectory(prefix=".notifier-", dir=store.parent) as folder:
        old = Path(folder) / store.name  # a copy: the store stays of its version, for a program of that
        try:
            copies.copy(store, old)
            return copies.carry_over(draft, old, now), ""
        except StoreError as error:
            return None, "; ".join(problem.message for problem in error.problems)
        except sqlite3.Error as error:
            if _is_full(error):
                raise
            return None, str(error)


def _put_aside(store: Path, now: datetime) -> Path:
    """Gives the store, whole, a second name; under its first there is a store at every moment."""
    names = (f"{store.stem}.before-{now:%Y%m%dT%H%M%SZ}{'-' + str(n) if n else ''}{store.suffix}" for n in count())
    aside = next(path for name in names if not (path := store.with_name(name)).exists())
    if copies.is_readable(store):
        copies.fold(store)
    # What SQLite cannot open is left as it is. Its log goes with it: of what comes in its place it is none.
    for end in ("-wal", "-shm"):
        if (beside := store.with_name(store.name + end)).exists():
            beside.replace(aside.with_name(aside.name + end))
    try:
        os.link(store, aside)
    except OSError:  # this file system has no second names
        store.rename(aside)
    return aside


def _hand_to_owner_of(folder: Path, made: Path) -> None:
    """Lets the daemon's user have what root has made in its folder."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(made, owner.st_uid, owner.st_gid)


@contextmanager
def _in_words(store: Path, target: Path) -> Iterator[None]:
    """Raises what SQLite says as an error of ours: of the file that is written, or of the store that is read."""
    try:
        yield
    except sqlite3.Error as error:
        if _is_full(error):
            told = Problem("it cannot be written: there is no room for it", "make room", str(target))
            raise OutputError(told) from error
        if _is_busy(error):
            told = Problem("another program has the store open", "end that first", str(store))
        else:
            told = Problem(f"the store cannot be read: {error}", "put a backup back with notifier restore", str(store))
        raise StoreError(told) from error


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
