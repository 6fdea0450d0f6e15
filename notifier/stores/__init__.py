"""The ledger: facts about the past, kept for ever or until a person forgets them; one interface, one file an engine.

A delivery is one notice for one subscriber and goes `queued → claimed → in-flight → sent | deferred | failed |
ambiguous`; it ends unsent only as `expired` or `cancelled`, with the reason in its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from notifier.bulletins import Bulletin
from notifier.intake import Accepted
from notifier.notices import Decision, Facts, Kind, Notice
from notifier.returns import Meaning
from notifier.revisions import Identity
from notifier.subscribers import State, Subscriber
from notifier.talks import Seminar, Session

LANES = ("", "fallback")  # the names of the mail servers in the ledger, the first one's and the second one's
HIGH_WATER = "high_water"  # the fact that has the latest time at which the store was in use
BACKUP = "backup"  # the fact that has the time at which a copy was made, in the copy
USED_UNTIL = "used_until"  # the fact that has until when another copy was in use, of whose mail this one knows nothing
APPROVAL = "approved/"  # with a notice's key behind it, the name of the fact that a person let it out


class DeliveryState(StrEnum):
    """Where one delivery stands."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    IN_FLIGHT = "in-flight"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery that this process is to make now.

    `opened_at` is the Date of every attempt; `session` is as it was then, and `before`, in a change, as people knew it.
    A notice about a subscription may have no session.
    `attempts` counts the tries that the mail server answered, `resends` those after one that may have arrived, and
    `is_resend` tells that this is such a one. `lane` is the mail server that it was in flight to, "" the first.
    """

    notice_id: int
    notice: Notice
    subscriber: Subscriber
    opened_at: datetime
    session: Session | None
    attempts: int = 0
    is_resend: bool = False
    before: Session | None = None
    resends: int = 0
    lane: str = ""

    @property
    def key(self) -> tuple[int, int]:
        """The ledger's key for this delivery."""
        return self.notice_id, self.subscriber.id


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a claim: its new state, when it may be tried again, and the mail server's words.

    An address that is said to be dead blocks its subscriber.
    """

    claim: Claim
    state: DeliveryState
    not_before: datetime | None = None
    code: int | None = None
    reply: str = ""
    counts: bool = True
    is_dead_address: bool = False


@dataclass(frozen=True, slots=True)
class Returned:
    """A mail that was sent and came back, or what its reader said of it; `notice` is the notice's key."""

    notice: tuple[str, str, int]
    subscriber_id: int
    meaning: Meaning
    said: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the ledger, for people to read; `came_back` and `said` tell what was heard of it after it was sent.

    One that may have arrived `is_undecided` where it is sent again only when a person says so.
    """

    notice: Notice
    subscriber_id: int
    address: str
    state: DeliveryState
    attempts: int
    opened_at: datetime
    updated_at: datetime
    reply: str = ""
    came_back: Meaning | None = None
    said: str = ""
    is_undecided: bool = False


@dataclass(frozen=True, slots=True)
class Consent:
    """A fact about a subscriber: when they came into a state, and how: by form, import, link, returned mail."""

    at: datetime
    state: State
    how: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The ledger in numbers: deliveries and subscribers by state, people still owed, and what came back.

    `errors` and `blocked` are the last few of their kind. `doubted` are those said to be dead and mailed all the same,
    because so many at once were said to be. Of `undecided` deliveries a person may still say whether to resend them.
    """

    deliveries: Mapping[str, int] = field(default_factory=dict)
    subscribers: Mapping[str, int] = field(default_factory=dict)
    overdue: int = 0
    errors: Sequence[Delivery] = ()
    blocked: Sequence[Subscriber] = ()
    returned: Mapping[str, int] = field(default_factory=dict)
    doubted: int = 0
    undecided: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the mailing of one notice is, of which something is still to be done."""

    notice: Notice
    deliveries: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many people it is for."""
        return sum(self.deliveries.values())

    @property
    def done(self) -> int:
        """How many of them are settled: reached, or given up."""
        return self.total - self.waiting

    @property
    def waiting(self) -> int:
        """How many of them it may still reach."""
        return sum(
            self.deliveries.get(state, 0) for state in ("queued", "claimed", "in-flight", "deferred", "ambiguous")
        )


@dataclass(frozen=True, slots=True)
class Punctuality:
    """How soon after a notice was due half of its people had it, and then all who have it; `sent` counts those."""

    notice: Notice
    sent: int
    half: timedelta
    all: timedelta


@dataclass(frozen=True, slots=True)
class Review:
    """The latest notices in numbers, the newest first; `growth` tells how many were confirmed at the end of each day.

    `tally` has the deliveries of each session by state; `lost` those that failed or came back.
    """

    tally: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    punctuality: Sequence[Punctuality] = field(default_factory=list)
    growth: Sequence[tuple[datetime, int]] = field(default_factory=list)
    lost: Sequence[Delivery] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that speaks against the ledger: which check found it, what is wrong, with which notice, for whom."""

    check: str
    what: str
    notice: str = ""
    subscriber_id: int | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the ledger holds, for a proof: `facts` and the `accepted` list as of one moment, kept `until` then.

    `ambiguous` deliveries may have arrived; `resent` ones were sent and may have arrived before already.
    """

    accepted: Accepted | None = None
    facts: Facts | None = None
    until: datetime | None = None
    notices: int = 0
    deliveries: Mapping[str, int] = field(default_factory=dict)
    ambiguous: int = 0
    resent: int = 0
    findings: Sequence[Finding] = ()


class Ended(NamedTuple):
    """How many deliveries ended unsent: their people left, or their deadline passed."""

    left: int
    late: int


class Store(Protocol):
    """What every engine offers. Each call is one transaction: it happens whole or not at all, also in a crash."""

    async def close(self) -> None:
        """Ends all work on the store."""
        ...

    async def begin(self, now: datetime, rules: Iterable[str], lanes: Iterable[str] = LANES) -> None:
        """Notes the first start and new rules; claims of a dead run go back, its mails in flight become ambiguous.

        What may have arrived by a lane that is none of these is undecided: nobody else could tell that it is the same.
        """
        ...

    async def announce(self, bulletin: Bulletin) -> None:
        """Keeps the bulletin in place of the one of the session before."""
        ...

    async def fact(self, name: str, default: str = "") -> str:
        """A small fact by name: the link key, the clock's high-water mark, whether sending is on hold."""
        ...

    async def note(self, facts: Mapping[str, str]) -> None:
        """Keeps small facts by name."""
        ...

    async def facts(self) -> Facts:
        """All that `verdicts.decide` needs to know of the past."""
        ...

    async def accepted(self) -> Accepted | None:
        """The last talk list that was taken."""
        ...

    async def accept(self, accepted: Accepted, identities: Iterable[Identity]) -> None:
        """Takes a talk list, with the identities that are new or changed."""
        ...

    async def identities(self) -> dict[str, Identity]:
        """Every session that ever was, by id."""
        ...

    async def settle(self, decisions: Sequence[Decision], session: Session, now: datetime) -> list[int]:
        """Opens or otherwise settles notices of one session, each once for ever; tells how many people each is for.

        Opening makes every delivery's row. A change also takes over the rows of the session that still wait, so that
        nobody is told of the old state and nobody is forgotten; and a bulletin those of what would say less than it.
        """
        ...

    async def claim(self, limit: int, now: datetime, paused: Iterable[str] = ()) -> list[Claim]:
        """Up to so many deliveries that may be made now, this process's own: urgent ones, then by the soonest deadline.

        Those of the paused sessions wait: a change of them is about to be told.
        """
        ...

    async def intend(self, claims: Sequence[Claim], now: datetime, results: Sequence[Result] = ()) -> list[bool]:
        """Whether each claim still stands: then it is durably in flight to its lane, and its DATA may begin.

        What became of earlier claims is kept in the same transaction, as by `record`.
        """
        ...

    async def record(self, results: Sequence[Result], now: datetime) -> None:
        """Keeps what became of claims."""
        ...

    async def expire(self, now: datetime) -> Ended:
        """Ends what could not be sent before its deadline, and what is owed to people who left; tells how many.

        Forgets who did not confirm within `CONFIRM_WITHIN`.
        """
        ...

    async def decide(self, now: datetime, *, resend: bool) -> int:
        """Settles what may have arrived and waits for a person, and tells how many: sent once more, or counted as sent.

        What is too late to be sent can only be counted.
        """
        ...

    async def count_as_sent(self, until: datetime) -> int:
        """Settles as sent all that waits of notices which were due by then, and tells how many.

        So had a copy of this store sent it, which was in use until then.
        """
        ...

    async def subscribe(
        self, subscribers: Iterable[Subscriber], now: datetime, *, how: str = "", brings_back: bool = True
    ) -> list[bool]:
        """Adds or, by address, updates subscribers as a person says; tells for each whether it is new.

        `how` it came about is kept with every change of state, as the record of consent. Who left or is blocked stays
        so unless it `brings_back`.
        """
        ...

    async def set_state(
        self, subscriber_id: int, state: State, now: datetime, *, how: str = "", reason: str = ""
    ) -> Subscriber | None:
        """The subscriber in this state, where `State.may_become` allows it, else as they are; None for a stranger.

        `reason` is why they are blocked.
        """
        ...

    async def come_back(
        self, returned: Returned, now: datetime, *, limit: int, within: timedelta
    ) -> tuple[bool, Subscriber | None]:
        """Notes what came back; tells whether it was news, and whom it blocked.

        A dead address and a complaint block the subscriber, and so does the `limit`th soft return `within` this time.
        Of very many dead ones in a day not all are believed: the server may be at fault.
        The same tale of a delivery or a lesser one is no news, nor is that of one which the ledger does not know.
        """
        ...

    async def ask(
        self, one: Subscriber, session: Session | None, now: datetime, *, per_address: int, in_all: int
    ) -> Kind | None:
        """Opens the mail that answers a request for a subscription, which tells of the session besides.

        It asks the address to confirm or, where it is confirmed already, welcomes it again, at most `per_address`
        times a day, and while nobody confirms twice as many in `CONFIRM_WITHIN`. None where nothing is sent.

        Raises LimitError where `in_all` such mails were opened within the hour already.
        """
        ...

    async def confirm(
        self, subscriber_id: int, session: Session | None, now: datetime, *, per_address: int
    ) -> Subscriber | None:
        """Confirms a subscription, where `State.may_become` allows it, and opens the mail that welcomes them."""
        ...

    async def prefer(self, wishes: Subscriber, now: datetime) -> Subscriber | None:
        """Takes over name, language, zone and all wishes, by id; address and state stay. None for a stranger."""
        ...

    async def revoke(self, subscriber_id: int, now: datetime) -> Subscriber | None:
        """Makes the private links given so far void, but those that unsubscribe. None for a stranger."""
        ...

    async def erase(self, subscriber_id: int, now: datetime) -> bool:
        """Forgets a subscriber: what was sent stays as numbers, without an address; False for a stranger."""
        ...

    async def consents(self, subscriber_id: int) -> list[Consent]:
        """How one subscriber came into each state, oldest first."""
        ...

    async def subscribers(self) -> list[Subscriber]:
        """Everyone, by address."""
        ...

    async def subscriber_of(self, subscriber_id: int) -> Subscriber | None:
        """The subscriber with this number."""
        ...

    async def subscriber(self, address: str) -> Subscriber | None:
        """The subscriber at this address, in any spelling of case."""
        ...

    async def deliveries(self, subscriber_id: int) -> list[Delivery]:
        """Everything that was ever owed to one subscriber, oldest first."""
        ...

    async def documents(self) -> dict[str, tuple[str, datetime]]:
        """The entity tag and the time of change of every document that was published, by its key."""
        ...

    async def publish(self, documents: Mapping[str, tuple[str, datetime]]) -> None:
        """Keeps entity tags and times of change of documents."""
        ...

    async def counts(self, notices: Sequence[Notice], seminar: Seminar) -> list[int]:
        """How many people each notice about a session of this seminar would reach if it opened when it is due."""
        ...

    async def progress(self) -> list[Progress]:
        """Every mailing that is not over, soonest deadline first."""
        ...

    async def summary(self, now: datetime) -> Summary:
        """The ledger in numbers."""
        ...

    async def audit(self, now: datetime, *, is_running: bool) -> Audit:
        """The ledger held against its own promise; whether a daemon `is_running` tells what may be on its way."""
        ...

    async def review(self, notices: int) -> Review:
        """What became of so many of the latest notices, and how the number of subscribers grew."""
        ...
