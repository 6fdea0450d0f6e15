"""The whole way of a reader: the page, the mail that really came, its links, and what they do; and of who means ill."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from house import DUE, House
from mailserver import MailServer
from test_way import words

from notifier import dialogues
from notifier.inquiries.notices import explained
from notifier.subscribers import CONFIRM_WITHIN, State, Subscriber
from notifier.tokens import Grant, Purpose

BASE = "https://seminar.example.org"
EVE = "eve@example.org"
START = datetime(2021, 11, 27, 1, 30, tzinfo=UTC)
THREATS = Path(__file__).parents[1] / "docs" / "threat-model.md"
LINK = re.compile(rf"{BASE}(/(?:confirm|preferences|unsubscribe)/[A-Za-z0-9_.=-]+)")


class Neighbour(House):
    """A house with a door: what a browser and a mail program do at it."""

    async def start(self) -> None:
        await super().start()
        assert self.daemon is not None
        self.client = httpx.AsyncClient(base_url=f"http://{self.daemon.addresses[0]}")

    async def stop(self) -> None:
        if self.daemon is not None:
            await self.client.aclose()
        await super().stop()

    async def ask(self, address: str = EVE, **fields: str) -> httpx.Response:
        return await self.client.post("/en/subscribe", data={"address": address, "language": "en", **fields})

    async def subscriber(self, address: str = EVE) -> Subscriber | None:
        assert self.daemon is not None
        return await self.daemon._store.subscriber(address)

    async def join(self) -> dict[str, str]:
        """Eve's links once she has asked and confirmed."""
        await self.ask()
        (mail,) = await self.arrived(1)
        await self.client.post(links(mail)["confirm"])
        return links((await self.arrived(2))[1])

    def token(self, purpose: Purpose, grant: Grant) -> str:
        assert self.daemon is not None
        return f"/{purpose}/{self.daemon._people.keyring.sign(purpose, grant)}"


def links(mail: EmailMessage) -> dict[str, str]:
    """The paths of a mail's signed links, by what they are for; text and HTML have the same."""
    html = mail.get_body(("html",))
    assert html is not None
    found = LINK.findall(words(mail))
    assert set(LINK.findall(html.get_content())) == set(found)
    return {path.split("/")[1]: path for path in found}


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Neighbour]:
    monkeypatch.setattr(dialogues, "ANSWER_AFTER", timedelta(milliseconds=20))
    with MailServer() as mail:
        house = Neighbour(tmp_path, mail)
        house.now = DUE - timedelta(days=2)
        await house.start()
        yield house
        await house.stop()


async def test_a_reader_subscribes_chooses_leaves_and_comes_back(house: Neighbour) -> None:
    answered = await house.ask(timezone="Europe/Berlin")
    assert (answered.status_code, "Look into your mailbox" in answered.text) == (200, True)
    (mail,) = await house.arrived(1)
    assert (mail["To"], "Please confirm" in str(mail["Subject"])) == (EVE, True)
    assert "Sat 27 Nov 2021, 2:30–4:30 Berlin time (UTC+1)" in words(mail)
    confirm = links(mail)["confirm"]
    assert (await house.client.get(confirm)).status_code == 200
    assert await house.subscriber() == Subscriber(
        EVE, language="en", timezone="Europe/Berlin", state=State.UNCONFIRMED, id=1
    )

    answered = await house.client.post(confirm)
    assert (answered.status_code, "You are subscribed" in answered.text, "974114" in answered.text) == (200, True, True)
    welcome = (await house.arrived(2))[1]
    for fact in ("https://meeting.tencent.com/dm/p1q2HxwW3x4r", "329 744 341", "974114", "553 2421 7498"):
        assert fact in words(welcome)
    assert welcome["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    chosen = {"action": "save", "kind": "reminder", "lead": ["3h", "15m"], "leads": "2h30m", "language": "en"}
    answered = await house.client.post(links(welcome)["preferences"], data=chosen)
    assert "Saved." in answered.text
    await house.pass_time(START - timedelta(hours=3, minutes=1))
    await house.arrived(2)
    await house.pass_time(START - timedelta(hours=3))
    (reminder,) = (await house.arrived(3))[2:]
    assert "reminder-3h" in str(reminder["Message-ID"])

    one_click = LINK.search(str(reminder["List-Unsubscribe"]))
    assert one_click is not None
    for _ in range(2):
        answered = await house.client.post(one_click[1], data={"List-Unsubscribe": "One-Click"})
        assert (answered.status_code, answered.headers.get("set-cookie"), answered.history) == (200, None, [])
    await house.pass_time(START - timedelta(hours=2, minutes=30))
    await house.arrived(3)

    answered = await house.client.post(one_click[1], data={"action": "resubscribe"})
    assert "You are subscribed again" in answered.text
    for minutes in (60, 15):  # others are reminded an hour before
        await house.pass_time(START - timedelta(minutes=minutes))
    assert "reminder-15m" in str((await house.arrived(4))[3]["Message-ID"])


async def test_a_program_that_follows_every_link_of_every_mail_changes_nothing(house: Neighbour) -> None:
    own = await house.join()
    await house.pass_time(DUE)
    mails = await house.arrived(3)
    before = await house.subscriber()
    followed = [path for mail in mails for path in links(mail).values()] + list(own.values())
    for path in followed:
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND"):
            answered = await house.client.request(method, path)
            assert answered.status_code in (200, 204, 405)
            if method == "GET":
                assert answered.headers["referrer-policy"] == "no-referrer"
                assert answered.headers["cache-control"] == "no-store"
                assert "frame-ancestors 'none'" in answered.headers["content-security-policy"]
                assert path not in answered.text or "/preferences/" in path
    assert await house.subscriber() == before
    await house.arrived(3)


async def test_the_answer_is_the_same_for_every_address_and_changes_nothing_of_the_known(house: Neighbour) -> None:
    own = await house.join()
    before = await house.subscriber()
    answers = [await house.ask(a) for a in (EVE, EVE.upper(), "nobody@example.org")]
    assert (
        len({(a.status_code, a.content, *sorted(a.headers.items() - {("date", a.headers["date"])})) for a in answers})
        == 1
    )
    again = (await house.arrived(4))[2:]
    to_eve = next(mail for mail in again if str(mail["To"]) == EVE)
    assert "You are subscribed" in str(to_eve["Subject"])
    assert await house.subscriber() == before
    assert (await house.client.get(own["preferences"])).status_code == 200


async def test_no_flood_of_forms_bombs_a_mailbox_and_a_restart_does_not_help(house: Neighbour) -> None:
    for _ in range(5):
        assert (await house.ask()).status_code == 200
    await house.arrived(3)
    await house.stop()
    await house.start()
    assert (await house.ask()).status_code == 200
    await house.arrived(3)
    for n in range(19):
        await house.ask(f"eve{n}@example.org")
    flooded = await house.ask("eve99@example.org")
    assert (flooded.status_code, flooded.headers["retry-after"]) == (429, "3600")
    await house.arrived(22)
    assert await house.subscriber("eve99@example.org") is None


NO_ADDRESSES = (
"", "eve", "eve@", "@example.org", "eve@example.org\r\nBcc: all@example.org", "eve@example.org, bob@example.org",
 "eve <eve@example.org>", "eve@example.org> BODY=8BITMIME", "{{ 7*7 }}@example.org", "<script>@example.org",
 "eve@exa mple.org", "e" * 65 + "@example.org", "eve@" + "e" * 64 + ".org", "eve@[127.0.0.1]", "\x00@example.org",
)  # fmt: skip


async def test_what_is_no_address_is_said_so_and_mailed_to_nobody(house: Neighbour) -> None:
    for address in NO_ADDRESSES:
        answered = await house.ask(address)
        assert (answered.status_code, "This is no address that mail can be sent to." in answered.text) == (400, True)
        assert "<script>@" not in answered.text
    await house.arrived(0)


async def test_an_address_in_other_letters_is_one_subscriber(house: Neighbour) -> None:
    assert (await house.ask("eve@例子.中国")).status_code == 200
    assert (await house.ask("EVE@xn--fsqu00a.xn--fiqs8s")).status_code == 200
    mails = await house.arrived(2)
    assert {str(mail["To"]) for mail in mails} == {"eve@xn--fsqu00a.xn--fiqs8s", "EVE@xn--fsqu00a.xn--fiqs8s"}
    assert (await house.subscriber("eve@xn--fsqu00a.xn--fiqs8s")) is not None


async def test_a_program_that_fills_in_every_field_is_thanked_and_forgotten(house: Neighbour) -> None:
    answered = await house.ask(website="https://spam.example")
    assert (answered.status_code, "Look into your mailbox" in answered.text) == (200, True)
    await house.arrived(0)
    assert await house.subscriber() is None


async def test_no_other_site_has_its_visitors_subscribe(house: Neighbour) -> None:
    for headers, status in (
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": BASE}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": BASE}, 200),
        ({}, 200),
    ):
        answered = await house.client.post("/subscribe", data={"address": EVE}, headers=headers)
        assert answered.status_code == status
    await house.arrived(3)


async def test_the_one_click_is_taken_from_a_mail_program_in_a_browser(house: Neighbour) -> None:
    own = await house.join()
    headers = {"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site"}
    answered = await house.client.post(own["unsubscribe"], data={"List-Unsubscribe": "One-Click"}, headers=headers)
    assert (answered.status_code, "will not write to you again" in answered.text) == (200, True)


async def test_a_request_survives_a_mail_server_that_is_down_and_a_restart(house: Neighbour) -> None:
    house.mail.stop()
    assert (await house.ask()).status_code == 200
    await house.stop()
    house.mail.start()
    house.now += timedelta(minutes=5)
    await house.start()
    (mail,) = await house.arrived(1)
    assert (await house.client.post(links(mail)["confirm"])).status_code == 200
    await house.arrived(2)


async def test_on_hold_nobody_is_asked_until_it_ends(house: Neighbour) -> None:
    assert house.daemon is not None
    await house.daemon._answer({"do": "hold", "reason": "a look first"})
    await house.until(lambda: house.hold != "")
    await house.ask()
    await house.arrived(0)
    await house.daemon._answer({"do": "release"})
    await house.arrived(1)


async def test_links_of_an_older_key_work_until_it_is_retired(house: Neighbour) -> None:
    own = await house.join()
    assert house.daemon is not None
    await house.daemon._answer({"do": "rotate", "retire": False})
    assert (await house.client.get(own["preferences"])).status_code == 200
    await house.ask()
    fresh = links((await house.arrived(3))[2])
    assert fresh["preferences"] != own["preferences"]
    await house.daemon._answer({"do": "rotate", "retire": True})
    for path in (*own.values(), *fresh.values()):
        assert (await house.client.get(path)).status_code == 404


async def test_where_only_the_operator_adds_readers_nobody_else_does(house: Neighbour) -> None:
    await house.stop()
    house.more = "[subscriptions]\n        open = false"
    await house.start()
    assert "By mail" not in (await house.client.get("/en/subscribe")).text
    answered = await house.ask()
    assert (answered.status_code, "No subscriptions by mail here" in answered.text) == (403, True)
    await house.arrived(0)


async def test_a_link_that_is_forged_cut_swapped_or_old_does_nothing(house: Neighbour) -> None:
    await house.ask()
    (mail,) = await house.arrived(1)
    confirm = links(mail)["confirm"]
    token = confirm.split("/")[2]
    swapped = house.token(Purpose.UNSUBSCRIBE, Grant(1)).replace("unsubscribe", "confirm")
    bad = [
        confirm[:-1],
        confirm[: len(confirm) // 2],
        f"/preferences/{token}",
        f"/unsubscribe/{token}",
        swapped,
        confirm + "x",
    ]
    for path in bad:
        for method in ("GET", "POST"):
            answered = await house.client.request(method, path)
            assert (answered.status_code, "This link does not work" in answered.text) == (404, True)
    gone = house.token(Purpose.UNSUBSCRIBE, Grant(99))
    assert (await house.client.post(gone)).status_code == 410
    house.now += CONFIRM_WITHIN
    answered = await house.client.post(confirm)
    assert (answered.status_code, "This link is too old" in answered.text) == (410, True)
    one = await house.subscriber()
    assert one is None or one.state is State.UNCONFIRMED


async def test_a_link_is_good_though_the_end_of_a_sentence_was_taken_for_a_part_of_it(house: Neighbour) -> None:
    await house.ask()
    (mail,) = await house.arrived(1)
    confirm = links(mail)["confirm"]
    for tail in ("/", ".", ")。", "%E3%80%82", ">"):
        assert (await house.client.get(confirm + tail)).status_code == 200
    assert (await house.client.post(confirm + ").")).status_code == 200
    one = await house.subscriber()
    assert one is not None
    assert one.state is State.CONFIRMED


async def test_wishes_that_cannot_be_met_are_marked_and_change_nothing(house: Neighbour) -> None:
    own = await house.join()
    before = await house.subscriber()
    wrong = {
        "action": "save",
        "leads": "7m",
        "timezone": "Mars/Base",
        "words": "x" * 70,
        "paused_until": "soon",
        "language": "en",
    }
    answered = await house.client.post(own["preferences"], data=wrong)
    assert answered.status_code == 400
    assert answered.text.count('aria-invalid="true"') == 4
    for text in ("7m", "Mars/Base", "soon"):
        assert f'value="{text}"' in answered.text
    assert await house.subscriber() == before


async def test_the_page_of_preferences_shows_what_was_chosen_and_escapes_it(house: Neighbour) -> None:
    own = await house.join()
    chosen = {
        "action": "save", "kind": "announcement", "lead": "1d", "leads": "2d", "language": "zh",
        "timezone": "Asia/Tokyo", "words": "<b>deep</b>, 深度", "paused_until": "2021-12-24", "name": "Eve & co",
    }  # fmt: skip
    assert (await house.client.post(own["preferences"], data=chosen)).status_code == 200
    answered = (await house.client.get(own["preferences"])).text
    assert 'lang="zh-CN"' in answered
    assert "Eve &amp; co" in answered
    assert "&lt;b&gt;deep&lt;/b&gt;, 深度" in answered
    assert 'value="2021-12-24"' in answered
    assert re.findall(r'value="(\w+)" checked', answered) == ["announcement", "1d"]
    assert 'name="leads" value="2d"' in answered
    assert ">Choose what you get<" in (await house.client.get(own["preferences"] + "?lang=en")).text


async def test_the_owner_takes_their_record_and_is_forgotten(house: Neighbour) -> None:
    own = await house.join()
    answered = await house.client.post(own["preferences"], data={"action": "record"})
    assert answered.headers["content-disposition"] == 'attachment; filename="subscription.json"'
    record = json.loads(answered.content)
    assert record["subscriber"]["address"] == EVE
    assert [c["how"] for c in record["consents"]] == ["form", "link"]
    assert [m["kind"] for m in record["mails"]] == ["confirmation", "welcome"]
    assert (await house.client.post(own["preferences"], data={"action": "erase"})).status_code == 400
    assert await house.subscriber() is not None
    answered = await house.client.post(own["preferences"], data={"action": "erase", "sure": "yes"})
    assert "You are forgotten" in answered.text
    assert await house.subscriber() is None
    assert (await house.client.get(own["preferences"])).status_code == 410
    assert (await house.client.post(own["unsubscribe"])).status_code == 410
    assert house.daemon is not None
    assert [d.address for d in await house.daemon._store.deliveries(1)] == ["", ""]
    assert EVE.encode() not in b"".join(path.read_bytes() for path in (house.folder / "var").glob("notifier.db*"))


async def test_revoked_links_end_all_but_the_way_out(house: Neighbour) -> None:
    own = await house.join()
    answered = await house.client.post(own["preferences"], data={"action": "revoke"})
    (fresh,) = LINK.findall(answered.text)
    assert (await house.client.get(own["preferences"])).status_code == 404
    assert (await house.client.get(fresh)).status_code == 200
    assert (await house.client.post(own["unsubscribe"])).status_code == 200


async def test_the_undo_of_an_unsubscription_confirms_nobody(house: Neighbour) -> None:
    await house.ask()
    assert (
        await house.client.post(house.token(Purpose.UNSUBSCRIBE, Grant(1)), data={"action": "resubscribe"})
    ).is_error
    one = await house.subscriber()
    assert one is not None
    assert one.state is State.UNCONFIRMED


async def test_the_blocked_are_told_so_and_stay_so(house: Neighbour) -> None:
    own = await house.join()
    assert house.daemon is not None
    await house.daemon._store.set_state(1, State.BLOCKED, house.now, reason="no such user")
    assert (await house.client.post(own["unsubscribe"], data={"action": "resubscribe"})).status_code == 403
    await house.ask()
    await house.arrived(2)
    one = await house.subscriber()
    assert one is not None
    assert one.state is State.BLOCKED


async def reasons(house: Neighbour) -> set[str]:
    """Why Eve gets none of the reminders to come."""
    told = await explained(house.config(), house.seminar, EVE, house.now)
    rows = [row for row in told.rows if row.rule.startswith("reminder")]
    assert {row.state for row in rows} == {"no"}
    return {row.reason for row in rows}


async def test_a_pause_and_words_keep_mail_away_and_explain_says_so(house: Neighbour) -> None:
    own = await house.join()
    await house.client.post(
        own["preferences"], data={"action": "save", "kind": "reminder", "words": "topology", "language": "en"}
    )
    (told,) = await reasons(house)
    assert told == "no talk is about topology"
    paused = {"action": "save", "kind": "reminder", "paused_until": "2021-11-28", "language": "en"}
    await house.client.post(own["preferences"], data=paused)
    (told,) = await reasons(house)
    assert told == "the subscriber paused until 2021-11-27 16:00Z"
    await house.pass_time(DUE)
    await house.arrived(2)


async def test_nothing_secret_is_in_the_log(house: Neighbour, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        own = await house.join()
        await house.client.post(own["unsubscribe"])
        await house.client.post(own["unsubscribe"][:-1])
    told = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("notifier"))
    assert "sent notice" in told
    for secret in (EVE, *(path.split("/")[2] for path in own.values())):
        assert secret not in told


@pytest.mark.parametrize("address", [EVE, "nobody@example.org"])
async def test_the_answer_comes_after_the_same_time_for_every_address(
    house: Neighbour, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for _ in range(3):  # from now on nothing is written or sent for Eve
        await house.ask()
    monkeypatch.setattr(dialogues, "ANSWER_AFTER", timedelta(seconds=1))
    began = asyncio.get_running_loop().time()
    await house.ask(address)
    assert asyncio.get_running_loop().time() - began >= 0.99


async def test_the_passcode_comes_only_after_the_confirmation(house: Neighbour) -> None:
    answers = [await house.ask()]
    (mail,) = await house.arrived(1)
    answers.append(await house.client.get(links(mail)["confirm"]))
    assert "974114" not in mail.as_string()
    assert "974114" not in words(mail)
    assert all("974114" not in answer.text for answer in answers)
    assert "974114" in (await house.client.post(links(mail)["confirm"])).text


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
async def test_no_answer_leads_elsewhere(house: Neighbour, elsewhere: str) -> None:
    own = await house.join()
    fields = dict.fromkeys(("next", "url", "redirect", "return_to", "action"), elsewhere)
    for path in ("/subscribe", *own.values()):
        for answered in (
            await house.client.get(path, params=fields), await house.client.post(path, params=fields, data=fields)
        ):  # fmt: skip
            assert "location" not in answered.headers
            assert "refresh" not in answered.headers
            assert "evil.example" not in re.sub(r"<code>.*?</code>", "", answered.text)


async def test_hostile_wishes_stay_texts(house: Neighbour) -> None:
    own = await house.join()
    name = "Eve\r\nBcc: all@example.org {{ 7 * 7 }} <script>alert(1)</script> \u202e"
    chosen = {"action": "save", "kind": "reminder", "name": name, "language": "en", "words": "{% raise %}, 冷冻电镜"}
    answered = await house.client.post(own["preferences"], data=chosen)
    assert "{{ 7 * 7 }} &lt;script&gt;alert(1)&lt;/script&gt;" in answered.text
    await house.pass_time(DUE)
    mail = (await house.arrived(3))[2]
    assert (mail["Bcc"], house.mail.messages[2].recipient) == (None, EVE)
    html = mail.get_body(("html",))
    assert html is not None
    assert "Dear Eve Bcc: all@example.org {{ 7 * 7 }} &lt;script&gt;" in " ".join(html.get_content().split())


@pytest.mark.checkout
def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = re.findall(r"`(\w+)`", "\n".join(re.findall(r"\|[^|]*\|\n", THREATS.read_text(encoding="utf-8"))))
    tests = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in tests] == []
