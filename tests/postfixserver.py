"""A real Postfix on loopback with a queue of its own, from which nothing leaves this machine; it wants to be root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from conftest import needs

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mail.seminar.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = error:5.4.0 nothing leaves this machine
recipient_delimiter = +
smtpd_recipient_restrictions =
  check_recipient_access inline:{{ {{ refused@readers.test = 550 5.1.1 no such user }} }}
  {restrictions}
smtpd_relay_restrictions = {restrictions}
{login}
# What is unknown is taken and comes back, as from servers that only know their neighbours.
smtpd_reject_unlisted_recipient = no
virtual_mailbox_domains = readers.test, seminar.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {mailboxes} }}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
"""
_LOGIN = """
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = {certificate}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth_port}
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


def needs_postfix(test: object) -> object:
    """Skips the test where Postfix is missing or would not start for us."""
    is_root = pytest.mark.skipif(os.geteuid() != 0, reason="Postfix is only started by root")
    return is_root(needs("postfix", "postfix")(test))


class PostfixServer:
    """Postfix from `with` to its end, with these mailboxes as Maildirs; it refuses mail to refused@readers.test.

    With a `certificate` it takes mail only after STARTTLS and a login that the Dovecot at `auth_port` approves of.
    """

    def __init__(self, *mailboxes: str, certificate: Path | None = None, auth_port: int = 0) -> None:
        self._mailboxes = mailboxes
        self._certificate, self._auth_port = certificate, auth_port

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="postfix-"))  # its sockets want a short path
        self._folder.chmod(0o755)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port: int = one.getsockname()[1]
        for name in ("queue", "data", "mail", "config"):
            (self._folder / name).mkdir()
        shutil.chown(self._folder / "data", "postfix")
        shutil.chown(self._folder / "mail", 65534, 65534)
        mailboxes = " ".join(f"{{ {box} = {box}/ }}" for box in self._mailboxes)
        main = _MAIN.format(
            folder=self._folder,
            mailboxes=mailboxes,
            restrictions="permit_sasl_authenticated, reject" if self._certificate else "permit_mynetworks, reject",
            login=_LOGIN.format(certificate=self._certificate, auth_port=self._auth_port) if self._certificate else "",
        )
        (self._folder / "config" / "main.cf").write_text(main)
        (self._folder / "config" / "master.cf").write_text(_MASTER.format(port=self.port))
        self._postfix("start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._postfix("stop")
        shutil.rmtree(self._folder)

    def maildir(self, mailbox: str) -> Path:
        """Where its mail is delivered; made beforehand, so that it can be watched."""
        path = self._folder / "mail" / mailbox
        for name in ("new", "cur", "tmp"):
            (path / name).mkdir(parents=True, exist_ok=True)
        for each in (path, *path.iterdir()):
            shutil.chown(each, 65534, 65534)
        return path

    def delivered(self, mailbox: str, count: int, seconds: float = 60) -> list[Message]:
        """The mails in the mailbox, once there are so many."""
        folder = self.maildir(mailbox)
        deadline = time.monotonic() + seconds
        while len(paths := [*(folder / "new").iterdir(), *(folder / "cur").iterdir()]) < count:
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.05)
        return [message_from_bytes(path.read_bytes()) for path in paths]

    def _postfix(self, command: str) -> None:
        program = shutil.which("postfix", path=_PATH)
        assert program
        done = subprocess.run(
            [program, "-c", self._folder / "config", command], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
