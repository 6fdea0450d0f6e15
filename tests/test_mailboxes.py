"""Mailboxes: what is new in them, and what is marked as read; over a real IMAP server and in a Maildir."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from imapserver import ImapServer, certificate, needs_dovecot

from notifier import mailboxes
from notifier.errors import MailboxError
from notifier.mailboxes import ImapMailbox, ImapSettings, Item, MaildirMailbox

LONG_AGO = date(2021, 1, 1)


def mail(subject: str) -> bytes:
    return f"Subject: {subject}\n\ntext\n".encode()


@pytest.fixture(scope="module")
def server() -> Iterator[ImapServer]:
    with ImapServer() as server:
        yield server


@pytest.fixture
def inbox(server: ImapServer) -> ImapServer:
    for path in (*(server.maildir / "new").iterdir(), *(server.maildir / "cur").iterdir()):
        path.unlink()
    return server


def settings(server: ImapServer, **values: object) -> ImapSettings:
    given = {"host": "127.0.0.1", "port": server.port, "tls": "none", "username": "bounce", "password": server.password}
    return ImapSettings(**{**given, **values})  # type: ignore[arg-type]


def subjects(items: list[Item]) -> list[str]:
    return [item.data.split()[1].decode() for item in items]


@needs_dovecot
def test_an_account_gives_out_what_is_unread_until_it_is_settled(inbox: ImapServer) -> None:
    for name in ("a", "b", "c"):
        inbox.deliver(mail(name), name)
    mailbox = ImapMailbox(settings(inbox))
    items = mailbox.fetch((), LONG_AGO)
    assert sorted(subjects(items)) == ["a", "b", "c"]
    assert inbox.unread == {"a", "b", "c"}, "reading alone marks nothing"
    done = next(item for item in items if b" b" in item.data)
    mailbox.settle([done.key])
    assert inbox.unread == {"a", "c"}
    passed = {item.key for item in items if b" a" in item.data}
    assert subjects(mailbox.fetch(passed, LONG_AGO)) == ["c"]
    assert mailbox.fetch((), date(2999, 1, 1)) == []
    mailbox.close()


@needs_dovecot
def test_of_a_large_mail_only_the_beginning_is_fetched(inbox: ImapServer) -> None:
    inbox.deliver(mail("large") + b"x" * 3_000_000, "large")
    mailbox = ImapMailbox(settings(inbox))
    (item,) = mailbox.fetch((), LONG_AGO)
    assert len(item.data) == mailboxes.LARGEST
    mailbox.close()


@needs_dovecot
def test_a_batch_is_bounded_and_the_rest_comes_next(inbox: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "BATCH", 2)
    for name in ("a", "b", "c"):
        inbox.deliver(mail(name), name)
    mailbox = ImapMailbox(settings(inbox))
    first = mailbox.fetch((), LONG_AGO)
    mailbox.settle(item.key for item in first)
    second = mailbox.fetch((), LONG_AGO)
    mailbox.settle(item.key for item in second)
    assert sorted(subjects(first + second)) == ["a", "b", "c"]
    assert (len(first), len(second), inbox.unread) == (2, 1, set())


@needs_dovecot
def test_what_somebody_else_marked_as_deleted_is_not_expunged(inbox: ImapServer) -> None:
    from imap_tools import MailBoxUnencrypted

    for name in ("a", "b"):
        inbox.deliver(mail(name), name)
    with MailBoxUnencrypted("127.0.0.1", inbox.port).login("bounce", inbox.password) as other:
        uid = next(uid for uid in other.uids() if b" a" in other.client.uid("FETCH", uid, "BODY.PEEK[]")[1][0][1])
        other.client.uid("STORE", uid, "+FLAGS", r"(\Deleted)")
    mailbox = ImapMailbox(settings(inbox))
    mailbox.settle(item.key for item in mailbox.fetch((), LONG_AGO))
    assert len([*(inbox.maildir / "cur").iterdir()]) == 2


@needs_dovecot
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_mailbox_is_read_over_tls_and_only_from_a_trusted_server(tmp_path: Path, tls: str) -> None:
    chain, authority = certificate(tmp_path)
    with ImapServer(chain) as server:
        server.deliver(mail("退信"), "a", "&kAADUQ-")
        server.deliver(mail("a"), "a")
        port = server.tls_port if tls == "implicit" else server.port
        encrypted = settings(server, port=port, tls=tls, ca_file=authority)
        with closing(ImapMailbox(encrypted)) as mailbox:
            assert subjects(mailbox.fetch((), LONG_AGO)) == ["a"]
        with pytest.raises(MailboxError, match=r"certificate was not accepted.*set .bounces. ca_file"):
            ImapMailbox(settings(server, port=port, tls=tls)).fetch((), LONG_AGO)


@needs_dovecot
def test_a_folder_may_have_a_name_in_any_script(inbox: ImapServer) -> None:
    inbox.deliver(mail("a"), "a", "&kABP4Q-")  # 退信, in the UTF-7 of RFC 3501 section 5.1.3
    with closing(ImapMailbox(settings(inbox, folder="退信"))) as mailbox:
        assert subjects(mailbox.fetch((), LONG_AGO)) == ["a"]


@needs_dovecot
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"password": "another-secret"}, "AUTHENTICATIONFAILED.*QQ and 163 want the authorisation code"),
        ({"folder": "Nowhere"}, "Nowhere cannot be read.*check .bounces. folder"),
        ({"password": "密码"}, "not ASCII.*the provider made for mail programs"),
        ({"tls": "implicit"}, "check .bounces. host and port"),
    ],
)
def test_what_is_wrong_with_an_account_is_told_without_its_password(
    inbox: ImapServer, values: dict[str, str], told: str
) -> None:
    with pytest.raises(MailboxError, match=told) as caught:
        ImapMailbox(settings(inbox, **values)).fetch((), LONG_AGO)
    assert values.get("password", inbox.password) not in str(caught.value)


def test_a_server_that_is_not_there_is_an_error_of_ours() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        there = ImapSettings("127.0.0.1", nobody.getsockname()[1], "none", "bounce", "secret")
        with pytest.raises(MailboxError, match="Connection refused"):
            ImapMailbox(there).fetch((), LONG_AGO)


def test_closing_ends_a_read_that_waits_for_a_dead_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        mailbox = ImapMailbox(ImapSettings("127.0.0.1", dead.getsockname()[1], "none", "bounce", "secret"))
        told: list[MailboxError] = []

        def read() -> None:
            try:
                mailbox.fetch((), LONG_AGO)
            except MailboxError as error:
                told.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        client, _ = dead.accept()
        client.sendall(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        tag = client.recv(1000).split()[0]
        client.sendall(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")
        assert b"LOGIN" in client.recv(1000)  # and there is never an answer
        while thread.is_alive():
            mailbox.close()
            time.sleep(0.01)
        client.close()
    assert len(told) == 1


def test_a_maildir_gives_out_what_is_new_and_settles_it_into_cur(tmp_path: Path) -> None:
    for folder in ("new", "cur", "tmp"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b:2,", "c"):
        (tmp_path / "new" / name).write_bytes(mail(name) + b"x" * 300_000)
    os.mkfifo(tmp_path / "new" / "pipe")  # would be waited for for ever
    (tmp_path / "new" / "link").symlink_to("/etc/hostname")
    mailbox = MaildirMailbox(tmp_path)
    items = mailbox.fetch({"c"}, LONG_AGO)
    assert [(item.key, len(item.data)) for item in items] == [("a", mailboxes.LARGEST), ("b:2,", mailboxes.LARGEST)]
    (tmp_path / "new" / "a").unlink()  # by a mail program of somebody else
    mailbox.settle(["a", "b:2,"])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["c", "link", "pipe"]
    assert [path.name for path in (tmp_path / "cur").iterdir()] == ["b:2,S"]


def test_a_maildir_that_is_not_there_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(MailboxError, match=r"nowhere: the Maildir cannot be used.*check \[bounces\] maildir"):
        MaildirMailbox(tmp_path / "nowhere").fetch((), LONG_AGO)
