"""The calendar programs that subscribe over HTTP: each started with its addresses, refreshed as often as asked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from interop.programs import ALL, HERE, READERS, TOOLS, Reading, environment, in_order
from interop.shelf import Shelf, served

PATIENCE = 60  # seconds, for what takes one or two on an idle machine
HOME = ZoneInfo("America/New_York")


class Subscriptions(Protocol):
    """A running program with its subscriptions."""

    def refresh(self) -> dict[str, Reading]:
        """Fetches every feed again, as when a person presses the button → what the program then shows of each."""


@dataclass(frozen=True)
class Subscriber:
    """A program that subscribes; `open` starts it with a name and an address for each subscription."""

    name: str
    who: str
    install: str
    needs: tuple[str, ...]
    version: tuple[str, ...]
    kind: type[Any]
    shows: tuple[str, ...] = ALL
    asks_again: bool = True  # with the ETag of what it has
    longest: int | None = None

    @property
    def is_missing(self) -> str:
        """What has to be installed to run it; empty where nothing is missing."""
        is_whole = all(shutil.which(one) or Path(one).exists() for one in self.needs)
        return "" if is_whole else f"{self.name} is missing: {self.install}"

    def ask_version(self) -> str:
        """The version that is installed, in the program's own words."""
        return subprocess.run(self.version, capture_output=True, check=True, text=True, timeout=PATIENCE).stdout.strip()

    def read(self, feeds: Mapping[str, bytes], folder: Path) -> dict[str, Reading]:
        """Every feed as the program has it after it has fetched it for the first time."""
        names = {f"feed{number}": name for number, name in enumerate(feeds)}
        shelf = Shelf({short: feeds[name] for short, name in names.items()})
        with served(shelf), self.open(shelf.urls(), folder) as subscriptions:
            return {names[short]: reading for short, reading in subscriptions.refresh().items()}

    @contextmanager
    def open(self, urls: Mapping[str, str], folder: Path) -> Iterator[Subscriptions]:
        subscriptions = self.kind(urls, folder)
        try:
            yield subscriptions
        finally:
            subscriptions.close()


def _readings(said: Mapping[str, Any]) -> dict[str, Reading]:
    assert "failure" not in said, said["failure"]
    return {name: Reading(in_order(one.get("events", ())), one.get("error", "")) for name, one in said.items()}


def _ended(process: subprocess.Popen[bytes]) -> None:
    """Ends what was started, with all that it started itself."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


class KhalAndVdirsyncer:
    """vdirsyncer copies each feed into a folder, khal shows what is in the folders."""

    def __init__(self, urls: Mapping[str, str], folder: Path) -> None:
        self.folder = folder
        self.names = list(urls)
        pairs, calendars = [], []
        for number, url in enumerate(urls.values()):
            (folder / f"feed{number}").mkdir()
            pairs.append(
                f'[pair feed{number}]\na = "web{number}"\nb = "disk{number}"\ncollections = null\n'
                f'[storage web{number}]\ntype = "http"\nurl = "{url}"\n'
                f'[storage disk{number}]\ntype = "filesystem"\npath = "{folder}/feed{number}"\nfileext = ".ics"\n'
            )
            calendars.append(f"[[feed{number}]]\npath = {folder}/feed{number}\nreadonly = True\n")
        (folder / "vdirsyncer").write_text(f'[general]\nstatus_path = "{folder}/status"\n' + "".join(pairs))
        moment = "%Y-%m-%dT%H:%M:%S"
        (folder / "khal").write_text(
            "[calendars]\n" + "".join(calendars) + f"[sqlite]\npath = {folder}/khal.db\n[locale]\n"
            "dateformat = %Y-%m-%d\nlongdateformat = %Y-%m-%d\ntimeformat = %H:%M:%S\n"
            f"datetimeformat = {moment}\nlongdatetimeformat = {moment}\n"
            f"local_timezone = {HOME.key}\ndefault_timezone = {HOME.key}\n"
        )
        self._run("vdirsyncer", "discover")

    def refresh(self) -> dict[str, Reading]:
        said = self._run("vdirsyncer", "sync").stderr
        fields = ["calendar", "title", "start-long", "end-long", "description", "location", "url", "status"]
        options = [word for name in fields for word in ("--json", name)]
        days = self._run("khal", "list", *options, "2021-01-01", "1000d").stdout.splitlines()
        shown = [event for day in days if day.startswith("[{") for event in json.loads(day)]
        readings = {}
        for number, name in enumerate(self.names):
            events = in_order(self._event(event) for event in shown if event["calendar"] == f"feed{number}")
            failed = [line for line in said.splitlines() if line.startswith("error:") and f"feed{number}:" in line]
            readings[name] = Reading(() if failed else events, "\n".join(failed))
        return readings

    def close(self) -> None:
        pass

    def _event(self, event: Mapping[str, str]) -> dict[str, str]:
        return {
            "start": self._in_utc(event["start-long"]),
            "end": self._in_utc(event["end-long"]),
            "summary": event["title"],
            "description": event["description"],
            "location": event["location"],
            "url": event["url"],
            "status": event["status"].strip(),
        }

    def _in_utc(self, shown: str) -> str:
        return f"{datetime.fromisoformat(shown).replace(tzinfo=HOME).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [HERE / ".venv" / "bin" / program, "-c", self.folder / program, *arguments]
        where = environment(HOME=str(self.folder), XDG_CONFIG_HOME=str(self.folder))
        return subprocess.run(command, capture_output=True, text=True, env=where, timeout=2 * PATIENCE)


class Thunderbird:
    """Thunderbird without a screen, driven by its own remote protocol (Marionette)."""

    def __init__(self, urls: Mapping[str, str], folder: Path) -> None:
        self.folder = folder
        settings: dict[str, Any] = {"marionette.port": 0, "app.update.enabled": False, "network.proxy.type": 0}
        for name, url in urls.items():
            place = f"calendar.registry.{name}"
            settings |= {f"{place}.type": "ics", f"{place}.uri": url, f"{place}.name": name}
            settings |= {f"{place}.cache.enabled": True, f"{place}.readOnly": True}
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items())
        (folder / "user.js").write_text("".join(lines), encoding="utf-8")
        with (folder / "log").open("wb") as log:
            remote = ("--marionette", "--remote-allow-system-access")
            self.process = subprocess.Popen(
                ["thunderbird", "--headless", "--no-remote", "--profile", folder, *remote],
                env=environment(HOME=str(folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.count = 0
        self.wire = self._connected()
        self.answers = self.wire.makefile("rb")
        self._answer()  # its greeting
        self._ask("WebDriver:NewSession", capabilities={})
        self._ask("Marionette:SetContext", value="chrome")
        self._ask("WebDriver:SetTimeouts", script=PATIENCE * 1000)

    def refresh(self) -> dict[str, Reading]:
        script = (READERS / "thunderbird.js").read_text(encoding="utf-8")
        return _readings(self._ask("WebDriver:ExecuteAsyncScript", script=script, args=[])["value"])

    def close(self) -> None:
        try:
            self._ask("Marionette:Quit", flags=["eForceQuit"])
        except (OSError, EOFError):
            pass
        finally:
            self.answers.close()
            self.wire.close()
            _ended(self.process)

    def _connected(self) -> socket.socket:
        chosen = self.folder / "MarionetteActivePort"
        end = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return socket.create_connection(("127.0.0.1", int(chosen.read_text())), timeout=2 * PATIENCE)
            except (OSError, ValueError):
                time.sleep(0.1)
        raise AssertionError("Thunderbird did not start:\n" + (self.folder / "log").read_text(errors="replace"))

    def _ask(self, command: str, **parameters: Any) -> Any:
        self.count += 1
        message = json.dumps([0, self.count, command, parameters]).encode()
        self.wire.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._answer()
        assert error is None, f"Thunderbird refuses {command}: {error}"
        return result

    def _answer(self) -> Any:
        length = b""
        while (octet := self.answers.read(1)) != b":":
            if not octet:
                raise EOFError("Thunderbird hung up")
            length += octet
        return json.loads(self.answers.read(int(length)))


class Evolution:
    """Evolution Data Server, from which Evolution and GNOME Calendar have their calendars, on a bus of its own."""

    def __init__(self, urls: Mapping[str, str], folder: Path) -> None:
        sources = folder / ".config" / "evolution" / "sources"
        sources.mkdir(parents=True)
        for name, url in urls.items():
            place = urlsplit(url)
            (sources / f"{name}.source").write_text(
                f"[Data Source]\nDisplayName={name}\nEnabled=true\nParent=webcal-stub\n"
                f"[Authentication]\nHost={place.hostname}\nPort={place.port}\nMethod=none\n[Security]\nMethod=none\n"
                f"[WebDAV Backend]\nResourcePath={place.path}\n[Calendar]\nBackendName=webcal\nSelected=true\n"
                "[Refresh]\nEnabled=false\n"
            )
        run = folder / "run"
        run.mkdir(mode=0o700)
        where = {name: value for name, value in environment().items() if not name.startswith(("XDG_", "DBUS_"))}
        # Without a network it would wait for one, though the feed is on the machine itself.
        where |= {"HOME": str(folder), "XDG_RUNTIME_DIR": str(run), "GIO_USE_NETWORK_MONITOR": "base"}
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["dbus-run-session", "--", "/usr/bin/python3", READERS / "evolution.py", *urls],
                env=where,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def refresh(self) -> dict[str, Reading]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"refresh\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "Evolution Data Server ended:\n" + self.log.read_text(errors="replace")
        return _readings(json.loads(line))

    def close(self) -> None:
        self.process.communicate()
        _ended(self.process)


SUBSCRIBERS = (
    Subscriber(
        "khal with vdirsyncer",
        "the terminal",
        TOOLS,
        (str(HERE / ".venv" / "bin" / "vdirsyncer"), str(HERE / ".venv" / "bin" / "khal")),
        ("sh", "-c", f"{HERE}/.venv/bin/khal --version; {HERE}/.venv/bin/vdirsyncer --version"),
        KhalAndVdirsyncer,
        ("start", "end", "summary", "description", "location", "url", "status"),  # its UIDs are hashes of the content
        asks_again=False,
    ),
    Subscriber(
        "Thunderbird",
        "",
        "apt-get install thunderbird",
        ("thunderbird",),
        ("thunderbird", "--version"),
        Thunderbird,
    ),
    Subscriber(
        "Evolution Data Server",
        "Evolution, GNOME Calendar",
        "apt-get install evolution-data-server gir1.2-ecal-2.0 gir1.2-ical-3.0 python3-gi dbus",
        (
            "/usr/libexec/evolution-calendar-factory",
            "/usr/lib/python3/dist-packages/gi",
            "/usr/lib/x86_64-linux-gnu/girepository-1.0/ECal-2.0.typelib",
            "dbus-run-session",
        ),
        ("dpkg-query", "--show", "--showformat=${source:Upstream-Version}", "evolution-data-server"),
        Evolution,
    ),
)
