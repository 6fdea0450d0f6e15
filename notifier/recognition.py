"""Old `Seminar` + new `Seminar` → the same sessions recognised, whatever was edited between the two."""

from __future__ import annotations

import functools
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

from notifier.errors import Problem
from notifier.talks import Seminar, Session, Speaker, Talk

_NEAREST = 4  # of many sessions that share a key, only those nearest in time are compared
_ROUNDS = 16  # enough for any list but one of hundreds of sessions that look the same
_A_MOVE = timedelta(days=60)  # the same speaker with another title further away comes a second time


def recognise(
    old: Seminar | None, new: Seminar, *, has_ids: bool, taken: frozenset[str] = frozenset()
) -> tuple[Seminar, tuple[Problem, ...]]:
    """The new seminar with each session under the id of the old session that it is, and what is doubtful in it.

    Where the ids are the organiser's own words (`has_ids`) an equal id decides, and an id that was changed while the
    content stayed is put back with a warning. Elsewhere an id is only a proposal and the content decides; a session
    that is new then gets an id that no session ever had, `taken` being those of all that ever were.
    """
    if old is None:
        return new, ()
    matching = _Matching(old.sessions, new.sessions)
    if has_ids:
        matching.pair_by_id()
    for evidence in _PLAIN_EVIDENCE if has_ids else _EVIDENCE:
        matching.pair_by(evidence)
    used = {session.id for session in matching.origins.values()}
    if not has_ids:
        used |= taken | {session.id for session in old.sessions}
    return _renamed(new, matching.origins, used, has_ids)


def _renamed(
    seminar: Seminar, origins: dict[int, Session], used: set[str], has_ids: bool
) -> tuple[Seminar, tuple[Problem, ...]]:
    unused_id = _unused_ids(used)
    sessions, problems = [], []
    for place, session in enumerate(seminar.sessions):
        origin = origins.get(place)
        known_as = origin.id if origin else unused_id(session)
        used.add(known_as)
        if has_ids and known_as != session.id:
            problems.append(_changed_id(session, known_as, origin))
        sessions.append(session if known_as == session.id else replace(session, id=known_as))
    return replace(seminar, sessions=tuple(sessions)), tuple(problems)


def _unused_ids(used: set[str]) -> Callable[[Session], str]:
    """Gives a session its own id where nobody has it, else its date with the next free number."""
    numbers: dict[str, Iterator[int]] = {}

    def unused_id(session: Session) -> str:
        if session.id not in used:
            return session.id
        date = _date(session)
        candidates = (f"{date}-{number}" for number in numbers.setdefault(date, count(2)))
        return next(candidate for candidate in candidates if candidate not in used)

    return unused_id


def _changed_id(session: Session, known_as: str, origin: Session | None) -> Problem:
    if origin:
        return Problem(
            f'session "{session.id}" was called "{known_as}" before, and calendars know it by that',
            f'put id = "{known_as}" back; until then it is treated as "{known_as}"',
        )
    return Problem(
        f'the id "{session.id}" belongs to another session',
        f'give the one on {session.start:%Y-%m-%d} an id of its own; until then it is called "{known_as}"',
    )


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A reason to take two sessions for the same: they share a key, and nothing speaks against it."""

    keys: Callable[[Session], Iterable[Hashable]]
    agrees: Callable[[Session, Session], bool] = lambda _old, _new: True


class _Matching:
    """Old and new sessions being paired, one to one; those left over are tried again on weaker evidence.

    `origins` has, by its place among the new ones, the old session that a session is.
    """

    def __init__(self, olds: Sequence[Session], news: Sequence[Session]) -> None:
        self.origins: dict[int, Session] = {}
        self._olds = list(olds)
        self._news = dict(enumerate(news))

    def pair_by_id(self) -> None:
        """Pairs those of equal id, unless it is only borrowed."""
        by_id = {session.id: number for number, session in enumerate(self._olds)}
        pairs = {}
        for place, session in self._news.items():
            number = by_id.get(session.id)
            if number is not None and not _is_borrowed(self._olds[number], session):
                pairs[place] = by_id.pop(session.id)
        self._settle(pairs)

    def pair_by(self, evidence: _Evidence) -> None:
        """Pairs those that share the most keys, then those nearest in time, until no two are left that share any."""
        for _ in range(_ROUNDS):
            pairs = self._best_pairs(self._candidates(evidence))
            if not pairs:
                break
            self._settle(pairs)

    def _settle(self, pairs: dict[int, int]) -> None:
        for place, number in pairs.items():
            self.origins[place] = self._olds[number]
            del self._news[place]
        paired = set(pairs.values())
        self._olds = [session for number, session in enumerate(self._olds) if number not in paired]

    def _candidates(self, evidence: _Evidence) -> Counter[tuple[int, int]]:
        """How many keys an old and a new session share, by the number of the one and the place of the other."""
        starts = [session.start.timestamp() for session in self._olds]
        index: dict[Hashable, list[int]] = {}
        for number, session in enumerate(self._olds):
            for key in evidence.keys(session):
                index.setdefault(key, []).append(number)
        shared: Counter[tuple[int, int]] = Counter()
        for place, session in self._news.items():
            for key in evidence.keys(session):
                for number in _nearest(index.get(key, ()), starts, session.start.timestamp()):
                    if evidence.agrees(self._olds[number], session):
                        shared[number, place] += 1
        return shared

    def _best_pairs(self, shared: Counter[tuple[int, int]]) -> dict[int, int]:
        def rank(pair: tuple[int, int]) -> tuple[int, timedelta, int, int]:
            number, place = pair
            return -shared[pair], abs(self._olds[number].start - self._news[place].start), number, place

        pairs: dict[int, int] = {}
        paired: set[int] = set()
        for number, place in sorted(shared, key=rank):
            if number not in paired and place not in pairs:
                paired.add(number)
                pairs[place] = number
        return pairs


def _nearest(numbers: Sequence[int], starts: Sequence[float], start: float) -> Sequence[int]:
    if len(numbers) <= _NEAREST:
        return numbers
    middle = bisect_left(numbers, start, key=lambda number: starts[number])
    return numbers[max(0, middle - _NEAREST // 2) : middle + _NEAREST // 2]


def _is_borrowed(old: Session, new: Session) -> bool:
    """Whether an equal id is only the date's: one session moved away under it, and another has that date now.

    So it is when a page whose sessions had moved is turned into a list with an id for each date.
    """
    named_by_date = new.id.startswith(_date(new)) and not old.id.startswith(_date(old))
    return named_by_date and _contradict(old, new)


def _contradict(old: Session, new: Session) -> bool:
    """Whether what both tell of their speakers, or else of their titles, has nothing in common."""
    for ours, theirs in ((names_of(old.speakers), names_of(new.speakers)), (_titles(old), _titles(new))):
        if ours and theirs:
            return ours.isdisjoint(theirs)
    return False


def _is_near(old: Session, new: Session) -> bool:
    return abs(old.start - new.start) <= _A_MOVE


def _unchanged(session: Session) -> Iterator[Hashable]:
    yield session.start.timestamp(), session.talks


def _replays(session: Session) -> set[str]:
    return {talk.replay for talk in session.talks if talk.replay}


def _contributions(session: Session) -> set[tuple[str, str]]:
    return {(title, name) for talk in session.talks for title in titles_of(talk) for name in names_of(talk.speakers)}


def _slots(session: Session) -> Iterator[Hashable]:
    return ((session.start.timestamp(), word) for word in names_of(session.speakers) | _titles(session))


def _titles(session: Session) -> set[str]:
    return {title for talk in session.talks for title in titles_of(talk)}


def _names(session: Session) -> set[str]:
    return names_of(session.speakers)


def _dates(session: Session) -> Iterator[Hashable]:
    yield _date(session)


def _starts(session: Session) -> Iterator[Hashable]:
    yield session.start.timestamp()


def _date(session: Session) -> str:
    return session.start.date().isoformat()


_PLAIN_EVIDENCE = (
    _Evidence(_unchanged),
    _Evidence(_replays),
    _Evidence(_contributions),
    _Evidence(_slots),
    _Evidence(_titles),
    _Evidence(_dates, lambda old, new: not _contradict(old, new)),
)
# Where nothing names a session, one that would otherwise be lost is more likely the one with its speaker, or at last
# with its time, than gone: so the people who have it in their calendars learn of the change.
_EVIDENCE = (*_PLAIN_EVIDENCE, _Evidence(_names, _is_near), _Evidence(_starts))


def paired_talks(olds: Sequence[Talk], news: Sequence[Talk]) -> list[tuple[Talk, Talk]]:
    """The same talk before and after, in the new order; an empty `Talk` stands for one that the other side lacks."""
    origins: dict[int, Talk] = {}
    rest = list(olds)
    for is_same in (Talk.__eq__, _share_a(_speaker), _share_a(titles_of), _share_a(_replay), lambda _old, _new: True):
        for place, talk in enumerate(news):
            if place not in origins and (found := [i for i, old in enumerate(rest) if is_same(old, talk)][:1]):
                origins[place] = rest.pop(found[0])
    pairs = [(origins.get(place, Talk()), talk) for place, talk in enumerate(news)]
    return pairs + [(talk, Talk()) for talk in rest]


def traces_of(talk: Talk) -> set[str]:
    """By what a talk is found again elsewhere: its title and replay or, when it has neither, its speakers."""
    return titles_of(talk) | _replay(talk) or _speaker(talk)


def titles_of(talk: Talk) -> set[str]:
    """The letters and digits of the talk's titles in lower case: how they are punctuated decides nothing."""
    titles = ("".join(filter(str.isalnum, title.casefold())) for title in (talk.title, talk.title_zh))
    return set(filter(None, titles))


def names_of(speakers: Iterable[Speaker]) -> set[str]:
    """Every name that these speakers go by: `Le Lu (吕乐)` is known as either."""
    return {name for speaker in speakers for name in _spellings(speaker.name)}


@functools.lru_cache(4096)
def _spellings(name: str) -> frozenset[str]:
    return frozenset(filter(None, (part.strip().casefold() for part in re.split("[()()]", name))))


def _speaker(talk: Talk) -> set[str]:
    return names_of(talk.speakers)


def _replay(talk: Talk) -> set[str]:
    return {talk.replay} - {""}


def _share_a(keys: Callable[[Talk], set[str]]) -> Callable[[Talk, Talk], bool]:
    return lambda old, new: not keys(old).isdisjoint(keys(new))
