"""Messages that the ledger does not owe, such as those to the organisers: kept in memory, and tried a few times."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from notifier.messages import Message
from notifier.replies import Answer

MOST = 100  # that wait for a mail server; of what piles up further, the oldest is news no more
ATTEMPTS = 7

Aside = Mapping[str, Message]  # as each lane is to have it, by the ledger's names


class Asides:
    """A few asides on their way, the oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[Aside] = deque(maxlen=MOST)
        self._attempts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, aside: Aside) -> None:
        """Has it wait its turn; one that was put off, once more."""
        self._waiting.append(aside)

    def take(self) -> Aside:
        """The one whose turn it is."""
        return self._waiting.popleft()

    def put_off(self, aside: Aside, answer: Answer) -> int | None:
        """After how many attempts it is to be tried again, None where this answer was the last."""
        message_id = aside[""].message_id  # the same on every lane
        attempts = self._attempts[message_id]
        self._attempts[message_id] += answer is not Answer.UNTRIED
        if answer in (Answer.ACCEPTED, Answer.REFUSED, Answer.AMBIGUOUS) or attempts >= ATTEMPTS:
            del self._attempts[message_id]
            return None
        return attempts
