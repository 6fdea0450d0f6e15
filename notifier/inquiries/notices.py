"""What goes out, to how many, and who gets what, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifier import bulletins, foresight, verdicts, wiring
from notifier.config import Config
from notifier.errors import NotifierError, Problem
from notifier.inquiries import reading
from notifier.inquiries.lists import published
from notifier.mailings import Mailing, doubts, mailing
from notifier.notices import Decision, Facts, Verdict
from notifier.stores import Delivery, DeliveryState, Store
from notifier.subscribers import Subscriber, normalised_address, searchable
from notifier.talks import Seminar, Session

RATE_AHEAD = timedelta(days=31)
DECIDE = "notifier release --ambiguous resend, or sent"


async def planned(config: Config, seminar: Seminar, at: datetime, ahead: timedelta) -> list[tuple[Decision, Mailing]]:
    """Every notice of the time from `at` on with its verdict, how many people it would reach, and how long it takes."""
    limits = wiring.limits(config)
    async with reading(config) as store:
        facts, seminar = await _facts_at(at, store, seminar)
        decisions = [
            d
            for d in await foresight.decided(store, seminar, config.notices.rules, facts, limits, at, ahead=ahead)
            if d.notice.due <= at + ahead and (_goes_out(d) or _is_ahead(d, seminar, at))
        ]
        people = await store.counts([d.notice for d in decisions], seminar) if store else [0] * len(decisions)
    return [(d, mailing(d.notice, n if _goes_out(d) else 0, limits)) for d, n in zip(decisions, people, strict=True)]


async def unapproved(config: Config, now: datetime) -> list[str]:
    """The names of the notices that wait for a person to let them out."""
    accepted, _ = await published(config)
    async with reading(config) as store:
        if store is None:
            return []
        decisions = verdicts.decide(accepted.seminar, config.notices.rules, await store.facts(), now)
    return [d.notice.name for d in decisions if d.needs_approval]


async def owed(config: Config, now: datetime) -> int:
    """How many mails would go out at once if nothing were on hold."""
    async with reading(config) as store:
        waiting = sum(one.waiting for one in await store.progress()) if store else 0
    try:
        accepted, _ = await published(config)
    except NotifierError:
        return waiting  # without a list no more is opened
    due = await planned(config, accepted.seminar, now, timedelta())
    return waiting + sum(one.people for decision, one in due if decision.verdict is Verdict.OPEN)


async def rate_warnings(config: Config, now: datetime) -> tuple[Problem, ...]:
    """The mailings of the next weeks that cannot be through in time at the mail server's rate."""
    accepted, _ = await published(config)
    mailings = [m for _, m in await planned(config, accepted.seminar, now, RATE_AHEAD)]
    return doubts(mailings, wiring.limits(config))


async def announcing(
    config: Config, seminar: Seminar, session_id: str, line: str, now: datetime
) -> tuple[Session, Decision, Mailing]:
    """The session with this line as it would be announced now, and to whom that would be mailed.

    Raises NotifierError with every reason why it cannot be announced.
    """
    async with reading(config) as store:
        facts, seminar = await _facts_at(now, store, seminar)
        before, levels = facts.bulletins.get(session_id), config.visibility.levels
        bulletin = bulletins.announced(seminar, session_id, line, before, levels=levels, now=now)
        facts = replace(facts, bulletins={**facts.bulletins, session_id: bulletin})
        decisions = verdicts.decide(seminar, config.notices.rules, facts, now)
        decision = next(d for d in decisions if d.notice.key[:2] == (session_id, bulletin.rule))
        (people,) = await store.counts([decision.notice], seminar) if store else [0]
    session = next(s for s in seminar.sessions if s.id == session_id)
    return replace(session, urgent=bulletin.line), decision, mailing(decision.notice, people, wiring.limits(config))


def _goes_out(decision: Decision) -> bool:
    return decision.verdict in (Verdict.WAITING, Verdict.OPEN)


async def _facts_at(at: datetime, store: Store | None, seminar: Seminar) -> tuple[Facts, Seminar]:
    """What the ledger knows; before its first start, as if the daemon were started then on the list as it is."""
    facts = await store.facts() if store else None
    if facts is not None and facts.baseline <= at:
        return facts, seminar
    sessions = tuple(replace(s, created=at, modified=at) for s in seminar.sessions)
    return Facts(at, leads=facts.leads if facts else frozenset()), replace(seminar, sessions=sessions)


def _is_ahead(decision: Decision, seminar: Seminar, at: datetime) -> bool:
    session = seminar.session(decision.notice.session_id)
    return session is not None and session.end > at


@dataclass(frozen=True, slots=True)
class Explanation:
    """One line of what somebody gets or does not get, and why."""

    at: datetime
    session_id: str
    rule: str
    state: str
    reason: str

    def as_json(self) -> dict[str, str]:
        """The same for programs."""
        return {
            "at": self.at.isoformat(),
            "session": self.session_id,
            "rule": self.rule,
            "state": self.state,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Explained:
    """What one address gets: its deliveries, then the other notices, to come or not for it."""

    address: str
    state: str
    rows: tuple[Explanation, ...]


async def explained(config: Config, seminar: Seminar, address: str, now: datetime) -> Explained:
    """Everything that one subscriber got, gets, and does not get. Raises NotifierError for a stranger."""
    async with reading(config) as store:
        one = await store.subscriber(normalised_address(address)) if store else None
        if store is None or one is None:
            raise NotifierError(Problem(f"'{address}' is no subscriber", "see notifier subscribers list"))
        deliveries = await store.deliveries(one.id)
        past = [
            Explanation(
                d.updated_at if d.state == DeliveryState.SENT else d.notice.due,
                d.notice.told_session, d.notice.rule, d.state, _heard_of(d, now),
            )
            for d in deliveries
        ]  # fmt: skip
        facts, seminar = await _facts_at(now, store, seminar)
        decisions = await foresight.decided(
            store, seminar, config.notices.rules, facts, wiring.limits(config), now, ahead=RATE_AHEAD
        )
    mailed = {d.notice.key for d in deliveries}
    others = [_foretold(d, one, seminar, now) for d in decisions if d.notice.key not in mailed or d.reason]
    since = f" since {one.changed:%Y-%m-%d}: {one.reason}" if one.reason and one.changed else ""
    return Explained(one.address, f"{one.state}{since}", (*past, *others))


def _heard_of(delivery: Delivery, now: datetime) -> str:
    came_back = f"came back ({delivery.came_back}): {delivery.said}" if delivery.came_back else ""
    is_open = delivery.is_undecided and delivery.notice.deadline > now
    return "; ".join(filter(None, (delivery.reply, came_back, DECIDE if is_open else "")))


def _foretold(decision: Decision, one: Subscriber, seminar: Seminar, now: datetime) -> Explanation:
    notice = decision.notice
    session = seminar.session(notice.session_id)
    about = searchable(session) if session else ""
    state, reason = str(decision.verdict), decision.reason
    if decision.verdict is Verdict.DONE and reason:
        state = "not sent"
    elif decision.verdict is Verdict.DONE:
        state, reason = "no", one.refusal(notice.recipients, about, notice.due) or "it was not for them when it opened"
    elif refusal := one.refusal(notice.recipients, about, max(now, notice.due)):
        state, reason = "no", refusal
    elif decision.verdict is Verdict.WAITING:
        state, reason = "to come", reason or "it is not due yet"
    elif decision.verdict is Verdict.OPEN:
        state, reason = "to come", "it is due now"
    return Explanation(notice.due, notice.session_id, notice.rule, state, reason)
