"""The named people and the fixed day that the tests share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from notifier.subscribers import Subscriber
from notifier.talks import Link, Livestream, Room, Seminar, Session, Speaker, Talk

SHANGHAI = ZoneInfo("Asia/Shanghai")
START = datetime(2021, 11, 27, 9, 30, tzinfo=SHANGHAI)
MINUTES = timedelta(minutes=1)
HOURS = timedelta(hours=1)
DAYS = timedelta(days=1)
LONG_AGO = datetime(2021, 1, 1, tzinfo=UTC)

TALKS = (
    Talk(
        title="冷冻电镜原理及相关算法",
        speakers=(Speaker("王宇航", ("北京深势科技有限公司",)),),
        abstract="An abstract of our own.",
    ),
    Talk(
        title="基于神经网络实现碳氢燃料的燃烧模拟",
        speakers=(Speaker("朱通", ("华东师范大学",)),),
    ),
)
ROOM = Room(
    url="https://meeting.tencent.com/dm/p1q2HxwW3x4r",
    meeting_id="329744341",
    passcode="974114",
    alternate_id="553 2421 7498",
)

ADA = Subscriber("ada@example.org", "Ada", language="zh")
BOB = Subscriber("bob@example.org", "Bob", language="en", timezone="Europe/Berlin")
CAROL = Subscriber("carol@example.org", "Carol", language="en", timezone="America/New_York")


def session(start: datetime = START, **values: Any) -> Session:
    """The session of 2021-11-27, as an edit of it may have it."""
    given: dict[str, Any] = {
        "id": "2021-11-27",
        "start": start,
        "end": start + 2 * HOURS,
        "timezone": "Asia/Shanghai",
        "talks": TALKS,
        "room": ROOM,
        "livestream": Livestream(label="bilibili living room"),
        "uid": "2021-11-27@seminar.example.org",
        "created": LONG_AGO,
        "modified": LONG_AGO,
    }
    return Session(**{**given, **values})


def recorded() -> Session:
    """The same when it is over: both talks can be seen again, and the slides of the first."""
    first, second = (replace(talk, replay=f"https://www.bilibili.com/video/BV{n}") for n, talk in enumerate(TALKS))
    return session(talks=(replace(first, slides=Link("https://example.org/slides.pdf")), second))


def seminar(*sessions: Session) -> Seminar:
    """The seminar with these sessions, or with the one of 2021-11-27."""
    return Seminar("jsml", "Joint Seminar of Machine Learning", "Asia/Shanghai", sessions=sessions or (session(),))
