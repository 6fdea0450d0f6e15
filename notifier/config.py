"""Every setting, in the tables of `config.example.toml`: its kind, its default and its bounds."""

from __future__ import annotations

import re
from datetime import time, timedelta
from email.utils import getaddresses
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from notifier import notices
from notifier.breakers import RESTS
from notifier.errors import AddressError, Problem
from notifier.links import uri
from notifier.locations import Identifier, WebAddress, ZoneName, did_you_mean, refusal
from notifier.networks import Proxies
from notifier.providers import PROVIDERS
from notifier.rates import Limits
from notifier.spans import format_span, parse_span
from notifier.subscribers import Allowance, normalised_address
from notifier.talklists import FORMS, Context
from notifier.talks import Audience

SHORTEST_KEY = 16
LOOPBACK = ("localhost", "127.0.0.1", "::1")

_NEAREST = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - every interface, as seen from this machine
_PORTS = {"starttls": 587, "implicit": 465, "none": 25}


def _span(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise refusal(f"expected a span of time, got {value}", 'write it in quotes, like "1h30m"')
    try:
        return parse_span(value)
    except ValueError as error:
        raise refusal(str(error), 'write it like "7d", "1h30m" or "90s"') from error


def _none_or(value: Any) -> Any:
    return None if value is False or value == "" else value


def _days_or_none(value: Any) -> Any:
    if _none_or(value) is None:
        return None
    span = _span(value)
    if not 1 <= span.days <= 60 or span % timedelta(days=1):
        raise refusal(f'"{format_span(span)}" is not 1 to 60 whole days', 'write it like "7d", or "" for never')
    return span


def _clock_time(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", value)
    if match is None:
        raise refusal(f'"{value}" is no time of day', 'write it like "09:00"')
    return time(int(match[1]), int(match[2]))


def _between(least: str, most: str) -> AfterValidator:
    def check(span: timedelta) -> timedelta:
        if not parse_span(least) <= span <= parse_span(most):
            raise refusal(f'"{format_span(span)}" is out of bounds', f"write a span from {least} to {most}")
        return span

    return AfterValidator(check)


def _folder(info: ValidationInfo) -> Path:
    """The folder that relative paths start from."""
    folder = (info.context or {}).get("folder", "")
    return Path(folder)


def _path(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str | Path) or not value:
        raise refusal(f"{value!r} is no path", 'write it in quotes, like "var/outbox"')
    return _folder(info) / value


def _path_or_none(value: Any, info: ValidationInfo) -> Any:
    return _path(value, info) if value is not None and value != "" else None


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _mailable(address: str) -> str:
    try:
        return normalised_address(address)
    except AddressError as error:
        raise refusal(error.problems[0].message, "write name@domain") from error


def _mailbox(text: str) -> str:
    """The text of one `Name <address>` or bare address."""
    found = getaddresses([text])
    if len(found) != 1 or not found[0][1] or any(ord(c) < 32 for c in text):
        raise refusal(f'"{text}" is no sender', 'write "Name <name@domain>"; a name with commas stands in quotes')
    _mailable(found[0][1])
    return text


def scheme_and_host(url: str) -> tuple[str, str] | None:
    """Scheme and host of a URL, or None where it has none."""
    try:
        parts = urlsplit(url)
        return (parts.scheme, parts.hostname) if parts.hostname and not re.search(r"\s", url) else None
    except ValueError:
        return None


def _address(text: str) -> str:
    """The text of an address to listen at."""
    if text.startswith("unix:/"):
        return text
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]+):([0-9]{1,5})", text)
    if match is None or int(match[2]) > 65535:
        raise refusal(f'"{text}" is no address to listen at', 'write "host:port", "[::1]:port" or "unix:/path"')
    return text


def _proxy(text: str) -> str:
    """The text of a proxy that is trusted."""
    try:
        Proxies.parse([text])
    except ValueError as error:
        advice = 'write "127.0.0.1", "10.0.0.0/8", "::1" or "unix"'
        raise refusal(str(error), advice) from error
    return text


def _talks(text: str, info: ValidationInfo) -> str:
    """The address of a page, or a path joined to the config file's folder."""
    if not text:
        raise refusal("no talk list is named", 'write talks = "talks.toml"')
    if "://" not in text:
        return str(_folder(info) / text)
    scheme, host = scheme_and_host(text) or ("", "")
    if scheme != "https" and (scheme, host) not in [("http", name) for name in LOOPBACK]:
        raise refusal(f'"{text}" can be changed by anyone on the way', "give a file, or a page's https:// address")
    return text


def _form(name: str) -> str:
    if name and name not in FORMS:
        raise refusal(f'"{name}" is no form of talk list', did_you_mean(name, FORMS) or f"one of {', '.join(FORMS)}")
    return name


def _level(value: Any) -> Any:
    levels = {level.name.lower(): level for level in Audience}
    if isinstance(value, Audience):
        return value
    if not isinstance(value, str) or value not in levels:
        raise refusal(f"{value!r} is no audience", f"write one of {', '.join(levels)}")
    return levels[value]


def _preset(name: str) -> str:
    if name and name not in PROVIDERS:
        advice = did_you_mean(name, PROVIDERS) or f"one of {', '.join(PROVIDERS)}"
        raise refusal(f'"{name}" is no provider that is known here', advice)
    return name


def _one_or_more(value: Any) -> Any:
    if value == []:
        raise refusal("no address to listen at is given", 'write listen = "127.0.0.1:8000"')
    return (value,) if isinstance(value, str) else _listed(value)


def _long_enough(key: SecretStr) -> SecretStr:
    if 0 < len(key.get_secret_value()) < SHORTEST_KEY:
        raise refusal("the key could be guessed", f"take at least {SHORTEST_KEY} letters and digits, by chance")
    return key


Span = Annotated[timedelta, BeforeValidator(_span)]
Level = Annotated[Audience, BeforeValidator(_level)]
Place = Annotated[Path, BeforeValidator(_path)]


class Table(BaseModel):
    """A table of the settings; what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=True)


class SeminarSection(Table):
    """What the talk list itself may leave unsaid."""

    id: Identifier = "seminar"
    name: str = ""
    timezone: ZoneName = "Asia/Shanghai"


class ServerSection(Table):
    """Where pages and feeds are served, and under which address people reach them."""

    listen: Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], BeforeValidator(_one_or_more)] = (
        "127.0.0.1:8000",
    )
    base_url: WebAddress = ""
    compress: bool = True
    loop: Literal["asyncio", "uvloop"] = "asyncio"
    open_probes: bool = False
    trusted_proxies: Annotated[tuple[Annotated[str, AfterValidator(_proxy)], ...], BeforeValidator(_listed)] = ()

    @field_validator("base_url")
    @classmethod
    def _derive(cls, base_url: str, info: ValidationInfo) -> str:
        if base_url or not info.data.get("listen"):
            return uri(base_url.rstrip("/")) or base_url
        host, _, port = info.data["listen"][0].rpartition(":")
        if host == "unix":
            return "http://localhost"
        return f"http://{_NEAREST.get(host, host)}:{port}"

    @property
    def proxies(self) -> Proxies:
        """The same as what tells a client's address."""
        return Proxies.parse(self.trusted_proxies)


class StoreSection(Table):
    """Where the ledger is."""

    path: Place = Path("var/notifier.db")


class MailSection(Table):
    """Who writes, and by which way mail leaves."""

    transport: Literal["maildir", "smtp"] = "maildir"
    sender: Annotated[str, AfterValidator(_mailbox)] = "Seminar <seminar@localhost>"
    reply_to: Annotated[str, AfterValidator(lambda text: _mailbox(text) if text else "")] = ""
    organisers: Annotated[tuple[Annotated[str, AfterValidator(_mailable)], ...], BeforeValidator(_listed)] = ()
    maildir: Place = Path("var/outbox")
    attach_calendar: bool = True
    threading: bool = True
    on_ambiguous: Literal["resend", "hold"] = "resend"


class RateTable(Table):
    """How many mails may leave in each span of time; 0 for any number."""

    per_second: Annotated[int, Field(ge=0)] = 0
    per_minute: Annotated[int, Field(ge=0)] = 0
    per_hour: Annotated[int, Field(ge=0)] = 0
    per_day: Annotated[int, Field(ge=0)] = 0

    @property
    def limits(self) -> Limits:
        """The same as what a pace goes by."""
        return Limits(**dict(self))


class RelaySection(Table):
    """A mail server that takes our mail; `preset` fills in what is not given, and `port` follows from `tls`."""

    preset: Annotated[str, AfterValidator(_preset)] = ""
    host: str = "127.0.0.1"
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None
    ca_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None
    allow_cleartext: bool = False
    links: Annotated[int, Field(ge=1, le=4)] = 2
    pipelining: bool = True
    rate: RateTable = RateTable()
    timeout: Annotated[Span, _between("1s", "10m")] = timedelta(minutes=5)
    final_timeout: Annotated[Span, _between("1s", "30m")] = timedelta(minutes=10)

    @field_validator("port")
    @classmethod
    def _derive(cls, port: int, info: ValidationInfo) -> int:
        return port or _PORTS[info.data.get("tls", "starttls")]


class SmtpSection(RelaySection):
    """The mail server that takes our mail, and how failures are dealt with."""

    retry: Annotated[
        tuple[Annotated[Span, _between("1s", "1d")], ...], Field(min_length=1), BeforeValidator(_listed)
    ] = tuple(timedelta(minutes=m) for m in (1, 2, 5, 10, 20, 30, 60))
    rest: Annotated[
        tuple[Annotated[Span, _between("1s", "1d")], ...], Field(min_length=1), BeforeValidator(_listed)
    ] = RESTS
    resend_after: Annotated[Span, _between("0s", "1d")] = timedelta(minutes=10)


class FallbackSection(RelaySection):
    """The mail server that helps out while the first one is at fault; none where there is no host."""

    host: str = ""
    sender: Annotated[str, AfterValidator(lambda text: _mailbox(text) if text else "")] = ""


class DkimSection(Table):
    """With which keys mail is signed in the name of the sender's domain; with none without a selector."""

    domain: str = ""
    selector: str = ""
    key: SecretStr = SecretStr("")
    key_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None
    second_selector: str = ""
    second_key: SecretStr = SecretStr("")
    second_key_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None


class BouncesSection(Table):
    """Where mail that comes back arrives, and how it is read; nowhere without a host and a Maildir."""

    address: Annotated[str, AfterValidator(lambda text: _mailable(text) if text else "")] = ""
    maildir: Annotated[Path | None, BeforeValidator(_path_or_none)] = None
    host: str = ""
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None
    ca_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None
    folder: str = "INBOX"
    every: Annotated[Span, _between("10s", "1d")] = timedelta(minutes=5)
    soft_limit: Annotated[int, Field(ge=1, le=1000)] = 5
    soft_within: Annotated[Span, _between("1d", "365d")] = timedelta(days=60)

    @field_validator("port")
    @classmethod
    def _derive(cls, port: int, info: ValidationInfo) -> int:
        return port or (993 if info.data.get("tls") == "implicit" else 143)

    @property
    def is_read(self) -> bool:
        """True where a program, this one, reads the mailbox."""
        return bool(self.host or self.maildir)


_RULES = notices.Rules()


class NoticesSection(Table):
    """When notices are due."""

    announcement: Annotated[timedelta | None, BeforeValidator(_days_or_none)] = _RULES.announcement
    announcement_at: Annotated[time, BeforeValidator(_clock_time)] = _RULES.announcement_at
    reminders: Annotated[tuple[Annotated[Span, _between("6m", "30d")], ...], BeforeValidator(_listed)] = (
        _RULES.reminders
    )
    settle: Annotated[Span, _between("0s", "1d")] = _RULES.settle
    approve_above: Annotated[int, Field(ge=0)] = _RULES.approve_above
    approve_within: Annotated[Span, _between("1m", "1d")] = _RULES.approve_within
    replay: Annotated[Annotated[Span, _between("0s", "7d")] | None, BeforeValidator(_none_or)] = _RULES.replay
    tick: Annotated[Span, _between("1s", "1m")] = timedelta(seconds=20)

    @property
    def rules(self) -> notices.Rules:
        """The same as what `notices` decides by."""
        return notices.Rules(
            self.announcement,
            self.announcement_at,
            self.reminders,
            self.settle,
            self.approve_above,
            self.approve_within,
            self.replay,
        )


class SubscriptionsSection(Table):
    """Who may subscribe to mail by themselves, and how often they may ask."""

    open: bool = True
    mails_per_address: Annotated[int, Field(ge=1, le=100)] = 3
    mails_per_hour: Annotated[int, Field(ge=1, le=100_000)] = 200
    requests_per_network: Annotated[int, Field(ge=1, le=100_000)] = 20

    @property
    def allowance(self) -> Allowance:
        """The same as what `subscriptions` goes by."""
        return Allowance(self.mails_per_address, self.mails_per_hour, self.requests_per_network)


class VisibilitySection(Table):
    """The least audience of each join field."""

    url: Level = Audience.PUBLIC
    meeting_id: Level = Audience.PUBLIC
    passcode: Level = Audience.SUBSCRIBERS
    alternate_id: Level = Audience.PUBLIC
    download_url: Level = Audience.PUBLIC
    livestream: Level = Audience.PUBLIC

    @property
    def levels(self) -> dict[str, Audience]:
        """The same as what `talks.shown_to` goes by."""
        return dict(self)


class DeskSection(Table):
    """The key to the operator's desk; without one there is no desk."""

    key: Annotated[SecretStr, AfterValidator(_long_enough)] = SecretStr("")
    key_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None


class TemplatesSection(Table):
    """An operator's own templates."""

    path: Annotated[Path | None, BeforeValidator(_path_or_none)] = None


class LogSection(Table):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"


class Config(Table):
    """Every setting, checked; paths are joined to the config file's folder, derived defaults filled in.

    `talks` is a path or the address of a page. `warnings` are what an operator should know and may leave so.
    """

    talks: Annotated[str, AfterValidator(_talks)] = "talks.toml"
    format: Annotated[str, AfterValidator(_form)] = ""
    poll: Annotated[Span, _between("10s", "7d")] = timedelta(minutes=10)
    seminar: SeminarSection
    server: ServerSection
    store: StoreSection
    mail: MailSection
    smtp: SmtpSection
    fallback: FallbackSection
    bounces: BouncesSection
    dkim: DkimSection
    notices: NoticesSection
    subscriptions: SubscriptionsSection
    visibility: VisibilitySection
    desk: DeskSection
    templates: TemplatesSection
    log: LogSection

    _warnings: tuple[Problem, ...] = PrivateAttr(())

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is doubtful but can be used."""
        return self._warnings

    def with_warnings(self, warnings: tuple[Problem, ...]) -> Self:
        """The same settings, with these warnings."""
        config = self.model_copy()
        config._warnings = warnings
        return config

    @property
    def context(self) -> Context:
        """What the talk list may leave unsaid."""
        is_zone_said = "timezone" in self.seminar.model_fields_set
        return Context(self.seminar.id, self.seminar.name, self.seminar.timezone, self.talks, is_zone_said)
