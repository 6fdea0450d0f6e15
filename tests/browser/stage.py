"""What the browser's tests and pictures play on: a real daemon with a list that has everything, and a real Chromium."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, sync_playwright

CHROMIUM = shutil.which("chromium") or ""
SHANGHAI = ZoneInfo("Asia/Shanghai")
# Nothing may be asked of the net while nobody browses.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """A running daemon: where it answers, the folder with its settings, list and outbox, and a reader's own links."""

    url: str
    folder: Path
    own: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        """What a command of the daemon's printed."""
        done = subprocess.run(
            [sys.executable, "-m", "notifier", "--config", "config.toml", *command],
            check=True,
            capture_output=True,
            text=True,
            cwd=self.folder,
        )
        return done.stdout


@contextmanager
def daemon(folder: Path, *, talks: str = "", settings: str = "") -> Iterator[Stage]:
    """A daemon in this folder, with this talk list or one that has everything, until the block ends."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    (folder / "talks.toml").write_text(talks or talk_list(datetime.now(SHANGHAI)))
    (folder / "config.toml").write_text(CONFIG.format(port=port, url=url) + settings)
    stage = Stage(url, folder)
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "notifier", "--config", "config.toml", "run"]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(f"{url}/healthz", process)
        yield stage
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def short_list(stage: Stage) -> dict[str, str]:
    """The ids of the sessions to come, and of the third one past, by what they are."""
    ids = re.findall('^id = "(.*)"', (stage.folder / "talks.toml").read_text(), re.MULTILINE)[1:]
    return dict(zip(("soon", "later", "open", "off", "last", "past"), ids, strict=False))


def paths(stage: Stage) -> dict[str, str]:
    """The path of every page, by name."""
    ids = short_list(stage)
    return {
        "landing": "/",
        "session": f"/sessions/{ids['soon']}",
        "past": f"/sessions/{ids['past']}",
        "history": "/history",
        "search": "/history?q=part+1",
        "subscribe": "/subscribe",
        "embed": "/embed",
        "nothing": "/nothing",
        **{name: urlsplit(url).path for name, url in stage.own.items()},
    }


def link(mail: EmailMessage, purpose: str) -> str:
    """The link of this purpose in a mail, or "" where it has none."""
    body = mail.get_body(("plain",))
    found = re.search(rf"https?://\S+/{purpose}/\S+", body.get_content() if body else "")
    return found[0] if found else ""


def mailed_link(stage: Stage, purpose: str) -> str:
    """The link of this purpose in the mails that came, or will soon."""
    for _ in range(600):
        mails = [message_from_bytes(p.read_bytes(), policy=modern) for p in (stage.folder / "outbox").glob("new/*")]
        found = [link(mail, purpose) for mail in mails if isinstance(mail, EmailMessage)]
        if any(found):
            return max(found)
        time.sleep(0.1)
    raise AssertionError(f"no mail with a link to {purpose} came within a minute")


def join(stage: Stage, address: str) -> None:
    """Subscribes the first reader as they would themselves, and keeps their links as the stage's own."""
    asked = urlencode({"address": address, "language": "en"}).encode()
    urllib.request.urlopen(f"{stage.url}/subscribe", asked, timeout=60).close()
    stage.own["confirm"] = mailed_link(stage, "confirm")
    urllib.request.urlopen(stage.own["confirm"], b"action=confirm", timeout=60).close()
    stage.own.update({purpose: mailed_link(stage, purpose) for purpose in ("preferences", "unsubscribe")})


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the daemon ended; its folder has the log"
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the daemon did not answer within a minute")


CONFIG = """
talks = "talks.toml"
[server]
listen = "127.0.0.1:{port}"
base_url = "{url}"
[store]
path = "notifier.db"
[mail]
maildir = "outbox"
sender = "Seminar <seminar@example.org>"
"""


def talk_list(now: datetime) -> str:
    """A list with a session of every kind: soon, later, to be confirmed, called off, and three years of past ones."""
    soon = (now + timedelta(days=3)).replace(hour=9, minute=30)
    days = {
        "soon": soon,
        "later": soon + timedelta(days=14),
        "open": soon + timedelta(days=28),
        "off": soon + timedelta(days=42),
    }
    past = "".join(PAST.format(day=(soon - timedelta(days=14 * n)).date(), number=n) for n in range(1, 60))
    return LIST.format(**{name: day.date() for name, day in days.items()}) + past


LIST = r"""
[seminar]
id = "ml-seminar"
name = {{ en = "Joint Seminar of Machine Learning", zh = "机器学习联合研讨会" }}
description = {{ en = "Every two weeks, two researchers report.", zh = "每两周一次，由两位学者作报告。" }}
timezone = "Asia/Shanghai"
organisers = ["Ada Example", "Bob Sample"]
homepage = "https://seminar.example.org/"

[[session]]
id = "{soon}"
date = {soon}
time = "09:30-11:30"
room.url = "https://meeting.tencent.com/dm/p1q2HxwW3x4r"
room.meeting_id = "329 744 341"
room.passcode = "974114"
room.alternate_id = "553 2421 7498"
room.download_url = "https://meeting.tencent.com/download-center.html"
livestream.url = "https://live.bilibili.com/9999999999"
livestream.label = "Bilibili"
  [[session.talk]]
  title = {{ en = "How many points does a function on $[0,1]^d$ need?", zh = "光滑函数需要多少个样本点？" }}
  speaker = "Ada Example"
  affiliation = "Example University"
  homepage = "https://ada.example.org/"
  time = "09:30-10:30"
  abstract = '''
For $f : [0,1]^d \to \mathbb{{R}}$ with $|f(x) - f(y)| \le \|x - y\|$, the best approximation from $n$ values has an
error of about

$$\inf_{{g}} \sup_{{x}} |f(x) - g(x)| \sim \frac{{C_d}}{{n^{{1/d}}}}.$$

We ask what can be gained when $f$ is known to be smooth, and all terms of
$a_1 + a_2 + a_3 + a_4 + a_5 + a_6 + a_7 + a_8 + a_9 + a_{{10}} + a_{{11}} + a_{{12}} + a_{{13}} + a_{{14}}$ are there.
'''
  bio = "Ada Example computes at Example University."
  references = ["https://example.org/paper.pdf", "A. Example, On Numbers, 2020"]
  [[session.talk]]
  title = "基于神经网络的燃烧模拟"
  speaker = "示例讲者"
  affiliation = ["示例大学", "示例研究院"]
  time = "10:30-11:30"
  abstract = "碳氢分子是燃料的主要组成部分。本报告介绍一种由神经网络给出势能面的分子动力学方法，并讨论其精度与效率。"

[[session]]
id = "{later}"
date = {later}
time = "09:30-11:30"
notice = "In English, and with a discussion afterwards."
  [[session.talk]]
  title = "Flow models from the viewpoint of physics"
  speaker = "Carol Sample"
  affiliation = "Institute of Examples"

[[session]]
id = "{open}"
date = {open}
time = "09:30-11:30"
status = "tentative"

[[session]]
id = "{off}"
date = {off}
time = "09:30-11:30"
status = "cancelled"
  [[session.talk]]
  title = "A talk that is not given"
  speaker = "Dan Example"
"""

PAST = """
[[session]]
id = "{day}"
date = {day}
time = "09:30-11:30"
  [[session.talk]]
  title = "Approximation by deep networks, part {number}"
  speaker = "Erin Example"
  affiliation = "National University of Examples"
  homepage = "https://erin.example.org/"
  replay = "https://www.bilibili.com/video/BV1pf4y1u79M"
  slides.url = "https://example.org/slides-{number}.pdf"
  abstract = "What a network of {number} layers can do that a shallower one cannot."
  [[session.talk]]
  title = "神经网络训练过程的理解（{number}）"
  speaker = "示例讲者"
  affiliation = "示例大学"
  replay = "https://www.bilibili.com/video/BV1Rh411U7xH"
"""
