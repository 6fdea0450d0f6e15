"""Old `Seminar` + new `Seminar` → the new one with each session's UID, SEQUENCE and LAST-MODIFIED, and what changed."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, AnyStr
from zoneinfo import ZoneInfo

from notifier.differences import (
    Difference,
    Field,
    describe,
    differences,
    is_material,
    is_schedule,
    spell_times,
    times_of,
)
from notifier.errors import Problem
from notifier.recognition import names_of, paired_talks, recognise, traces_of
from notifier.talks import Audience, Livestream, Seminar, Session, Status, Talk, without_passcode

# Whoever asks what became of a session asks here.
__all__ = [
    "BARE",
    "Change",
    "ChangeKind",
    "Difference",
    "Field",
    "Frame",
    "Identity",
    "describe",
    "diff",
    "differences",
    "digest",
    "is_cut",
    "is_material",
    "is_schedule",
    "recognise",
    "stamp",
    "summary",
    "uid",
    "vanished",
]


@dataclass(frozen=True, slots=True)
class Identity:
    """A fact that is kept for ever: under which UID a session is published, and how often what it shows has changed.

    `revision` is the SEQUENCE of RFC 5545 section 3.8.7.4, `digest` that of the content which has this revision and,
    after a dot, that of the frame in which it was shown. `edited` is when the content became what it is, None where
    that was at `modified`.
    """

    id: str
    uid: str
    digest: str
    revision: int
    created: datetime
    modified: datetime
    edited: datetime | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What shows in a session's event without being its own: where its page is, and who may see how to join."""

    base_url: str = ""
    levels: Mapping[str, Audience] = field(default_factory=dict)


BARE = Frame()


def stamp(
    seminar: Seminar,
    identities: Mapping[str, Identity],
    *,
    domain: str,
    now: datetime,
    previous: Seminar | None = None,
    frame: Frame = BARE,
) -> tuple[Seminar, tuple[Identity, ...]]:
    """The seminar with every session's uid, revision, created and modified, and the identities to be kept.

    `identities` are those known by session id; the ones returned are new or changed. A session that equals the one
    stamped before it in `previous` is that very object again. A new frame is a revision like any other, because
    calendars pass over an event that has changed without one; that nobody is to be told of it, `differences` sees.
    """
    before = {session.id: session for session in previous.sessions} if previous else {}
    framed = _framed(seminar, frame)
    sessions, changed = [], []
    for session in seminar.sessions:
        known = identities.get(session.id)
        last = before.get(session.id)
        around = framed(session)
        is_known = known and last and known.digest.endswith(around) and _stamps(last) == _stamps(known)
        if is_known and last and _facts(last) == _facts(session):
            sessions.append(last)
            continue
        identity = _identity(session, around, known, domain, now)
        if identity is not known:
            changed.append(identity)
        sessions.append(_stamped(session, identity))
    return replace(seminar, sessions=tuple(sessions)), tuple(changed)


def uid(session_id: str, domain: str) -> str:
    """The UID (RFC 7986 section 5.3) of a session that was never published under another one."""
    return f"{session_id}@{domain}"


_STAMPS = ("uid", "revision", "created", "modified", "edited")
_stamps: Callable[[Any], tuple[Any, ...]] = attrgetter(*_STAMPS)
_facts: Callable[[Session], tuple[Any, ...]] = attrgetter(*(f.name for f in fields(Session) if f.name not in _STAMPS))


def _stamped(session: Session, identity: Identity) -> Session:
    return replace(session, **{name: getattr(identity, name) for name in _STAMPS})


def _framed(seminar: Seminar, frame: Frame) -> Callable[[Session], str]:
    """What gives the digest of the frame around a session: of the seminar's name too, which is in every event."""
    everywhere = seminar.name_in("zh"), seminar.name_in("en"), frame.base_url

    @functools.cache
    def around(levels: tuple[tuple[str, Audience], ...]) -> str:
        return hashlib.sha256(json.dumps((everywhere, levels)).encode()).hexdigest()

    hidden = [(name, level) for name, level in sorted(frame.levels.items()) if level > Audience.PUBLIC]
    return lambda session: around(tuple((name, level) for name, level in hidden if _holds(session, name)))


def _holds(session: Session, join_field: str) -> bool:
    room = session.room
    if join_field == "livestream":
        return session.livestream != Livestream()
    return bool(getattr(room, join_field)) or (join_field == "passcode" and room.url != without_passcode(room.url))


def _identity(session: Session, around: str, known: Identity | None, domain: str, now: datetime) -> Identity:
    content = digest(session)
    shown = f"{content}.{around}"
    second = now.astimezone(UTC).replace(microsecond=0)
    if known is None:
        return Identity(session.id, uid(session.id, domain), shown, 0, second, second)
    if known.digest == shown:
        return known
    if known.digest == content:  # from before frames were kept: nobody knows of another one
        return replace(known, digest=shown)
    # Calendars compare: an edit within the second of the last one, or after the clock was set back, still is later.
    modified = max(known.modified + timedelta(seconds=1), second)
    is_edited = known.digest.partition(".")[0] != content
    edited = None if is_edited else known.edited or known.modified
    return replace(known, digest=shown, revision=known.revision + 1, modified=modified, edited=edited)


def digest(session: Session) -> str:
    """The SHA-256 of all that a reader is shown of the session, as hexadecimal digits.

    Times count as the clock in the session's zone shows them: when a zone's law changes, the session stays as it is.
    """
    canonical = json.dumps(_content(session, session.timezone), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


# Not shown to readers: what the session is called, whether its changes are told, and the stamps themselves.
_HIDDEN = frozenset(("id", "quiet", *_STAMPS))


@functools.cache
def _content_fields(kind: type) -> tuple[str, ...]:
    return tuple(sorted(f.name for f in fields(kind) if kind is not Session or f.name not in _HIDDEN))


def _content(value: Any, zone: str) -> Any:
    """The value as JSON knows it, without what is unknown: a field that the model gains later changes no digest."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return _wall_clock(value, zone)
    if isinstance(value, tuple):
        return [_content(item, zone) for item in value]
    if is_dataclass(value):
        items = ((name, getattr(value, name)) for name in _content_fields(value.__class__))
        return {name: content for name, item in items if item and (content := _content(item, zone))}
    return value


def _wall_clock(moment: datetime, zone: str) -> str:
    local = moment.astimezone(ZoneInfo(zone))
    # In the hour that is lived through twice, `fold` tells which of the two is meant.
    return local.replace(tzinfo=None).isoformat() + "+" * local.fold


class ChangeKind(StrEnum):
    """What happened to a session between two lists, in the order in which it matters."""

    CANCELLED = "cancelled"
    RESTORED = "restored"
    MOVED = "moved"
    NEW = "new"
    FILLED_IN = "filled in"
    RETITLED = "retitled"
    CHANGED = "changed"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one session, in words. A material change is told to those who know the old state."""

    session_id: str
    kind: ChangeKind
    words: str
    material: bool = False


def diff(old: Seminar | None, new: Seminar, language: str = "en") -> tuple[Change, ...]:
    """What the new list, its sessions recognised, would change: session by session in the order of their dates."""
    then = {session.id: session for session in old.sessions} if old else {}
    now = {session.id: session for session in new.sessions}
    every = sorted({**then, **now}.values(), key=lambda session: (session.start.timestamp(), session.id))
    changes = (_change(then.get(session.id), now.get(session.id), language) for session in every)
    return tuple(filter(None, changes))


def summary(changes: Iterable[Change]) -> str:
    """The changes in one line: `1 moved, 2 new, 1 filled in`."""
    counts = Counter(change.kind for change in changes)
    return ", ".join(f"{counts[kind]} {kind}" for kind in ChangeKind if counts[kind]) or "no changes"


def _change(old: Session | None, new: Session | None, language: str) -> Change | None:
    if new is None:
        return Change(old.id, ChangeKind.VANISHED, _named(old, language)) if old else None
    if old is None:
        return Change(new.id, ChangeKind.NEW, _named(new, language))
    found = differences(old, new)
    if not found:
        return None
    words = dict.fromkeys(describe(difference, language) for difference in found)
    is_off = old.is_cancelled and new.is_cancelled  # whoever is to know of it knows that already
    return Change(new.id, _kind(found), "; ".join(words), not is_off and any(map(is_material, found)))


def _kind(found: Sequence[Difference]) -> ChangeKind:
    by_field = {difference.field: difference for difference in found}
    status = by_field.get(Field.STATUS)
    if status and is_schedule(status):
        return ChangeKind.CANCELLED if status.after == Status.CANCELLED else ChangeKind.RESTORED
    if Field.TIME in by_field:
        return ChangeKind.MOVED
    if not any(difference.before for difference in found) and Field.OTHER not in by_field:
        return ChangeKind.FILLED_IN
    if any(d.field is Field.TITLE and d.before and d.after for d in found) and not any(map(is_material, found)):
        return ChangeKind.RETITLED
    return ChangeKind.CHANGED


def _named(session: Session, language: str = "en") -> str:
    speakers = ", ".join(speaker.name for speaker in session.speakers)
    when = spell_times(times_of(session), language)
    return f"{when}, {speakers}" if speakers else when


ACCEPT = "run notifier reload --accept-removals"


def vanished(old: Seminar, new: Seminar) -> tuple[Problem, ...]:
    """What the new list, its sessions recognised, lacks without a word: sessions, talks, the ends of texts.

    A cancelled session may go: whoever had it in the calendar has been told.
    """
    now = {session.id: session for session in new.sessions}
    problems: list[Problem] = []
    traces: set[str] | None = None
    for session in old.sessions:
        successor = now.get(session.id)
        if successor is None:
            if not session.is_cancelled:
                problems.append(_missing_session(session))
        elif successor.talks != session.talks and not successor.is_cancelled:
            traces = _traces(new) if traces is None else traces
            problems += _lost_in(session, successor, traces)
    return tuple(problems)


def is_cut(old_text: AnyStr, new_text: AnyStr) -> bool:
    """Whether the new text is the old one cut off: half written, or half sent."""
    return len(new_text) < len(old_text) and old_text.startswith(new_text)


def _missing_session(session: Session) -> Problem:
    return Problem(
        f'session "{session.id}" ({_named(session)}) is gone from the list',
        f'put it back, mark it status = "cancelled" so that readers are told, or {ACCEPT}',
    )


def _traces(seminar: Seminar) -> set[str]:
    return {trace for session in seminar.sessions for talk in session.talks for trace in traces_of(talk)}


def _lost_in(old: Session, new: Session, traces: set[str]) -> Iterator[Problem]:
    """The talks and texts that the new state of a session lacks; `traces` are those of all talks in the new list."""
    pairs = paired_talks(old.talks, new.talks)
    kept = [before for before, after in pairs if after != Talk()]
    joined = names_of(new.speakers) - names_of(speaker for talk in kept for speaker in talk.speakers)
    for before, after in pairs:
        if after != Talk():
            yield from _cut_texts(before, after, old)
        elif len(new.talks) < len(old.talks) and _is_gone(before, traces | joined):
            yield _missing_talk(before, old)


def _is_gone(talk: Talk, traces: set[str]) -> bool:
    return talk != Talk() and (traces_of(talk) | names_of(talk.speakers)).isdisjoint(traces)


def _cut_texts(before: Talk, after: Talk, session: Session) -> Iterator[Problem]:
    for name in ("abstract", "abstract_zh", "bio"):
        text = getattr(after, name)
        if text and is_cut(getattr(before, name), text):
            what = f'{name.removesuffix("_zh")} of {_called(after)} in session "{session.id}"'
            yield Problem(
                f'the {what} now ends at "{text[-20:]}"',
                f"restore the rest, or {ACCEPT}",
            )


def _missing_talk(talk: Talk, session: Session) -> Problem:
    return Problem(
        f'{_called(talk)} is gone from session "{session.id}"',
        f'put it back, mark the session status = "cancelled", or {ACCEPT}',
    )


def _called(talk: Talk) -> str:
    speakers = ", ".join(speaker.name for speaker in talk.speakers)
    title = talk.title or talk.title_zh
    return " by ".join(filter(None, (f'the talk "{title}"' if title else "the talk", speakers)))
