import re
from datetime import time, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from notifier.config import Config
from notifier.errors import ConfigError
from notifier.networks import Proxies
from notifier.notices import Rules
from notifier.settings import parse
from notifier.talklists import Context
from notifier.talks import JOIN_FIELDS, Audience

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "config.example.toml"
FOLDER = Path("/etc/notifier")
SECRET = "correct-horse"


def load(text: str = "", environment: dict[str, str] | None = None, **more: Any) -> Config:
    return parse(text, folder=FOLDER, environment=environment or {}, **more)


def problems(text: str, environment: dict[str, str] | None = None, **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, environment, **more)
    return [str(problem) for problem in caught.value.problems]


def test_nothing_set_gives_the_defaults() -> None:
    config = load()
    assert config.talks == "/etc/notifier/talks.toml"
    assert config.context == Context("seminar", "", "Asia/Shanghai", "/etc/notifier/talks.toml", is_zone_said=False)
    assert config.notices.rules == Rules()
    assert config.server.listen == ("127.0.0.1:8000",)
    assert config.server.base_url == "http://127.0.0.1:8000"
    assert config.store.path == Path("/etc/notifier/var/notifier.db")
    assert config.mail.maildir == Path("/etc/notifier/var/outbox")
    assert (config.smtp.port, config.smtp.ca_file, config.smtp.timeout) == (587, None, timedelta(minutes=5))
    assert config.templates.path is None
    assert config.visibility.levels == dict.fromkeys(JOIN_FIELDS, Audience.PUBLIC) | {"passcode": Audience.SUBSCRIBERS}
    assert config.warnings == ()


def test_what_is_set_is_used() -> None:
    config = load("""
        talks = "https://seminar.example.org/page"
        poll = "1h30m"
        [server]
        listen = ["[::1]:8000", "unix:/run/notifier.sock"]
        base_url = "https://seminar.example.org/"
        [store]
        path = "/var/lib/notifier/ledger.db"
        [notices]
        announcement = false
        announcement_at = "8:30"
        reminders = ["2d", "15m"]
        replay = ""
        [visibility]
        livestream = "reminder"
        [templates]
        path = "ours"
    """)
    assert config.poll == timedelta(minutes=90)
    assert config.server.listen == ("[::1]:8000", "unix:/run/notifier.sock")
    assert config.server.base_url == "https://seminar.example.org"
    assert config.store.path == Path("/var/lib/notifier/ledger.db")
    reminders = (timedelta(days=2), timedelta(minutes=15))
    assert config.notices.rules == Rules(None, time(8, 30), reminders, replay=None)
    assert config.visibility.levels["livestream"] is Audience.REMINDER
    assert config.templates.path == FOLDER / "ours"


def test_the_base_url_may_be_written_as_people_read_it() -> None:
    """It goes into headers of mails, sitemaps and feeds, which are in ASCII."""
    written = load('[server]\nbase_url = "https://讨论班.example/机器学习/"').server.base_url
    assert written == "https://xn--jey391ctb.example/%E6%9C%BA%E5%99%A8%E5%AD%A6%E4%B9%A0"


@pytest.mark.parametrize(
    ("listen", "base_url"),
    [
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("[::]:8000", "http://[::1]:8000"),
        ("localhost:8000", "http://localhost:8000"),
        ("unix:/run/notifier.sock", "http://localhost"),
    ],
)
def test_the_base_url_follows_from_the_address_where_it_is_not_given(listen: str, base_url: str) -> None:
    assert load(f'[server]\nlisten = "{listen}"').server.base_url == base_url


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_the_port_follows_from_tls_where_it_is_not_given(tls: str, port: int) -> None:
    assert load(f'[smtp]\ntls = "{tls}"').smtp.port == port
    assert load(f'[smtp]\ntls = "{tls}"\nport = 2525').smtp.port == 2525


# Problems -------------------------------------------------------------------------------------------------------


def test_a_trusted_proxy_is_an_address_a_network_or_the_unix_socket() -> None:
    config = load('[server]\ntrusted_proxies = ["127.0.0.1", "10.0.0.0/8", "unix"]')
    assert config.server.proxies == Proxies((ip_network("127.0.0.1"), ip_network("10.0.0.0/8")), has_unix=True)
    assert problems('[server]\ntrusted_proxies = ["10.0.0.1/8"]') == [
        'config.toml:2:20: 10.0.0.1/8 has host bits set; write "127.0.0.1", "10.0.0.0/8", "::1" or "unix"'
    ]


def test_every_problem_is_told_at_once_with_its_place_and_what_to_do() -> None:
    text = f"""\
talks = "http://example.org/talks"
tlks = 3
format = "tmol"
[server]
listen = "8000"
base_url = 3
lop = "uvloop"
[smtp]
pasword = "{SECRET}"
port = 99999
tls = "startls"
password = 123456
links = 9
[notices]
announcement = "36h"
announcement_at = "9"
reminders = ["1d", "1x", 3, "1m"]
replay = "8d"
[mail]
sender = "A, B <ada@example.org>"
organisers = ["ada@example.org", "bob"]
[visibility]
passcode = ["friends"]
[lgo]
"""
    assert problems(text) == [
        (
            'config.toml:1:1: "http://example.org/talks" can be changed by anyone on the way; '
            "give a file, or a page's https:// address"
        ),
        'config.toml:2:1: unknown key "tlks" at the top of the file; did you mean "talks"?',
        'config.toml:3:1: "tmol" is no form of talk list; did you mean "toml"?',
        'config.toml:5:1: "8000" is no address to listen at; write "host:port", "[::1]:port" or "unix:/path"',
        "config.toml:6:1: base_url is 3, expected text; write it in quotes",
        'config.toml:7:1: unknown key "lop" in [server]; did you mean "loop"?',
        'config.toml:9:1: unknown key "pasword" in [smtp]; did you mean "password"?',
        "config.toml:10:1: port is 99999, expected at most 65535; write a number of at most 65535",
        "config.toml:11:1: tls is \"startls\", expected 'starttls', 'implicit' or 'none'; did you mean \"starttls\"?",
        "config.toml:12:1: password is not in quotes, expected text; write it in quotes",
        "config.toml:13:1: links is 9, expected at most 4; write a number of at most 4",
        'config.toml:15:1: "1d12h" is not 1 to 60 whole days; write it like "7d", or "" for never',
        'config.toml:16:1: "9" is no time of day; write it like "09:00"',
        (
            'config.toml:17:20: expected a span such as 7d, 1h30m or 90s, got \'1x\'; write it like "7d", "1h30m" or '
            '"90s"'
        ),
        'config.toml:17:26: expected a span of time, got 3; write it in quotes, like "1h30m"',
        'config.toml:17:29: "1m" is out of bounds; write a span from 6m to 30d',
        'config.toml:18:1: "8d" is out of bounds; write a span from 0s to 7d',
        (
            'config.toml:20:1: "A, B <ada@example.org>" is no sender; write "Name <name@domain>"; a name with commas '
            "stands in quotes"
        ),
        "config.toml:21:34: 'bob' is no e-mail address: An email address must have an @-sign; write name@domain",
        "config.toml:23:1: ['friends'] is no audience; write one of public, subscribers, reminder",
        'config.toml:24:1: unknown key "lgo" at the top of the file; did you mean "log"?',
    ]


def test_a_key_below_the_wrong_table_is_told_where_it_belongs() -> None:
    assert problems('[server]\nlisten = "[::1]:80"\ntalks = "list.toml"') == [
        'config.toml:3:1: unknown key "talks" in [server]; it belongs to the top of the file: write it above [server]'
    ]


@pytest.mark.parametrize(
    "sender",
    ["ada@example.org", "机器学习讨论班 <ada@example.org>", '"Seminar, Joint" <ada@example.org>', "x <root@localhost>"],
)
def test_a_sender_may_have_any_name(sender: str) -> None:
    assert load(f"[mail]\nsender = '{sender}'").mail.sender == sender


@pytest.mark.parametrize(
    "sender", ["", "Ada", "ada@", "ada@example.org, bob@example.org", "a\\nBcc: b <a@example.org>"]
)
def test_a_sender_that_is_not_one_mailbox_is_refused(sender: str) -> None:
    assert len(problems(f'[mail]\nsender = "{sender}"')) == 1


# Environment and secrets ----------------------------------------------------------------------------------------


# Providers and rates ----------------------------------------------------------------------------------------------


def test_a_second_mail_server_is_there_only_when_it_is_named() -> None:
    assert load().fallback.host == ""
    config = load('[mail]\ntransport = "smtp"\n[fallback]\npreset = "163"\nusername = "a@163.com"\npassword = "x"')
    assert (config.fallback.host, config.smtp.host) == ("smtp.163.com", "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[smtp]\npreset = "qqq"', '2:1: "qqq" is no provider that is known here; did you mean "qq"?'),
        ('[smtp]\npreset = "ses"', '2:1: with "ses" every customer has a host of their own; give host, too'),
        ("[smtp]\nrate = { per_minute = -1 }", "2:10: per_minute is -1, expected at least 0"),
        ("[smtp]\nretry = []", "2:1:"),
        ('[fallback]\nhost = "mail.example.org"\ntls = "none"', "3:1: mail would reach mail.example.org in the clear"),
        (
            '[mail]\ntransport = "smtp"\n[fallback]\nhost = "mail.example.org"\nusername = "a"',
            "5:1: [fallback] has a username but no password",
        ),
    ],
)
def test_what_is_wrong_with_a_mail_server_is_told_with_its_line(text: str, told: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"config.toml:{told}")


# The manual -----------------------------------------------------------------------------------------------------


def options() -> dict[int, tuple[str, ...]]:
    """The lines of the example that set an option at its default, by number, with the option's path."""
    section: tuple[str, ...] = ()
    found = {}
    for number, line in enumerate(EXAMPLE.read_text().splitlines()):
        if line.startswith("["):
            section = (line.strip("[]"),)
        elif re.match(r"# [a-z_]+ = ", line):
            found[number] = (*section, line.split()[1])
    return found


def example_with(*numbers: int) -> str:
    """The example with these lines set."""
    lines = EXAMPLE.read_text().splitlines()
    return "\n".join(line.removeprefix("# ") if n in numbers else line for n, line in enumerate(lines))


def test_the_example_names_every_option_and_loads() -> None:
    sections = {name: info for name, info in Config.model_fields.items() if hasattr(info.annotation, "model_fields")}
    known = {(name,) for name in Config.model_fields if name not in sections} | {
        (name, key) for name, info in sections.items() for key in info.annotation.model_fields
    }
    assert set(options().values()) == known
    assert load(EXAMPLE.read_text()) == load()


def test_every_option_of_the_example_stands_at_its_default() -> None:
    for number, path in options().items():
        assert load(example_with(number)) == load(), path
    assert load(example_with(*options()).replace('password_file = ""\n', "")) == load()


def test_the_config_of_init_sends_nothing_and_loads_without_a_warning() -> None:
    config, default = load((ROOT / "templates/init/config.toml").read_text(), mode=0o644), load()
    assert config.warnings == ()
    assert config.mail.transport == "maildir"
    assert (config.talks, config.server, config.notices) == (default.talks, default.server, default.notices)
