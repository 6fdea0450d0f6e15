"""What is published, what would be, and what a list elsewhere holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from notifier import control, files, intake, revisions, talklists, talks, webpages, wiring
from notifier.config import Config
from notifier.errors import NotifierError, Problem, TalkListError
from notifier.inquiries import reading
from notifier.intake import Accepted, Intake
from notifier.revisions import Change
from notifier.talklists import Context
from notifier.talks import Audience, Seminar

if TYPE_CHECKING:
    from notifier.pages import Snapshot


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
    published = previous.seminar.sessions if previous else ()
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
        lines={session.id: session.urgent for session in published},
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
    """The seminar at this source; its sessions keep the ids that the list in `known` gave them, where there is one.

    Times that name no zone are in `timezone`; where that is "", too, a zone is assumed and told of.
    """
    data = await webpages.fetch(source) if webpages.is_page(source) else files.read(source)
    context = Context(source=source)
    context = replace(context, timezone=timezone or context.timezone, is_zone_said=bool(timezone))
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
    from notifier import feed  # icalendar, for which only those wait who ask for a feed

    return feed.render(
        talks.shown(Audience.PUBLIC, seminar, config.visibility.levels), now=now, base_url=config.server.base_url
    )


def snapshot(config: Config, seminar: Seminar, now: datetime) -> Snapshot:
    """All that is published of this seminar, the same bytes that the server gives. Raises TemplateError."""
    from notifier import pages

    return pages.build(seminar, wiring.page_templates(config), wiring.page_site(config), now=now)


async def list_warnings(config: Config, now: datetime) -> tuple[Problem, ...]:
    """What is doubtful in the talk list and its feed. Raises NotifierError with all that is wrong with the list."""
    from notifier import feed

    intaken, _ = await taken(config)
    public = talks.shown(Audience.PUBLIC, intaken.accepted.seminar, config.visibility.levels)
    return *intaken.warnings, *feed.size_warnings(public, now=now, base_url=config.server.base_url)
