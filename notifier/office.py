"""The operator's desk over HTTP: who may sit at it, what they see, and what they do.

It shows what the command line tells and does what it does, by the same inquiries and requests. It is not there at all
unless a key is set. Whoever gives the key has a cookie that is signed with it and good for half a day; another key
makes all cookies void.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.cookies import CookieError, SimpleCookie
from typing import Any, cast

from itsdangerous import BadData, URLSafeSerializer

from notifier import control, pages, wiring
from notifier.config import Config
from notifier.dialogues import Asked, is_foreign
from notifier.errors import NotifierError, Problem, StoreError
from notifier.inquiries import lists, notices, service
from notifier.inquiries.mail import composed
from notifier.networks import neighbours
from notifier.notices import Kind
from notifier.pages import Headers, Response, Snapshot, charts, forms
from notifier.pages.documents import POLICY, SAFE, SAFE_PAGE
from notifier.quotas import Quotas
from notifier.server import DESK
from notifier.templates import LANGUAGES

log = logging.getLogger(__name__)

STAYS = timedelta(hours=12)

_AHEAD = timedelta(days=14)
_NOTICES = 24  # of the latest notices is told what became of them
_TRIES = 10  # keys that one network may try in an hour: enough for a bad typist, too few for a guess
_COOKIE = "desk"
_ALLOW = (("Allow", "GET, HEAD, POST, OPTIONS"),)
_KINDS = (Kind.ANNOUNCEMENT, Kind.REMINDER, Kind.CHANGE, Kind.CANCELLED, Kind.URGENT, Kind.REPLAY)
_FRAMING = ("frame-src 'self'", "frame-ancestors 'none'")
_POLICY = "; ".join((*(rule for rule in POLICY if not rule.startswith("frame-src")), *_FRAMING))
_WITH_FRAMES = (("Content-Security-Policy", _POLICY), *SAFE_PAGE[1:])
# A mail has its styles beside its words, and runs nothing; it may stand in a frame of the desk and nowhere else.
_LETTER = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox",
    ),
    *SAFE,
)


class Office:
    """Answers for the desk of the daemon with these settings."""

    def __init__(self, config: Config, *, now: Callable[[], datetime]) -> None:
        self._config, self._now = config, now
        self._key = config.desk.key.get_secret_value()
        self._signer = URLSafeSerializer(self._key, salt="notifier.desk")
        self._tries = Quotas(_TRIES, timedelta(hours=1))

    async def answer(self, snapshot: Snapshot, asked: Asked) -> Response:
        """The answer to a request at an address of the desk."""
        visit = _Visit(snapshot, asked)
        if not self._key:
            return visit.told("not-found")
        match asked.method:
            case "GET" | "HEAD":
                return await self._show(visit)
            case "POST" if is_foreign(snapshot, asked):
                return visit.told("foreign")
            case "POST":
                return await self._act(visit)
            case "OPTIONS":
                return Response(204, _ALLOW)
        return visit.told("not-allowed", _ALLOW)

    async def _show(self, visit: _Visit) -> Response:
        if not self._is_known(visit.asked):
            return visit.made("desk-login", {"is_wrong": False})
        match visit.asked.path.removeprefix(DESK).strip("/").split("/"):
            case [""]:
                return await self._overview(visit)
            case ["preview", session_id, kind] if kind in _KINDS:
                return await self._preview(visit, session_id, kind)
            case ["letter", session_id, kind, language] if kind in _KINDS and language in LANGUAGES:
                return await self._letter(visit, session_id, kind, language)
        return visit.told("not-found")

    async def _act(self, visit: _Visit) -> Response:
        form = forms.read(visit.asked.body)
        action = forms.first(form, "action")
        if action == "enter":
            return self._enter(visit, forms.first(form, "key"))
        if not self._is_known(visit.asked):
            return visit.made("desk-login", {"is_wrong": False})
        try:
            match action:
                case "leave":
                    return visit.back(self._cookie(visit, "", timedelta()))
                case "explain":
                    return await self._overview(visit, forms.first(form, "address").strip())
                case "hold":
                    await self._ask({"do": "hold", "reason": forms.first(form, "reason")})
                case "release":
                    await self._ask({"do": "release"})
                case "approve":
                    await self._ask({"do": "approve", "notices": [forms.first(form, "notice")]})
                case "announce" | "take-back":
                    line = forms.first(form, "line") if action == "announce" else None
                    return await self._announce(visit, forms.first(form, "session"), line)
                case _:
                    return visit.told("bad-request")
        except NotifierError as error:
            log.error("the desk could not do it action=%s reason=%s", action, error)
            return visit.told("unavailable")
        log.info("done at the desk action=%s", action)
        return visit.back()

    async def _announce(self, visit: _Visit, session_id: str, line: str | None) -> Response:
        """Back to the desk or, where the line cannot be announced, the desk with the reasons and the line as typed."""
        try:
            await self._ask({"do": "announce", "session": session_id, "line": line})
        except StoreError:
            raise
        except NotifierError as error:
            return await self._overview(visit, refused=(session_id, line or "", error.problems))
        log.info("done at the desk action=announce")
        return visit.back()

    async def _ask(self, request: dict[str, Any]) -> None:
        await control.call(control.socket_path(self._config.store.path), request)

    # --- who may sit here ---

    def _enter(self, visit: _Visit, key: str) -> Response:
        client = visit.asked.client
        if client is not None and not self._tries.take(neighbours(client), self._now()):
            return visit.told("too-many", (("Retry-After", "3600"),))
        if not hmac.compare_digest(key.encode(), self._key.encode()):
            log.warning("a wrong key was tried at the desk from=%s", client or "this machine")
            return visit.made("desk-login", {"is_wrong": True}, status=403)
        token = str(self._signer.dumps(int(self._now().timestamp())))
        return visit.back(self._cookie(visit, token, STAYS))

    def _cookie(self, visit: _Visit, token: str, stays: timedelta) -> Headers:
        path = f"{visit.snapshot.site.root}{DESK}"
        secure = "; Secure" if visit.snapshot.site.base_url.startswith("https:") else ""
        age = int(stays.total_seconds())
        return (("Set-Cookie", f"{_COOKIE}={token}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"),)

    def _is_known(self, asked: Asked) -> bool:
        try:
            cookie = SimpleCookie(asked.headers.get("cookie", "")).get(_COOKIE)
            entered = self._signer.loads(cookie.value) if cookie else None
        except (BadData, CookieError):
            return False
        if not isinstance(entered, int):
            return False
        return 0 <= self._now().timestamp() - entered < STAYS.total_seconds()

    # --- what is seen ---

    async def _overview(
        self, visit: _Visit, address: str = "", refused: tuple[str, str, Sequence[Problem]] = ("", "", ())
    ) -> Response:
        now = self._now()
        accepted, problems = await lists.published(self._config)
        planned = await notices.planned(self._config, accepted.seminar, now, _AHEAD)
        status = await service.status(self._config, now)
        review = await service.reviewed(self._config, _NOTICES)
        slowest = max((one.all for one in review.punctuality), default=timedelta())
        values: dict[str, Any] = {
            "now": now,
            "status": status,
            "problems": problems,
            "planned": [(decision, mailing, decision.notice.kind in _KINDS) for decision, mailing in planned],
            "review": review,
            "growth": charts.steps(review.growth, now),
            "punctuality": [
                (one, charts.share(one.half, slowest), charts.share(one.all, slowest)) for one in review.punctuality
            ],
            "coming": [s for s in accepted.seminar.sessions if s.end > now and not s.is_cancelled],
            "refused": refused,
            "address": address,
            "explained": None,
            "stranger": False,
        }
        if address:
            try:
                values["explained"] = await notices.explained(self._config, accepted.seminar, address, now)
            except NotifierError:
                values["stranger"] = True
        return visit.made("desk", values)

    async def _preview(self, visit: _Visit, session_id: str, kind: str) -> Response:
        letters = {}
        for language in LANGUAGES:
            mail = await self._mail(session_id, kind, language)
            if mail is None:
                return visit.told("not-found")
            letters[language] = (str(mail["Subject"]), _part(mail, "plain"))
        values = {"session_id": session_id, "kind": kind, "letters": letters, "kinds": _KINDS}
        return visit.made("desk-preview", values, headers=_WITH_FRAMES)

    async def _letter(self, visit: _Visit, session_id: str, kind: str, language: str) -> Response:
        mail = await self._mail(session_id, kind, language)
        if mail is None:
            return visit.told("not-found")
        body = _part(mail, "html").encode()
        headers = (*_LETTER, ("Content-Length", str(len(body))))
        return Response(200, headers, b"" if visit.asked.method == "HEAD" else body)

    async def _mail(self, session_id: str, kind: str, language: str) -> EmailMessage | None:
        """The real mail of this kind to a sample subscriber; None where there is no such session."""
        accepted, _ = await lists.published(self._config)
        session = accepted.seminar.session(session_id)
        if session is None:
            return None
        reader = next(one for one in wiring.sample_subscribers() if one.language == language)
        message = await composed(self._config, accepted.seminar, session, kind, reader, self._now())
        parsed = await asyncio.to_thread(message_from_bytes, message.body, policy=cast("Any", default))
        return cast("EmailMessage", parsed)


def _part(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request to the desk, and the ways to answer it in its language."""

    snapshot: Snapshot
    asked: Asked

    def told(self, name: str, extra: Headers = ()) -> Response:
        asked = self.asked
        return pages.page(self.snapshot, name, asked.method, asked.query, asked.headers, extra)

    def made(
        self, template: str, values: Mapping[str, Any], *, status: int = 200, headers: Headers = SAFE_PAGE
    ) -> Response:
        asked = self.asked
        told = {"desk_path": f"{self.snapshot.site.root}{DESK}", **values}
        return pages.made(
            self.snapshot, template, asked.method, asked.query, asked.headers, told, status=status, about=headers
        )

    def back(self, extra: Headers = ()) -> Response:
        """Back to the desk, so that reloading the page repeats nothing."""
        language = f"?{self.asked.query}" if self.asked.query in {f"lang={name}" for name in LANGUAGES} else ""
        where = f"{self.snapshot.site.root}{DESK}{language}"
        return Response(
            303, (("Location", where), ("Content-Length", "0"), ("Cache-Control", "no-store"), *extra, *SAFE)
        )
