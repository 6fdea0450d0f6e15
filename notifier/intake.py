"""A talk list's bytes + the last accepted list → the next one to publish, or why it is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from notifier import bulletins, revisions, talklists
from notifier.errors import Problem, TalkListError
from notifier.revisions import BARE, Frame, Identity
from notifier.talklists import Context, Reading
from notifier.talks import Seminar


@dataclass(frozen=True, slots=True)
class Accepted:
    """The last talk list that was taken, as published. `text` is what was read, to know a cut list from it."""

    seminar: Seminar
    text: bytes
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Intake:
    """A list that may be published: with the identities that are new or changed, and what is doubtful in it."""

    accepted: Accepted
    identities: tuple[Identity, ...]
    warnings: tuple[Problem, ...]


def take(
    data: bytes,
    context: Context,
    *,
    form: str,
    previous: Accepted | None,
    identities: Mapping[str, Identity],
    domain: str,
    now: datetime,
    allow_removals: bool = False,
    untold: Collection[str] = (),
    lines: Mapping[str, str] = MappingProxyType({}),
    frame: Frame = BARE,
) -> Intake:
    """The list in these bytes as the successor of the previous one, its sessions recognised and stamped.

    Sessions that it lacks and whose ids are `untold`, cancelled ones of which somebody has yet to be told, stay.
    `lines` are those of the bulletins that are out, by the id of the session that they are about.

    Raises:
        SourceError: the bytes are no text.
        TalkListError: it is no list, or it lacks what the previous one had and `allow_removals` is not set: a session
            that vanished is a question to the organiser, and a third of all cut lists still parse.
    """
    reading = talklists.read(data, context, form)
    old = previous.seminar if previous else None
    recognised, doubts = recognise(reading, old, identities)
    if previous and not allow_removals:
        refuse_losses(previous, data, recognised, context.source)
        recognised = _with_untold(previous.seminar, recognised, untold)
    recognised = bulletins.with_lines(recognised, lines)
    stamped, changed = revisions.stamp(recognised, identities, domain=domain, now=now, previous=old, frame=frame)
    return Intake(Accepted(stamped, data, context.source, now), changed, (*reading.warnings, *doubts))


def _with_untold(old: Seminar, new: Seminar, untold: Collection[str]) -> Seminar:
    kept = {session.id for session in new.sessions}
    staying = tuple(s for s in old.sessions if s.id in untold and s.id not in kept)
    return replace(new, sessions=(*new.sessions, *staying)) if staying else new


def recognise(reading: Reading, old: Seminar | None, identities: Iterable[str]) -> tuple[Seminar, tuple[Problem, ...]]:
    """The seminar that was read, its sessions under the ids by which they are known."""
    return revisions.recognise(old, reading.seminar, has_ids=reading.has_ids, taken=frozenset(identities))


def refuse_losses(previous: Accepted, data: bytes, new: Seminar, source: str) -> None:
    """Raises TalkListError where the new list is the old one cut off, or silently lacks a session or a talk."""
    lost = [p.in_source(source) for p in revisions.vanished(previous.seminar, new)]
    if revisions.is_cut(previous.text, data):
        told = "the list ends here: it is the last accepted one cut off"
        lost.insert(0, Problem(told, f"restore the rest, or {revisions.ACCEPT}", source, data.count(b"\n") + 1))
    if lost:
        raise TalkListError(lost)
