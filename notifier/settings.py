"""Settings text, environment and secret files → a `Config`, or everything that is wrong with them."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from notifier.config import LOOPBACK, Config, FallbackSection, RateTable, RelaySection, Table, scheme_and_host
from notifier.errors import ConfigError, Problem
from notifier.locations import Fault, KeyPath, checked, did_you_mean, load, problems
from notifier.providers import PROVIDERS

ENVIRONMENT = "NOTIFIER_"
CREDENTIALS = "CREDENTIALS_DIRECTORY"

_CLEARTEXT = 'use "starttls" or "implicit", or write allow_cleartext = true'

_SECTIONS: dict[str, type[Table]] = {
    name: info.annotation
    for name, info in Config.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Table)
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
    return config.with_warnings(_located([*warnings, *_doubts(config)], origins, text, source))


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
    if config.mail.transport == "smtp" and not config.smtp.host and not config.smtp.preset:
        yield Fault(("smtp", "host"), 'transport is "smtp", and there is no mail server', "give [smtp] host, or preset")
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
    if bounces.host and bounces.tls == "none" and bounces.host not in LOOPBACK:
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
    elif relay.tls == "none" and relay.host not in LOOPBACK and not relay.allow_cleartext:
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
    if config.fallback != FallbackSection() and not config.fallback.host:
        told = "no mail server helps out, for [fallback] has no host"
        yield Fault(("fallback",), told, "give its host, or leave out the section")
    if config.mail.transport != "smtp":
        return
    host = (scheme_and_host(config.server.base_url) or ("", ""))[1]
    if host in LOOPBACK:
        advice = 'set [server] base_url to the address that people reach, like "https://seminar.example.org"'
        yield Fault(
            ("server", "base_url"), f"links in mail lead to {config.server.base_url}, this very machine", advice
        )
    if config.mail.sender.rstrip(">").endswith("@localhost"):
        yield Fault(
            ("mail", "sender"), f'nobody can answer "{config.mail.sender}"', "set [mail] sender to an address of yours"
        )
    server = config.server
    is_fronted = host not in LOOPBACK and all(_is_local(address) for address in server.listen)
    if config.subscriptions.open and is_fronted and not server.trusted_proxies:
        told = "all who ask for a subscription look like the web server in front, and share its allowance"
        yield Fault(("server", "trusted_proxies"), told, 'name it in trusted_proxies, like ["127.0.0.1"] or ["unix"]')
    if not config.mail.organisers:
        yield Fault(("mail", "organisers"), "nobody is told of trouble by mail", "list addresses in [mail] organisers")


def _is_local(address: str) -> bool:
    """Whether only this machine reaches what listens at this address."""
    return address.startswith("unix:") or address.rpartition(":")[0].strip("[]") in LOOPBACK


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
