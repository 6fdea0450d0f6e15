"""Sessions with what is to be read of each → an Atom feed (RFC 4287) in one language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree

from notifier import events
from notifier.pages.documents import Site
from notifier.talks import Seminar, Session
from notifier.templates import LANGUAGES

PATH = "/feed.atom"
NEWEST = 50  # sessions in it, by their last change; readers keep what they have seen
_SPACE = "http://www.w3.org/2005/Atom"
_NEVER = datetime.fromtimestamp(0, UTC)


def newest(sessions: Iterable[Session]) -> list[Session]:
    """The sessions of the feed, the one that changed last first."""
    return sorted(sessions, key=lambda s: (_changed(s), s.start.timestamp(), s.id), reverse=True)[:NEWEST]


def render(seminar: Seminar, site: Site, language: str, entries: Sequence[tuple[Session, str]]) -> bytes:
    """The feed of these sessions, each with its text in HTML.

    Identities are made of what stays: an entry's of the UID, which it keeps for ever, with the language, because who
    reads both languages is to see both.
    """
    base = f"{site.base_url}/{language}"
    root = ElementTree.Element("feed", {"xmlns": _SPACE, "xml:lang": LANGUAGES[language]})
    _add(root, "id", _urn(f"{base}{PATH}"))
    _add(root, "title", seminar.name_in(language))
    if seminar.description_in(language):
        _add(root, "subtitle", seminar.description_in(language))
    _add(root, "updated", _instant(max((_changed(session) for session, _ in entries), default=_NEVER)))
    for person in seminar.organisers or (seminar.name_in(language),):
        _add(ElementTree.SubElement(root, "author"), "name", person)
    _link(root, "self", f"{base}{PATH}", "application/atom+xml")
    _link(root, "alternate", f"{base}/", "text/html")
    _add(root, "generator", "seminar-notifier")
    for session, text in entries:
        root.append(_entry(session, seminar, base, language, text))
    ElementTree.indent(root, " ")
    written: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return written + b"\n"


def _entry(session: Session, seminar: Seminar, base: str, language: str, text: str) -> ElementTree.Element:
    entry = ElementTree.Element("entry")
    _add(entry, "id", _urn(f"{session.uid or session.id}/{language}"))
    _add(entry, "title", events.summary(session, seminar.name_in(language), language))
    _add(entry, "updated", _instant(_changed(session)))
    _add(entry, "published", _instant(session.created or _changed(session)))
    _link(entry, "alternate", f"{base}/sessions/{quote(session.id, safe='')}", "text/html")
    for speaker in session.speakers:
        _add(ElementTree.SubElement(entry, "contributor"), "name", speaker.name)
    _add(entry, "content", str(text), type="html")  # of marked-up text a part would be escaped twice
    return entry


def _add(parent: ElementTree.Element, name: str, text: str, **attributes: str) -> None:
    ElementTree.SubElement(parent, name, attributes).text = text


def _link(parent: ElementTree.Element, relation: str, address: str, media_type: str) -> None:
    ElementTree.SubElement(parent, "link", rel=relation, type=media_type, href=address)


def _urn(name: str) -> str:
    return uuid5(NAMESPACE_URL, name).urn


def _changed(session: Session) -> datetime:
    return (session.edited or session.modified or session.start).astimezone(UTC)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
