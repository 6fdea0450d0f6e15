"""What mail is about: the kinds of notice, whom each is for, the rules that make them due, and facts about the past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum

from notifier.bulletins import Bulletin
from notifier.talks import Audience, Session

LAST_DAY = timedelta(hours=24)  # mail so close to the start may show the join fields of reminders


Key = tuple[str, str, int]


class Kind(StrEnum):
    """What a notice is for; each kind has its templates `templates/mail/<kind>.txt` and `.html`."""

    ANNOUNCEMENT = "announcement"
    REMINDER = "reminder"
    CHANGE = "change"
    CANCELLED = "cancelled"
    URGENT = "urgent"
    REPLAY = "replay"
    CONFIRMATION = "confirmation"
    WELCOME = "welcome"


OF_SUBSCRIPTIONS = (Kind.CONFIRMATION, Kind.WELCOME)  # to one person, about their subscription
BESIDE = "@"  # no session's id holds it


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom a notice is for, among the subscribers confirmed when it opens.

    `everyone`, but who declined announcements; or those whose own lead times hold one of `leads` and, where
    `by_default`, those without lead times of their own, but who declined reminders; none of them while they pause,
    nor where the session holds none of the words that they look for. Likewise `replays`, all but who declined those.
    And where `told`, those who were told of the session before or are queued to be, whatever they wish.
    """

    everyone: bool = False
    leads: frozenset[timedelta] = frozenset()
    by_default: bool = False
    told: bool = False
    replays: bool = False

    def __or__(self, other: Recipients) -> Recipients:
        return Recipients(
            self.everyone or other.everyone,
            self.leads | other.leads,
            self.by_default or other.by_default,
            self.told or other.told,
            self.replays or other.replays,
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """One announcement about one session, due at one instant, addressed to nobody yet.

    `rule` names what made it due (`announcement`, `reminder-1d`, `change-2`, `urgent-1`); `generation` counts the
    changes of schedule that people were told of. No subscriber ever gets two of the same (session, rule, generation).
    `head_start` is how much earlier than its rule says it is due, so that the last one gets it in time, too.

    One about a subscription has `@` before the id of the session that it tells of besides, or `@` alone; its rule is
    its kind, and its generation counts all of that kind.
    """

    session_id: str
    kind: Kind
    rule: str
    generation: int
    due: datetime
    deadline: datetime
    lead: timedelta | None = None
    recipients: Recipients = Recipients()
    head_start: timedelta = timedelta()

    @property
    def told_session(self) -> str:
        """The id of the session that its readers are told of; "" where there is none."""
        return self.session_id.removeprefix(BESIDE)

    @property
    def key(self) -> Key:
        """What makes it this notice and no other, for ever."""
        return self.session_id, self.rule, self.generation

    @property
    def name(self) -> str:
        """The key as people write it: `2021-11-27/change-1/1`."""
        return "/".join(map(str, self.key))

    @property
    def ruled(self) -> datetime:
        """When its rule alone makes it due."""
        return self.due + self.head_start


class Verdict(StrEnum):
    """What is to become of a notice now."""

    WAITING = "waiting"
    OPEN = "open"
    SUPERSEDED = "superseded"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Decision:
    """A notice, its verdict now, and the reason in words. `before` is what people were told, where that has changed.

    `needs_approval` where it waits until a person lets it out, or its due instant comes.
    """

    notice: Notice
    verdict: Verdict
    reason: str = ""
    before: Session | None = None
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """How long before a session each kind of notice is due.

    A change waits for `settle`, and one for more than `approve_above` people (0 for any number) for a person's word
    or `approve_within`. What can be seen of a session when it is over is told `replay` after its last edit.
    """

    announcement: timedelta | None = timedelta(days=7)
    announcement_at: time = time(9, 0)
    reminders: tuple[timedelta, ...] = (timedelta(days=1), timedelta(hours=1))
    settle: timedelta = timedelta(minutes=10)
    approve_above: int = 0
    approve_within: timedelta = timedelta(minutes=30)
    replay: timedelta | None = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Settled:
    """A fact: this notice was opened, superseded, skipped or expired at that time. `reached` counts its people."""

    kind: Kind
    rule: str
    generation: int
    verdict: Verdict
    at: datetime
    reached: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ledger knows of the past.

    `baseline` is the daemon's first start; `rules` when each rule was first seen; `settled` the notices of each
    session that are settled; `told` the session as people were last told of it; `leads` the lead times that
    subscribers chose for themselves; `approved` the notices that a person let out, and when; `bulletins` the last one
    of each session; `used_until` until when another copy of this ledger was in use, of whose mail this one knows
    nothing, None where there is none.
    """

    baseline: datetime
    rules: Mapping[str, datetime] = field(default_factory=dict)
    settled: Mapping[str, tuple[Settled, ...]] = field(default_factory=dict)
    told: Mapping[str, Session] = field(default_factory=dict)
    leads: frozenset[timedelta] = frozenset()
    approved: Mapping[Key, datetime] = field(default_factory=dict)
    bulletins: Mapping[str, Bulletin] = field(default_factory=dict)
    used_until: datetime | None = None


def audience(kind: Kind, session: Session, now: datetime) -> Audience:
    """Who a mail of this kind goes to, as far as the join fields of the session are concerned."""
    # Whose address is to be confirmed is not known yet; and when a session is over, nobody needs to join it.
    if kind in (Kind.CONFIRMATION, Kind.REPLAY):
        return Audience.PUBLIC
    return Audience.REMINDER if session.start - now <= LAST_DAY else Audience.SUBSCRIBERS
