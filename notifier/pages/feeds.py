"""What a reader chooses of the feed by its address → the calendar, kept as long as somebody asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from notifier import feed
from notifier.feed import USUAL, Options
from notifier.pages.documents import JCAL, PRIVATE, SAFE, Document
from notifier.pages.press import Press
from notifier.talks import Seminar, Session
from notifier.templates import LANGUAGES

LONGEST_ALARM = 28 * 24 * 60  # minutes
MOST_ALARMS = 4
# Of all that can be asked for, so much is kept: a flood of addresses nobody uses must not fill the memory.
KEPT, KEPT_BYTES = 48, 32 << 20

_PRIVATE_HEADERS = (("Referrer-Policy", "no-referrer"), ("X-Robots-Tag", "noindex"))
_DAYS = re.compile("([0-9]{1,4})d")
_MINUTES = re.compile("[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One form of the feed. Two addresses that ask for the same are one choice, and so one document."""

    language: str = ""
    options: Options = USUAL

    @property
    def query(self) -> str:
        """How it is asked for: what `read` takes, in one spelling."""
        return "&".join(f"{name}={value}" for name, value in self._pairs())

    def _pairs(self) -> Iterator[tuple[str, str]]:
        options = self.options
        if self.language:
            yield "lang", self.language
        if (options.past, options.at_least) != (USUAL.past, USUAL.at_least):
            yield "past", "all" if options.past is None else f"{options.past.days}d" if options.past else "none"
        if options.split:
            yield "split", "talks"
        if not options.cancelled:
            yield "cancelled", "0"
        for alarm in options.alarms:
            yield "alarm", str(alarm // timedelta(minutes=1))


def read(query: str, language: str = "") -> Choice:
    """What this query asks for, in this language where it names none.

    What it does not know and what makes no sense is passed over: a calendar that answered 400 would be lost to programs
    which add parameters of their own. Of several values for one thing the first that makes sense counts; alarms add up.
    """
    options = USUAL
    spoken, alarms = "", set[int]()
    for name, value in reversed(parse_qsl(query)):
        match name:
            case "lang" if value in LANGUAGES:
                spoken = value
            case "past" if (past := _past(value)) is not None:
                options = replace(options, past=past.past, at_least=past.at_least)
            case "split" if value == "talks":
                options = replace(options, split=True)
            case "cancelled" if value in ("0", "1"):
                options = replace(options, cancelled=value == "1")
            case "alarm":
                alarms |= set(_alarms(value))
    rings = tuple(timedelta(minutes=minutes) for minutes in sorted(alarms, reverse=True)[-MOST_ALARMS:])
    return Choice(spoken or language, replace(options, alarms=rings))


def _past(value: str) -> Options | None:
    if value in ("all", "none"):
        return Options(past=None if value == "all" else timedelta(0))
    days = _DAYS.fullmatch(value)
    return Options(past=timedelta(days=int(days[1]))) if days else None


def _alarms(value: str) -> Iterator[int]:
    for minutes in value.split(","):
        if _MINUTES.fullmatch(minutes) and int(minutes) <= LONGEST_ALARM:
            yield int(minutes)


class Feeds:
    """The calendars that can be chosen of one seminar, as one audience may see it, in their state at `now`.

    One is rendered when it is first asked for, and from then on at every change: `asked` are those to be ready at once.
    `since` is when the seminar became what it is. Those that are private are kept by nobody on the way, are found by no
    search engine, and tell no other address of theirs.
    """

    def __init__(
        self,
        seminar: Seminar,
        press: Press,
        now: datetime,
        since: datetime,
        asked: Iterable[tuple[str, Choice]] = (),
        *,
        are_private: bool = False,
    ) -> None:
        self._seminar, self._press, self._now, self._since = seminar, press, now, since
        self._are_private = are_private
        self._sessions = {session.id: session for session in seminar.sessions}
        self._kept: dict[tuple[str, Choice], Document] = {}
        self._jcal: Document | None = None
        for session_id, choice in asked:
            session = self._sessions.get(session_id)
            if session or not session_id:
                self._kept[session_id, choice] = self._dated(session, choice)
        self._forget()

    @property
    def asked(self) -> tuple[tuple[str, Choice], ...]:
        """What was asked for and is kept, the latest last: a session's id or "" for the whole feed, and the choice."""
        return tuple(self._kept)  # in one step, also while a reader in another thread asks for one more

    def find(self, choice: Choice, session_id: str = "") -> Document | None:
        """The calendar of the seminar, or of one session; None where there is no such session."""
        session = self._sessions.get(session_id)
        if session_id and session is None:
            return None
        known = self._kept.pop((session_id, choice), None) or self._dated(session, choice)
        self._kept[session_id, choice] = known  # the latest is the last
        self._forget()
        return known

    def as_jcal(self, calendar: Document) -> Document:
        """The seminar's calendar in JSON, made when it is first asked for: it takes far longer than a change does."""
        if self._jcal is None:
            document = self._press.document(feed.as_jcal(calendar.body), JCAL, headers=SAFE[:1])
            self._jcal = replace(document, modified=calendar.modified).compress()
        return self._jcal

    def compress(self) -> None:
        """Makes the encodings of all that is kept."""
        for document in tuple(self._kept.values()):
            document.compress()

    def _forget(self) -> None:
        while len(self._kept) > 1 and (len(self._kept) > KEPT or self._size > KEPT_BYTES):
            del self._kept[next(iter(self._kept))]

    @property
    def _size(self) -> int:
        return sum(len(document.body) for document in self._kept.values())

    def _dated(self, session: Session | None, choice: Choice) -> Document:
        document = self._rendered(session, choice)
        if self._are_private:
            document = replace(document, cache_control=PRIVATE, headers=(*document.headers, *_PRIVATE_HEADERS))
        # Nobody stores what was asked for, and so a restart knows no more than when the last session may have left.
        part = replace(self._seminar, sessions=(session,)) if session else self._seminar
        turn = feed.last_turn(part, self._now, choice.options)
        return replace(document, modified=max(self._since, turn.astimezone(UTC)) if turn else self._since).at_once()

    def _rendered(self, session: Session | None, choice: Choice) -> Document:
        base_url = self._press.site.base_url
        if session:
            return self._press.calendar(
                feed.single(
                    session,
                    self._press.head,
                    base_url=base_url,
                    language=choice.language,
                    options=choice.options,
                    now=self._now,
                ),
                session.id,
            )
        source = "" if self._are_private else f"{base_url}/{quote(self._seminar.id)}.ics?{choice.query}"
        return self._press.calendar(
            feed.render(
                self._seminar,
                now=self._now,
                base_url=base_url,
                language=choice.language,
                options=choice.options,
                source=source,
            ),
            self._seminar.id,
        )
