"""What the ledger owes, and what is wrong → mail that tells it as list, templates and keys are now."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier import notices, talks, verdicts, wiring
from notifier.config import Config
from notifier.errors import Problem
from notifier.letters import Templates
from notifier.messages import Composer, Message, trouble
from notifier.notices import OF_SUBSCRIPTIONS, Kind
from notifier.stores import Claim
from notifier.talks import Audience, Seminar, Session
from notifier.tokens import Keyring

TROUBLE_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Told:
    """What one notice tells now, the same to all of its readers: the session as this audience may see it."""

    seminar: Seminar
    notice_id: int
    kind: Kind
    shown: Session | None
    before: Session | None = None
    audience: Audience = Audience.PUBLIC
    is_stale: bool = False

    def is_of(self, claim: Claim, seminar: Seminar, now: datetime) -> bool:
        """Whether it is what this claim tells of the seminar at that time."""
        if self.notice_id != claim.notice_id or self.seminar is not seminar:
            return False
        return self.shown is None or notices.audience(self.kind, self.shown, now) is self.audience


def misleads(claim: Claim, session: Session) -> bool:
    """Whether mail for this claim would tell what is no longer so of the session, or of what was taken back."""
    is_taken_back = claim.session is not None and claim.session.urgent != session.urgent
    # What it tells of a change besides is still to be told.
    if claim.notice.kind is Kind.URGENT and claim.before is None and is_taken_back:
        return True
    return verdicts.is_stale(claim.notice.kind, claim.session, session)


class Mailroom:
    """Composes one seminar's mail for every lane; `seminar` and `keyring` give the list and the keys as they are.

    `troubles` is what `known_trouble` gave before a restart.
    """

    def __init__(
        self,
        config: Config,
        *,
        seminar: Callable[[], Seminar],
        keyring: Callable[[], Keyring],
        now: Callable[[], datetime],
        troubles: str = "",
    ) -> None:
        self._config = config
        self._levels = config.visibility.levels
        self._seminar = seminar
        self._keyring = keyring
        self._now = now
        self._composers: Mapping[str, Composer] = {}
        self._told: _Told | None = None  # of the mail that was composed last
        self._known = {subject: datetime.fromisoformat(at) for subject, at in json.loads(troubles or "{}").items()}
        self._told_trouble = dict(self._known)  # and what is on its way

    def renew(self, templates: Templates) -> None:
        """Has mail composed from now on by these templates, and by the list and the keys as they are now."""
        sites = wiring.mail_sites(self._config, self._seminar(), self._keyring())
        shared = {id(site): Composer(site, templates) for site in sites.values()}
        self._composers = {lane: shared[id(site)] for lane, site in sites.items()}

    def compose(self, claim: Claim) -> Message | None:
        """The message that this claim is for; None where what it was to tell is no longer so."""
        told = self._told
        if told is None or not told.is_of(claim, self._seminar(), self._now()):
            told = self._told = self._told_by(claim)
        if told.is_stale:
            return None
        return self._composers[claim.lane].compose(
            claim.notice, told.shown, claim.subscriber, date=claim.opened_at, before=told.before
        )

    def _told_by(self, claim: Claim) -> _Told:
        kind, seminar = claim.notice.kind, self._seminar()
        session = seminar.session(claim.notice.told_session)
        if kind not in OF_SUBSCRIPTIONS and (session is None or misleads(claim, session)):
            return _Told(seminar, claim.notice_id, kind, None, is_stale=True)
        if session is None:
            return _Told(seminar, claim.notice_id, kind, None)
        audience = notices.audience(kind, session, self._now())
        shown = talks.shown_to(audience, session, self._levels)
        before = talks.shown_to(audience, claim.before, self._levels) if claim.before else None
        return _Told(seminar, claim.notice_id, kind, shown, before, audience)

    def known_trouble(self, subject: str, at: datetime) -> str:
        """Takes note that a mail server took the mail of this trouble; all of them that are, for a ledger."""
        self._known = {one: when for one, when in self._known.items() if abs(at - when) < TROUBLE_EVERY} | {subject: at}
        return json.dumps({one: when.isoformat() for one, when in self._known.items()})

    def troubles(self, subject: str, problems: Iterable[Problem]) -> list[dict[str, Message]]:
        """What tells each organiser of this trouble, by lane; nothing where they were told of it within the hour."""
        now = self._now()
        last = self._told_trouble.get(subject)
        if last is not None and abs(now - last) < TROUBLE_EVERY:  # abs: the clock may have been set back meanwhile
            return []
        self._told_trouble[subject] = now
        told = tuple(problems)
        sites = wiring.mail_sites(self._config, self._seminar(), self._keyring())
        return [
            {lane: trouble(site, address, subject, told, date=now) for lane, site in sites.items()}
            for address in self._config.mail.organisers
        ]
