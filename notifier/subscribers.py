"""Who receives mail: subscribers, their states and wishes, and addresses made comparable."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from notifier.errors import AddressError, Problem
from notifier.notices import Kind, Recipients
from notifier.spans import format_span, parse_span
from notifier.talks import Session, clean_line

LANGUAGES = ("zh", "en")
COLUMNS = (
    "address", "name", "language", "timezone", "leads", "state", "declined", "words", "paused_until", "reason",
)  # fmt: skip
# Who was told of a session is always told when it moves or is cancelled: nobody is left with what no longer holds.
DECLINABLE = (Kind.ANNOUNCEMENT, Kind.REMINDER, Kind.REPLAY)
CONFIRM_WITHIN = timedelta(days=7)  # then a request for a subscription is forgotten
MOST_LEADS = MOST_WORDS = 10
LONGEST_NAME, LONGEST_WORD = 200, 60

# Up to how long before a session lead times may be told how finely. Each that somebody chose is a rule of its own for
# every session, so there must not be one for every subscriber.
_GRAIN = (
    (timedelta(hours=6), timedelta(minutes=5)),
    (timedelta(days=3), timedelta(hours=1)),
    (timedelta(days=30), timedelta(days=1)),
)
_SHORTEST_LEAD = timedelta(minutes=10)
# No domains of the public net, which email-validator refuses; but mail goes there all the same.
_is_of_this_network = re.compile(
    r"(?:[a-z0-9-]+\.)*(?:localhost|local|localdomain|internal|lan)", re.IGNORECASE
).fullmatch


class State(StrEnum):
    """Where a subscriber stands; only the confirmed are mailed."""

    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"
    BLOCKED = "blocked"

    def may_become(self, other: State) -> bool:
        """Whether a link or a returned mail may bring that about; a person at the command line may do anything.

        Who is blocked stays so, whoever holds an old link. Nobody becomes unconfirmed again.
        """
        return self is not State.BLOCKED and other not in (self, State.UNCONFIRMED)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One normalised address with its owner's wishes.

    `timezone` is an IANA name, empty for the seminar's own. `leads` are the owner's reminder lead times, None for the
    seminar's. `declined` are kinds of notice that they do not want; of `words` a session must hold one to be told of,
    in any spelling of case; nothing is told before `paused_until`. `reason` is why they are blocked and `changed` when
    they came into their state. `series` counts how often their private links were revoked. `id` is the ledger's
    number for them and 0 before it has one.
    """

    address: str
    name: str = ""
    language: str = "en"
    timezone: str = ""
    leads: tuple[timedelta, ...] | None = None
    state: State = State.CONFIRMED
    id: int = 0
    declined: frozenset[Kind] = frozenset()
    words: tuple[str, ...] = ()
    paused_until: datetime | None = None
    reason: str = ""
    series: int = 0
    changed: datetime | None = field(default=None, compare=False)

    def refusal(self, whom: Recipients, about: str, at: datetime) -> str:
        """Why a notice for these recipients is not for this one should it open at that time; "" where it is.

        `about` is the session as `searchable`. That they were told of the session before is not known here: such
        a notice is theirs whatever they wish.
        """
        if self.state is not State.CONFIRMED:
            return f"the subscriber is {self.state}" + (f": {self.reason}" if self.reason else "")
        if whom.told:
            return ""
        if self.paused_until is not None and at < self.paused_until:
            return f"the subscriber paused until {self.paused_until:%Y-%m-%d %H:%MZ}"
        if self.words and not any(word in about for word in self.words):
            return f"no talk is about {', '.join(self.words)}"
        if whom.everyone and Kind.ANNOUNCEMENT not in self.declined:
            return ""
        if whom.replays and Kind.REPLAY not in self.declined:
            return ""
        is_time = whom.by_default if self.leads is None else bool(whom.leads.intersection(self.leads))
        if is_time and Kind.REMINDER not in self.declined:
            return ""
        if is_time or whom.everyone or whom.replays:
            return "the subscriber declined such mail"
        return "not one of the subscriber's lead times"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many mails about subscriptions go to one address a day and to all in an hour; requests a network an hour."""

    mails_per_address: int = 3
    mails_per_hour: int = 200
    requests_per_network: int = 20


def folded(text: str) -> str:
    """The text without what tells two spellings of the same words apart."""
    return unicodedata.normalize("NFKC", text).casefold()


def searchable(session: Session) -> str:
    """All that is told of a session's talks, for words to be looked for in."""
    talks = (
        (t.title, t.title_zh, t.abstract, t.abstract_zh, *(w for s in t.speakers for w in (s.name, *s.affiliations)))
        for t in session.talks
    )
    return folded("\n".join(text for told in talks for text in told if text))


def subscriber(values: Mapping[str, str], home: str = "UTC") -> Subscriber:
    """The subscriber that these texts describe, one for each of `COLUMNS`; all but the address may be missing.

    Dates begin by the subscriber's clock, else by that of `home`, the seminar's zone.

    Raises:
        AddressError: with every problem at once: the address or a wish cannot be used.
    """
    checked = check(values, home)
    if isinstance(checked, Subscriber):
        return checked
    raise AddressError(checked.values())


def check(values: Mapping[str, str], home: str = "UTC") -> Subscriber | dict[str, Problem]:
    """The same, or what is wrong by the name of the column."""
    given = {name: clean_line(values.get(name) or "") for name in COLUMNS}
    read: dict[str, Any] = {}
    problems: dict[str, Problem] = {}
    for name, reader in _READERS.items():
        try:
            read[name] = reader(given[name])
        except AddressError as error:
            problems[name] = error.problems[0]
    try:
        read["paused_until"] = _instant(given["paused_until"], read.get("timezone") or home)
    except AddressError as error:
        problems["paused_until"] = error.problems[0]
    return problems or Subscriber(**read)


def written(one: Subscriber) -> dict[str, str]:
    """The texts, by `COLUMNS`, that `subscriber` reads back."""
    return {
        "address": one.address,
        "name": one.name,
        "language": one.language,
        "timezone": one.timezone,
        "leads": " ".join(format_span(lead) for lead in one.leads or ()),
        "state": str(one.state),
        "declined": " ".join(kind for kind in DECLINABLE if kind in one.declined),
        "words": ", ".join(one.words),
        "paused_until": one.paused_until.astimezone(UTC).isoformat() if one.paused_until else "",
        "reason": one.reason,
    }


def normalised_address(address: str) -> str:
    """The address in NFC with a lower-case ASCII domain, as it is written to the mail server.

    Raises AddressError for anything that is no single mailbox (RFC 5321 section 4.1.2), injection forms among it.
    """
    import email_validator  # 60 ms, and most commands know no addresses

    local_part, _, host = address.rpartition("@")
    is_here = bool(_is_of_this_network(host))
    try:
        found = email_validator.validate_email(
            f"{local_part}@example.org" if is_here else address,
            check_deliverability=False,
            strict=True,  # RFC 5321 section 4.5.3.1.1: at most 64 octets before the @
            globally_deliverable=False,
            test_environment=True,
        )
    except email_validator.EmailNotValidError as error:
        told = f"'{clean_line(address)[:80]}' is no e-mail address: {str(error).rstrip('.')}"
        raise AddressError(Problem(told, "mend or drop it")) from error
    return f"{found.local_part}@{host.lower() if is_here else found.ascii_domain or found.domain}"


_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_is_plain_address = re.compile(rf"{_ATEXT}(\.{_ATEXT})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*").fullmatch


def envelope_address(address: str) -> str:
    """The address as the envelope takes it, with an ASCII domain; one that has always been in ASCII stays as it is.

    Raises AddressError for anything that is no single mailbox.
    """
    return address if _is_plain_address(address) else normalised_address(address)


def comparable(address: str) -> str:
    """What two spellings of one mailbox have in common: no server in use tells mailboxes apart by case."""
    return address.casefold()


def _language(text: str) -> str:
    code = text.lower().replace("_", "-").split("-")[0] or "en"
    if code not in LANGUAGES:
        raise AddressError(Problem(f"'{text}' is no language of ours", f"write {' or '.join(LANGUAGES)}"))
    return code


def _timezone(text: str) -> str:
    if text and text not in _timezones():
        raise AddressError(Problem(f"'{text}' is no time zone", "write a name like Europe/Berlin, or leave it empty"))
    return text


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _leads(text: str) -> tuple[timedelta, ...] | None:
    try:
        leads = tuple(sorted({parse_span(word) for word in re.split(r"[\s,，、]+", text) if word}, reverse=True))
    except ValueError as error:
        raise AddressError(
            Problem(f"'{text[:80]}' are no lead times", "write them like '1d 1h', or leave them empty")
        ) from error
    if len(leads) > MOST_LEADS:
        raise AddressError(Problem(f"'{text[:80]}' are too many lead times", f"keep {MOST_LEADS} of them"))
    if odd := next((lead for lead in leads if not _is_offered(lead)), None):
        raise AddressError(
            Problem(
                f"'{format_span(odd)}' is no lead time that can be had",
                "write 10m to 6h in fives of minutes, whole hours up to 3d, or whole days up to 30d",
            )
        )
    return leads or None


def _is_offered(lead: timedelta) -> bool:
    grain = next((grain for most, grain in _GRAIN if lead <= most), None)
    return grain is not None and lead >= _SHORTEST_LEAD and not lead % grain


def _declined(text: str) -> frozenset[Kind]:
    words = frozenset(re.split(r"[\s,，、]+", text.lower())) - {""}
    if unknown := sorted(words.difference(DECLINABLE)):
        raise AddressError(
            Problem(f"'{unknown[0][:80]}' is no kind of mail to decline", f"write {' or '.join(DECLINABLE)}")
        )
    return frozenset(map(Kind, words))


def _words(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(filter(None, (folded(word).strip() for word in re.split("[,;，、；]", text)))))
    if len(words) > MOST_WORDS or any(len(word) > LONGEST_WORD for word in words):
        raise AddressError(
            Problem(f"'{text[:80]}' is too much to look for", f"give {MOST_WORDS} words of {LONGEST_WORD} letters")
        )
    return words


def _instant(text: str, zone: str) -> datetime | None:
    """The instant, or the beginning of the date in that zone."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise AddressError(Problem(f"'{text[:80]}' is no date", "write it like 2026-12-31")) from error


def _name(text: str) -> str:
    """The name, without what a spreadsheet that opens an export would take for a formula."""
    name = text.lstrip("=+-@ ")
    if len(name) > LONGEST_NAME:
        raise AddressError(Problem(f"'{text[:80]}…' is too long a name", f"keep {LONGEST_NAME} letters"))
    return name


def _state(text: str) -> State:
    try:
        return State(text.lower() or "confirmed")
    except ValueError as error:
        raise AddressError(Problem(f"'{text}' is no state", f"write {', '.join(State)}")) from error


_READERS: dict[str, Callable[[str], object]] = {
    "address": normalised_address,
    "name": _name,
    "language": _language,
    "timezone": _timezone,
    "leads": _leads,
    "state": _state,
    "declined": _declined,
    "words": _words,
    "reason": str,
}
