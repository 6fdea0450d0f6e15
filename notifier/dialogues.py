"""The pages on which readers act on their subscription: a request → what they want → what they are shown.

Only a POST acts, since programs that scan mail follow every link (RFC 8058). A form is posted to the address of its
own page, so that a signed link is written nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from notifier import notices, pages, talks
from notifier.errors import LimitError, NotifierError, Problem, TokenError, TokenExpired
from notifier.networks import Address
from notifier.notices import Kind
from notifier.pages import Response, Snapshot, forms
from notifier.pages.documents import spoken
from notifier.pages.forms import Form, first
from notifier.pages.strays import TAIL
from notifier.subscribers import State, Subscriber, check, written
from notifier.subscriptions import Subscriptions
from notifier.tokens import Purpose

log = logging.getLogger(__name__)

# Whether an address is known or not, whoever asks for a subscription waits so long for the same answer.
ANSWER_AFTER = timedelta(milliseconds=250)

HEARD = ("host", "origin", "sec-fetch-site")  # the headers that tell where a form comes from

_SUBSCRIBE = "subscribe"
_PURPOSES = (Purpose.CONFIRM, Purpose.PREFERENCES, Purpose.UNSUBSCRIBE)
_ALLOW = (("Allow", "GET, HEAD, POST, OPTIONS"),)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; the names of `headers` are in lower case, `client` is who asks, None where that is not known."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    client: Address | None = None
    body: bytes = b""


def is_dialogue(method: str, path: str) -> bool:
    """Whether a request like this is for a page on which readers act, and not for one that all may read."""
    place = _place(path)
    return place is not None and (bool(place[1]) or method not in ("GET", "HEAD"))


def _place(path: str) -> tuple[str, str] | None:
    """What is done at this address, and by which token."""
    _, path = spoken(path)
    name, slash, token = path.removeprefix("/").partition("/")
    token = token.rstrip(TAIL)  # no token ends so; mail programs take the end of a sentence for a part of its link
    if name == _SUBSCRIBE and not slash:
        return name, ""
    return (name, token) if name in _PURPOSES and token and "/" not in token else None


async def converse(people: Subscriptions, snapshot: Snapshot, asked: Asked) -> Response:
    """The answer to a request at the address of such a page."""
    place = _place(asked.path)
    if place is None:
        raise ValueError(f"expected the address of a page on which readers act, got {asked.path!r}")
    name, token = place
    conversation = _Conversation(people, snapshot, asked, token)
    try:
        return await conversation.answer(name)
    except TokenExpired:
        return conversation.told("old-link")
    except TokenError:
        return conversation.told("bad-link")
    except LimitError:
        return conversation.told("too-many", extra=(("Retry-After", "3600"),))
    except NotifierError as error:
        log.error("%s failed reason=%s", name, error)
        return conversation.told("unavailable")


@dataclass(frozen=True, slots=True)
class _Conversation:
    people: Subscriptions
    snapshot: Snapshot
    asked: Asked
    token: str

    async def answer(self, name: str) -> Response:
        match self.asked.method:
            case "GET" | "HEAD":
                return await self._show(name)
            # Elsewhere the link itself is the proof, and a mail program in a browser may send the one click.
            case "POST" if name == _SUBSCRIBE and is_foreign(self.snapshot, self.asked):
                return self.told("foreign")
            case "POST":
                return await self._act(name, forms.read(self.asked.body))
            case "OPTIONS":
                return Response(204, _ALLOW)
        return self.told("not-allowed", extra=_ALLOW)

    async def _show(self, name: str) -> Response:
        """Nothing changes here, whoever follows the link."""
        one = await self.people.whose(Purpose(name), self.token)
        return self._preferences(one) if name == Purpose.PREFERENCES else self.told(name, one)

    async def _act(self, name: str, form: Form) -> Response:
        match name:
            case Purpose.CONFIRM:
                return await self._confirm()
            case Purpose.PREFERENCES:
                return await self._prefer(form)
            case Purpose.UNSUBSCRIBE:
                return await self._unsubscribe(form)
        return await self._subscribe(form)

    async def _subscribe(self, form: Form) -> Response:
        if not self.snapshot.site.takes_requests:
            return self.told("closed")
        if first(form, forms.TRAP):
            return self.told("asked")
        given = forms.request(form)
        wanted = check(given, self.snapshot.seminar.timezone)
        if not isinstance(wanted, Subscriber):
            return self.made("subscribe", None, forms.ways(given, wanted), status=400)
        waiting = asyncio.sleep(ANSWER_AFTER.total_seconds())
        await asyncio.gather(self.people.ask(wanted, self.asked.client), waiting)
        return self.told("asked")

    async def _confirm(self) -> Response:
        one = await self.people.confirm(self.token)
        if one.state is State.BLOCKED:
            return self.told("blocked", one)
        links, seminar = self.people.links(one), self.snapshot.seminar
        session = self.people.coming()
        shown = self.snapshot.shown.get(session.id) if session else None
        if session is None or shown is None:
            return self.made("confirmed", one, forms.confirmed(one, seminar, links))
        audience = notices.audience(Kind.WELCOME, session, self.people.now())
        session = talks.shown_to(audience, session, self.snapshot.site.levels)
        about = shown.about(one.language)  # with links into other people's calendars: those hold what is public
        return self.made("confirmed", one, forms.confirmed(one, seminar, links, session, about))

    async def _unsubscribe(self, form: Form) -> Response:
        """Anything but the undo button unsubscribes, in whatever form a mail program sends its one click."""
        if first(form, "action") != "resubscribe":
            return self.told("unsubscribed", await self.people.unsubscribe(self.token))
        one = await self.people.resubscribe(self.token)
        return self.told("resubscribed" if one.state is State.CONFIRMED else "blocked", one)

    async def _prefer(self, form: Form) -> Response:
        one = await self.people.whose(Purpose.PREFERENCES, self.token)
        match first(form, "action"):
            case "save":
                return await self._save(one, form)
            case "record":
                record = json.dumps(await self.people.record(self.token), ensure_ascii=False, indent=1)
                return pages.kept(record.encode(), "application/json", "subscription.json")
            case "revoke":
                one = await self.people.revoke(self.token)
                return self.made("revoked", one, {"links": self.people.links(one)})
            case "erase" if first(form, "sure") == "yes":
                await self.people.erase(self.token)
                return self.told("erased", one)
            case "erase":
                return self._preferences(one, status=400, problems={"sure": Problem("it was not ticked")})
        return self._preferences(one, status=400)

    async def _save(self, one: Subscriber, form: Form) -> Response:
        given = forms.wishes(form)
        wishes = check({**written(one), **given}, self.snapshot.seminar.timezone)
        if not isinstance(wishes, Subscriber):
            return self._preferences(one, status=400, given=given, problems=wishes)
        return self._preferences(await self.people.prefer(self.token, wishes), is_saved=True)

    def _preferences(self, one: Subscriber, *, status: int = 200, **told: Any) -> Response:
        links, now = self.people.links(one), self.people.now()
        return self.made("preferences", one, forms.preferences(one, self.snapshot.seminar, links, now, **told), status)

    def told(self, name: str, one: Subscriber | None = None, extra: pages.Headers = ()) -> Response:
        """A page that is the same for everybody, in the language of the reader's mail unless they ask for another."""
        asked, language = self.asked, one.language if one else spoken(self.asked.path)[0]
        return pages.page(self.snapshot, name, asked.method, asked.query, asked.headers, extra, language=language)

    def made(self, template: str, one: Subscriber | None, values: Mapping[str, Any], status: int = 200) -> Response:
        """A page made for this reader alone, in the same language."""
        asked, language = self.asked, one.language if one else spoken(self.asked.path)[0]
        return pages.made(
            self.snapshot, template, asked.method, asked.query, asked.headers, values, language=language, status=status
        )


def is_foreign(snapshot: Snapshot, asked: Asked) -> bool:
    """Whether another site had the reader's browser send this form; a mail program's one click tells nothing."""
    headers = asked.headers
    if site := headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    ours = (headers.get("host", ""), urlsplit(snapshot.site.base_url).netloc)
    return "origin" in headers and urlsplit(headers["origin"]).netloc not in ours
