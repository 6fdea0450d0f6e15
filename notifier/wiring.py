"""The settings → the parts that the daemon and the commands are put together from."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import getaddresses
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from notifier import files, settings, talklists
from notifier.config import Config, RelaySection
from notifier.errors import ConfigError, Problem, TemplateError
from notifier.rates import NO_LIMITS, Limits
from notifier.subscribers import Subscriber
from notifier.tokens import Keyring, SignedLinks

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from notifier import letters, messages, pages
    from notifier.advice import Way
    from notifier.dispatch import Patience, Sign
    from notifier.dkim import Signer
    from notifier.lanes import Lane
    from notifier.mailboxes import Mailbox
    from notifier.relay import SmtpSettings
    from notifier.revisions import Frame
    from notifier.stores.sqlite import SqliteStore
    from notifier.talks import Seminar
    from notifier.transports import Transport
    from notifier.watched import Watched
    from notifier.witness import Witness


def config(path: Path) -> Config:
    """The settings in this file, with those that the environment and secret files bring. Raises ConfigError."""
    return settings.parse(
        talklists.decode(files.read(path), str(path)),
        folder=path.absolute().parent,
        source=str(path),
        mode=stat.S_IMODE(path.stat().st_mode),
        environment=os.environ,
        read_secret=lambda secret: secret.read_text(encoding="utf-8"),
    )


def loop_factory(config: Config) -> Callable[[], AbstractEventLoop] | None:
    """What makes the event loop that the settings name; None for Python's own. Raises ConfigError without uvloop."""
    if config.server.loop == "asyncio":
        return None
    try:
        import uvloop
    except ImportError as error:
        advice = 'pip install "seminar-notifier[speed]", or write loop = "asyncio"'
        raise ConfigError(Problem('[server] loop is "uvloop", which is not installed', advice)) from error
    return uvloop.new_event_loop


def domain(config: Config) -> str:
    """What UIDs and Message-IDs end in: the host of the pages, which stays while servers and senders change."""
    return urlsplit(config.server.base_url).hostname or "localhost"


def frame(config: Config) -> Frame:
    """What of the settings shows in every event."""
    from notifier.revisions import Frame

    return Frame(config.server.base_url, config.visibility.levels)


def mail_templates(config: Config) -> letters.Templates:
    """The templates of mails. Raises TemplateError with everything that is wrong with them."""
    from notifier import letters

    templates = letters.Templates(files.shipped(), _overrides(config))
    if problems := templates.problems():
        raise TemplateError(problems)
    return templates


def page_templates(config: Config) -> pages.Templates:
    """The templates of pages. Raises TemplateError with everything that is wrong with them."""
    from notifier import pages

    return pages.Templates(files.shipped(), _overrides(config))


def idle_templates(config: Config) -> tuple[Problem, ...]:
    """Which of the operator's own templates change nothing."""
    from notifier import templates

    return templates.idle(files.shipped(), _overrides(config))


def _overrides(config: Config) -> dict[str, str]:
    return files.overrides(config.templates.path) if config.templates.path else {}


def page_site(config: Config) -> pages.Site:
    """How the seminar is published."""
    from notifier import pages

    return pages.Site(
        config.server.base_url,
        levels=config.visibility.levels,
        compress=config.server.compress,
        takes_requests=config.subscriptions.open,
        announcement=config.notices.announcement,
        reminders=config.notices.reminders,
        replays=config.notices.replay is not None,
    )


def mail_sites(config: Config, seminar: Seminar, keyring: Keyring) -> dict[str, messages.Site]:
    """Whose mail it is on each lane, by the ledger's name for it; a second mail server may want a sender of its own."""
    first = mail_site(config, seminar, keyring)
    if not config.fallback.sender:
        return {"": first, "fallback": first}
    # Such a server takes the sender alone in the envelope, too. Answers go where they always go.
    sender = _mailbox(config.fallback.sender)
    return {
        "": first,
        "fallback": replace(first, sender=sender, return_path="", reply_to=first.reply_to or first.sender),
    }


def mail_site(config: Config, seminar: Seminar, keyring: Keyring) -> messages.Site:
    """Whose mail it is on the first lane, with links signed by the newest of these keys."""
    from notifier.messages import Site

    mail = config.mail
    return Site(
        config.server.base_url,
        domain(config),
        _mailbox(mail.sender),
        seminar,
        SignedLinks(config.server.base_url, keyring).url,
        _mailbox(mail.reply_to) if mail.reply_to else None,
        mail.attach_calendar,
        mail.threading,
        # The oldest key, so that a mail that is sent once more after a new one came is the same.
        mark_key=keyring.keys[0],
        return_path=config.bounces.address,
        unsubscribe_by_mail=_unsubscribe_by_mail(config),
    )


def sender_address(config: Config) -> str:
    """The address that mail is from."""
    return _mailbox(config.mail.sender).address


def _unsubscribe_by_mail(config: Config) -> str:
    return config.bounces.address or sender_address(config) if config.bounces.is_read else ""


def mailbox(config: Config) -> Mailbox | None:
    """The mailbox of returned mail, where there is one."""
    from notifier import mailboxes

    bounces = config.bounces
    if bounces.maildir:
        return mailboxes.MaildirMailbox(bounces.maildir)
    if not bounces.host:
        return None
    return mailboxes.ImapMailbox(
        mailboxes.ImapSettings(
            bounces.host,
            bounces.port,
            bounces.tls,
            bounces.username,
            bounces.password.get_secret_value(),
            bounces.folder,
            bounces.ca_file,
        )
    )


def _mailbox(text: str) -> messages.Mailbox:
    from notifier.messages import Mailbox

    ((name, address),) = getaddresses([text])
    return Mailbox(name, address)


def signers(config: Config, lane: str = "") -> tuple[Signer, ...]:
    """What signs the mail of this lane, by the ledger's name for it, where the settings name a key.

    Nothing where the lane's own sender is of another domain, in whose name no key of ours speaks.

    Raises:
        ConfigError: a key cannot be used.
    """
    from notifier import domains
    from notifier.dkim import Signer

    dkim = config.dkim
    domain = dkim.domain or sender_address(config).rpartition("@")[2]
    own = _mailbox(config.fallback.sender).address if lane == "fallback" and config.fallback.sender else ""
    if own and not domains.are_kin(own.rpartition("@")[2].lower(), domain.lower()):
        return ()
    keys = ((dkim.selector, dkim.key), (dkim.second_selector, dkim.second_key))
    return tuple(Signer(domain, selector, key.get_secret_value()) for selector, key in keys if selector)


def signs(config: Config) -> dict[str, Sign]:
    """What puts signatures in front of a message, by lane, where there are any. Raises ConfigError like `signers`."""
    from notifier.dkim import signed
    from notifier.stores import LANES

    found = {lane: signers(config, lane) for lane in LANES}
    return {lane: partial(signed, signers=ones) for lane, ones in found.items() if ones}


def transport(config: Config) -> Transport:
    """The way that mail leaves by."""
    from notifier.transports.maildir import MaildirTransport

    if config.mail.transport == "maildir":
        return MaildirTransport(config.mail.maildir)
    return _smtp_transport(config.smtp)


def lane_names(config: Config) -> tuple[str, ...]:
    """The names of the mail servers in the ledger, for those that there are."""
    from notifier.stores import LANES

    return LANES if "fallback" in ways(config) else LANES[:1]


def lanes(config: Config, spent: Mapping[str, str] = MappingProxyType({})) -> tuple[Lane, ...]:
    """The mail servers, the first of which has all the mail while it is well; `spent` is what was of their limits."""
    from notifier.lanes import Lane

    if config.mail.transport == "maildir":
        return (Lane(transport(config), 1),)
    relays = {"smtp": config.smtp, "fallback": config.fallback}
    return tuple(
        Lane(
            _smtp_transport(relay),
            relay.links,
            name=name,
            limits=relay.rate.limits,
            rests=config.smtp.rest,
            spent=spent.get(name, ""),
        )
        for name, relay in relays.items()
        if relay.host
    )


def patience(config: Config) -> Patience:
    """When what was put off is tried again."""
    from notifier.dispatch import Patience

    return Patience(config.smtp.retry, config.smtp.resend_after)


def _smtp_transport(relay: RelaySection) -> Transport:
    from notifier.transports.smtp import SmtpTransport

    return SmtpTransport(smtp_settings(relay))


def smtp_settings(relay: RelaySection) -> SmtpSettings:
    """How to reach this mail server."""
    from notifier.relay import SmtpSettings

    return SmtpSettings(
        relay.host,
        relay.port,
        relay.tls,
        relay.username,
        relay.password.get_secret_value(),
        relay.ca_file,
        relay.links,
        pipelining=relay.pipelining,
        timeout=relay.timeout,
        final_timeout=relay.final_timeout,
    )


def ways(config: Config) -> dict[str, Way]:
    """How mail leaves, by the section of the settings: over no server where it goes into a Maildir."""
    from notifier.advice import Way

    if config.mail.transport != "smtp":
        return {}
    relays = {"smtp": config.smtp, **({"fallback": config.fallback} if config.fallback.host else {})}
    senders = {name: (sender_address(config), config.bounces.address) for name in relays}
    if config.fallback.sender:
        senders["fallback"] = (_mailbox(config.fallback.sender).address, "")
    return {
        name: Way(name, relay.host, relay.port, relay.tls, relay.username, *senders[name])
        for name, relay in relays.items()
    }


def limits(config: Config) -> Limits:
    """How many messages may leave in which time."""
    return config.smtp.rate.limits if config.mail.transport == "smtp" else NO_LIMITS


def watched(config: Config) -> Watched:
    """The talk list that the settings name."""
    from notifier.watched import Watched

    return Watched(config.talks, every=config.poll)


async def open_store(config: Config, *, read_only: bool = False) -> SqliteStore:
    """The ledger that the settings name. Raises StoreError."""
    from notifier.stores.sqlite import SqliteStore

    return await SqliteStore.open(config.store.path, resend=config.mail.on_ambiguous == "resend", read_only=read_only)


@asynccontextmanager
async def locked_store(config: Config) -> AsyncIterator[SqliteStore]:
    """The ledger for ourselves alone. Raises StoreLocked while a daemon has it."""
    from notifier.locks import lock

    path = config.store.path
    files.make_folder(path.parent)
    with lock(lock_path(path)):
        store = await open_store(config)
        try:
            yield store
        finally:
            await store.close()


def lock_path(store: Path) -> Path:
    """The file that stands for a store's lock."""
    return store.with_suffix(".lock")


def witness(config: Config) -> Witness:
    """What was once published from the store that the settings name. Raises StoreError."""
    from notifier.witness import Witness

    return Witness(config.store.path.with_suffix(".published"))


def first_files(now: datetime) -> dict[str, str]:
    """What `init` writes, by file name; the sample session is on the Saturday after the next two days."""
    today = now.astimezone(ZoneInfo("Asia/Shanghai")).date()
    saturday = today + timedelta(days=2 + (5 - (today.weekday() + 2)) % 7)
    texts = files.shipped("init") | {"config.example.toml": files.example_config()}
    return {Path(name).name: text.replace("{{ next_saturday }}", saturday.isoformat()) for name, text in texts.items()}


def sample_subscribers() -> tuple[Subscriber, ...]:
    """Three readers of a sample: in Chinese at home, in English at home, and abroad."""
    return (
        Subscriber("ada@example.org", "Ada", "zh"),
        Subscriber("bob@example.org", "Bob", "en", "Europe/Berlin", (timedelta(days=1), timedelta(minutes=15))),
        Subscriber("carol@example.org", "Carol", "en", "America/New_York"),
    )
