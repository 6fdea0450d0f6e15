"""Settings text, environment and secret files → a `Config`; `config.example.toml` is its manual."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import time, timedelta
from email.utils import getaddresses
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_origin
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
from pydantic.fields import FieldInfo

from notifier import notices
from notifier.breakers import RESTS
from notifier.errors import AddressError, ConfigError, Problem
from notifier.locations import (
    Fault,
    Identifier,
    KeyPath,
    WebAddress,
    ZoneName,
    checked,
    did_you_mean,
    load,
    problems,
    refusal,
)
from notifier.networks import Proxies
from notifier.providers import PROVIDERS
from notifier.rates import Limits
from notifier.spans import format_span, parse_span
from notifier.subscribers import Allowance, normalised_address
from notifier.talklists import FORMS, Context
from notifier.talks import Audience

ENVIRONMENT = "NOTIFIER_"
CREDENTIALS = "CREDENTIALS_DIRECTORY"
SHORTEST_KEY = 16

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NEAREST = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - every interface, as seen from this machine
_CLEARTEXT = 'use "starttls" or "implicit", or write allow_cleartext = true'
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


def _days_or_none(value: Any) -> Any:
    if value is False or value == "":
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


def _split(url: str) -> tuple[str, str] | None:
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
    scheme, host = _split(text) or ("", "")
    if scheme != "https" and (scheme, host) not in [("http", name) for name in _LOOPBACK]:
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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=True)


class SeminarSection(_Section):
    """What the talk list itself may leave unsaid."""

    id: Identifier = "seminar"
    name: str = ""
    timezone: ZoneName = "Asia/Shanghai"


class ServerSection(_Section):
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
            return base_url.rstrip("/")
        host, _, port = info.data["listen"][0].rpartition(":")
        if host == "unix":
            return "http://localhost"
        return f"http://{_NEAREST.get(host, host)}:{port}"

    @property
    def proxies(self) -> Proxies:
        """The same as what tells a client's address."""
        return Proxies.parse(self.trusted_proxies)


class StoreSection(_Section):
    """Where the ledger is."""

    path: Place = Path("var/notifier.db")


class MailSection(_Section):
    """Who writes, and by which way mail leaves."""

    transport: Literal["maildir", "smtp"] = "maildir"
    sender: Annotated[str, AfterValidator(_mailbox)] = "Seminar <seminar@localhost>"
    reply_to: Annotated[str, AfterValidator(lambda text: _mailbox(text) if text else "")] = ""
    organisers: Annotated[tuple[Annotated[str, AfterValidator(_mailable)], ...], BeforeValidator(_listed)] = ()
    maildir: Place = Path("var/outbox")
    attach_calendar: bool = True
    threading: bool = True
    on_ambiguous: Literal["resend", "hold"] = "resend"


class RateTable(_Section):
    """How many mails may leave in each span of time; 0 for any number."""

    per_second: Annotated[int, Field(ge=0)] = 0
    per_minute: Annotated[int, Field(ge=0)] = 0
    per_hour: Annotated[int, Field(ge=0)] = 0
    per_day: Annotated[int, Field(ge=0)] = 0

    @property
    def limits(self) -> Limits:
        """The same as what a pace goes by."""
        return Limits(**dict(self))


class RelaySection(_Section):
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


class DkimSection(_Section):
    """With which keys mail is signed in the name of the sender's domain; with none without a selector."""

    domain: str = ""
    selector: str = ""
    key: SecretStr = SecretStr("")
    key_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None
    second_selector: str = ""
    second_key: SecretStr = SecretStr("")
    second_key_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None


class BouncesSection(_Section):
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


class NoticesSection(_Section):
    """When notices are due."""

    announcement: Annotated[timedelta | None, BeforeValidator(_days_or_none)] = timedelta(days=7)
    announcement_at: Annotated[time, BeforeValidator(_clock_time)] = time(9, 0)
    reminders: Annotated[tuple[Annotated[Span, _between("6m", "30d")], ...], BeforeValidator(_listed)] = (
        timedelta(days=1),
        timedelta(hours=1),
    )
    settle: Annotated[Span, _between("0s", "1d")] = timedelta(minutes=10)
    approve_above: Annotated[int, Field(ge=0)] = 0
    approve_within: Annotated[Span, _between("1m", "1d")] = timedelta(minutes=30)
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
        )


class SubscriptionsSection(_Section):
    """Who may subscribe to mail by themselves, and how often they may ask."""

    open: bool = True
    mails_per_address: Annotated[int, Field(ge=1, le=100)] = 3
    mails_per_hour: Annotated[int, Field(ge=1, le=100_000)] = 200
    requests_per_network: Annotated[int, Field(ge=1, le=100_000)] = 20

    @property
    def allowance(self) -> Allowance:
        """The same as what `subscriptions` goes by."""
        return Allowance(self.mails_per_address, self.mails_per_hour, self.requests_per_network)


class VisibilitySection(_Section):
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


class DeskSection(_Section):
    """The key to the operator's desk; without one there is no desk."""

    key: Annotated[SecretStr, AfterValidator(_long_enough)] = SecretStr("")
    key_file: Annotated[Path | None, BeforeValidator(_path_or_none)] = None


class TemplatesSection(_Section):
    """An operator's own templates."""

    path: Annotated[Path | None, BeforeValidator(_path_or_none)] = None


class LogSection(_Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"


class Config(_Section):
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

    @property
    def talks_are_a_page(self) -> bool:
        """True where the talk list is fetched from the web, every `poll`."""
        return "://" in self.talks

    @property
    def context(self) -> Context:
        """What the talk list may leave unsaid."""
        return Context(self.seminar.id, self.seminar.name, self.seminar.timezone, self.talks)


_SECTIONS: dict[str, type[_Section]] = {
    name: info.annotation
    for name, info in Config.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, _Section)
}
_OPTIONS: dict[tuple[str, ...], FieldInfo] = {
    **{(name,): info for name, info in Config.model_fields.items() if name not in _SECTIONS},
    **{(name, key): info for name, kind in _SECTIONS.items() for key, info in kind.model_fields.items()},
}
_RELAYS = tuple(name for name, kind in _SECTIONS.items() if issubclass(kind, RelaySection))
_SECRETS = [
    (section, key)
    for section, kind in _SECTIONS.items()
    for key, info in kind.model_fields.items()
    if info.annotation is SecretStr
]


def no_secrets(path: Path) -> str:
    """A reader of secret files for where there are none."""
    raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))


def parse(
    text: str,
    *,
    folder: Path,
    source: str = "config.toml",
    mode: int = 0o600,
    environment: Mapping[str, str] = MappingProxyType({}),
    read_secret: Callable[[Path], str] = no_secrets,
) -> Config:
    """The settings in a config file's text, which lies in `folder` with the file mode `mode`.

    A setting is taken from the environment (`$NOTIFIER_SMTP_HOST`), else from the text. A secret is taken from the
    environment, else from systemd's credentials (`$CREDENTIALS_DIRECTORY/smtp-password`), else from the file that
    its `…_file` names, else from the text. `read_secret` returns a file's text or raises OSError.

    Raises:
        ConfigError: with every problem at once, each with its place.
    """
    try:
        tables = {name: {} for name in _SECTIONS} | load(text, ConfigError)
    except ConfigError as error:
        raise ConfigError(p.in_source(source) for p in error.problems) from error
    origins, warnings = _put_environment(tables, environment)
    _put_presets(tables)
    if stat.S_IMODE(mode) & 0o044:
        warnings += _exposed(tables, origins)
    faults = _put_secrets(tables, origins, folder, environment, read_secret)
    config, shape = checked(Config, tables, context={"folder": folder})
    faults += shape
    if config is not None:
        # Where a section is at fault already, what it lacks may be just that.
        at_fault = {fault.path[0] for fault in faults}
        faults += [fault for fault in _contradictions(config) if fault.path[0] not in at_fault]
    if faults or config is None:
        raise ConfigError(_located(faults, origins, text, source))
    config._warnings = _located([*warnings, *_doubts(config)], origins, text, source)
    return config


def _put_environment(tables: dict[str, Any], environment: Mapping[str, str]) -> tuple[dict[KeyPath, str], list[Fault]]:
    """Puts what the environment sets into the tables; returns which variable each came from, and who was misspelt."""
    known = {_variable(path): path for path in _OPTIONS}
    origins: dict[KeyPath, str] = {}
    doubts = []
    for name, text in environment.items():
        path = known.get(name)
        if path is not None:
            table = tables if len(path) == 1 else tables[path[0]]
            if isinstance(table, dict):
                table[path[-1]] = _typed(_OPTIONS[path], text)
            origins[path] = f"${name}"
        elif any(name.startswith(_variable((section, ""))) for section in _SECTIONS):
            origins[name,] = f"${name}"
            doubts.append(Fault((name,), "this variable sets nothing", did_you_mean(name, known)))
    return origins, doubts


def _put_presets(tables: dict[str, Any]) -> None:
    """Puts what a provider's name tells into the tables, wherever they are silent."""
    for name in _RELAYS:
        table = tables[name]
        provider = PROVIDERS.get(str(table.get("preset", ""))) if isinstance(table, dict) else None
        if provider is None:
            continue
        known = {"host": provider.host, "tls": provider.tls, "links": provider.links}
        if table.get("tls", provider.tls) == provider.tls:
            known["port"] = provider.port
        table.update({key: value for key, value in known.items() if key not in table})
        rate = table.setdefault("rate", {})
        if isinstance(rate, dict):
            table["rate"] = {span: limit for span, _, limit in provider.limits} | rate


def _variable(path: tuple[str, ...]) -> str:
    return ENVIRONMENT + "_".join(path).upper()


def _typed(option: FieldInfo, text: str) -> Any:
    """The text of a variable as TOML would have given it; what does not fit is refused later, with the rest."""
    if option.annotation is RateTable:
        pairs = (item.partition("=") for item in text.split(",") if item.strip())
        return {name.strip(): int(n) if re.fullmatch(" *[0-9]{1,9} *", n) else n for name, _, n in pairs}
    if option.annotation is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if option.annotation is int:
        return int(text) if re.fullmatch("[0-9]{1,9}", text) else text
    if get_origin(option.annotation) is tuple:
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _exposed(tables: Mapping[str, Any], origins: Mapping[KeyPath, str]) -> list[Fault]:
    return [
        Fault((section, key), f"others can read this file and the {key} in it", f"chmod 600 it, or use {key}_file")
        for section, key in _SECRETS
        if (section, key) not in origins and isinstance(tables[section], dict) and tables[section].get(key)
    ]


def _put_secrets(
    tables: Mapping[str, Any],
    origins: Mapping[KeyPath, str],
    folder: Path,
    environment: Mapping[str, str],
    read_secret: Callable[[Path], str],
) -> list[Fault]:
    """Puts the secrets that files hold into the tables; returns what is wrong with those files."""
    faults = []
    for section, key in _SECRETS:
        table = tables[section]
        if not isinstance(table, dict) or (section, key) in origins:
            continue
        named = table.get(f"{key}_file")
        if key in table and named:
            faults.append(Fault((section, key), f"{key} and {key}_file are both given", "keep one of them"))
        credentials = environment.get(CREDENTIALS)
        credential = Path(credentials, f"{section}-{key}") if credentials else None
        for path in filter(None, (credential, folder / named if isinstance(named, str) and named else None)):
            try:
                table[key] = read_secret(path).rstrip("\r\n")
                break
            except (OSError, ValueError) as error:
                if path == credential and isinstance(error, FileNotFoundError):
                    continue  # systemd was not asked to pass this one
                reason = getattr(error, "strerror", None) or "it is not text"
                advice = "mend its path, or let the daemon's user read it"
                faults.append(Fault((section, f"{key}_file"), f'"{path}" cannot be read: {reason}', advice))
    return faults


def _contradictions(config: Config) -> Iterator[Fault]:
    """Settings that are each sound and cannot be used together."""
    for name in _RELAYS:
        yield from _contradictions_of(config, name, getattr(config, name))
    for selector, key in (("selector", "key"), ("second_selector", "second_key")):
        has_selector = bool(getattr(config.dkim, selector))
        has_key = bool(getattr(config.dkim, key).get_secret_value())
        if has_selector != has_key:
            there, missing = (selector, key) if has_selector else (key, selector)
            advice = f"give both, or neither (${_variable(('dkim', missing))} counts)"
            yield Fault(("dkim", there), f"[dkim] has {there} but no {missing}", advice)
    bounces = config.bounces
    if bounces.host and bounces.maildir:
        told = "returned mail is to be read over IMAP and from a Maildir"
        yield Fault(("bounces", "maildir"), told, "keep host or maildir, and leave out the other")
    if bounces.host and bounces.tls == "none" and bounces.host not in _LOOPBACK:
        told = f'the password would cross the net to {bounces.host} in the clear with tls = "none"'
        yield Fault(("bounces", "tls"), told, 'use "implicit" or "starttls"')
    if bounces.host and not (bounces.username and bounces.password.get_secret_value()):
        missing = "password" if bounces.username else "username"
        advice = f"give it (${_variable(('bounces', missing))} counts)"
        yield Fault(("bounces", "host"), f"the mailbox at {bounces.host} has no {missing}", advice)


def _contradictions_of(config: Config, name: str, relay: RelaySection) -> Iterator[Fault]:
    has_password = bool(relay.password.get_secret_value())
    if relay.preset and not relay.host:
        yield Fault((name, "preset"), f'with "{relay.preset}" every customer has a host of their own', "give host, too")
    if not relay.host:
        return
    if relay.tls == "none" and (relay.username or has_password):
        told = 'the password would cross the net in the clear with tls = "none"'
        yield Fault((name, "tls"), told, 'use "starttls" or "implicit", or leave out the login')
    elif relay.tls == "none" and relay.host not in _LOOPBACK and not relay.allow_cleartext:
        yield Fault((name, "tls"), f'mail would reach {relay.host} in the clear with tls = "none"', _CLEARTEXT)
    if config.mail.transport == "smtp" and bool(relay.username) != has_password:
        there, missing = ("username", "password") if relay.username else ("password", "username")
        yield Fault(
            (name, there),
            f"[{name}] has a {there} but no {missing}",
            f"give both, or neither (${_variable((name, missing))} counts)",
        )


def _doubts(config: Config) -> Iterator[Fault]:
    """What can be used but is hardly meant."""
    if config.bounces.address and not config.bounces.is_read:
        told = f"mail comes back to {config.bounces.address}, and nothing reads it"
        yield Fault(("bounces", "address"), told, "give [bounces] host or maildir")
    if config.mail.transport != "smtp":
        return
    host = (_split(config.server.base_url) or ("", ""))[1]
    if host in _LOOPBACK:
        advice = 'set it to the address that people reach, like "https://seminar.example.org"'
        yield Fault(
            ("server", "base_url"), f"links in mail lead to {config.server.base_url}, this very machine", advice
        )
    if config.mail.sender.rstrip(">").endswith("@localhost"):
        yield Fault(
            ("mail", "sender"), f'nobody can answer "{config.mail.sender}"', "set [mail] sender to an address of yours"
        )
    server = config.server
    is_fronted = host not in _LOOPBACK and all(_is_local(address) for address in server.listen)
    if config.subscriptions.open and is_fronted and not server.trusted_proxies:
        told = "all who ask for a subscription look like the web server in front, and share its allowance"
        yield Fault(("server", "trusted_proxies"), told, 'name it, like ["127.0.0.1"] or ["unix"]')
    if not config.mail.organisers:
        yield Fault(("mail", "organisers"), "nobody is told of trouble by mail", "list addresses in [mail] organisers")


def _is_local(address: str) -> bool:
    """Whether only this machine reaches what listens at this address."""
    return address.startswith("unix:") or address.rpartition(":")[0].strip("[]") in _LOOPBACK


def _located(faults: Iterable[Fault], origins: Mapping[KeyPath, str], text: str, source: str) -> tuple[Problem, ...]:
    """The faults as problems of the variable or the line that they came from."""
    in_text, found = [], []
    for fault in faults:
        # A variable's own path is the beginning of that of an item in its list.
        origin = next((origins[fault.path[:n]] for n in (1, 2) if fault.path[:n] in origins), None)
        if origin:
            found.append(Problem(fault.message, fault.advice, origin))
        else:
            in_text.append(fault)
    return (*found, *(p.in_source(source) for p in problems(in_text, text)))
