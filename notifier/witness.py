"""What was once published, in a file beside the store: a store put back from an older copy takes nothing of it back.

A calendar that knows revision 5 of a session passes over a 4 which comes later, and so would stay wrong for ever. The
file is one JSON object a line, each of them on the disk before what it tells of is published; the latest line counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from notifier import files
from notifier.errors import NotifierError, Problem, StoreError
from notifier.revisions import Identity

_SLACK = 1000  # lines that are out of date before the file is written anew


class Witness:
    """The newest identity of every session that was ever published, and when anything published last changed.

    And `used`, until when the store was in use: one that ends before has forgotten who had mail since, and who left.

    Raises StoreError where the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identities: dict[str, Identity] = {}
        self.published: datetime | None = None
        self.used: datetime | None = None
        try:
            data = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise self._failed(error) from error
        # A line that a power cut broke off must not swallow the next one.
        self._is_untidy = bool(data) and not data.endswith(b"\n")
        lines = data.splitlines()
        for line in lines:
            self._remember(line)
        self._count = len(lines)

    def newer_than(self, stored: Mapping[str, Identity]) -> dict[str, Identity]:
        """The identities by session id that the store has only as they were before, or not at all: normally none."""
        return {key: seen for key, seen in self._identities.items() if _age(seen) > _age(stored.get(key))}

    def note(
        self, identities: Iterable[Identity], published: datetime | None = None, *, used: datetime | None = None
    ) -> None:
        """Keeps what is about to be published, or that the store is in use. Raises StoreError: then it must not be."""
        fresh = [one for one in identities if _age(one) > _age(self._identities.get(one.id))]
        lines = [*map(_identity_line, fresh)]
        self._identities |= {one.id: one for one in fresh}
        if published is not None and (self.published is None or published > self.published):
            self.published = published
            lines.append(_instant_line("published", published))
        if used is not None and (self.used is None or used > self.used):
            self.used = used
            lines.append(_instant_line("used", used))
        if not lines:
            return
        try:
            if self._is_untidy or self._count > len(self._identities) + _SLACK:
                self._write_anew()
            else:
                self._append(lines)
        except (OSError, NotifierError) as error:
            self._is_untidy = True  # a part of it may stand there
            raise self._failed(error) from error

    def _append(self, lines: Sequence[str]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        self._count += len(lines)

    def _write_anew(self) -> None:
        lines = [*self._lines()]
        files.write_atomically(self._path, "".join(lines), overwrite=True)
        self._is_untidy, self._count = False, len(lines)

    def _lines(self) -> Iterator[str]:
        yield from map(_identity_line, self._identities.values())
        if self.published:
            yield _instant_line("published", self.published)
        if self.used:
            yield _instant_line("used", self.used)

    def _remember(self, line: bytes) -> None:
        try:
            values = json.loads(line)
            if "published" in values:
                self.published = datetime.fromisoformat(values["published"])
            elif "used" in values:
                self.used = datetime.fromisoformat(values["used"])
            else:
                one = _identity(values)
                self._identities[one.id] = one
        except (ValueError, TypeError, KeyError):
            self._is_untidy = True  # broken off, or damaged: the others still count

    def _failed(self, error: Exception) -> StoreError:
        told = f"what was published cannot be noted: {error}"
        return StoreError(Problem(told, "make room, or let the daemon's user read and write it", str(self._path)))


def _age(identity: Identity | None) -> tuple[int, datetime]:
    return (identity.revision, identity.modified) if identity else (-1, datetime.min.replace(tzinfo=UTC))


def _identity_line(one: Identity) -> str:
    values = {
        "id": one.id,
        "uid": one.uid,
        "revision": one.revision,
        "digest": one.digest,
        "created": one.created.isoformat(),
        "modified": one.modified.isoformat(),
    } | ({"edited": one.edited.isoformat()} if one.edited else {})
    return json.dumps(values, ensure_ascii=False) + "\n"


def _instant_line(name: str, at: datetime) -> str:
    return json.dumps({name: at.isoformat()}) + "\n"


def _identity(values: Mapping[str, Any]) -> Identity:
    created, modified = (datetime.fromisoformat(values[name]) for name in ("created", "modified"))
    edited = datetime.fromisoformat(values["edited"]) if "edited" in values else None
    return Identity(values["id"], values["uid"], values["digest"], int(values["revision"]), created, modified, edited)
