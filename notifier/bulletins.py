"""What a person has to say of a session at once → the bulletin that says it, and the sessions that show it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from notifier.errors import NotifierError, Problem
from notifier.mathtext import plain_math
from notifier.talks import Audience, Seminar, Session, clean_line, hidden_from, without_passcode

LONGEST = 200  # characters: the line opens a subject, which telephones cut after forty


@dataclass(frozen=True, slots=True)
class Bulletin:
    """A fact: this line about a session was announced then; "" where the one before was taken away.

    `number` counts those of the session. It is out until the session's end as it was then: of one that is put off for
    weeks, it would be wrong.
    """

    session_id: str
    number: int
    line: str
    at: datetime
    until: datetime

    @property
    def rule(self) -> str:
        """By which its notice is known."""
        return f"urgent-{self.number}"

    def is_out(self, now: datetime) -> bool:
        """Whether readers are shown it."""
        return bool(self.line) and self.at <= now < self.until


def announced(
    seminar: Seminar,
    session_id: str,
    line: str | None,
    before: Bulletin | None,
    *,
    levels: Mapping[str, Audience],
    now: datetime,
) -> Bulletin:
    """The bulletin that says this of the session, after the one `before`; None takes that away.

    Raises:
        NotifierError: with every reason why it cannot be announced.
    """
    session = seminar.session(session_id)
    problems = [*_wrong_with(session, session_id, seminar, now)]
    if line is not None:
        problems += _wrong_in(line, seminar, session, levels, now)
    elif session is not None and (before is None or not before.is_out(now)):
        problems.append(Problem(f"nothing is announced of session '{session_id}'", "there is nothing to take away"))
    if problems or session is None:
        raise NotifierError(problems)
    number = before.number + 1 if before else 1
    return Bulletin(session_id, number, clean_line(line or ""), now, session.end.astimezone(UTC))


def lines(bulletins: Iterable[Bulletin], seminar: Seminar | None, now: datetime) -> dict[str, str]:
    """The lines that are out, by the id of the session that they are about; none of one that is over by now."""
    over = {s.id for s in seminar.sessions if s.end <= now} if seminar else set()
    return {one.session_id: one.line for one in bulletins if one.is_out(now) and one.session_id not in over}


def with_lines(seminar: Seminar, lines: Mapping[str, str]) -> Seminar:
    """The seminar, each of its sessions with the line that is out about it and no other."""
    sessions = tuple(
        s if s.urgent == lines.get(s.id, "") else replace(s, urgent=lines.get(s.id, "")) for s in seminar.sessions
    )
    return seminar if sessions == seminar.sessions else replace(seminar, sessions=sessions)


def _wrong_with(session: Session | None, session_id: str, seminar: Seminar, now: datetime) -> Iterator[Problem]:
    if session is None:
        coming = [s.id for s in seminar.sessions if s.end > now]
        near = difflib.get_close_matches(session_id, coming, 3, 0)
        advice = f"did you mean {', '.join(near)}?" if near else "no session is to come"
        yield Problem(f"there is no session '{session_id}'", advice)
    elif session.end <= now:
        over = session.end.astimezone(ZoneInfo(session.timezone))
        yield Problem(
            f"session '{session_id}' is over since {over:%Y-%m-%d %H:%M %z}",
            "announce one that is on or to come",
        )
    elif session.is_cancelled:
        yield Problem(
            f"session '{session_id}' is cancelled, which its readers are told by itself",
            "write what else there is to say as its notice in the talk list",
        )


def _wrong_in(
    line: str, seminar: Seminar, session: Session | None, levels: Mapping[str, Audience], now: datetime
) -> Iterator[Problem]:
    if not clean_line(line):
        yield Problem("the line has no words", "write what readers are to know, or --clear to take a line away")
    if len(line) > LONGEST:
        yield Problem(f"the line has {len(line)} characters", f"keep {LONGEST}: it opens the mail's subject")
    if unseen := next((c for c in line if _is_unseen(c)), None):
        told = f"the line holds U+{ord(unseen):04X}, which shows nowhere and may break what it stands in"
        yield Problem(told, "write it on one line, in characters that show")
    if plain_math(line) != line:
        yield Problem("the line holds LaTeX", "a subject shows none: say it in words")
    to_come = [session] if session else []
    to_come += [s for s in seminar.sessions if s.end > now and s is not session]
    if betrayed := sorted({name for s in to_come for name in _betrayed(line, s, levels)}):
        names = " and the ".join(name.replace("_", " ") for name in betrayed)
        yield Problem(
            f"the line holds the {names}, and everybody is shown it",
            "leave that out: mail shows it beside the line to those who may see it, as the talk list has it",
        )


def _is_unseen(character: str) -> bool:
    """Whether it is a control, a line break or a mark that reorders or hides what is around it."""
    # The joiners are within words of Persian and within signs of several parts.
    return (
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        and character not in "\u200c\u200d"
    )


def _betrayed(line: str, session: Session, levels: Mapping[str, Audience]) -> Iterator[str]:
    """Which of the session's join fields that are not for everybody the line holds, however it is written there."""
    text = unicodedata.normalize("NFKC", line)
    for name in hidden_from(Audience.PUBLIC, levels):
        secret = session.livestream.url if name == "livestream" else getattr(session.room, name)
        if _holds(text, secret) or (name == "passcode" and without_passcode(text) != text):
            yield name


def _holds(text: str, secret: str) -> bool:
    letters = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", secret))
    # As a word of its own, also between Chinese ones, with anything but letters and digits within: 974 114, 974-114.
    spelled = r"[\W_]*".join(map(re.escape, letters))
    return bool(letters) and bool(re.search(f"(?<![0-9A-Za-z]){spelled}(?![0-9A-Za-z])", text, re.IGNORECASE))
