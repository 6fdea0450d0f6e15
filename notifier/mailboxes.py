"""A mailbox into which returned mail falls → the mails in it that are new; over IMAP, or in a Maildir.

Everything here blocks and belongs into a thread. What was settled is marked as read, and only that: other mail in the
mailbox is somebody's, and stays as it is.
"""

from __future__ import annotations

import imaplib
import socket
import ssl
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, Protocol

from imap_tools import BaseMailBox, ImapToolsError, MailBox, MailBoxStartTls, MailBoxUnencrypted

from notifier import __version__
from notifier.errors import MailboxError, Problem
from notifier.returns import LARGEST

BATCH = 50
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Item:
    """A mail by its key in the mailbox; of a large one, its beginning."""

    key: str
    data: bytes


class Mailbox(Protocol):
    """Where returned mail lies."""

    def fetch(self, passed: Container[str], since: date) -> list[Item]:
        """Up to BATCH unread mails of this day or later, but for those passed over already.

        Raises:
            MailboxError: it cannot be read now.
        """
        ...

    def settle(self, keys: Iterable[str]) -> None:
        """Marks these as read. Raises MailboxError; then they may be given out again."""
        ...

    def close(self) -> None:
        """Ends a `fetch` or `settle` that is going on in another thread, and gives back what is held open."""
        ...


@dataclass(frozen=True, slots=True)
class ImapSettings:
    """How to reach a mailbox over IMAP; `ca_file` is trusted beside the system's authorities."""

    host: str
    port: int
    tls: Literal["implicit", "starttls", "none"]
    username: str
    password: str = field(repr=False)
    folder: str = "INBOX"
    ca_file: Path | None = None


class ImapMailbox:
    """A folder of an IMAP account (RFC 3501); read mails are those flagged as seen."""

    def __init__(self, settings: ImapSettings) -> None:
        self._settings = settings
        self._box: BaseMailBox | None = None

    def fetch(self, passed: Container[str], since: date) -> list[Item]:
        """Up to BATCH mails, from a new connection, which `settle` then uses."""
        self.close()
        try:
            box = self._box = self._connected()
            self._log_in(box)
            _, (validity, *_) = box.client.response("UIDVALIDITY")
            uids = box.uids(f"UNSEEN SINCE {_imap_date(since)}", charset=None)
            keys = {f"{validity!r}:{uid}": uid for uid in uids}
            wanted = [(key, uid) for key, uid in keys.items() if key not in passed][:BATCH]
            return [Item(key, self._head(box, uid)) for key, uid in wanted]
        except _FAILURES as error:
            self.close()
            raise self._told(error) from error

    def settle(self, keys: Iterable[str]) -> None:
        """Sets the flag and says goodbye."""
        uids = [key.rpartition(":")[2] for key in keys]
        try:
            if self._box and uids:
                # Not imap_tools' own flag(): it also expunges what somebody else marked as deleted.
                status, said = self._box.client.uid("STORE", ",".join(uids), "+FLAGS.SILENT", r"(\Seen)")
                if status != "OK":
                    raise imaplib.IMAP4.error(str(said))
        except _FAILURES as error:
            raise self._told(error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Cuts the connection: a call that waits for an answer in another thread fails at once."""
        box, self._box = self._box, None
        if box is not None:
            with suppress(OSError, imaplib.IMAP4.error):
                box.client.sock.shutdown(socket.SHUT_RDWR)
            with suppress(OSError, imaplib.IMAP4.error):
                box.client.shutdown()

    def _connected(self) -> BaseMailBox:
        settings = self._settings
        box: BaseMailBox
        if settings.tls == "none":
            box = MailBoxUnencrypted(settings.host, settings.port, timeout=_TIMEOUT_SECONDS)
        else:
            context = ssl.create_default_context()
            if settings.ca_file:
                context.load_verify_locations(settings.ca_file)
            kind = MailBox if settings.tls == "implicit" else MailBoxStartTls
            box = kind(settings.host, settings.port, timeout=_TIMEOUT_SECONDS, ssl_context=context)
        return box

    def _log_in(self, box: BaseMailBox) -> None:
        box.login(self._settings.username, self._settings.password, initial_folder=None)
        if "ID" in box.client.capabilities:  # NetEase calls a login "unsafe" that does not say its name (RFC 2971)
            box.client.xatom("ID", f'("name" "seminar-notifier" "version" "{__version__}")')
        box.folder.set(self._settings.folder)

    def _head(self, box: BaseMailBox, uid: str) -> bytes:
        # Not imap_tools' own fetch(): it reads every mail whole. One that the server cannot give keeps back no other.
        _, answer = box.client.uid("FETCH", uid, f"(BODY.PEEK[]<0.{LARGEST}>)")
        return next((part[1] for part in answer if isinstance(part, tuple)), b"")

    def _told(self, error: Exception) -> MailboxError:
        settings = self._settings
        words = " ".join(str(error).split())[:200].replace(settings.password or "\0", "[password]")
        advice = "check [bounces] host and port"
        if isinstance(error, ssl.SSLCertVerificationError):
            words, advice = f"its certificate was not accepted ({error.verify_message})", "set [bounces] ca_file"
        elif "LOGIN" in type(error).__name__.upper() or "AUTHENTICATIONFAILED" in words.upper():
            advice = "check username and password; QQ and 163 want the authorisation code and IMAP switched on"
        elif isinstance(error, UnicodeError):
            words, advice = "the login is not ASCII", "give the password that the provider made for mail programs"
        elif "FOLDER" in type(error).__name__.upper():
            advice = "check [bounces] folder"
        return MailboxError(
            Problem(f"{settings.folder} cannot be read: {words}", advice, f"{settings.host}:{settings.port}")
        )


_FAILURES = (OSError, imaplib.IMAP4.error, ImapToolsError, LookupError, ValueError)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _imap_date(day: date) -> str:
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year}"  # never in the language of this machine


class MaildirMailbox:
    """A Maildir that a mail server on this machine delivers into; read mails are those that lie in cur/."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch(self, passed: Container[str], since: date) -> list[Item]:
        """Up to BATCH mails from new/, whatever their day: mail that is read does not stay there."""
        try:
            with_names = sorted((path.name, path) for path in (self._path / "new").iterdir() if path.name not in passed)
            files = [(name, path) for name, path in with_names if path.is_file() and not path.is_symlink()]
            return [Item(name, _head(path)) for name, path in files[:BATCH]]
        except OSError as error:
            raise self._told(error) from error

    def settle(self, keys: Iterable[str]) -> None:
        """Moves them to cur/, flagged as seen."""
        try:
            for key in keys:
                with suppress(FileNotFoundError):  # a person's mail program was faster
                    (self._path / "new" / key).rename(self._path / "cur" / f"{key.partition(':')[0]}:2,S")
        except OSError as error:
            raise self._told(error) from error

    def close(self) -> None:
        """Nothing is held open."""

    def _told(self, error: OSError) -> MailboxError:
        advice = "check [bounces] maildir, and let the daemon's user write there"
        return MailboxError(Problem(f"the Maildir cannot be used: {error.strerror}", advice, str(self._path)))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)
