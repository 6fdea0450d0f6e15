"""Notice + Subscriber + templates → e-mail: who it is from and for, and its bytes (RFC 5322)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from notifier import feed, letters, marks
from notifier.errors import Problem
from notifier.letters import Letter, Matter, Templates
from notifier.mime import Multipart, Part, Skeleton, mailbox_header, text_header, token_header
from notifier.notices import OF_SUBSCRIPTIONS, Kind, Notice
from notifier.subscribers import Subscriber, comparable, envelope_address
from notifier.talks import Seminar, Session, clean_line
from notifier.templates import LANGUAGES
from notifier.tokens import Purpose

KEPT = 256  # skeletons of 50 kB: one for each notice, language and time zone that a day's mail is for

_LINKS = {
    letters.PREFERENCES_URL: Purpose.PREFERENCES,
    letters.CONFIRM_URL: Purpose.CONFIRM,
    letters.FEED_URL: Purpose.FEED,
}
_UNANSWERED = (
    token_header("Auto-Submitted", "auto-generated"),  # RFC 3834: nobody's vacation is answered
    token_header("X-Auto-Response-Suppress", "All"),  # the same for Exchange
)
_is_plain_url = re.compile(r"[A-Za-z0-9:/?#@!$&'()*+,;=%._~-]*").fullmatch


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address and the name shown before it."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Site:
    """Whose mail it is. `domain` is what Message-IDs and the List-Id end in; `reply_to` None where the sender reads.

    `link` gives the signed link for a purpose in a subscriber's mail of that time; `threading` lets the mails about one
    session refer to each other, so that programs show them as one conversation. `mark_key` is what marks are made with.
    What comes back goes to `return_path`, with the mark in it, and to the sender where that is ""; a mail to
    `unsubscribe_by_mail` ends a subscription where a program reads that mailbox.
    """

    base_url: str
    domain: str
    sender: Mailbox
    seminar: Seminar
    link: Callable[[Purpose, Subscriber, datetime], str]
    reply_to: Mailbox | None = None
    attach_calendar: bool = True
    threading: bool = True
    mark_key: str = field(default="", repr=False)
    return_path: str = ""
    unsubscribe_by_mail: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        object.__setattr__(self, "domain", _ascii_host(self.domain))


@dataclass(frozen=True, slots=True)
class Message:
    """A mail as it goes over the wire: the envelope's two addresses, and `body`, complete with its headers.

    `mark` is the word by which the delivery is known should it come back, "" for a mail that is no delivery.
    """

    sender: str
    recipient: str
    message_id: str
    body: bytes
    mark: str = ""


def message_id(notice: Notice, mark: str, domain: str) -> str:
    """The Message-ID of this notice to the subscriber of the mark, the same at every attempt."""
    return f"<{_atom(notice.session_id)}.{_atom(notice.rule)}.{notice.generation}.{mark}@{domain}>"


class Composer:
    """Composes the messages of one site. All who read a notice in one language and zone share one skeleton."""

    def __init__(self, site: Site, templates: Templates) -> None:
        self._site = site
        self._templates = templates
        # Calendar programs name what they show by the last part of its address.
        self._feed_name = f"/{quote(site.seminar.id)}.ics"
        self._skeletons: dict[tuple[object, ...], _Kept] = {}

    def compose(
        self,
        notice: Notice,
        session: Session | None,
        subscriber: Subscriber,
        *,
        date: datetime,
        before: Session | None = None,
    ) -> Message:
        """The message that tells this subscriber of the session as it is shown to them.

        Only a notice about their subscription may be without one.

        `date` is the same at every attempt, and then so are the bytes; `before` is the session as people know it,
        where the notice tells of a change.

        Raises:
            AddressError: the subscriber's address is none.
            TemplateError: a template failed, or the letter is too long for mail programs.
        """
        recipient = envelope_address(subscriber.address)
        mark = self._mark(notice, subscriber)
        identity = message_id(notice, mark, self._site.domain)
        url = _url(self._site.link(Purpose.UNSUBSCRIBE, subscriber, date))
        is_subscribed = notice.kind is not Kind.CONFIRMATION
        # Who asked for a subscription may be a stranger, and must not write to others in our name.
        name = clean_line(subscriber.name) if is_subscribed else ""
        headers = "".join(
            (
                _date_header(date, self._site.seminar.timezone),
                token_header("Message-ID", identity),
                _to_header(name, recipient),
                self._unsubscribe_header(url) if is_subscribed else "",
            )
        )
        skeleton = self._skeleton(notice, session, before, subscriber.language, subscriber.timezone, bool(name))
        values = {letters.NAME: name, letters.ADDRESS: recipient, letters.UNSUBSCRIBE_URL: url}
        for hole, purpose in _LINKS.items():
            if hole in skeleton.holes:  # no link is signed that nobody will see
                link = self._site.link(purpose, subscriber, date)
                values[hole] = _url(link + self._feed_name if purpose is Purpose.FEED else link)
        return_path = self._site.return_path
        sender = marks.return_address(return_path, mark) if return_path else self._site.sender.address
        return Message(sender, recipient, identity, skeleton.fill(headers, values), mark)

    def _unsubscribe_header(self, url: str) -> str:
        return token_header("List-Unsubscribe", f"<{url}>", *_unsubscribe_by_mail(self._site, url))

    def _mark(self, notice: Notice, subscriber: Subscriber) -> str:
        stranger = "" if subscriber.id else comparable(subscriber.address)
        return marks.mark(self._site.mark_key, notice.key, subscriber.id, stranger)

    def _skeleton(
        self, notice: Notice, session: Session | None, before: Session | None, language: str, zone: str, named: bool
    ) -> Skeleton:
        # Each about a subscription is a notice of its own, but their words are the same.
        key = (notice.key[:2] if notice.kind in OF_SUBSCRIPTIONS else notice.key, notice.kind, language, zone, named)
        kept = self._skeletons.pop(key, None)
        if kept is None or kept.session != session or kept.before != before:
            kept = _Kept(session, before, self._lay_out(notice, session, before, language, zone, named))
        self._skeletons[key] = kept  # as the last one: the first is the one unused for longest
        if len(self._skeletons) > KEPT:
            del self._skeletons[next(iter(self._skeletons))]
        return kept.skeleton

    def _lay_out(
        self, notice: Notice, session: Session | None, before: Session | None, language: str, zone: str, named: bool
    ) -> Skeleton:
        site = self._site
        matter = Matter(notice.kind, session, site.seminar, site.base_url, before)
        letter = letters.write(self._templates, matter, language, zone, named=named)
        headers = _headers(site, notice, session, letter.subject, language)
        return Skeleton(headers, _body(site, notice, session, letter, language))


@dataclass(frozen=True, slots=True)
class _Kept:
    """A skeleton with what it was made from."""

    session: Session | None
    before: Session | None
    skeleton: Skeleton


def _headers(site: Site, notice: Notice, session: Session | None, subject: str, language: str) -> str:
    """The headers that are the same for all readers."""
    headers = [
        mailbox_header("From", site.sender.name, site.sender.address),
        mailbox_header("Reply-To", site.reply_to.name, site.reply_to.address) if site.reply_to else "",
        text_header("Subject", subject),
        *(_thread_headers(site, session) if session and notice.kind not in OF_SUBSCRIPTIONS else ()),
        *(_list_headers(site, notice, language) if notice.kind is not Kind.CONFIRMATION else ()),
        *_UNANSWERED,
        token_header("Content-Language", LANGUAGES[language]),
    ]
    return "".join(headers)


def _thread_headers(site: Site, session: Session) -> Iterator[str]:
    """Those by which mail programs show all mails about the session together."""
    root = f"<{_atom(session.uid.partition('@')[0] or session.id)}.session@{site.domain}>"
    return (token_header(name, root) for name in ("References", "In-Reply-To") if site.threading)


def _list_headers(site: Site, notice: Notice, language: str) -> Iterator[str]:
    """Those of a mailing list, to which who is only asked to confirm does not belong."""
    seminar = site.seminar
    series = _atom(seminar.id)
    yield mailbox_header("List-Id", seminar.name_in(language), f"{series}.{site.domain}")
    yield token_header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    yield token_header("List-Help", f"<{_url(site.base_url)}/>")
    yield token_header("List-Archive", f"<{_url(site.base_url)}/>")
    yield token_header("Precedence", "list")
    told = _atom(notice.told_session) or "none"
    yield token_header("Feedback-ID", f"{_atom(notice.rule)}:{told}:{notice.kind}:{series}")


def _body(site: Site, notice: Notice, session: Session | None, letter: Letter, language: str) -> Multipart:
    """Text, HTML and calendar as alternatives; the calendar once more for programs that only see attachments.

    All are in the reader's language: some programs show the calendar beside the letter.
    """
    text = Part("text/plain; charset=utf-8", letter.text)
    html = Part("text/html; charset=utf-8", letter.html, escape=escape)
    is_past = notice.kind is Kind.REPLAY  # nobody wants to be asked whether to note what is over
    if session is None or is_past or notice.kind is Kind.CONFIRMATION or not site.attach_calendar:
        return Multipart("alternative", (text, html))
    # Outlook refuses a calendar whose METHOD is not that of its part, and one without the charset reads as Latin-1.
    method = "CANCEL" if notice.kind is Kind.CANCELLED else "PUBLISH"
    organizer = (site.reply_to or site.sender).address
    document = feed.single(
        session, site.seminar, base_url=site.base_url, method=method, organizer=organizer, language=language
    )
    calendar = document.decode().replace("\r\n", "\n")
    name = f"seminar-{_atom(session.id)}.ics"
    alternative = Multipart(
        "alternative", (text, html, Part(f"text/calendar; charset=utf-8; method={method}", calendar))
    )
    attached = Part(f'application/ics; name="{name}"', calendar, f'attachment; filename="{name}"')
    return Multipart("mixed", (alternative, attached))


def _unsubscribe_by_mail(site: Site, url: str) -> tuple[str, ...]:
    """For programs that cannot POST: a mail with the link's token, or else to those who read the answers."""
    if site.unsubscribe_by_mail:
        token = url.rpartition("/")[2]
        return (f"<mailto:{quote(site.unsubscribe_by_mail, safe='@+')}?subject=unsubscribe%20{token}>",)
    if site.reply_to is None:
        return ()
    return (f"<mailto:{quote(site.reply_to.address, safe='@+')}?subject={quote(f'unsubscribe {site.seminar.id}')}>",)


@lru_cache(64)  # every reader of a notice has the same
def _date_header(date: datetime, zone: str) -> str:
    if date.utcoffset() is None:
        raise ValueError(f"expected an aware datetime for date, got {date!r}")
    return token_header("Date", format_datetime(date.astimezone(ZoneInfo(zone))))


def _to_header(name: str, address: str) -> str:
    if address.isascii():
        return mailbox_header("To", name, address)
    # A local part in other letters fits no ASCII header. The envelope carries it, where the mail server can (RFC 6531);
    # here it is the name of an empty group, as in RFC 6857.
    return text_header("To", f"{name} {address}").rstrip() + "\r\n :;\r\n"


def _url(url: str) -> str:
    """The link in ASCII and without what could end it in a header."""
    if _is_plain_url(url):
        return url
    if not url.isascii() and (host := urlsplit(url).hostname):
        url = url.replace(host, _ascii_host(host), 1)
    return quote(url, safe=":/?#[]@!$&'()*+,;=%~")


def _ascii_host(host: str) -> str:
    return host.encode("idna").decode("ascii")


@lru_cache(1024)
def _atom(text: str) -> str:
    """The text as a word of Message-IDs and file names; where that takes changes, it ends in a digest of the text."""
    word = re.sub("[^A-Za-z0-9-]+", "-", text).strip("-")[:40]
    return word if word == text else f"{word}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")


def trouble(site: Site, organiser: str, subject: str, problems: Sequence[Problem], *, date: datetime) -> Message:
    """The message that tells an organiser what is wrong, every problem on a line of its own."""
    name = site.seminar.name
    lines = (f"{subject}.", "", *(f"- {problem}" for problem in problems), "", f"-- \nseminar-notifier for {name}")
    told = "\n".join(lines) + "\n"
    digest = hashlib.sha256(f"{organiser}\0{told}\0{date.isoformat()}".encode()).hexdigest()
    identity = f"<trouble.{digest[:16]}@{site.domain}>"
    headers = "".join(
        (
            mailbox_header("From", site.sender.name, site.sender.address),
            text_header("Subject", f"[{name}] {subject}"),
            *_UNANSWERED,
            _date_header(date, site.seminar.timezone),
            token_header("Message-ID", identity),
            _to_header("", organiser),
        )
    )
    body = Skeleton(headers, Part("text/plain; charset=utf-8", told)).fill("", {})
    return Message(site.sender.address, organiser, identity, body)
