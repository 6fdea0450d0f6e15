"""Messages as files in a Maildir, for trying things out and for mail that another program carries on."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from datetime import timedelta
from pathlib import Path

from notifier.replies import Answer, Outcome, legible
from notifier.transports import Envelope, Outbox

_MINUTE = timedelta(minutes=1)


class MaildirTransport:
    """Files messages in a Maildir.

    A message's file is named after its Message-ID, so that a resend takes the place of the first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def carry(self, outbox: Outbox) -> None:
        """ACCEPTED is what lies on the disk for good; RELAY says that the disk will not have it."""
        while (envelope := await outbox.next()) is not None:
            # Shielded: a file that was begun is written, and its outcome is known, even when the caller is cancelled.
            filing = asyncio.get_running_loop().run_in_executor(None, self._file, envelope)
            try:
                outbox.tell(envelope, await asyncio.shield(filing))
            except asyncio.CancelledError:
                outbox.tell(envelope, await filing)
                raise

    async def close(self) -> None:
        """Nothing is held open."""

    def _file(self, envelope: Envelope) -> Outcome:
        try:
            for folder in ("tmp", "new", "cur"):
                (self._path / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            place = self._place(envelope.message_id)
            _write_durably(self._path / "tmp", place, envelope.body)
        except OSError as error:
            words = f"the Maildir {self._path} took no message ({error.strerror}); make room or give write permission"
            return Outcome(Answer.RELAY, None, legible(words), _MINUTE)
        return Outcome(Answer.ACCEPTED, None, f"filed as {place.relative_to(self._path)}")

    def _place(self, message_id: str) -> Path:
        # A digest holds no slash, colon or leading dot, whatever the Message-ID holds.
        name = hashlib.sha256(message_id.encode()).hexdigest()[:32]
        # A mail program moves what was seen to cur/ and appends its flags.
        return next((self._path / "cur").glob(f"{name}*"), self._path / "new" / name)


def _write_durably(scratch: Path, place: Path, body: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as file:
        try:
            file.write(body.replace(b"\r\n", b"\n"))  # mail on a disk has the system's line ends
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(place)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
