"""What a person asks that changes nothing: what is published, what would change, what goes out, and why."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from notifier import (
    advice,
    control,
    feed,
    files,
    foresight,
    intake,
    notices,
    revisions,
    talklists,
    talks,
    transports,
    webpages,
    wiring,
)
from notifier.config import Config
from notifier.errors import NotifierError, Problem, TalkListError
from notifier.intake import Accepted, Intake
from notifier.mailings import Mailing, doubts, mailing
from notifier.notices import Decision, Facts, Kind, Notice, Verdict
from notifier.rates import Limits, duration
from notifier.revisions import Change
from notifier.stores import Delivery, DeliveryState, Review, Store
from notifier.subscribers import Subscriber, normalised_address, searchable
from notifier.talklists import Context
from notifier.talks import Audience, Seminar, Session
from notifier.tokens import LINK_KEYS, Keyring

if TYPE_CHECKING:
    from notifier.messages import Message
    from notifier.pages import Snapshot
    from notifier.replies import Outcome

RATE_AHEAD = timedelta(days=31)


@asynccontextmanager
async def reading(config: Config) -> AsyncIterator[Store | None]:
    """The ledger, only to read, also beside a running daemon; None where there is none yet."""
    if not config.store.path.exists():
        yield None
        return
    store = await wiring.open_store(config, read_only=True)
    try:
        yield store
    finally:
        await store.close()


# --- the talk list ---------------------------------------------------------------------------------------------------


async def taken(
    config: Config, source: str | None = None, *, allow_removals: bool = False
) -> tuple[Intake, Accepted | None]:
    """The list at the source, or at the settings' own, as it would be taken now, with the one accepted before.

    Nothing is written. The time that new revisions carry is the list's own, so that two looks give the same.

    Raises NotifierError where the list would be refused.
    """
    data, edited = await _read(source or config.talks)
    async with reading(config) as store:
        previous = await store.accepted() if store else None
        identities = await store.identities() if store else {}
    identities |= wiring.witness(config).newer_than(identities)
    intaken = intake.take(
        data,
        replace(config.context, source=source or config.talks),
        form=config.format if source is None else "",
        previous=previous,
        identities=identities,
        domain=wiring.domain(config),
        now=edited,
        allow_removals=allow_removals,
        frame=wiring.frame(config),
    )
    return intaken, previous


async def _read(source: str) -> tuple[bytes, datetime]:
    if webpages.is_page(source):
        return await webpages.fetch(source), datetime.fromtimestamp(0, UTC)
    data = files.read(source)
    edited = Path(source).stat().st_mtime if Path(source).is_file() else 0
    return data, datetime.fromtimestamp(int(edited), UTC)


async def published(config: Config) -> tuple[Accepted, tuple[Problem, ...]]:
    """What is published while a daemon runs, else what would be; and why the list is not, where it is refused.

    Raises NotifierError where nothing was ever accepted and the list cannot be.
    """
    if await control.call(control.socket_path(config.store.path), {"do": "ping"}) is not None:
        async with reading(config) as store:
            if store and (accepted := await store.accepted()):
                return accepted, ()
    try:
        intaken, _ = await taken(config)
    except NotifierError as error:
        async with reading(config) as store:
            accepted = await store.accepted() if store else None
        if accepted is None:
            raise
        return accepted, error.problems
    return intaken.accepted, ()


async def compared(config: Config, source: str | None) -> tuple[tuple[Change, ...], tuple[Problem, ...]]:
    """What would change if this list were loaded, and why it would be refused, if it would."""
    refusal: tuple[Problem, ...] = ()
    try:
        await taken(config, source)
    except TalkListError as error:
        refusal = error.problems
    try:
        new, previous = await taken(config, source, allow_removals=True)
    except TalkListError:
        return (), refusal
    if previous is None and source is not None:
        previous = (await taken(config))[0].accepted
        recognised, _ = revisions.recognise(previous.seminar, new.accepted.seminar, has_ids=False)
        return revisions.diff(previous.seminar, recognised), refusal
    return revisions.diff(previous.seminar if previous else None, new.accepted.seminar), refusal


async def imported(source: str, form: str, timezone: str, known: Path | None) -> tuple[Seminar, tuple[Problem, ...]]:
    """The seminar at this source; its sessions keep the ids that the list in `known` gave them, where there is one."""
    data = await webpages.fetch(source) if webpages.is_page(source) else files.read(source)
    context = Context(timezone=timezone, source=source)
    found = talklists.read(data, context, form)
    old = None
    if known is not None and known.exists():
        old = talklists.read(files.read(known), replace(context, source=str(known))).seminar
    seminar, doubts = revisions.recognise(old, found.seminar, has_ids=found.has_ids)
    lost = revisions.vanished(old, seminar) if old else ()
    return seminar, (
        *found.warnings,
        *doubts,
        *(replace(p, advice="the list that was there is kept beside the new one") for p in lost),
    )


async def with_uids(config: Config, seminar: Seminar) -> Seminar:
    """The seminar with the UIDs under which its sessions are published, or would be."""
    async with reading(config) as store:
        known = await store.identities() if store else {}
    domain = wiring.domain(config)
    uids = {s.id: known[s.id].uid if s.id in known else revisions.uid(s.id, domain) for s in seminar.sessions}
    return replace(seminar, sessions=tuple(replace(s, uid=uids[s.id]) for s in seminar.sessions))


def public_feed(config: Config, seminar: Seminar, now: datetime) -> bytes:
    """The public calendar feed, the same bytes that the server gives."""
    return feed.render(
        talks.shown(Audience.PUBLIC, seminar, config.visibility.levels), now=now, base_url=config.server.base_url
    )


def snapshot(config: Config, seminar: Seminar, now: datetime) -> Snapshot:
    """All that is published of this seminar, the same bytes that the server gives. Raises TemplateError."""
    from notifier import pages

    return pages.build(seminar, wiring.page_templates(config), wiring.page_site(config), now=now)


async def list_warnings(config: Config, now: datetime) -> tuple[Problem, ...]:
    """What is doubtful in the talk list and its feed. Raises NotifierError with all that is wrong with the list."""
    intaken, _ = await taken(config)
    public = talks.shown(Audience.PUBLIC, intaken.accepted.seminar, config.visibility.levels)
    return *intaken.warnings, *feed.size_warnings(public, now=now, base_url=config.server.base_url)


# --- notices ---------------------------------------------------------------------------------------------------------


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
        decisions = notices.decide(accepted.seminar, config.notices.rules, await store.facts(), now)
    return [d.notice.name for d in decisions if d.needs_approval]


async def rate_warnings(config: Config, now: datetime) -> tuple[Problem, ...]:
    """The mailings of the next weeks that cannot be through in time at the mail server's rate."""
    accepted, _ = await published(config)
    mailings = [m for _, m in await planned(config, accepted.seminar, now, RATE_AHEAD)]
    return doubts(mailings, wiring.limits(config))


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
    """What one address gets: deliveries of the past, then notices to come."""

    address: str
    state: str
    rows: tuple[Explanation, ...]


async def explained(config: Config, seminar: Seminar, address: str, now: datetime) -> Explained:
    """Everything that one subscriber got, gets, and does not get. Raises NotifierError for a stranger."""
    async with reading(config) as store:
        one = await store.subscriber(normalised_address(address)) if store else None
        if store is None or one is None:
            raise NotifierError(Problem(f"'{address}' is no subscriber", "see notifier subscribers list"))
        past = [
            Explanation(
                d.updated_at if d.state == DeliveryState.SENT else d.notice.due,
                d.notice.told_session, d.notice.rule, d.state, _heard_of(d, now),
            )
            for d in await store.deliveries(one.id)
        ]  # fmt: skip
        facts, seminar = await _facts_at(now, store, seminar)
        decisions = await foresight.decided(
            store, seminar, config.notices.rules, facts, wiring.limits(config), now, ahead=RATE_AHEAD
        )
    to_come = [_foretold(d, one, seminar, now) for d in decisions if d.verdict is not Verdict.DONE or d.reason]
    since = f" since {one.changed:%Y-%m-%d}: {one.reason}" if one.reason and one.changed else ""
    return Explained(one.address, f"{one.state}{since}", (*past, *to_come))


_DECIDE = "notifier release --ambiguous resend, or sent"


def _heard_of(delivery: Delivery, now: datetime) -> str:
    came_back = f"came back ({delivery.came_back}): {delivery.said}" if delivery.came_back else ""
    is_open = delivery.is_undecided and delivery.notice.deadline > now
    return "; ".join(filter(None, (delivery.reply, came_back, _DECIDE if is_open else "")))


def _foretold(decision: Decision, one: Subscriber, seminar: Seminar, now: datetime) -> Explanation:
    notice = decision.notice
    session = seminar.session(notice.session_id)
    about = searchable(session) if session else ""
    state, reason = str(decision.verdict), decision.reason
    if decision.verdict is Verdict.DONE:
        state = "not sent"
    elif refusal := one.refusal(notice.recipients, about, max(now, notice.due)):
        state, reason = "no", refusal
    elif decision.verdict is Verdict.WAITING:
        state, reason = "to come", reason or "it is not due yet"
    elif decision.verdict is Verdict.OPEN:
        state, reason = "to come", "it is due now"
    return Explanation(notice.due, notice.session_id, notice.rule, state, reason)


# --- messages --------------------------------------------------------------------------------------------------------


async def composed(
    config: Config, seminar: Seminar, session: Session, kind: str, reader: Subscriber, now: datetime
) -> Message:
    """The message of this kind about this session as the reader would get it, under a Message-ID of its own."""
    from notifier.messages import Composer

    async with reading(config) as store:
        keys = (await store.fact(LINK_KEYS) if store else "") or secrets.token_urlsafe()
    lead = {"announcement": timedelta(days=7), "reminder": timedelta(days=1)}.get(kind)
    notice = Notice(session.id, Kind(kind), f"test-{now:%Y%m%dT%H%M%S}", 0, now, session.start, lead)
    before = replace(session, status=talks.Status.CONFIRMED)
    if kind == "change":
        before = replace(before, start=session.start - timedelta(days=7), end=session.end - timedelta(days=7))
    if kind == "cancelled":
        session = replace(session, status=talks.Status.CANCELLED)
    composer = Composer(wiring.mail_site(config, seminar, Keyring.parse(keys)), wiring.mail_templates(config))
    audience = Audience.PUBLIC if notice.kind is Kind.CONFIRMATION else Audience.REMINDER
    shown = talks.shown_to(audience, session, config.visibility.levels)
    return composer.compose(notice, shown, reader, date=now, before=before if kind in ("change", "cancelled") else None)


async def sent_test(config: Config, message: Message) -> Outcome:
    """What the configured transport's server answered to this message."""
    transport, sign = wiring.transport(config), wiring.sign(config)
    try:
        return await transports.send(transport, replace(message, body=sign(message.body)) if sign else message)
    finally:
        await transport.close()


# --- the daemon ------------------------------------------------------------------------------------------------------


async def status(config: Config, now: datetime) -> dict[str, Any]:
    """What comes next, deliveries and subscribers by state, and what is wrong; from the daemon where one runs."""
    alive = await control.call(control.socket_path(config.store.path), {"do": "status"})
    async with reading(config) as store:
        told = await _told(store, config, now) if store else {"subscribers": {}, "deliveries": {}, "errors": []}
        mailings = await _mailings(store, alive, wiring.limits(config), now) if store else []
        hold = await store.fact("hold") if store else ""
    trouble = dict(alive["trouble"]) if alive else {}
    if hold:
        trouble["hold"] = hold
    if alive is None:
        _, problems = await _published_or_problems(config)
        if problems:
            trouble["talk list"] = "; ".join(map(str, problems))
    if doubted := told.get("said_dead", 0):
        trouble["returned mail"] = (
            f"{doubted} addresses more are said to be dead than can be believed of one day: is a mail server at fault?"
            " Those that were blocked come back with subscribers restore"
        )
    if undecided := told.get("undecided", 0):
        trouble["ambiguous"] = f"{undecided} deliveries may or may not have arrived, and are not sent again; {_DECIDE}"
    return {
        "running": alive is not None,
        **({"pid": alive["pid"], "since": alive["since"]} if alive else {}),
        **told,
        "mailings": mailings,
        "trouble": trouble,
        "needs_a_person": bool(trouble),
    }


async def _published_or_problems(config: Config) -> tuple[Accepted | None, Sequence[Problem]]:
    try:
        return await published(config)
    except NotifierError as error:
        return None, error.problems


async def _told(store: Store, config: Config, now: datetime) -> dict[str, Any]:
    accepted = await store.accepted()
    summary = await store.summary(now)
    documents = await store.documents()
    coming = accepted.seminar.next_session(now) if accepted else None
    decisions = (
        await foresight.decided(
            store, accepted.seminar, config.notices.rules, await store.facts(), wiring.limits(config), now
        )
        if accepted
        else ()
    )
    due = notices.next_due(decisions, now)
    etag, modified = documents.get("/calendar.ics", ("", None))
    waiting = next((d.notice for d in decisions if d.notice.due == due), None)
    return {
        "next_session": {"id": coming.id, "start": coming.start.isoformat()} if coming else None,
        "to_approve": [d.notice.name for d in decisions if d.needs_approval],
        "next_notice": _said(waiting) | {"due": waiting.due.isoformat()} if waiting else None,
        "subscribers": dict(summary.subscribers),
        "came_back": dict(summary.returned),
        "said_dead": summary.doubted,
        "blocked": [{"address": one.address, "because": one.reason} for one in summary.blocked],
        "deliveries": dict(summary.deliveries),
        "overdue": summary.overdue,
        "undecided": summary.undecided,
        "errors": [
            _said(d.notice) | {"address": d.address, "state": str(d.state), "said": d.reply} for d in summary.errors
        ],
        "feed": {"etag": etag, "modified": modified.isoformat()} if modified else None,
    }


async def mailings(config: Config, now: datetime) -> list[dict[str, Any]]:
    """How far each mailing is that is under way, and when it will be over, as `status` has it."""
    alive = await control.call(control.socket_path(config.store.path), {"do": "status"})
    async with reading(config) as store:
        return await _mailings(store, alive, wiring.limits(config), now) if store and alive else []


async def _mailings(store: Store, alive: dict[str, Any] | None, limits: Limits, now: datetime) -> list[dict[str, Any]]:
    """How far each mailing is, and when it will be through at the present speed: one is served after the other."""
    per_minute = alive.get("per_minute", 0) if alive else 0
    mailings, before = [], 0
    for one in await store.progress():
        before += one.waiting
        takes = before / per_minute * timedelta(minutes=1) if per_minute else duration(limits, before)
        mailings.append(
            _said(one.notice)
            | {
                "done": one.done,
                "total": one.total,
                "failed": one.deliveries.get("failed", 0),
                "deferred": one.deliveries.get("deferred", 0),
                "per_minute": per_minute,
                "ends": (now + takes).isoformat(timespec="seconds") if alive and (per_minute or limits) else None,
                "deadline": one.notice.deadline.isoformat(),
            }
        )
    return mailings


def _said(notice: Notice) -> dict[str, str]:
    return {"session": notice.session_id, "rule": notice.rule}


async def reviewed(config: Config, count: int) -> Review:
    """What became of so many of the latest notices, and how the number of subscribers grew."""
    async with reading(config) as store:
        return await store.review(count) if store else Review()


async def everyone(config: Config) -> list[Subscriber]:
    """All subscribers, by address."""
    async with reading(config) as store:
        return await store.subscribers() if store else []


async def record(config: Config, address: str) -> dict[str, Any]:
    """All that is known of the subscriber at this address. Raises NotifierError for a stranger."""
    from notifier import subscriptions

    async with reading(config) as store:
        one = await store.subscriber(address) if store else None
        if store is None or one is None:
            raise NotifierError(Problem(f"'{address}' is no subscriber", "see notifier subscribers list"))
        return await subscriptions.record(store, one)


async def subscriber(config: Config, address: str) -> Subscriber | None:
    """The subscriber at this normalised address."""
    async with reading(config) as store:
        return await store.subscriber(address) if store else None


async def template_warnings(config: Config, now: datetime) -> tuple[Problem, ...]:
    """Nothing, where every template can be used. Raises TemplateError with all that is wrong with them."""
    from notifier import pages

    wiring.mail_templates(config)
    templates, site = wiring.page_templates(config), wiring.page_site(config)
    try:
        seminar = (await taken(config))[0].accepted.seminar
    except NotifierError:  # it is told apart
        seminar = Seminar("sample", "Sample", config.seminar.timezone)
    # Every page is rendered once, since only then is a name found that nobody knows.
    pages.build(seminar, templates, site, now=now)
    return ()


async def mail_warnings(config: Config) -> tuple[Problem, ...]:
    """Which rules of the provider the settings break, and which secrets others can read.

    Raises ConfigError where a key cannot sign mail.
    """
    wiring.signers(config)
    relays = (config.smtp, config.fallback, config.bounces)
    paths = (*(relay.password_file for relay in relays), config.dkim.key_file, config.dkim.second_key_file)
    open_ones = (path for path in paths if path and path.exists() and path.stat().st_mode & 0o007)
    exposed = (Problem("others can read this secret", "chmod 600 it", str(path)) for path in open_ones)
    return (*(problem for way in wiring.ways(config).values() for problem in advice.broken_rules(way)), *exposed)
