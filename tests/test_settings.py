"""Where settings come from, and what is said where they do not go together."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import pytest
from test_config import SECRET, load, problems

from notifier.config import Config
from notifier.errors import ConfigError
from notifier.rates import Limits


class SecretFiles:
    """A reader of the secret files that there are; anything else is missing."""

    def __init__(self, **files: str) -> None:
        self.files = {name.replace("_", "-"): text for name, text in files.items()}

    def __call__(self, path: Path) -> str:
        if path.name not in self.files:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return self.files[path.name]


def password(config: Config) -> str:
    return config.smtp.password.get_secret_value()


def test_text_that_is_not_toml_is_told_with_its_source() -> None:
    assert problems("[mail\n", source="/etc/x.toml")[0].startswith("/etc/x.toml:1:6: this is not TOML: ")


def test_mail_crosses_the_net_in_the_clear_only_where_that_is_asked_for() -> None:
    text = '[smtp]\ntls = "none"\nhost = "mail.example.org"'
    assert problems(text) == [
        (
            'config.toml:2:1: mail would reach mail.example.org in the clear with tls = "none";'
            ' use "starttls" or "implicit", or write allow_cleartext = true'
        )
    ]
    assert load(f"{text}\nallow_cleartext = true").smtp.tls == "none"


@pytest.mark.parametrize("more", ["", "\nallow_cleartext = true"])
def test_a_password_never_crosses_the_net_in_the_clear(more: str) -> None:
    assert problems(f'[smtp]\ntls = "none"\nusername = "ada"\npassword = "x"{more}') == [
        (
            'config.toml:2:1: the password would cross the net in the clear with tls = "none";'
            ' use "starttls" or "implicit", or leave out the login'
        )
    ]


def test_a_login_needs_both_halves_when_mail_is_sent() -> None:
    assert problems('[mail]\ntransport = "smtp"\n[smtp]\nusername = "ada"') == [
        (
            "config.toml:4:1: [smtp] has a username but no password; give both, or neither "
            "($NOTIFIER_SMTP_PASSWORD counts)"
        )
    ]


def test_sending_from_this_machine_in_earnest_is_doubted() -> None:
    config = load('[mail]\ntransport = "smtp"\n')
    told = [warning.message for warning in config.warnings]
    assert told == [
        "links in mail lead to http://127.0.0.1:8000, this very machine",
        'nobody can answer "Seminar <seminar@localhost>"',
        "nobody is told of trouble by mail",
    ]


def test_sending_in_earnest_needs_a_mail_server() -> None:
    assert problems('[mail]\ntransport = "smtp"\n[smtp]\nhost = ""') == [
        'config.toml:4:1: transport is "smtp", and there is no mail server; give [smtp] host, or preset'
    ]


def test_settings_of_a_second_mail_server_that_is_not_named_are_doubted() -> None:
    (doubt,) = load('[fallback]\nusername = "ada"').warnings
    assert str(doubt).startswith("config.toml:1:1: no mail server helps out, for [fallback] has no host")
    assert load("[fallback]").warnings == ()


def test_the_environment_goes_before_the_file() -> None:
    config = load(
        '[smtp]\nlinks = 1\nhost = "a.example.org"\n',
        {
            "NOTIFIER_TALKS": "https://x.example.org/",
            "NOTIFIER_SMTP_LINKS": "3",
            "NOTIFIER_MAIL_THREADING": "false",
            "NOTIFIER_NOTICES_REMINDERS": "2d, 1h",
            "NOTIFIER_SERVER_LISTEN": "127.0.0.1:9000",
            "NOTIFIER_CONFIG": "/etc/x.toml",
        },
    )
    assert config.talks == "https://x.example.org/"
    assert (config.smtp.host, config.smtp.links, config.mail.threading) == ("a.example.org", 3, False)
    assert config.notices.reminders == (timedelta(days=2), timedelta(hours=1))
    assert config.server.base_url == "http://127.0.0.1:9000"
    assert config.warnings == ()


def test_what_is_wrong_with_a_variable_is_told_of_the_variable() -> None:
    environment = {
        "NOTIFIER_SMTP_LINKS": "many",
        "NOTIFIER_SMTP_USERNAME": "ada",
        "NOTIFIER_SMTP_PASSWORD_FILE": "nowhere",
        "NOTIFIER_MAIL_TRANSPORT": "smtp",
        "NOTIFIER_NOTICES_REMINDERS": "1d, soon",
        "NOTIFIER_FORMAT": "tmol",
    }
    assert problems("", environment) == [
        (
            '$NOTIFIER_SMTP_PASSWORD_FILE: "/etc/notifier/nowhere" cannot be read: No such file or directory; '
            "mend its path, or let the daemon's user read it"
        ),
        '$NOTIFIER_FORMAT: "tmol" is no form of talk list; did you mean "toml"?',
        '$NOTIFIER_SMTP_LINKS: links is "many", expected a whole number; write it without quotes',
        (
            "$NOTIFIER_NOTICES_REMINDERS: expected a span such as 7d, 1h30m or 90s, got 'soon'; "
            'write it like "7d", "1h30m" or "90s"'
        ),
    ]


@pytest.mark.parametrize(
    ("server", "is_doubted"),
    [
        ("", True),
        ('listen = "unix:/run/notifier.sock"', True),
        ('trusted_proxies = ["127.0.0.1"]', False),
        ('listen = "0.0.0.0:80"', False),
    ],
)
def test_a_web_server_in_front_that_is_not_named_is_doubted(server: str, is_doubted: bool) -> None:
    text = f"""
    [server]
    base_url = "https://seminar.example.org"
    {server}
    [mail]
    transport = "smtp"
    sender = "seminar@example.org"
    organisers = ["ada@example.org"]
    """
    told = [w.message for w in load(text).warnings]
    assert (
        told
        == ["all who ask for a subscription look like the web server in front, and share its allowance"] * is_doubted
    )


def test_a_misspelt_variable_is_doubted() -> None:
    config = load("", {"NOTIFIER_SMTP_PASWORD": SECRET})
    assert [str(w) for w in config.warnings] == [
        '$NOTIFIER_SMTP_PASWORD: this variable sets nothing; did you mean "NOTIFIER_SMTP_PASSWORD"?'
    ]


FILE = '[smtp]\nusername = "ada"\npassword_file = "smtp-secret"\n'
LITERAL = '[smtp]\nusername = "ada"\npassword = "of-the-text"\n'
CREDENTIALS = MappingProxyType({"CREDENTIALS_DIRECTORY": "/run/credentials"})


@pytest.mark.parametrize(
    ("text", "environment", "files", "found"),
    [
        (LITERAL, {}, {}, "of-the-text"),
        (FILE, {}, {"smtp_secret": "of-its-file\n"}, "of-its-file"),
        (LITERAL, CREDENTIALS, {"smtp_password": "of-systemd\r\n"}, "of-systemd"),
        (FILE, CREDENTIALS, {"smtp_secret": "of-its-file", "smtp_password": "of-systemd"}, "of-systemd"),
        (FILE, CREDENTIALS, {"smtp_secret": "of-its-file"}, "of-its-file"),
        (FILE, {**CREDENTIALS, "NOTIFIER_SMTP_PASSWORD": "of-the-environment"}, {}, "of-the-environment"),
    ],
)
def test_a_password_is_the_first_of_environment_credential_file_and_text(
    text: str, environment: dict[str, str], files: dict[str, str], found: str
) -> None:
    assert password(load(text, environment, read_secret=SecretFiles(**files))) == found


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('[dkim]\nselector = "n1"', r"\[dkim\] has selector but no key"),
        ('[dkim]\nsecond_key = "PEM"', r"\[dkim\] has second_key but no second_selector"),
        ('[bounces]\nhost = "imap.example.org"', "the mailbox at imap.example.org has no username"),
        ('[bounces]\nhost = "h"\nusername = "u"', r"has no password; give it \(\$NOTIFIER_BOUNCES_PASSWORD counts\)"),
        ('[bounces]\nhost = "h"\nmaildir = "m"\nusername = "u"\npassword = "p"', "over IMAP and from a Maildir"),
        (
            '[bounces]\nhost = "h"\ntls = "none"\nusername = "u"\npassword = "p"',
            "would cross the net to h in the clear",
        ),
        ('[bounces]\naddress = "nobody"', "is no e-mail address"),
    ],
)
def test_settings_of_returned_and_signed_mail_that_cannot_be_used_are_refused(more: str, told: str) -> None:
    (problem,) = problems(more)
    assert re.search(told, problem)


def test_mail_that_comes_back_where_nothing_reads_it_is_doubted() -> None:
    (doubt,) = load('[bounces]\naddress = "bounce@example.org"').warnings
    assert str(doubt).startswith("config.toml:2:1: mail comes back to bounce@example.org, and nothing reads it")


def test_a_password_in_the_text_and_in_a_file_is_refused() -> None:
    text = f'[smtp]\npassword = "{SECRET}"\npassword_file = "smtp-secret"'
    assert problems(text, read_secret=SecretFiles(smtp_secret="x")) == [
        "config.toml:2:1: password and password_file are both given; keep one of them"
    ]


def test_a_secret_shows_in_no_repr_and_no_message() -> None:
    config = load(LITERAL.replace("of-the-text", SECRET), mode=0o644)
    assert SECRET not in repr(config) + str(config) + str(config.model_dump()) + repr(config.warnings)
    broken = f'[smtp]\npassword = ["{SECRET}"]\npasswrd = "{SECRET}"\n[smpt]\npassword = "{SECRET}"'
    with pytest.raises(ConfigError) as caught:
        load(broken, {"NOTIFIER_SMTP_PASWORD": SECRET, "NOTIFIER_SMTP_PORT": "x"})
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)


@pytest.mark.parametrize(("mode", "count"), [(0o600, 0), (0o100400, 0), (0o640, 1), (0o100644, 1)])
def test_a_password_that_others_can_read_is_doubted(mode: int, count: int) -> None:
    told = "config.toml:3:1: others can read this file and the password in it; chmod 600 it, or use password_file"
    assert [str(w) for w in load(LITERAL, mode=mode).warnings] == [told] * count
    assert load(FILE, mode=mode, read_secret=SecretFiles(smtp_secret=SECRET)).warnings == ()
    assert load(LITERAL, {"NOTIFIER_SMTP_PASSWORD": "x"}, mode=mode).warnings == ()


def test_a_preset_brings_what_it_knows_and_what_is_written_goes_before_it() -> None:
    smtp = load('[smtp]\npreset = "qq"\nlinks = 1\nrate = { per_day = 200 }').smtp
    assert (smtp.host, smtp.port, smtp.tls, smtp.links) == ("smtp.qq.com", 465, "implicit", 1)
    assert smtp.rate.limits == Limits(per_minute=30, per_day=200)


def test_the_port_of_a_preset_goes_with_its_tls() -> None:
    smtp = load('[smtp]\npreset = "qq"\ntls = "starttls"').smtp
    assert (smtp.host, smtp.port) == ("smtp.qq.com", 587)


def test_a_preset_and_a_rate_may_come_from_the_environment() -> None:
    environment = {"NOTIFIER_SMTP_PRESET": "gmail", "NOTIFIER_SMTP_RATE": "per_minute=5, per_day=100"}
    smtp = load("", environment).smtp
    assert (smtp.host, smtp.rate.limits) == ("smtp.gmail.com", Limits(per_minute=5, per_day=100))
    assert load("", {"NOTIFIER_SMTP_RETRY": "1s, 2s"}).smtp.retry == (timedelta(seconds=1), timedelta(seconds=2))
