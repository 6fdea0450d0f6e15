"""What start, load, reload and idling cost, as a table: `python -m benchmarks.load`, about two minutes.

Medians of several runs. Processor time stands beside the time by the wall, since on a busy machine only that repeats;
what is compared takes turns. `wanted` is what the project promises of the wall.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median

from benchmarks.long_list import NOW, edited, long_list
from notifier import feed, files, intake, pages, revisions, talklists, talks
from notifier.intake import Accepted
from notifier.pages import Site, Snapshot, Templates
from notifier.revisions import Identity
from notifier.stores.sqlite import SqliteStore
from notifier.talklists import Context
from notifier.talks import Audience

RUNS, LOADS, SESSIONS, IDLE_SECONDS = 9, 5, 2000, 60
NOTIFIER = (sys.executable, "-m", "notifier")
DOMAIN = "seminar.example.org"
SITE = Site(f"https://{DOMAIN}")

Took = dict[str, tuple[float, float]]  # step → seconds by the wall and of the processor


def main() -> None:
    print(f"{'medians':58}{'wall':>9}{'CPU':>9}{'wanted':>9}")
    told = told_of([commands() for _ in range(RUNS)], {"notifier --help": 0.25})
    ratio("notifier --help", "python -c pass", told)
    starts()
    loads = apart(load, LOADS)
    told = told_of(loads, {"full load": 2.0, "reload after an edit": 0.2})
    ratio("reload after an edit", "full load", told)
    print("the parts of a full load, each alone:")
    told_of(apart(parts, LOADS), {})


def told_of(runs: Sequence[Took], wanted: dict[str, float]) -> Took:
    """Prints a line for each step, and returns the medians."""
    medians = {name: (median(r[name][0] for r in runs), median(r[name][1] for r in runs)) for name in runs[0]}
    for name, (wall, cpu) in medians.items():
        limit = f"{wanted[name]:>7.2f} s" if name in wanted else ""
        print(f"{name:58}{wall:>7.3f} s{cpu:>7.3f} s{limit}")
    return medians


def ratio(one: str, other: str, told: Took) -> None:
    print(f"{one + ' / ' + other:58}{told[one][0] / told[other][0]:>9.2f}{told[one][1] / told[other][1]:>9.2f}")


def apart(measure: Callable[[int], Took], runs: int) -> list[Took]:
    """What it took in so many processes of their own, so that none finds what another one kept."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.map(measure, range(runs), chunksize=1)


@contextmanager
def step(took: Took, name: str) -> Iterator[None]:
    took[name] = 0.0, 0.0  # here, so that a whole stands above its parts
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    took[name] = time.perf_counter() - wall, time.process_time() - cpu


# --- whole processes -------------------------------------------------------------------------------------------------


def commands() -> Took:
    return {"python -c pass": ended((sys.executable, "-c", "pass")), "notifier --help": ended((*NOTIFIER, "--help"))}


def ended(command: Sequence[str]) -> tuple[float, float]:
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime


def starts() -> None:
    """The daemon on the sample: its start to the first answers, its memory then, and what it does when idle."""
    begun = [started(seconds=0) for _ in range(RUNS)]
    told_of([took for took, _ in begun], {"run, to the first / and /calendar.ics": 1.0})
    print(f"{'memory resident after that':58}{median(memory for _, memory in begun):>6.1f} MB{'':9}{'80 MB':>9}")
    started(seconds=IDLE_SECONDS)


def started(seconds: float) -> tuple[Took, float]:
    took: Took = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run((*NOTIFIER, "init", folder), check=True, stdout=subprocess.DEVNULL)
        address = free_address()
        environment = {**os.environ, "NOTIFIER_SERVER_LISTEN": address}
        command = (*NOTIFIER, "--config", f"{folder}/config.toml", "run")
        begun = time.perf_counter()
        daemon = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        for path in ("/", "/calendar.ics"):
            until_answered(f"http://{address}{path}", daemon)
        took["run, to the first / and /calendar.ics"] = time.perf_counter() - begun, processor(daemon.pid)
        memory = int(status(daemon.pid, "VmRSS").split()[0]) / 1024
        if seconds:
            idle(daemon.pid, seconds)
        begun = time.perf_counter()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        took["SIGTERM to the end"] = time.perf_counter() - begun, 0.0
    return took, memory


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def until_answered(url: str, daemon: subprocess.Popen[bytes]) -> None:
    while daemon.poll() is None:
        try:
            with urllib.request.urlopen(url) as response:
                response.read()
                return
        except OSError:
            time.sleep(0.005)
    raise SystemExit(f"the daemon ended with {daemon.returncode}")


def idle(pid: int, seconds: float) -> None:
    time.sleep(2)  # what it had to do at its start is done
    before = wake_ups(pid), processor(pid)
    time.sleep(seconds)
    woken, cpu = (after - then for after, then in zip((wake_ups(pid), processor(pid)), before, strict=True))
    print(f"idle for {seconds:.0f} s, all threads: {woken} wake-ups, {cpu * 1000:.0f} ms of CPU")


def wake_ups(pid: int) -> int:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int(status(int(thread.name), "voluntary_ctxt_switches")) for thread in threads)


def status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


def processor(pid: int) -> float:
    """Its seconds of CPU, from proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- the talk list, from bytes to what is published ------------------------------------------------------------------


class House:
    """What the daemon does with a list from its bytes to the swapped snapshot, in the same order, without the rest."""

    def __init__(self, store: SqliteStore, templates: Templates) -> None:
        self.store = store
        self.templates = templates
        self.accepted: Accepted | None = None
        self.snapshot: Snapshot | None = None

    async def take(self, data: bytes, took: Took, name: str, *, turn: int = 0) -> None:
        now = NOW + timedelta(minutes=turn)
        with step(took, f"  intake.take of the {name}"):
            taken = intake.take(
                data,
                Context(),
                form="toml",
                previous=self.accepted,
                identities=await self.store.identities(),
                domain=DOMAIN,
                now=now,
            )
            old = self.accepted.seminar if self.accepted else None
            revisions.summary(revisions.diff(old, taken.accepted.seminar))
        with step(took, f"  store.accept of the {name}"):
            await self.store.accept(taken.accepted, taken.identities)
        with step(took, f"  pages.build of the {name}"):
            built = pages.build(taken.accepted.seminar, self.templates, SITE, now=now, previous=self.snapshot)
        with step(took, f"  store.publish of the {name}"):
            known = self.snapshot.modified if self.snapshot else {}
            await self.store.publish({key: at for key, at in built.modified.items() if known.get(key) != at})
        self.accepted, self.snapshot = taken.accepted, built

    def warm(self, took: Took, name: str) -> None:
        """What follows once the list is published, in a thread of its own."""
        assert self.snapshot is not None
        with step(took, f"warming after the {name}"):
            self.snapshot.warm()


def load(_: int) -> Took:
    """A full load, and then a reload after one edit."""
    return asyncio.run(loaded_and_edited())


async def loaded_and_edited() -> Took:
    data = long_list(SESSIONS)
    took: Took = {}
    with tempfile.TemporaryDirectory() as folder:
        store = await SqliteStore.open(Path(folder) / "notifier.db")
        await store.begin(NOW, ())
        house = House(store, Templates(files.shipped()))
        with step(took, "full load"):
            await house.take(data, took, "full load")
        house.warm(took, "full load")
        with step(took, "reload after an edit"):
            await house.take(edited(data, 3), took, "reload", turn=1)
        house.warm(took, "reload")
        await store.close()
    return took


def parts(_: int) -> Took:
    """Reading, recognising and stamping the list, and its feed."""
    data, took, known = long_list(SESSIONS), Took(), dict[str, Identity]()
    with step(took, "  talklists.read"):
        reading = talklists.read(data, Context())
    with step(took, "  intake.recognise"):
        recognised, _doubts = intake.recognise(reading, None, known)
    with step(took, "  revisions.stamp"):
        stamped, _identities = revisions.stamp(recognised, known, domain=DOMAIN, now=NOW)
    public = talks.shown(Audience.PUBLIC, stamped, SITE.levels)
    with step(took, "  feed.render"):
        feed.render(public, now=NOW, base_url=SITE.base_url)
    with step(took, "  feed.render again"):
        feed.render(public, now=NOW, base_url=SITE.base_url)
    return took


if __name__ == "__main__":
    main()
