"""What a mail would say, whether it can be written, and what a server answers to it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from notifier import advice, notices, talks, transports, wiring
from notifier.config import Config
from notifier.errors import NotifierError, Problem
from notifier.inquiries import reading
from notifier.inquiries.lists import taken
from notifier.notices import Kind, Notice
from notifier.subscribers import Subscriber
from notifier.talks import Seminar, Session, Talk
from notifier.tokens import LINK_KEYS, Keyring
from notifier.verdicts import has_followed

if TYPE_CHECKING:
    from notifier.messages import Message
    from notifier.replies import Outcome

SAMPLE_LINES = {"zh": "推迟15分钟开始", "en": "Starts 15 minutes late"}


async def composed(
    config: Config,
    seminar: Seminar,
    session: Session,
    kind: str,
    reader: Subscriber,
    now: datetime,
    before: Session | None = None,
) -> Message:
    """The message of this kind about this session as the reader would get it, under a Message-ID of its own.

    `before` is the session as people know it, where an urgent one tells of a change besides. It tells the line that is
    out, else a sample.
    """
    from notifier.messages import Composer

    async with reading(config) as store:
        keys = (await store.fact(LINK_KEYS) if store else "") or secrets.token_urlsafe()
    lead = {"announcement": timedelta(days=7), "reminder": timedelta(days=1)}.get(kind)
    notice = Notice(session.id, Kind(kind), f"test-{now:%Y%m%dT%H%M%S}", 0, now, session.start, lead)
    if kind == "change":
        week = timedelta(days=7)
        before = replace(session, status=talks.Status.CONFIRMED, start=session.start - week, end=session.end - week)
    if kind == "urgent":
        session = replace(session, urgent=session.urgent or SAMPLE_LINES[reader.language])
    if kind == "cancelled":
        before = replace(session, status=talks.Status.CONFIRMED)
        session = replace(session, status=talks.Status.CANCELLED)
    if kind == "replay" and not has_followed(session):
        seen = (replace(talk, replay=f"{config.server.base_url}/") for talk in session.talks or (Talk(),))
        session = replace(session, talks=tuple(seen))
    composer = Composer(wiring.mail_site(config, seminar, Keyring.parse(keys)), wiring.mail_templates(config))
    audience = notices.audience(notice.kind, session, session.start)  # as of a mail that comes at the last moment
    shown = talks.shown_to(audience, session, config.visibility.levels)
    known = talks.shown_to(audience, before, config.visibility.levels) if before else None
    return composer.compose(notice, shown, reader, date=now, before=known)


def sample_session(seminar: Seminar, kind: str, now: datetime) -> Session:
    """The session that a mail of this kind would tell of: the next one or, of what is to be seen again, the last."""
    seen = [session for session in seminar.sessions if session.end <= now and has_followed(session)]
    if kind == Kind.REPLAY and seen:
        return seen[-1]
    return seminar.next_session(now) or seminar.sessions[-1]


async def sent_test(config: Config, message: Message) -> Outcome:
    """What the configured transport's server answered to this message."""
    transport, sign = wiring.transport(config), wiring.signs(config).get("")
    try:
        return await transports.send(transport, replace(message, body=sign(message.body)) if sign else message)
    finally:
        await transport.close()


async def template_warnings(config: Config) -> tuple[Problem, ...]:
    """Which templates change nothing. Raises TemplateError with all that is wrong with those of mails."""
    wiring.mail_templates(config)
    return wiring.idle_templates(config)


async def page_warnings(config: Config, now: datetime) -> tuple[Problem, ...]:
    """Nothing, where every page can be rendered. Raises TemplateError with all that is wrong with their templates."""
    from notifier import pages

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
