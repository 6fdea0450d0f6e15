"""The operator's desk in the real daemon: who gets in, what it shows, and that its buttons do what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from house import DUE, PEOPLE, House

from notifier.office import STAYS

KEY = "a-key-of-chance-123456"


@pytest.fixture
async def desk(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that stands before the desk of a running daemon, and has not entered."""
    house.more = f'approve_above = 2\n[desk]\nkey = "{KEY}"'
    await house.subscribe(*PEOPLE)
    await house.start()
    assert house.daemon is not None
    async with httpx.AsyncClient(base_url=f"http://{house.daemon.addresses[0]}") as client:
        yield client


async def press(client: httpx.AsyncClient, action: str, **fields: str) -> httpx.Response:
    return await client.post("/desk", data={"action": action, **fields})


async def enter(client: httpx.AsyncClient) -> None:
    response = await press(client, "enter", key=KEY)
    assert response.status_code == 303
    # The cookie is for https only, as the seminar's address is; a browser would go there.
    client.headers["cookie"] = response.headers["set-cookie"].partition(";")[0]


async def test_without_a_key_there_is_no_desk(house: House) -> None:
    await house.start()
    assert (await house.get("/desk")).status_code == 404
    assert (await house.get("/desk/preview/2021-11-27/reminder")).status_code == 404


@pytest.mark.parametrize("cookie", ["", "desk=MTYzNzg5.forged", "desk=", 'desk="', "other=1; desk=x.y.z"])
async def test_nobody_sees_anything_without_the_key(desk: httpx.AsyncClient, cookie: str) -> None:
    for path in ("/desk", "/desk/preview/2021-11-27/reminder", "/desk/letter/2021-11-27/reminder/en"):
        page = (await desk.get(path, headers={"cookie": cookie})).text
        assert ('name="key"' in page, "reminder-1d" in page, "974114" in page) == (True, False, False)
    for action in ("hold", "release", "approve", "explain"):
        assert 'name="key"' in (await press(desk, action, address="ada@example.org")).text


async def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_http(desk: httpx.AsyncClient) -> None:
    cookie = (await press(desk, "enter", key=KEY)).headers["set-cookie"]
    assert KEY not in cookie
    assert cookie.partition("; ")[2] == "Path=/desk; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"


async def test_a_cookie_is_good_for_half_a_day(house: House, desk: httpx.AsyncClient) -> None:
    await enter(desk)
    house.now += STAYS - timedelta(minutes=1)
    assert 'name="key"' not in (await desk.get("/desk")).text
    house.now += timedelta(minutes=2)
    assert 'name="key"' in (await desk.get("/desk")).text


async def test_keys_can_be_tried_ten_times_an_hour(house: House, desk: httpx.AsyncClient) -> None:
    assert [(await press(desk, "enter", key="wrong")).status_code for _ in range(11)] == [403] * 10 + [429]
    assert (await press(desk, "enter", key=KEY)).status_code == 429
    house.now += timedelta(hours=1)
    assert (await press(desk, "enter", key=KEY)).status_code == 303


async def test_another_site_presses_no_button(house: House, desk: httpx.AsyncClient) -> None:
    await enter(desk)
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example.net"}):
        response = await desk.post("/desk", data={"action": "hold", "reason": "x"}, headers=headers)
        assert response.status_code == 403
    assert "Hold all mail" in (await desk.get("/desk")).text


async def test_it_shows_what_will_go_out_and_then_what_became_of_it(house: House, desk: httpx.AsyncClient) -> None:
    await enter(desk)
    before = (await desk.get("/desk")).text
    assert ("reminder-1d" in before, "Nothing yet." in before, KEY in before) == (True, True, False)
    await house.pass_time(DUE)
    await house.arrived(3)
    after = (await desk.get("/desk")).text
    assert ("sent 3" in after, "Confirmed subscribers: 3 on" in after) == (True, True)
    chinese = (await desk.get("/desk?lang=zh")).text
    assert ("已发送 3" in chinese, "将要发出的通知" in chinese) == (True, True)


async def test_mail_can_be_held_and_sent_again(house: House, desk: httpx.AsyncClient) -> None:
    await enter(desk)
    assert (await press(desk, "hold", reason="the link is wrong")).headers["location"] == "/desk"
    assert "the link is wrong" in (await desk.get("/desk")).text
    await house.pass_time(DUE)
    await asyncio.sleep(0.3)
    assert house.mail.messages == []
    await press(desk, "release")
    await house.arrived(3)


async def test_a_change_for_many_is_let_out_by_its_button(house: House, desk: httpx.AsyncClient) -> None:
    await enter(desk)
    await house.pass_time(DUE)
    await house.arrived(3)
    await house.edit("date = 2021-11-27", "date = 2021-12-04")
    await house.pass_time(house.now + timedelta(minutes=10))
    assert 'name="notice" value="2021-11-27/change-1/1"' in (await desk.get("/desk")).text
    await press(desk, "approve", notice="2021-11-27/change-1/1")
    mails = await house.arrived(7)
    assert [str(mail["To"]) for mail in mails[3:4]] == ["organiser@example.org"]


async def test_it_says_why_somebody_gets_a_mail_and_knows_no_strangers(desk: httpx.AsyncClient) -> None:
    await enter(desk)
    told = (await press(desk, "explain", address="ada@example.org")).text
    assert ("it is not due yet" in told, "reminder-1h" in told) == (True, True)
    assert "eve@example.org is no subscriber" in (await press(desk, "explain", address="eve@example.org")).text
    assert "&lt;b&gt; is no subscriber" in (await press(desk, "explain", address="<b>")).text


async def test_the_real_mails_stand_side_by_side_in_frames_that_run_nothing(desk: httpx.AsyncClient) -> None:
    await enter(desk)
    page = await desk.get("/desk/preview/2021-11-27/reminder")
    assert page.text.count("<iframe") == 2
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    for language, word in (("zh", "会议密码"), ("en", "Passcode")):
        letter = await desk.get(f"/desk/letter/2021-11-27/reminder/{language}")
        assert (word in letter.text, "974114" in letter.text) == (True, True)
        rules = letter.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "frame-ancestors 'self'", "sandbox"} <= set(rules)


@pytest.mark.parametrize(
    "path", ["preview/2021-11-27/secret", "preview/nowhere/reminder", "letter/2021-11-27/reminder/fr", "x"]
)
async def test_what_is_not_there_is_not_found(desk: httpx.AsyncClient, path: str) -> None:
    await enter(desk)
    assert (await desk.get(f"/desk/{path}")).status_code == 404


async def test_other_methods_and_buttons_do_nothing(desk: httpx.AsyncClient) -> None:
    await enter(desk)
    assert (await desk.request("DELETE", "/desk")).status_code == 405
    assert (await desk.options("/desk")).headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert (await press(desk, "format the disk")).status_code == 400
    head = await desk.head("/desk")
    assert (head.status_code, head.content, head.headers["cache-control"]) == (200, b"", "no-store")


async def test_leaving_takes_the_cookie_away(desk: httpx.AsyncClient) -> None:
    await enter(desk)
    assert "desk=; Path=/desk; Max-Age=0" in (await press(desk, "leave")).headers["set-cookie"]


async def test_an_urgent_line_is_announced_and_taken_away_by_its_buttons(house: House, desk: httpx.AsyncClient) -> None:
    await enter(desk)
    await house.pass_time(DUE)
    await house.arrived(3)
    line = "Starts <15 minutes> late"
    assert (await press(desk, "announce", session="2021-11-27", line=line)).headers["location"] == "/desk"
    assert {mail["Subject"].partition(" · ")[0] for mail in (await house.arrived(6))[3:]} == {line}
    for path in ("/desk", "/"):
        assert "Starts &lt;15 minutes&gt; late" in (await desk.get(path)).text
    await press(desk, "take-back", session="2021-11-27")
    assert "15 minutes" not in (await desk.get("/")).text


async def test_why_a_line_cannot_be_announced_stands_beside_it(house: House, desk: httpx.AsyncClient) -> None:
    await enter(desk)
    told = await press(desk, "announce", session="2021-11-27", line="the passcode is 974114 $x$")
    assert told.status_code == 200
    assert ("the line holds the passcode" in told.text, "the line holds LaTeX" in told.text) == (True, True)
    assert 'value="the passcode is 974114 $x$"' in told.text
    assert "nothing is announced" in (await press(desk, "take-back", session="2021-11-27")).text
    assert house.mail.messages == []
