"""A session → what the public may see of it: the one place where what is not for them is taken out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from markupsafe import Markup

from notifier import talks
from notifier.mathtext import plain_math
from notifier.pages import deeplinks
from notifier.pages.documents import MINUTES, Changes, Document, History, digest, key_of
from notifier.pages.phases import Phase
from notifier.pages.press import Press
from notifier.pages.searches import plain, read_aloud, vocabulary
from notifier.pages.structured import structured
from notifier.talks import Audience, Session
from notifier.templates import LANGUAGES

SESSIONS = "/sessions/"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session stands: its phase, and the id and start of its neighbours, to which its page leads."""

    phase: Phase
    previous: tuple[str, datetime] | None = None
    following: tuple[str, datetime] | None = None


@dataclass(frozen=True)
class Shown:
    """One session as the public may see it, with all that is rendered of it alone. `source` has what is hidden.

    Its documents are rendered when they are first asked for, since of hundreds of past sessions hardly any is.
    `modified` is known before that: by their keys, what they are rendered from as a tag, and since when it is so.
    """

    source: Session
    place: Place
    session: Session
    listed: str
    modified: Changes
    press: Press

    @cached_property
    def event(self) -> Document:
        """The calendar file."""
        _, since = self.modified[event_path(self.session)]
        return replace(self.press.event(self.session), modified=since).at_once()

    @cached_property
    def pages(self) -> Mapping[str, Document]:
        """The page by language. Raises TemplateError."""
        return {language: self._page(language) for language in LANGUAGES}

    def entry(self, language: str) -> Markup:
        """What lists of sessions show of it in this language. Raises TemplateError."""
        if language not in self._entries:
            known = {"session": self.session, "phase": str(self.place.phase)}
            self._entries[language] = self.press.fragment("entry", language, **known)
        return self._entries[language]

    @cached_property
    def _entries(self) -> dict[str, Markup]:
        return {}

    def reading(self, language: str) -> Markup:
        """What programs show of it that follow the seminar's news, in this language. Raises TemplateError."""
        if language not in self._readings:
            known = {"session": self.session, "is_over": self.place.phase.is_over}
            self._readings[language] = self.press.fragment("reading", language, **known)
        return self._readings[language]

    @cached_property
    def _readings(self) -> dict[str, Markup]:
        return {}

    @property
    def tag(self) -> str:
        """What tells it, as it is shown, from any other state of it."""
        return self.modified[key_of(page_path(self.session), next(iter(LANGUAGES)))][0]

    @cached_property
    def text(self) -> str:
        """All of its words that a search may find, as they are compared."""
        parts = [f"{self.session.start.astimezone(ZoneInfo(self.press.head.timezone)):%Y-%m-%d}"]
        for talk in self.session.talks:
            parts += (talk.title, talk.title_zh, talk.abstract, talk.abstract_zh, talk.kind)
            for speaker in talk.speakers:
                parts += (speaker.name, read_aloud(speaker.name), *speaker.affiliations)
        return plain(plain_math("\n".join(filter(None, parts))))

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of its titles and speakers, which somebody may have meant who typed others."""
        titles = [title for talk in self.session.talks for title in (talk.title, talk.title_zh) if title]
        names = [speaker.name for talk in self.session.talks for speaker in talk.speakers]
        return vocabulary(plain(plain_math(" ".join((*titles, *names)))))

    def about(self, language: str) -> dict[str, Any]:
        """What templates know of it in this language."""
        session, seminar = self.session, self.press.head
        url = f"{self.press.site.base_url}{quote(page_path(session))}"
        is_over = self.place.phase.is_over
        return {
            "session": session,
            "phase": str(self.place.phase),
            "is_over": is_over,
            "page_url": url,
            "calendars": deeplinks.for_session(session, seminar, language, url),
            "structured": structured(session, seminar, language, url, is_over=is_over),
        }

    def _page(self, language: str) -> Document:
        path, place = page_path(self.session), self.place
        values = {"previous": place.previous, "following": place.following, **self.about(language)}
        page = self.press.page("session", language, MINUTES, path=quote(path), **values)
        return replace(page, modified=self.modified[key_of(path, language)][1]).at_once()


def show(source: Session, place: Place, known: Shown | None, press: Press, history: History) -> Shown:
    """The session for the public: the one `known` before, with all that was rendered of it, where nothing changed."""
    if known and known.place == place and known.source == source:
        return known
    session = talks.shown_to(Audience.PUBLIC, source, press.site.levels)
    # What is urgent is the first line of the notice, which is all that programs know of.
    listed = json.dumps(talks.session_as_json(replace(session, urgent="")), ensure_ascii=False)
    event_tag, page_tag = digest(press.digest, listed), digest(press.digest, listed, repr(place))
    page_keys = (key_of(page_path(session), language) for language in LANGUAGES)
    tags = {event_path(session): event_tag, **dict.fromkeys(page_keys, page_tag)}
    modified = {key: (tag, history.since(key, tag)) for key, tag in tags.items()}
    return Shown(source, place, session, listed, modified, press)


def page_path(session: Session) -> str:
    """Where the session's page is."""
    return f"{SESSIONS}{session.id}"


def event_path(session: Session) -> str:
    """Where the session's calendar file is."""
    return f"{SESSIONS}{session.id}.ics"
