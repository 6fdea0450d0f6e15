"""Files → bytes, and texts → files that nobody ever sees half written; what the program is shipped with."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from notifier.errors import OutputError, Problem, SourceError, TemplateError

LARGEST_FILE = 50_000_000


def shipped(folder: str = "") -> dict[str, str]:
    """The shipped templates by path, such as `mail/reminder.txt`; only those in this folder where one is named."""
    return _texts(_home() / "templates", folder)


def overrides(path: str | Path) -> dict[str, str]:
    """The operator's templates by their path inside the operator's folder.

    Raises:
        SourceError: there is no such folder.
        TemplateError: a file in it is no text; every one that is not.
    """
    root = Path(path)
    if not root.is_dir():
        raise SourceError(Problem("there is no such folder", "make it, or mend the path", str(path)))
    return _texts(root)


def example_config() -> str:
    """The commented example of a config, with every option at its default."""
    return (_home() / "config.example.toml").read_text(encoding="utf-8")


def _home() -> Path:
    # A wheel carries the templates inside the package; a checkout, and an editable install of it, beside the package.
    package = Path(__file__).parent
    return package if (package / "templates").is_dir() else package.parent


def _texts(root: Path, folder: str = "") -> dict[str, str]:
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for path in sorted((root / folder).rglob("*")):
        name = path.relative_to(root)
        if _is_left_by_an_editor(name) or path.is_dir():
            continue
        try:
            texts[name.as_posix()] = read(path).decode("utf-8-sig").replace("\r\n", "\n")
        except SourceError as error:
            problems += error.problems
        except UnicodeDecodeError:
            problems.append(Problem("this is no UTF-8 text", "save it as UTF-8, or take it away", str(path)))
    if problems:
        raise TemplateError(problems)
    return texts


def _is_left_by_an_editor(name: Path) -> bool:
    return name.name.endswith("~") or any(part.startswith(".") for part in name.parts)


def read(path: str | Path) -> bytes:
    """The file's content; `-` is standard input. Raises SourceError where it cannot be read or is over 50 MB."""
    try:
        data = _read_stdin() if path == "-" else _read_file(path)
    except (OSError, ValueError) as error:
        raise SourceError(unreadable(error, path)) from error
    if len(data) > LARGEST_FILE:
        raise SourceError(too_large(LARGEST_FILE, str(path)))
    return data


def see(path: str | Path) -> None:
    """Raises SourceError where this is no file that may be read."""
    try:
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise SourceError(unreadable(error, path)) from error


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return sys.stdin.buffer.read(LARGEST_FILE + 1)


def _read_file(path: str | Path) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(LARGEST_FILE + 1)


def write_atomically(path: str | Path, content: str | bytes, *, overwrite: bool) -> None:
    """Puts the content, on the disk and whole, where the file was or nothing was; readers never see a part of it.

    An existing file keeps its mode and, where we may, its owner; a symbolic link stays and its target is replaced.
    A device or pipe is written to. Raises OutputError where it cannot be, or where the file is there and
    `overwrite` is not set.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        status = _status(path)
        if status and not stat.S_ISREG(status.st_mode):
            Path(path).write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data, status, overwrite=overwrite)
    except (OSError, ValueError) as error:
        raise OutputError(unwritable(error, path)) from error


def make_folder(path: str | Path) -> None:
    """Has the folder there, with those above it. Raises OutputError where it cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(Problem("this is no folder", "name a folder", str(path))) from error
    except (OSError, ValueError) as error:
        raise OutputError(unwritable(error, path)) from error


def _status(path: str | Path) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except FileNotFoundError:
        return None


def _replace(target: Path, data: bytes, status: os.stat_result | None, *, overwrite: bool) -> None:
    with _draft(target, status, 0o666, overwrite=overwrite) as draft:
        draft.write_bytes(data)


@contextmanager
def drafted(path: str | Path, *, overwrite: bool, mode: int = 0o600) -> Iterator[Path]:
    """An empty file to be filled, which takes the place of the file, on the disk and whole, if the block ends well.

    It is readable by nobody but its owner or, where a file is there already, as that one is. A symbolic link stays, and
    its target is replaced. Raises OutputError like `write_atomically`, also where it is no regular file.
    """
    try:
        status = _status(path)
        if status and not overwrite:
            raise FileExistsError(path)
        if status and not stat.S_ISREG(status.st_mode):
            raise OutputError(Problem("this is no file", "name a file", str(path)))
        with _draft(Path(os.path.realpath(path)), status, mode, overwrite=overwrite) as draft:
            yield draft
    except (OSError, ValueError) as error:
        raise OutputError(unwritable(error, path)) from error


@contextmanager
def _draft(target: Path, status: os.stat_result | None, mode: int, *, overwrite: bool) -> Iterator[Path]:
    draft = target.with_name(f".notifier-{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            if status:  # before a byte is in it, so that a secret is never readable by more people than before
                _hand_over(descriptor, status)
            yield draft
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if overwrite:
            draft.replace(target)
        else:
            _take_name(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _take_name(draft: Path, target: Path) -> None:
    """Gives the draft this name, or finds the name taken, in one step."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:  # this file system has no second names
        target.touch(exist_ok=False)
        draft.replace(target)


def _hand_over(descriptor: int, status: os.stat_result) -> None:
    with suppress(PermissionError):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _sync_folder(folder: Path) -> None:
    # Without it a power cut may undo the rename. Some network file systems cannot; they order it themselves.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unreadable(error: OSError | ValueError, path: str | Path) -> Problem:
    """Why this could not be read, and what to do."""
    source = "standard input" if path == "-" else str(path)
    match error:
        case FileNotFoundError():
            return Problem("there is no such file", "mend the path, or put the file there", source)
        case IsADirectoryError():
            return Problem("this is a folder", "name the file in it", source)
        case PermissionError():
            return Problem("it may not be read by this user", "give read permission, also on its folders", source)
        case _:
            return Problem(f"it cannot be read: {reason(error)}", "mend the path or the disk", source)


def unwritable(error: OSError | ValueError, path: str | Path) -> Problem:
    """Why this could not be written, and what to do."""
    match error:
        case FileExistsError():
            return Problem("there is such a file already", "move it away, or choose another name", str(path))
        case FileNotFoundError() | NotADirectoryError():
            return Problem("there is no such folder", "make it, or mend the path", str(path))
        case IsADirectoryError():
            return Problem("this is a folder", "name a file in it", str(path))
        case PermissionError() if os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a folder is closed
            return Problem("this user may not write it", "give it to this user, with chown", str(path))
        case PermissionError():
            return Problem("this user may not write there", "give write permission on the folder", str(path))
        case _:
            return Problem(f"it cannot be written: {reason(error)}", "mend the path or the disk", str(path))


def reason(error: Exception) -> str:
    """What went wrong, in the system's words where it has some."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def too_large(limit: int, source: str) -> Problem:
    """That a talk list has more bytes than any would have."""
    return Problem(f"it is larger than {limit // 1_000_000} MB", "no talk list is; name the right file", source)
