"""Seminar + rules + facts + now → the notices due, the next due instant, and why others are not.

Nothing is remembered here: `decide` derives every notice anew from what is true now and from facts about the past.
Such facts are what the ledger holds: which notices were settled, and what people were last told of each session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from notifier import revisions
from notifier.notices import Decision, Facts, Key, Kind, Notice, Recipients, Rules, Settled, Verdict
from notifier.recognition import paired_talks
from notifier.revisions import Difference
from notifier.spans import format_span
from notifier.talks import Seminar, Session, Talk

CLOSED_DOOR = timedelta(minutes=5)  # a reminder that arrives later than this before the start only annoys
URGENT = timedelta(minutes=30)  # a change this close to the start does not wait for further edits
LOOK_BACK = timedelta(days=30)  # sessions longer past than this are settled for good
HEAD_START = timedelta(hours=12)  # at most: a reminder that comes still earlier reminds of nothing
MORNING, EVENING = time(8), time(22)  # between them, by the session's clocks, a replay is told of: it can wait
REPLAY_WITHIN = timedelta(days=3)  # a mail server that has not taken it by then has had its chance

NONE: Mapping[Key, timedelta] = MappingProxyType({})


def decide(
    seminar: Seminar, rules: Rules, facts: Facts, now: datetime, head_starts: Mapping[Key, timedelta] = NONE
) -> tuple[Decision, ...]:
    """Every notice of every session that is not long past, with its verdict at `now`, soonest due first.

    Those to act on are the ones that are neither WAITING nor DONE. The same arguments give the same decisions.
    `head_starts` are what `needed_head_starts` gave for reminders that take long.
    """
    current = (s for s in seminar.sessions if s.end > now - LOOK_BACK and s.start > facts.baseline)
    decisions = [d for session in current for d in _of_session(session, rules, facts, now, head_starts)]
    return tuple(sorted(decisions, key=lambda d: (d.notice.due, d.notice.key)))


def needed_head_starts(durations: Iterable[tuple[Notice, timedelta]]) -> dict[Key, timedelta]:
    """How much earlier reminders must begin, each of which takes so long, if each is to be through by its deadline.

    They share one mail server, which serves the soonest deadline first; so the last is planned first, and whatever
    comes before it must be through when it has to begin. None begins more than HEAD_START early.
    """
    needed: dict[Key, timedelta] = {}
    free_until = datetime.max.replace(tzinfo=UTC)
    for notice, duration in sorted(durations, key=lambda pair: (pair[0].deadline, pair[0].key), reverse=True):
        begins = free_until = min(notice.deadline, free_until) - duration
        if notice.kind is Kind.REMINDER and begins < notice.ruled:
            needed[notice.key] = min(notice.ruled - begins, HEAD_START)
    return needed


def next_due(decisions: Iterable[Decision], now: datetime) -> datetime | None:
    """The next instant at which a waiting notice falls due."""
    return min((d.notice.due for d in decisions if d.verdict is Verdict.WAITING and d.notice.due > now), default=None)


def is_stale(kind: Kind, opened: Session | None, session: Session) -> bool:
    """Whether a notice of this kind, opened about the one, would mislead now.

    A change is to be told first, and takes it over; what there was to be seen again is there no more.
    """
    if kind is Kind.REPLAY:
        return session.is_cancelled or not has_followed(session)
    return opened is not None and bool(_news(opened, session))


def has_followed(session: Session, told: Session | None = None) -> bool:
    """Whether a talk of the session has a replay or slides which those lack who know the session as `told`."""
    pairs = paired_talks(told.talks if told else (), session.talks)
    return any(
        bool(after.replay) > bool(before.replay) or _has_slides(after) > _has_slides(before) for before, after in pairs
    )


def _has_slides(talk: Talk) -> bool:
    return talk.slides is not None and bool(talk.slides.url)


def _news(told: Session, session: Session, *, reminded: bool = False) -> list[Difference]:
    """What is to be told to those who know the session as `told`: of one that they know to be off, nothing more."""
    if session.quiet or (told.is_cancelled and session.is_cancelled):
        return []
    return [d for d in revisions.differences(told, session) if revisions.is_material(d, reminded=reminded)]


def rule_names(rules: Rules) -> tuple[str, ...]:
    """The name of every rule of the seminar's own."""
    announcement = () if rules.announcement is None else ("announcement",)
    replay = () if rules.replay is None else ("replay",)
    return (*announcement, *map(reminder_rule, rules.reminders), *replay)


def lateness_allowed(lead: timedelta) -> timedelta:
    """How long after its due time a notice may still open: 24 h for a lead of 7 days, 8 h for 1 day, 40 min for 1 h."""
    if lead > timedelta(days=1):
        return timedelta(hours=24)
    return min(lead * 2 / 3, timedelta(hours=8))


def _of_session(
    session: Session, rules: Rules, facts: Facts, now: datetime, head_starts: Mapping[Key, timedelta]
) -> Iterator[Decision]:
    settled = facts.settled.get(session.id, ())
    generation = max((s.generation for s in settled), default=0)
    scheduled = tuple(_begun_early(n, head_starts) for n in _scheduled(session, rules, facts, generation))
    done = {(s.rule, s.generation): s for s in settled}
    change = _change(session, rules, facts, now)
    urgent = _urgent(session, facts, change, generation, now)
    # A reminder that is due as well opens beside it, and the ledger has its readers get the one mail or the other.
    tells_change = urgent is not None and urgent.before is not None
    if urgent is not None and not tells_change:
        yield urgent
    news = urgent if tells_change else change
    if news is not None and news.verdict is Verdict.OPEN:
        yield from _with_what_it_replaces(news, scheduled, done, now)
        return
    if change is not None:
        yield change
    candidates = []
    for notice in scheduled:
        decision = _judge(notice, session, facts, done, change, now)
        if decision.verdict is Verdict.OPEN:
            candidates.append(notice)
        else:
            yield decision
    yield from _coalesced(candidates)
    yield from _replay(session, rules, facts, now)


def _scheduled(session: Session, rules: Rules, facts: Facts, generation: int) -> Iterator[Notice]:
    """The announcement and the reminders of a session, due or not."""
    start = session.start.astimezone(UTC)
    known = _edited(session, facts)
    if rules.announcement is not None:
        due = _at_civil_hour(session, rules.announcement, rules.announcement_at)
        if _is_announceable(session):
            deadline = min(start - CLOSED_DOOR, max(due, known) + lateness_allowed(rules.announcement))
        else:
            deadline = start - max(rules.reminders, default=CLOSED_DOOR)
        everyone = Recipients(everyone=True)
        yield Notice(
            session.id,
            Kind.ANNOUNCEMENT,
            "announcement",
            generation,
            due,
            deadline,
            rules.announcement,
            everyone,
        )
    for lead in {*rules.reminders, *facts.leads}:
        # In UTC: wall-clock arithmetic would be an hour off across a change of daylight saving time.
        due = start - lead
        deadline = min(start - CLOSED_DOOR, max(due, known) + lateness_allowed(lead))
        chosen = Recipients(leads=frozenset({lead}), by_default=lead in rules.reminders)
        yield Notice(session.id, Kind.REMINDER, reminder_rule(lead), generation, due, deadline, lead, chosen)


def _begun_early(notice: Notice, head_starts: Mapping[Key, timedelta]) -> Notice:
    head_start = head_starts.get(notice.key)
    return notice if head_start is None else replace(notice, due=notice.due - head_start, head_start=head_start)


def _edited(session: Session, facts: Facts) -> datetime:
    """Since when the session is as it is."""
    return max(session.edited or session.modified or facts.baseline, facts.baseline)


def reminder_rule(lead: timedelta) -> str:
    """The name of the rule of reminders so long before."""
    return f"reminder-{format_span(lead)}"


def _at_civil_hour(session: Session, before: timedelta, hour: time) -> datetime:
    """The instant at which the seminar's clocks show `hour`, that many whole days before the session's date."""
    zone = ZoneInfo(session.timezone)
    day = session.start.astimezone(zone).date() - timedelta(days=before.days)
    return datetime.combine(day, hour, zone).astimezone(UTC)


def _is_announceable(session: Session) -> bool:
    return any(talk.title and talk.speakers for talk in session.talks)


def _judge(
    notice: Notice,
    session: Session,
    facts: Facts,
    done: Mapping[tuple[str, int], Settled],
    change: Decision | None,
    now: datetime,
) -> Decision:
    if fact := done.get((notice.rule, notice.generation)):
        return Decision(notice, Verdict.DONE, "" if fact.verdict is Verdict.OPEN else f"{fact.verdict}: {fact.reason}")
    if session.is_cancelled:
        return Decision(notice, Verdict.DONE, "the session is cancelled")
    if change is not None and change.verdict is Verdict.WAITING:
        return Decision(notice, Verdict.WAITING, "a change of this session is told first")
    if now < notice.due:
        return Decision(notice, Verdict.WAITING)
    return _judge_due(notice, session, facts, now)


def _judge_due(notice: Notice, session: Session, facts: Facts, now: datetime) -> Decision:
    created = session.created or facts.baseline
    if notice.ruled < facts.baseline and created <= facts.baseline:
        return Decision(notice, Verdict.SKIPPED, "it was due before the daemon's first start")
    rule_since = facts.rules.get(notice.rule, facts.baseline)
    if notice.ruled < rule_since and created < rule_since:
        return Decision(notice, Verdict.SKIPPED, "its rule was added after it was due")
    if notice.kind is Kind.ANNOUNCEMENT and not _is_announceable(session):
        if now < notice.deadline:
            return Decision(notice, Verdict.WAITING, "no talk has a title and a speaker yet")
        return Decision(notice, Verdict.SKIPPED, "no talk had a title and a speaker in time")
    if now >= notice.deadline:
        return Decision(notice, Verdict.EXPIRED, "its deadline passed before anything could be sent")
    return Decision(notice, Verdict.OPEN)


def _coalesced(candidates: Sequence[Notice]) -> Iterator[Decision]:
    """After a pause only the latest due notice opens, and it goes to everyone whom the earlier ones were for."""
    if not candidates:
        return
    *earlier, latest = sorted(candidates, key=lambda n: (n.due, n.key))
    recipients = latest.recipients
    for notice in earlier:
        recipients |= notice.recipients
        yield Decision(notice, Verdict.SUPERSEDED, f"{latest.rule} is due as well")
    yield Decision(replace(latest, recipients=recipients), Verdict.OPEN)


def _change(session: Session, rules: Rules, facts: Facts, now: datetime) -> Decision | None:
    """The notice that tells people of what has changed since they were last told, if anything has."""
    before = facts.told.get(session.id)
    if before is None:
        return None
    settled = facts.settled.get(session.id, ())
    reminded = any(s.kind is Kind.REMINDER and s.reached for s in settled)
    news = _news(before, session, reminded=reminded)
    if not news:
        return None
    edited = _edited(session, facts)
    over = max(before.end, session.end)
    changes = [s for s in settled if s.kind in (Kind.CHANGE, Kind.CANCELLED)]
    if edited >= over or any(s.at >= edited and s.verdict is not Verdict.OPEN for s in changes):
        return None  # the session was rewritten when it was past, or this change has expired already
    kind = Kind.CANCELLED if session.is_cancelled else Kind.CHANGE
    generation = max((s.generation for s in settled), default=0) + any(revisions.is_schedule(d) for d in news)
    soonest = min(before.start, session.start)
    due = _settled_at(edited, soonest, rules.settle).astimezone(UTC)
    rule = f"{kind}-{len(changes) + 1}"
    notice = Notice(session.id, kind, rule, generation, due, over.astimezone(UTC), recipients=Recipients(told=True))
    reached = max((s.reached for s in settled), default=0)
    # A word that was given before the last edit was given for something else.
    is_approved = facts.approved.get(notice.key, facts.baseline) >= edited
    needs_approval = 0 < rules.approve_above < reached and not is_approved
    if needs_approval:
        by_itself = _settled_at(edited, soonest, rules.settle + rules.approve_within).astimezone(UTC)
        notice = replace(notice, due=max(due, by_itself))
    if now >= over:
        return Decision(notice, Verdict.EXPIRED, "the session was over before the change could be told", before)
    if now < due:
        return Decision(notice, Verdict.WAITING, "further edits may follow", before, needs_approval)
    if now < notice.due:
        reason = f"it is for about {reached} people and waits to be approved, at the longest until then"
        return Decision(notice, Verdict.WAITING, reason, before, needs_approval)
    return Decision(notice, Verdict.OPEN, before=before)


def _urgent(session: Session, facts: Facts, change: Decision | None, generation: int, now: datetime) -> Decision | None:
    """The notice of the bulletin of this session, if there is one: it waits for nothing.

    A change that is still to be told is told with it: whoever announces something has most likely just edited the list,
    and readers get one mail that holds all of it.
    """
    bulletin = facts.bulletins.get(session.id)
    if bulletin is None:
        return None
    deadline = min(bulletin.until, session.end.astimezone(UTC))
    told = Recipients(told=True)
    notice = Notice(session.id, Kind.URGENT, bulletin.rule, generation, bulletin.at, deadline, recipients=told)
    if fact := next((s for s in facts.settled.get(session.id, ()) if s.rule == bulletin.rule), None):
        reason = "" if fact.verdict is Verdict.OPEN else f"{fact.verdict}: {fact.reason}"
        return Decision(replace(notice, generation=fact.generation), Verdict.DONE, reason)
    if not bulletin.line:
        return Decision(notice, Verdict.SKIPPED, "the line before was taken away")
    if session.is_cancelled:
        return Decision(notice, Verdict.DONE, "the session is cancelled")
    if now >= deadline:
        return Decision(notice, Verdict.EXPIRED, "the session was over before it could be sent")
    if now < notice.due:
        return Decision(notice, Verdict.WAITING, "the clock was set back")
    if change is None:
        return Decision(notice, Verdict.OPEN)
    return Decision(replace(notice, generation=change.notice.generation), Verdict.OPEN, before=change.before)


def _settled_at(edited: datetime, soonest: datetime, settle: timedelta) -> datetime:
    return max(edited, min(edited + settle, soonest - URGENT))


def _with_what_it_replaces(
    change: Decision, scheduled: Sequence[Notice], done: Mapping[tuple[str, int], Settled], now: datetime
) -> Iterator[Decision]:
    """The open change or bulletin, and what is due besides: it carries the join block and takes its place."""
    generation = change.notice.generation
    recipients = change.notice.recipients
    for notice in scheduled:
        replaced = replace(notice, generation=generation)
        if (notice.rule, generation) in done:
            yield Decision(replaced, Verdict.DONE)
        elif notice.due > now:
            yield Decision(replaced, Verdict.WAITING)
        else:
            if change.notice.kind is not Kind.CANCELLED and (notice.rule, notice.generation) not in done:
                recipients |= notice.recipients
            yield Decision(replaced, Verdict.SUPERSEDED, f"the {change.notice.kind} mail takes its place")
    yield replace(change, notice=replace(change.notice, recipients=recipients))


def _replay(session: Session, rules: Rules, facts: Facts, now: datetime) -> Iterator[Decision]:
    """The notice of what is to be seen again of a session that is over: one for ever, also where it is moved after it.

    What comes later, or is another link then, is on the page; what comes too late, nobody waits for.
    """
    if rules.replay is None or session.is_cancelled or now < session.end:
        return
    fact = next((s for s in facts.settled.get(session.id, ()) if s.kind is Kind.REPLAY), None)
    if fact is None and (session.quiet or not has_followed(session, facts.told.get(session.id))):
        return
    seen = max(_edited(session, facts), session.end).astimezone(UTC)
    zone = ZoneInfo(session.timezone)
    due = _by_day(seen + rules.replay, zone)
    if due >= session.end + LOOK_BACK:
        return
    deadline = due + REPLAY_WITHIN
    # What another copy of the store has most likely sent is opened even so, to be counted as sent.
    is_told_elsewhere = facts.used_until is not None and due <= facts.used_until
    if not is_told_elsewhere and (morning := _by_day(now, zone)) > now:  # after a pause, too
        due = max(due, morning)
    notice = Notice(session.id, Kind.REPLAY, "replay", 0, due, deadline, recipients=Recipients(replays=True))
    if fact is not None:
        reason = "" if fact.verdict is Verdict.OPEN else f"{fact.verdict}: {fact.reason}"
        yield Decision(notice, Verdict.DONE, reason)
    elif session.created is not None and session.created >= session.end:
        yield Decision(notice, Verdict.SKIPPED, "the session was over when it came onto the list")
    elif seen <= facts.rules.get(notice.rule, facts.baseline):
        yield Decision(notice, Verdict.SKIPPED, "it could be seen before the rule was added")
    elif now < due:
        yield Decision(notice, Verdict.WAITING, "more of it may follow")
    elif now >= notice.deadline:
        yield Decision(notice, Verdict.EXPIRED, "its deadline passed before anything could be sent")
    else:
        yield Decision(notice, Verdict.OPEN)


def _by_day(at: datetime, zone: ZoneInfo) -> datetime:
    """The instant itself or, where the clocks of the zone show night, the next morning."""
    local = at.astimezone(zone)
    if MORNING <= local.time() < EVENING:
        return at
    day = local.date() + timedelta(days=local.time() >= EVENING)
    return datetime.combine(day, MORNING, zone).astimezone(UTC)
