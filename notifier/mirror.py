"""A folder kept equal to what is published, in which others may keep files of their own."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from notifier.errors import NotifierError, OutputError, Problem
from notifier.pages.copies import is_safe

_OURS = ".notifier-published.json"  # which files are ours: their paths, each with the SHA-256 of what we wrote
_DRAFT = ".notifier-{}.tmp"


@dataclass(frozen=True, slots=True)
class Update:
    """What was done to the folder, by paths in it; `kept` is no longer published, but somebody has changed it."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def update(folder: Path, files: Mapping[str, bytes]) -> Update:
    """Makes the folder hold these files, each of them whole at every moment, and no other that was ours.

    Only what differs is written, so that a host tells readers truly since when a file is as it is.

    Raises:
        NotifierError: files of somebody else would be written over, all of them, and nothing was done.
        OutputError: the folder cannot be written; what is left to do is done by the next call.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _update(folder, files)
    except OSError as error:
        what = error.strerror or str(error)
        told = f"it cannot be written: {what}"
        raise OutputError(Problem(told, "mend it and publish again", error.filename or str(folder))) from error


def _update(folder: Path, files: Mapping[str, bytes]) -> Update:
    ours = _ours(folder)
    there = {path: _content(folder / path) for path in files}
    changed = {path: data for path, data in files.items() if there[path] != data}
    if foreign := [path for path in changed if there[path] is not None and path not in ours]:
        raise NotifierError([_in_the_way(folder / path) for path in foreign])
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    for left in folder.rglob(_DRAFT.format("*")):
        left.unlink()
    if changed or digests != ours:
        # Before a file is written it is said to be ours: if we die here, the next call knows it again.
        _write(folder / _OURS, json.dumps({**ours, **digests}, indent=0).encode())
    stale = {path: digest for path, digest in ours.items() if path not in files}
    # The old goes last, because pages that somebody is reading refer to it; but not where the new takes its place.
    in_place = {path: digest for path, digest in stale.items() if _is_in_place(path, files)}
    first = _remove(folder, in_place)
    for path, data in changed.items():
        _write(folder / path, data)
    last = _remove(folder, {path: digest for path, digest in stale.items() if path not in in_place})
    if stale:
        _write(folder / _OURS, json.dumps(digests, indent=0).encode())
    return Update(tuple(changed), *(one + other for one, other in zip(first, last, strict=True)))


def _is_in_place(path: str, files: Mapping[str, bytes]) -> bool:
    """Whether a new file is to be where this one's folder is, or the other way round."""
    is_under = any(str(parent) in files for parent in PurePosixPath(path).parents)
    return is_under or any(new.startswith(f"{path}/") for new in files)


def _ours(folder: Path) -> dict[str, str]:
    try:
        known = json.loads(_content(folder / _OURS) or b"{}")
    except ValueError:
        return {}
    return {path: str(digest) for path, digest in known.items() if is_safe(path)} if isinstance(known, dict) else {}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _in_the_way(path: Path) -> Problem:
    return Problem("this is somebody else's, and would be written over", "move it, or publish elsewhere", str(path))


def _write(path: Path, data: bytes) -> None:
    # Not forced to the disk: a power cut leaves at worst what the next call sees to differ, and writes again.
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(_DRAFT.format(secrets.token_hex(8)))
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _remove(folder: Path, stale: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    removed, kept = [], []
    for path, digest in stale.items():
        content = _content(folder / path)
        if content is None:
            continue
        if hashlib.sha256(content).hexdigest() != digest:
            kept.append(path)
            continue
        (folder / path).unlink()
        _remove_empty((folder / path).parents, folder)
        removed.append(path)
    return tuple(removed), tuple(kept)


def _remove_empty(parents: Iterable[Path], folder: Path) -> None:
    for parent in parents:
        if parent == folder:
            return
        with suppress(OSError):  # it holds something
            parent.rmdir()
