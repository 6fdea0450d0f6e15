"""`notifier check-smtp` as an operator runs it, against real mail servers and a real name server."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import rsa
from mailserver import HOST, MailServer
from nameserver import NameServer
from postfixserver import PostfixServer, needs_postfix
from test_dkim import pem

from notifier import advice, inspection, resolver
from notifier.cli import main
from notifier.dkim import Signer

DOMAIN = "seminar.example.net"
SENDER = f"reminder@{DOMAIN}"
CODE = "a-code-for-tests"

Check = Callable[..., Result]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    with NameServer() as server:
        monkeypatch.setattr(resolver, "Resolver", partial(resolver.Resolver, ["127.0.0.1"], server.port))
        monkeypatch.setattr(resolver, "PATIENCE", 1.0)
        monkeypatch.setattr(inspection, "own_addresses", tuple)
        yield server


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["init", "."]).exit_code == 0

    def check(*options: str, more: str = "", **smtp: Any) -> Result:
        smtp = {"host": HOST, "tls": "none", **smtp}
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in smtp.items())
        Path("config.toml").write_text(
            f'[mail]\ntransport = "smtp"\nsender = "Seminar <{SENDER}>"\n[smtp]\n{lines}\n{more}\n', encoding="utf-8"
        )
        return CliRunner().invoke(main, ["check-smtp", *options], catch_exceptions=False)

    return check


def test_a_ready_server_and_a_domain_that_publishes_all_have_no_problem(check: Check, names: NameServer) -> None:
    key = pem(rsa.generate_private_key(65537, 2048))
    Path("dkim.pem").write_text(key)
    Path("dkim.pem").chmod(0o600)
    signer = Signer(DOMAIN, "n1", key)
    record = " ".join(f'"{signer.record[at : at + 200]}"' for at in range(0, len(signer.record), 200))
    names.records = {
        ("MX", DOMAIN): ["10 mx.example.net."],
        ("TXT", DOMAIN): ['"v=spf1 mx ~all"'],
        ("TXT", signer.place): [record],
        ("TXT", "_dmarc.example.net"): ['"v=DMARC1; p=quarantine"'],
    }
    with MailServer() as server:
        result = check(port=server.port, more='[dkim]\nselector = "n1"\nkey_file = "dkim.pem"')
        assert server.messages == []
        assert [command.split()[0] for command in server.commands] == ["EHLO", "QUIT"]
    assert (result.exit_code, result.stderr) == (0, "0 errors, 0 warnings\n")
    assert result.stdout.splitlines() == [
        f"[smtp] 127.0.0.1:{server.port} is ready for mail",
        "  no PIPELINING: a mail takes four round trips",
        "  SIZE: mails of up to 33.6 MB",
        "  no DSN: what comes back is known by its Message-ID, or by [bounces] address",
        "  no SMTPUTF8: an address with other letters than a-z before its @ cannot be mailed",
        "  no login is offered",
        f"[mail] {DOMAIN}",
        "  MX: good: mx.example.net",
        "  SPF: good: v=spf1 mx ~all",
        f"  DKIM: good: n1._domainkey.{DOMAIN} has the key that [dkim] signs with",
        "  DMARC: good: v=DMARC1; p=quarantine (at _dmarc.example.net): what is not aligned is filed as spam",
        f"  alignment: good: signatures are of {DOMAIN}, like the sender {DOMAIN}",
    ]


def test_a_server_of_one_s_own_is_judged_by_the_address_at_which_others_see_it(
    check: Check, names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "own_addresses", lambda: (ip_address("192.0.2.7"), ip_address("10.0.0.2")))
    names.records = {
        ("MX", DOMAIN): ["10 mx.example.net."],
        ("A", "mx.example.net"): ["192.0.2.8"],
        ("TXT", DOMAIN): ['"v=spf1 mx include:_spf.example.net ~all"'],
        ("TXT", "_spf.example.net"): ['"v=spf1 ip4:192.0.2.9 -all"'],
        ("TXT", f"_dmarc.{DOMAIN}"): ['"v=DMARC1; p=none"'],
    }
    with MailServer() as server:
        refused = check(port=server.port).stdout
        names.records["TXT", "_spf.example.net"] = ['"v=spf1 ip4:192.0.2.7 -all"']
        names.records["PTR", "7.2.0.192.in-addr.arpa"] = ["mail.example.net."]
        names.records["A", "mail.example.net"] = ["192.0.2.7"]
        accepted = check(port=server.port).stdout
        names.records["A", "mail.example.net"] = ["192.0.2.6"]
        moved = check(port=server.port).stdout
    assert "192.0.2.7 had better not send (~all), unless 127.0.0.1 sends by another" in refused
    assert "; add ip4:192.0.2.7\n" in refused
    assert "warning: reverse name: 192.0.2.7 has none, so that large providers doubt its mail" in refused
    assert "192.0.2.7 may send (include:_spf.example.net)\n" in accepted
    assert "  reverse name: good: 192.0.2.7 is mail.example.net, and the other way round\n" in accepted
    assert "warning" not in accepted
    assert "192.0.2.7 is called mail.example.net, which is not at that address" in moved
    assert "10.0.0.2" not in refused + accepted


def test_the_addresses_of_a_server_with_a_name_are_looked_up(check: Check, names: NameServer) -> None:
    host, record = f"mail.{DOMAIN}", "v=spf1 ip4:192.0.2.7 -all"
    names.records = {
        ("A", host): ["192.0.2.7", "10.0.0.2"],
        ("AAAA", host): ["2001:db8::7"],
        ("TXT", DOMAIN): [f'"{record}"'],
    }
    told = check(host=host, tls="starttls").stdout  # which is not there to connect to
    barred = f"2001:db8::7 may not send (-all), unless {host} sends by another address"
    assert f"warning: SPF: {record}: {barred}; add ip6:2001:db8::7\n" in told
    assert "  reverse name: missing: 192.0.2.7 has none" in told


def test_what_the_envelope_s_domain_publishes_counts(check: Check, names: NameServer) -> None:
    def spf(record: str) -> str:
        names.records = {("TXT", DOMAIN): ['"v=spf1 mx ~all"'], ("TXT", "bounce.example.net"): [f'"{record}"']}
        told = check(port=server.port, more='[bounces]\naddress = "b@bounce.example.net"\nmaildir = "x"').stdout
        return told.partition("SPF: ")[2].partition("\n")[0]

    with MailServer() as server:
        assert spf("v=spf1 +all") == "wrong: v=spf1 +all: anyone may send for it"
        assert spf("a site verification") == "missing: bounce.example.net does not say who may send for it"
        broken = "it fails whoever sends, bounce.example.net has what is no term of SPF: ipv4:192.0.2.7"
        assert spf("v=spf1 ipv4:192.0.2.7") == f"wrong: v=spf1 ipv4:192.0.2.7: {broken}"


def test_programs_get_the_same_as_json(check: Check, names: NameServer) -> None:
    with MailServer(smtputf8=True) as server:
        told = json.loads(check("--json", port=server.port).stdout)
    assert told["servers"]["smtp"]["ready"] is True
    assert told["servers"]["smtp"]["features"]["smtputf8"] == ""
    assert {finding["kind"]: finding["standing"] for finding in told["domain"]["findings"]} == {
        "MX": "missing",
        "SPF": "missing",
        "DKIM": "unknown",
        "DMARC": "missing",
        "alignment": "good",
    }
    assert told["errors"] == []
    assert [warning["message"].partition(":")[0] for warning in told["warnings"]] == ["MX", "SPF", "DMARC"]


def test_the_sender_of_the_second_server_is_judged_by_what_its_own_domain_says_of_that_server(
    check: Check, names: NameServer
) -> None:
    names.records = {
        ("MX", DOMAIN): ["10 mx.example.net."],
        ("TXT", DOMAIN): ['"v=spf1 mx ~all"'],
        ("TXT", f"_dmarc.{DOMAIN}"): ['"v=DMARC1; p=none"'],
        ("MX", "second.example.net"): ["10 mx.example.net."],
        ("TXT", "_dmarc.second.example.net"): ['"v=DMARC1; p=none"'],
    }
    for folder in ("new", "cur", "tmp"):
        Path("returned", folder).mkdir(parents=True)
    key = json.dumps(pem(rsa.generate_private_key(65537, 2048)))
    with MailServer() as first, MailServer() as second:
        fallback = f"""[fallback]
            host = "{HOST}"
            tls = "none"
            port = {second.port}
            sender = "Seminar <reminder@second.example.net>"
            [bounces]
            maildir = "returned"
            [dkim]
            domain = "{DOMAIN}"
            selector = "n1"
            key = {key}
        """
        told = check(port=first.port, more=fallback).stdout
        as_json = json.loads(check("--json", port=first.port, more=fallback).stdout)
    head, of_second = told.partition("[fallback] second.example.net\n")[::2]
    assert f"[mail] {DOMAIN}\n" in head
    assert "  SPF: missing: second.example.net does not say who may send for it\n" in of_second
    assert "  DKIM: missing" in head
    assert "  DKIM: unknown: [dkim] has no key for it" in of_second
    assert "warning: SPF: second.example.net does not say who may send for it" in told
    assert "goes to reminder@second.example.net, and [bounces] reads another mailbox" in told
    assert as_json["domains"]["fallback"]["name"] == "second.example.net"


def test_the_mailbox_of_returned_mail_is_looked_into_and_left_as_it_is(check: Check, names: NameServer) -> None:
    more = '[bounces]\nmaildir = "returned"'
    with MailServer() as server:
        missing = check(port=server.port, more=more)
        for folder in ("new", "cur", "tmp"):
            Path("returned", folder).mkdir(parents=True)
        Path("returned/new/1").write_text("Subject: a\n\n")
        found = check(port=server.port, more=more)
    assert (missing.exit_code, "returned: the Maildir cannot be used: No such file" in missing.stdout) == (1, True)
    assert (found.exit_code, "[bounces] the mailbox can be read\n" in found.stdout) == (0, True)
    assert Path("returned/new/1").exists()


@needs_postfix
def test_what_postfix_offers_is_told_by_what_it_means(check: Check, names: NameServer) -> None:
    with PostfixServer() as postfix:
        result = check(port=postfix.port)
    assert result.stdout.splitlines()[1:5] == [
        "  PIPELINING: a mail takes one round trip",
        "  SIZE: mails of up to 10.2 MB",
        "  DSN: it is asked to report in a form that names the delivery",
        "  SMTPUTF8: addresses in all scripts can be mailed",
    ]


@pytest.fixture
def certified(tmp_path: Path) -> tuple[trustme.CA, Path]:
    authority = trustme.CA()
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return authority, path


def test_a_refused_login_is_told_in_words_also_when_the_server_speaks_gbk(
    check: Check, names: NameServer, certified: tuple[trustme.CA, Path]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certified[0].issue_cert(HOST).configure_cert(context)
    with MailServer("starttls", context, login=(SENDER, CODE)) as server:
        server.say("auth", b"535 Error: \xc7\xeb\xca\xb9\xd3\xc3\xca\xda\xc8\xa8\xc2\xeb\xb5\xc7\xc2\xbc")
        login = {"username": SENDER, "password": "the-wrong-one"}
        result = check(port=server.port, tls="starttls", ca_file=str(certified[1]), **login)
    assert result.exit_code == 1
    (error,) = [line for line in result.stdout.splitlines() if line.startswith("error")]
    assert "refused the login: 535 Error: 请使用授权码登录; check [smtp] username and password" in error
    assert "QQ and 163 the authorisation code (授权码)" in error
    assert "the-wrong-one" not in result.output


def test_what_tls_there_is_and_until_when_is_told(
    check: Check, names: NameServer, certified: tuple[trustme.CA, Path]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    end = datetime.now(UTC) + timedelta(days=3)
    certified[0].issue_cert(HOST, not_after=end).configure_cert(context)
    with MailServer("starttls", context, login=(SENDER, CODE)) as server:
        login = {"username": SENDER, "password": CODE}
        result = check(port=server.port, tls="starttls", ca_file=str(certified[1]), **login)
    assert f"  TLSv1.3, its certificate good until {end:%Y-%m-%d}\n" in result.stdout
    assert f"warning: its certificate ends on {end:%Y-%m-%d}" in result.stdout
    assert "  logins: LOGIN PLAIN\n" in result.stdout
    assert CODE not in result.output


def test_without_an_answer_from_the_dns_nothing_is_claimed(check: Check, names: NameServer) -> None:
    names.is_silent = True
    with MailServer() as server:
        result = check(port=server.port)
    assert (result.exit_code, result.stderr) == (0, "0 errors, 0 warnings\n")
    assert "  SPF: unknown: not looked up: no resolver answered\n" in result.stdout


def test_a_broken_rule_of_the_provider_is_an_error_and_the_fallback_is_asked_too(
    check: Check, names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    qq = advice.customs("smtp.qq.com")
    monkeypatch.setattr(advice, "customs", lambda host: qq)
    with MailServer() as server, MailServer() as other:
        more = f'[fallback]\nhost = "{HOST}"\ntls = "none"\nport = {other.port}'
        result = check(port=server.port, more=more)
    assert result.exit_code == 1
    assert "error: QQ takes mail only after a login; give [smtp] username and password" in result.stdout
    assert "error: QQ takes mail only after a login; give [fallback] username and password" in result.stdout
    assert f"[fallback] 127.0.0.1:{other.port} is ready for mail" in result.stdout


def test_subscribers_whom_the_server_cannot_reach_are_counted(check: Check, names: NameServer) -> None:
    with MailServer() as server:
        check(port=server.port)
        assert CliRunner().invoke(main, ["subscribers", "add", "王伟@example.org"]).exit_code == 0
        result = check(port=server.port)
    assert "warning: 1 subscribers have addresses that it cannot carry: it offers no SMTPUTF8" in result.stdout


def test_a_list_that_the_provider_s_limits_cannot_serve_in_time_is_told(check: Check, names: NameServer) -> None:
    Path("people.csv").write_text("address\n" + "".join(f"reader{n}@example.org\n" for n in range(300)))
    with MailServer() as server:
        check(port=server.port)
        assert CliRunner().invoke(main, ["subscribers", "import", "people.csv"]).exit_code == 0
        result = check(port=server.port, more="[smtp.rate]\nper_day = 100")
    assert result.exit_code == 0
    assert "cannot reach everyone in time: 300 mails take" in result.stdout


def test_a_sender_of_this_machine_is_not_looked_up(check: Check, names: NameServer) -> None:
    with MailServer() as server:
        check(port=server.port)
        text = Path("config.toml").read_text().replace(SENDER, "seminar@localhost")
        Path("config.toml").write_text(text)
        names.asked.clear()
        result = CliRunner().invoke(main, ["check-smtp"])
    assert "DNS: unknown: not looked up: localhost is no name of the public net" in result.stdout
    assert names.asked == []


def test_with_mail_into_a_maildir_there_is_nothing_to_ask(check: Check) -> None:
    check()
    Path("config.toml").write_text("")
    result = CliRunner().invoke(main, ["check-smtp"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert 'no mail server is used; set it to "smtp"' in result.stderr
