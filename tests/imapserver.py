"""A real mailbox server on loopback: Dovecot with a configuration of its own, over a Maildir that the test fills."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from conftest import needs

needs_dovecot = needs("dovecot", "dovecot-imapd")

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = {ssl}
ssl_cert = <{certificate}
ssl_key = <{certificate}
disable_plaintext_auth = no
first_valid_uid = 1
auth_failure_delay = 0
mail_location = maildir:{folder}/mail
{users}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail
}}
service imap-login {{
  {unconfined}
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  {unconfined}
}}
auth_mechanisms = plain login
service auth {{
  inet_listener {{
    port = {auth_port}
  }}
}}
"""


class ImapServer:
    """Dovecot from `with` to its end; any name may log in with `password`. `port` speaks TLS only after STARTTLS.

    At `auth_port` mail servers may ask it who may log in there.
    """

    password = "a-secret-for-tests"

    def __init__(self, certificate: Path | None = None) -> None:
        self._certificate = certificate
        self.port, self.tls_port, self.auth_port = _free_port(), _free_port(), _free_port()

    def __enter__(self) -> Self:
        # Its sockets want a short path, and the users it runs as a way in.
        self._folder = Path(tempfile.mkdtemp(prefix="imap-"))
        self._folder.chmod(0o755)
        self.maildir = self._folder / "mail"
        is_root = os.geteuid() == 0
        user = pwd.getpwnam("nobody") if is_root else pwd.getpwuid(os.geteuid())
        for name in ("new", "cur", "tmp"):
            (self.maildir / name).mkdir(parents=True)
        for path in (self.maildir, *self.maildir.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        self._user = user
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        user, is_root = self._user, os.geteuid() == 0
        name = user.pw_name
        own_user = f"default_internal_user = {name}\ndefault_internal_group = {_group()}\ndefault_login_user = {name}"
        config = _CONFIG.format(
            folder=self._folder,
            ssl="yes" if self._certificate else "no",
            certificate=self._certificate or os.devnull,
            users="" if is_root else own_user,
            unconfined="" if is_root else "chroot =",
            password=self.password,
            uid=user.pw_uid,
            gid=user.pw_gid,
            port=self.port,
            auth_port=self.auth_port,
            tls_port=self.tls_port if self._certificate else 0,
        )
        if not self._certificate:
            config = "\n".join(line for line in config.splitlines() if not line.startswith(("ssl_cert", "ssl_key")))
        (self._folder / "dovecot.conf").write_text(config)
        places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
        program = shutil.which("dovecot", path=places)
        assert program
        self._process = subprocess.Popen([program, "-F", "-c", self._folder / "dovecot.conf"])
        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as greeting:
                    assert greeting.recv(4) == b"* OK", self.log
                    return
            except OSError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    @property
    def log(self) -> str:
        path = self._folder / "log"
        return path.read_text() if path.exists() else "nothing was logged"

    def deliver(self, mail: bytes, name: str, folder: str = "") -> None:
        """Puts a mail into the inbox, as a delivery agent does, or into a folder of it."""
        box = self.maildir / f".{folder}" if folder else self.maildir
        for part in ("new", "cur", "tmp"):
            (box / part).mkdir(parents=True, exist_ok=True)
        for path in (box, *box.iterdir()):
            os.chown(path, self._user.pw_uid, self._user.pw_gid)
        scratch = box / "tmp" / name
        scratch.write_bytes(mail)
        os.chown(scratch, self._user.pw_uid, self._user.pw_gid)
        scratch.rename(box / "new" / name)

    @property
    def unread(self) -> set[str]:
        """The names of the mails that no program marked as read."""
        paths = [*(self.maildir / "new").iterdir(), *(self.maildir / "cur").iterdir()]
        return {path.name.partition(":")[0] for path in paths if "S" not in path.name.partition(":2,")[2]}


def certificate(folder: Path) -> tuple[Path, Path]:
    """The server's certificate with its key, and the authority that it is to be trusted by."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    chain, trusted = folder / "imap.pem", folder / "imap-authority.pem"
    chain.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
    authority.cert_pem.write_to_path(str(trusted))
    return chain, trusted


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _group() -> str:
    import grp

    return grp.getgrgid(os.getegid()).gr_name
