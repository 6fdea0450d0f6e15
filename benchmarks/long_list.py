"""A number of sessions → a talk list of so many, in our TOML, its sentences put together from words of our own."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

NOW = datetime(2021, 11, 24, 4, tzinfo=UTC)  # half of the sessions are over by then

_NOUNS = ("network", "gradient", "kernel", "manifold", "sample", "operator", "landscape", "barrier", "solver", "mesh")
_VERBS = ("bounds", "learns", "replaces", "samples", "explains", "smooths", "preconditions", "resolves", "couples")
_ENGLISH = (
    r"The {} of a {} {} the {} wherever $\|x - y\|^2 \le \varepsilon$ holds.",
    "In many dimensions a {} of this kind needs a {} that {} every {}.",
    "We show by example that neither {} nor {} {} its {}, and what follows for practice.",
)
_CHINESE = ("我们说明网络为何能够逼近光滑函数。", "数值例子表明误差随样本数下降。", "由此得到一种稳定而简单的算法。")
_HEAD = """\
[seminar]
id = "long-seminar"
name = { en = "A Seminar That Never Ends", zh = "永不结束的研讨会" }
timezone = "Asia/Shanghai"
organisers = ["Ada Example", "Bob Example"]
[defaults]
time = "09:30-11:30"
room.url = "https://meeting.example.org/j/123456789"
room.meeting_id = "123 456 789"
room.passcode = "012345"
livestream.url = "https://live.example.org/1"
"""


def long_list(sessions: int) -> bytes:
    """A session a week with two talks, each with a bilingual abstract of about a kilobyte; always the same bytes."""
    chance = random.Random(sessions)
    first = date(2021, 11, 27) - timedelta(weeks=sessions // 2)
    return "\n".join((_HEAD, *(_session(first + timedelta(weeks=n), chance) for n in range(sessions)))).encode()


def edited(data: bytes, turn: int) -> bytes:
    """The list after its organiser gave a notice to one session, in each turn to the one before."""
    parts = data.split(b"[[session]]\n")
    parts[-1 - turn] = b'notice = "Bring tea."\n' + parts[-1 - turn]
    return b"[[session]]\n".join(parts)


def _session(day: date, chance: random.Random) -> str:
    talks = "\n".join(_talk(day, number, chance) for number in (1, 2))
    return f'[[session]]\nid = "{day}"\ndate = {day}\n{talks}'


def _talk(day: date, number: int, chance: random.Random) -> str:
    english = " ".join(_sentence(chance) for _ in range(8))
    chinese = "".join(chance.choices(_CHINESE, k=9))
    return f"""\
  [[session.talk]]
  title = {{ en = "On the {chance.choice(_NOUNS)} of {day}, part {number}", zh = "论{day}之网络（{number}）" }}
  speaker = "Speaker {chance.randrange(500)}"
  affiliation = "Example University"
  homepage = "https://example.org/~speaker"
  replay = "https://replay.example.org/{day}-{number}"
  abstract.en = '''{english}'''
  abstract.zh = "{chinese}"
"""


def _sentence(chance: random.Random) -> str:
    first, second, third = chance.choices(_NOUNS, k=3)
    return chance.choice(_ENGLISH).format(first, second, chance.choice(_VERBS), third)
