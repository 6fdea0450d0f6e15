"""Who receives mail: subscribers, their states and preferences, addresses made comparable, signed links."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from zoneinfo import available_timezones

from notifier.errors import AddressError, Problem, TokenError
from notifier.spans import format_span, parse_span
from notifier.talks import clean_line

LANGUAGES = ("zh", "en")
COLUMNS = ("address", "name", "language", "timezone", "leads", "state")
# No domains of the public net, which email-validator refuses; but mail goes there all the same.
_is_of_this_network = re.compile(
    r"(?:[a-z0-9-]+\.)*(?:localhost|local|localdomain|internal|lan)", re.IGNORECASE
).fullmatch
_HEADINGS = {
    "email": "address",
    "e-mail": "address",
    "mail": "address",
    "邮箱": "address",
    "姓名": "name",
    "lang": "language",
}


class State(StrEnum):
    """Where a subscriber stands; only the confirmed are mailed."""

    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One normalised address with its owner's wishes.

    `timezone` is an IANA name, empty for the seminar's own. `leads` are the owner's reminder lead times, None for the
    seminar's. `id` is the ledger's number for them and 0 before it has one.
    """

    address: str
    name: str = ""
    language: str = "en"
    timezone: str = ""
    leads: tuple[timedelta, ...] | None = None
    state: State = State.CONFIRMED
    id: int = 0


def subscriber(values: Mapping[str, str]) -> Subscriber:
    """The subscriber that these texts describe, one for each of `COLUMNS`; all but the address may be missing.

    Raises:
        AddressError: with every problem at once: the address, language, zone, lead times or state cannot be used.
    """
    problems: list[Problem] = []
    given = {name: clean_line(values.get(name) or "") for name in COLUMNS}
    checks = {
        "address": normalised_address,
        "language": _language,
        "timezone": _timezone,
        "leads": _leads,
        "state": _state,
    }
    checked: dict[str, object] = {}
    for name, check in checks.items():
        try:
            checked[name] = check(given[name])
        except AddressError as error:
            problems.extend(error.problems)
    if problems:
        raise AddressError(problems)
    return Subscriber(name=given["name"], **checked)  # type: ignore[arg-type]


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
            globally_deliverable=False,
            test_environment=True,
        )
    except email_validator.EmailNotValidError as error:
        told = f"'{clean_line(address)[:80]}' is no e-mail address: {error}"
        raise AddressError(Problem(told, "mend or drop it")) from error
    return f"{found.local_part}@{host.lower() if is_here else found.ascii_domain or found.domain}"


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
        return tuple(sorted({parse_span(word) for word in text.replace(",", " ").split()}, reverse=True)) or None
    except ValueError as error:
        raise AddressError(
            Problem(f"'{text}' are no lead times", "write them like '1d 1h', or leave them empty")
        ) from error


def _state(text: str) -> State:
    try:
        return State(text.lower() or "confirmed")
    except ValueError as error:
        raise AddressError(Problem(f"'{text}' is no state", f"write {', '.join(State)}")) from error


def read_csv(text: str) -> Iterator[tuple[int, Subscriber | AddressError]]:
    """Each row's line number with its subscriber, or with what is wrong with it.

    The first row names the columns (`COLUMNS`, in any order, others are passed over); where it holds an address
    instead, the rows are addresses and names.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    columns: tuple[str, ...] = ()
    line = 1
    for row in rows:
        first_line, line = line, rows.line_num + 1
        if not any(cell.strip() for cell in row):
            continue
        if not columns:
            names = tuple(_HEADINGS.get(cell.strip().lower(), cell.strip().lower()) for cell in row)
            columns = names if "address" in names else COLUMNS[:2]
            if "address" in names:
                continue
        try:
            yield first_line, subscriber(dict(zip(columns, row, strict=False)))
        except AddressError as error:
            yield first_line, error


def write_csv(subscribers: Iterable[Subscriber]) -> Iterator[str]:
    """The lines of a CSV text with `COLUMNS` that `read_csv` reads back."""
    yield _csv_line(COLUMNS)
    for one in subscribers:
        leads = " ".join(format_span(lead) for lead in one.leads or ())
        yield _csv_line((one.address, one.name, one.language, one.timezone, leads, one.state))


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def token(purpose: str, subscriber_id: int, key: str) -> str:
    """A signed word for a link that does one thing for one subscriber; it holds no address."""
    return str(_serializer(purpose, key).dumps(subscriber_id))


def read_token(purpose: str, text: str, key: str) -> int:
    """The subscriber's id in a token made for this purpose with this key. Raises TokenError for any other text."""
    from itsdangerous import BadData

    try:
        subscriber_id = _serializer(purpose, key).loads(text)
    except BadData as error:
        raise TokenError(Problem("this link is not one of ours, or it was cut", "open it from a newer mail")) from error
    if not isinstance(subscriber_id, int):
        raise TokenError(Problem("this link holds no subscriber", "open it from a newer mail"))
    return subscriber_id


@cache
def _serializer(purpose: str, key: str):  # type: ignore[no-untyped-def]
    from itsdangerous import URLSafeSerializer  # lazily, like every library that not every command needs

    return URLSafeSerializer(key, salt=f"notifier.{purpose}")
