"""What can go wrong, in one tree; the data is on the attributes, so that callers need not read English.

    NotifierError            the operator can act on it; printed without a traceback
    ├── ConfigError          the settings cannot be used
    ├── TalkListError        a talk list was refused; what is published stays as it was
    ├── SourceError          a file or page could not be read at all
    ├── OutputError          what was asked for could not be written down
    ├── TemplateError        a template does not compile or names something unknown
    ├── AddressError         an e-mail address that cannot be mailed
    ├── TokenError           a link that was forged, cut, revoked or made for another purpose
    │   └── TokenExpired     a link whose time is over
    ├── LimitError           more is asked than may be done in this time
    ├── MailboxError         the mailbox of returned mail cannot be read
    ├── ListenError          the server's address cannot be bound
    └── StoreError           the ledger cannot be used
        └── StoreLocked      another daemon holds it (its `pid`)

A mail server's answer is not an exception here: it is an `Outcome` (`notifier.replies`).
Anything else that escapes is a bug in this program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong or doubtful: where, what with its value, and what to do about it."""

    message: str
    advice: str = ""
    source: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = self.source
        if self.line is not None:
            where = f"{where}:{self.line}" if where else f"line {self.line}"
            if self.column is not None and self.source:
                where += f":{self.column}"
        told = f"{self.message}; {self.advice}" if self.advice else self.message
        return f"{where}: {told}" if where else told

    def in_source(self, source: str) -> Problem:
        """The same problem, said of this source unless it already names one."""
        return self if self.source else replace(self, source=source)


class NotifierError(Exception):
    """An error that a person can act on: `problems` holds every one that was found, not just the first."""

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ConfigError(NotifierError):
    """The settings cannot be used."""


class TalkListError(NotifierError):
    """A talk list was refused; what is published stays as it was."""


class SourceError(NotifierError):
    """A file or page could not be read at all: missing, unreachable, in no known encoding."""


class OutputError(NotifierError):
    """What was asked for could not be written: no such folder, no room, no permission."""


class TemplateError(NotifierError):
    """A template does not compile, names an unknown variable, or yields something that cannot be sent."""


class AddressError(NotifierError):
    """An e-mail address that cannot be mailed."""


class TokenError(NotifierError):
    """A signed link that was forged, cut, revoked, or made for another purpose."""


class TokenExpired(TokenError):
    """A signed link whose time is over."""


class LimitError(NotifierError):
    """More is asked than may be done in this time."""


class MailboxError(NotifierError):
    """The mailbox of returned mail cannot be read: unreachable, a login refused, no such folder."""


class ListenError(NotifierError):
    """The server's address cannot be bound: it is taken, forbidden, or not this machine's."""


class StoreError(NotifierError):
    """The ledger cannot be used: damaged, of a newer schema, or not writable."""


class StoreLocked(StoreError):
    """Another daemon holds the ledger; `pid` is its process, where it could be read."""

    def __init__(self, path: str, pid: int | None) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            Problem(f"{path} is in use by {who}", "stop that daemon first, or give this one its own [store] path")
        )
