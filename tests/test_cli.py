"""The command line as people and scripts use it: what it prints, where, and with which exit code."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import click
import pytest
import samples
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import rsa
from icalendar import Calendar
from test_dkim import pem

from notifier import settings
from notifier.cli import main
from notifier.commands.notices import preview
from notifier.daemon import Daemon
from notifier.notices import Decision, Kind, Notice, Recipients, Verdict
from notifier.returns import Meaning
from notifier.stores import Returned
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import LANGUAGES

PAGE = """Joint Seminar of Machine Learning

Time:2021-11-27   9:30-11:30

Title:冷冻电镜原理及相关算法
Reporter:王宇航
Affiliations: 北京深势科技有限公司

Title:基于神经网络实现碳氢燃料的燃烧模拟
Reporter:朱通
Affiliations: 华东师范大学

Tecent Meeting Link: https://meeting.tencent.com/dm/p1q2HxwW3x4r
Meeting ID:329744341
Password:974114
Alternate meeting ID (no password): 553 2421 7498
"""

NOTIFIER = (sys.executable, "-m", "notifier")
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOTIFIER_CONFIG", raising=False)

    def run(*arguments: str, given: str | bytes = "") -> Result:
        return CliRunner().invoke(main, arguments, input=given, catch_exceptions=False)

    return run


@pytest.fixture
def house(run: Run) -> Run:
    """A folder with a config and the talk list of PAGE, imported."""
    assert run("init").exit_code == 0
    Path("page.txt").write_text(PAGE, encoding="utf-8")
    assert run("import", "page.txt", "-o", "talks.toml").exit_code == 0
    return run


def test_help_lists_only_what_works(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in (
        "init",
        "check",
        "import",
        "diff",
        "feed",
        "publish",
        "export",
        "plan",
        "explain",
        "preview",
        "send-test",
        "backup",
        "restore",
        "verify",
    ):
        assert f"  {name} " in result.stdout


def test_every_kind_and_language_of_mail_can_be_looked_at() -> None:
    """They are written out there, since a command line that lists them should not wait for what knows them."""
    options = {one.name: one.type.choices for one in preview.params if isinstance(one.type, click.Choice)}
    assert (options["kind"], options["lang"]) == (tuple(Kind), LANGUAGES)


def test_wrong_usage_is_exit_2_and_no_config_exit_3(run: Run) -> None:
    assert run("plan", "--nonsense").exit_code == 2
    result = run("plan")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "notifier init" in result.stderr


def test_init_writes_what_runs_and_overwrites_nothing(run: Run) -> None:
    assert run("init", "house").stdout.split() == [
        f"house/{name}" for name in ("config.toml", "talks.toml", "config.example.toml")
    ]
    Path("house/talks.toml").write_text("mine", encoding="utf-8")
    again = run("init", "house")
    assert again.exit_code == 1
    assert "stays as it is" in again.stderr
    assert Path("house/talks.toml").read_text(encoding="utf-8") == "mine"


def test_what_init_wrote_is_without_a_problem(run: Run) -> None:
    run("init")
    result = run("check")
    assert (result.exit_code, result.stdout) == (0, "")


def test_check_doubts_settings_that_the_provider_will_refuse(run: Run) -> None:
    run("init")
    Path("config.toml").write_text(
        '[mail]\ntransport = "smtp"\nsender = "Seminar <seminar@example.org>"\n'
        '[smtp]\npreset = "qq"\nusername = "12345@qq.com"\npassword = "a-code"\n'
        '[bounces]\naddress = "bounce@example.org"\nmaildir = "returned"\n'
    )
    told = run("check").stdout
    assert "warning: QQ refuses any sender but the login: seminar@example.org is not 12345@qq.com" in told
    assert "warning: QQ allows no sender of the envelope like bounce+…" in told


def test_check_doubts_a_secret_that_others_can_read_and_refuses_a_key_that_cannot_sign(run: Run) -> None:
    run("init")
    key = Path("dkim.pem")
    key.write_text(pem(rsa.generate_private_key(65537, 2048)))
    key.chmod(0o644)
    with Path("config.toml").open("a", encoding="utf-8") as config:
        config.write('\n[dkim]\nselector = "n1"\nkey_file = "dkim.pem"\n')
    result = run("check")
    assert (result.exit_code, "dkim.pem: others can read this secret; chmod 600 it" in result.stdout) == (0, True)
    key.chmod(0o600)
    assert "others can read" not in run("check").stdout
    key.write_text("no key")
    result = run("check")
    assert result.exit_code == 1
    assert "error: [dkim]: the key for signing mail is no private key in PEM" in result.stdout
    key.unlink()
    result = run("check")
    assert result.exit_code == 1
    assert 'dkim.pem" cannot be read: No such file or directory' in result.stdout


def test_check_tells_every_problem_of_list_and_templates_at_once(run: Run) -> None:
    run("init")
    Path("own/mail").mkdir(parents=True)
    Path("own/pages").mkdir()
    Path("own/mail/reminder.txt").write_text("line\n{{ nobody.knows }}\n", encoding="utf-8")
    Path("own/pages/index.html").write_text("{% endblock %}", encoding="utf-8")
    with Path("config.toml").open("a", encoding="utf-8") as config:
        config.write('\n[templates]\npath = "own"\n')
    Path("talks.toml").write_text(
        '[[session]]\nid = "a b"\ndate = 2021-11-27\ntime = "11:30-09:30"\n', encoding="utf-8"
    )
    result = run("check")
    assert result.exit_code == 1
    assert "talks.toml:2:" in result.stdout
    assert "talks.toml:4:" in result.stdout
    assert "mail/reminder.txt:2" in result.stdout
    assert "pages/index.html:1" in result.stdout
    assert result.stderr == "5 errors, 0 warnings\n"
    told = json.loads(run("check", "--json").stdout)
    assert {"source", "line", "message"} <= told["errors"][0].keys()


def test_check_tells_of_a_template_that_changes_nothing(run: Run) -> None:
    run("init")
    Path("own/mail").mkdir(parents=True)
    Path("own/mail/remindre.txt").write_text("{{ reader.unsubscribe_url }}", encoding="utf-8")
    with Path("config.toml").open("a", encoding="utf-8") as config:
        config.write('\n[templates]\npath = "own"\n')
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "0 errors, 1 warning\n")
    assert result.stdout == (
        "warning: mail/remindre.txt: it replaces no shipped template, and none of yours names it; "
        'did you mean "mail/reminder.txt"?\n'
    )


@pytest.mark.parametrize("page", ["index", "preferences", "confirmed", "subscribe"])
def test_check_finds_an_unknown_name_in_pages_too(run: Run, page: str) -> None:
    run("init")
    Path("own/pages").mkdir(parents=True)
    override = (
        '{% extends "shipped/pages/' + page + '.html" %}\n{% block main %}{{ super() }}{{ nobody }}{% endblock %}'
    )
    Path(f"own/pages/{page}.html").write_text(override, encoding="utf-8")
    with Path("config.toml").open("a", encoding="utf-8") as config:
        config.write('\n[templates]\npath = "own"\n')
    result = run("check")
    assert result.exit_code == 1
    assert f"pages/{page}.html:2: UndefinedError: 'nobody' is undefined" in result.stdout


def test_a_page_becomes_a_list_that_reads_the_same(house: Run) -> None:
    imported = json.loads(house("import", "page.txt", "--json").stdout)
    exported = json.loads(house("export", "--json").stdout)
    (session,) = exported["sessions"]
    assert session["talks"] == imported["sessions"][0]["talks"]
    assert session["room"]["meeting_id"] == "329744341"
    assert session["start"] == "2021-11-27T09:30:00+08:00"
    assert all("message" in warning for warning in imported["warnings"])


def test_an_imported_session_has_the_uid_under_which_it_would_be_published(house: Run) -> None:
    def uids(*command: str) -> list[str | None]:
        return [session.get("uid") for session in json.loads(house(*command, "--json").stdout)["sessions"]]

    assert uids("import", "page.txt") == uids("export") == ["2021-11-27@127.0.0.1"]
    Path("config.toml").unlink()
    assert uids("import", "page.txt") == [None]  # without settings nobody knows its domain


def test_import_reads_stdin_and_warns_on_stderr(run: Run) -> None:
    result = run("import", "-", given=PAGE.encode("gb18030"))
    assert result.exit_code == 0
    assert "王宇航" in result.stdout
    assert "warning: " in result.stderr


def test_a_page_that_is_cut_off_is_refused_and_the_list_stays(house: Run) -> None:
    before = Path("talks.toml").read_bytes()
    Path("cut.txt").write_text(PAGE[: PAGE.index("Reporter:朱通") + 6], encoding="utf-8")
    result = house("import", "cut.txt", "-o", "talks.toml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert Path("talks.toml").read_bytes() == before


def test_importing_over_a_list_keeps_the_old_one_beside_it(house: Run) -> None:
    before = Path("talks.toml").read_bytes()
    result = house("import", "page.txt", "-o", "talks.toml")
    assert result.exit_code == 0
    assert Path("talks.toml.before").read_bytes() == before


def test_diff_says_in_words_what_would_change(house: Run) -> None:
    Path("moved.txt").write_text(PAGE.replace("2021-11-27", "2021-12-04"), encoding="utf-8")
    result = house("diff", "moved.txt")
    assert result.exit_code == 0
    assert "2021-11-27: moved: " in result.stdout
    assert json.loads(house("diff", "moved.txt", "--json").stdout)["changes"][0]["material"] is True


def test_diff_of_a_list_that_cannot_be_read_says_nothing_of_changes(house: Run) -> None:
    Path("talks.toml").write_text("[[session", encoding="utf-8")
    result = house("diff")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("would be refused: ")


@pytest.mark.parametrize(
    "command",
    [
        ("feed", "-o", "missing/x"),
        ("import", "page.txt", "-o", "missing/x"),
        ("subscribers", "export", "-o", "missing/x"),
        ("publish", "page.txt/site"),
        ("init", "page.txt/house"),
    ],
)
def test_what_cannot_be_written_ends_a_command_with_exit_3_and_the_reason(house: Run, command: tuple[str, ...]) -> None:
    result = house(*command)
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"{command[-1]}: " in result.stderr


@pytest.mark.parametrize("command", ["import page.txt", "import page.txt --json", "export --json"])
def test_what_programs_read_is_utf_8_whatever_the_locale(run: Run, command: str) -> None:
    run("init", ".")
    Path("page.txt").write_text(PAGE, encoding="utf-8")
    run("import", "page.txt", "-o", "talks.toml")
    turkish = {**os.environ, "PYTHONIOENCODING": "iso8859-9"}  # what that locale makes of stdout, where it is there
    ended = subprocess.run([*NOTIFIER, *command.split()], capture_output=True, env=turkish, check=True)
    assert "冷冻电镜原理及相关算法" in ended.stdout.decode("utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["export", "feed", "plan --at 2021-11-26", "subscribers export", "--help"])
def test_results_that_find_no_room_end_a_command_with_exit_3_and_one_line(house: Run, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([*NOTIFIER, *command.split()], stdout=full, stderr=subprocess.PIPE, text=True)
    told = "stdout: it cannot be written: No space left on device; make room, or write elsewhere"
    assert (ended.returncode, ended.stderr.splitlines()[-1:]) == (3, [told])
    assert "Traceback" not in ended.stderr


def test_a_reader_who_has_seen_enough_ends_a_command_in_silence(house: Run) -> None:
    unread, results = os.pipe()
    os.close(unread)
    with os.fdopen(results, "w") as pipe:
        ended = subprocess.run([*NOTIFIER, "feed"], stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_command_whose_results_nobody_wants_does_its_work(house: Run) -> None:
    command = shlex.join([*NOTIFIER, "hold", "--json"]) + " >&-"
    ended = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert house("status").exit_code == 1


def test_feed_is_the_calendar_and_the_same_each_time(house: Run) -> None:
    first = house("feed")
    assert first.exit_code == 0
    assert first.stdout_bytes == house("feed").stdout_bytes
    assert house("feed", "-o", "out.ics").stdout == ""
    assert Path("out.ics").read_bytes() == first.stdout_bytes
    (event,) = Calendar.from_ical(first.stdout_bytes).events
    assert event["UID"] == "2021-11-27@127.0.0.1"


def test_publish_tells_of_the_form_that_plain_files_cannot_answer_and_how_to_leave_it_out(house: Run) -> None:
    offering = house("publish", "site")
    assert "warning: the pages have a form for mail, which plain files cannot answer; " in offering.stderr
    assert "<form method" in Path("site/en/subscribe/index.html").read_text(encoding="utf-8")
    with Path("config.toml").open("a", encoding="utf-8") as config:
        config.write("\n[subscriptions]\nopen = false\n")
    closed = house("publish", "site")
    assert (closed.exit_code, closed.stderr) == (0, "")
    pages = [page.read_text(encoding="utf-8") for page in Path("site").rglob("*.html")]
    assert [page for page in pages if 'method="post"' in page] == []


def test_plan_says_what_goes_out_and_why_not(house: Run) -> None:
    house("subscribers", "add", "ada@example.org", "--lang", "zh")
    result = house("plan", "--at", "2021-11-26T09:00+08:00", "--json")
    assert result.exit_code == 0
    planned = {p["rule"]: (p["verdict"], p["due"], p["people"]) for p in json.loads(result.stdout)}
    assert planned == {
        "announcement": ("skipped", "2021-11-20T01:00:00+00:00", 0),
        "reminder-1d": ("waiting", "2021-11-26T01:30:00+00:00", 1),
        "reminder-1h": ("waiting", "2021-11-27T00:30:00+00:00", 1),
    }
    assert house("plan", "--at", "2022-01-01").exit_code == 1
    assert house("plan", "--at", "soon").exit_code == 2


def test_plan_begins_a_reminder_early_where_the_mail_server_is_slow(house: Run) -> None:
    people = "\n".join(f"p{n}@example.org" for n in range(300))
    assert house("subscribers", "import", "-", given=f"address\n{people}\n").exit_code == 0
    with Path("config.toml").open("a") as config:
        config.write('[smtp]\npreset = "local"\nrate = { per_minute = 2, per_hour = 90 }\n')
    environment = {"NOTIFIER_MAIL_TRANSPORT": "smtp"}
    result = CliRunner().invoke(main, ["plan", "--at", "2021-11-26T09:00+08:00"], env=environment)
    assert "takes 3h, so it begins 2h20m early" in result.stdout
    assert result.stderr == ""
    result = CliRunner().invoke(main, ["plan", "--at", "2021-11-26T09:00+08:00", "--json"], env=environment)
    (hour,) = [p for p in json.loads(result.stdout) if p["rule"] == "reminder-1h"]
    assert (hour["due"], hour["deadline"]) == ("2021-11-26T22:10:00+00:00", "2021-11-27T01:10:00+00:00")
    assert (hour["takes_seconds"], hour["head_start_seconds"], hour["late"]) == (10800, 8400, 0)
    environment["NOTIFIER_SMTP_RATE"] = "per_day=100"
    result = CliRunner().invoke(main, ["plan", "--at", "2021-11-26T09:00+08:00"], env=environment)
    assert "reminder-1h of 2021-11-27 cannot reach everyone in time: 300 mails take 2d" in result.stderr


def test_explain_gives_the_chain_of_reasons(house: Run) -> None:
    house("subscribers", "add", "ada@example.org", "--leads", "3h")
    assert "ada@example.org: confirmed" in house("explain", "ada@example.org").stderr
    stranger = house("explain", "bob@example.org")
    assert (stranger.exit_code, stranger.stdout) == (1, "")
    assert "is no subscriber" in stranger.stderr


def test_explain_of_a_session_that_is_none_says_which_was_meant(house: Run) -> None:
    house("subscribers", "add", "ada@example.org")
    result = house("explain", "ada@example.org", "2021-11-28")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no session '2021-11-28'; did you mean 2021-11-27" in result.stderr


@pytest.mark.parametrize(
    "kind", ["announcement", "reminder", "change", "cancelled", "replay", "confirmation", "welcome"]
)
@pytest.mark.parametrize(("language", "word"), [("zh", "腾讯会议"), ("en", "Tencent Meeting")])
def test_preview_is_the_real_message(house: Run, kind: str, language: str, word: str) -> None:
    text = house("preview", "2021-11-27", kind, "--lang", language).stdout
    html = house("preview", "2021-11-27", kind, "--lang", language, "--part", "html").stdout
    if kind == "replay":
        assert {"zh": "观看回放", "en": "Watch the replay"}[language] in text
    elif kind != "cancelled":
        assert word in text
        assert "329 744 341" in text
        assert word in html
    eml = message_from_bytes(house("preview", "2021-11-27", kind, "--part", "eml").stdout_bytes, policy=default)
    assert eml["List-Unsubscribe-Post"] == (None if kind == "confirmation" else "List-Unsubscribe=One-Click")


def test_preview_of_a_session_that_is_not_there_names_those_near(house: Run) -> None:
    result = house("preview", "2021-11-28", "reminder")
    assert result.exit_code == 1
    assert "did you mean 2021-11-27" in result.stderr


def test_send_test_writes_one_real_message(house: Run) -> None:
    result = house("send-test", "ada@example.org", "reminder", "--lang", "zh")
    assert (result.exit_code, result.stdout.split(":")[0]) == (0, "accepted")
    (path,) = Path("outbox/new").iterdir()
    assert message_from_bytes(path.read_bytes(), policy=default)["To"] == "ada@example.org"


def test_send_test_of_a_replay_takes_the_last_session_that_has_one(house: Run) -> None:
    with Path("talks.toml").open("a", encoding="utf-8") as talks:
        talks.write(
            '[[session]]\nid = "old"\ndate = 2021-10-30\ntime = "9:30-11:30"\n'
            '[[session.talk]]\ntitle = "T"\nreplay = "https://www.bilibili.com/video/BV1"\n'
        )
    assert house("send-test", "ada@example.org", "replay").exit_code == 0
    (path,) = Path("outbox/new").iterdir()
    assert "Sat 30 Oct" in message_from_bytes(path.read_bytes(), policy=default)["Subject"]


def test_subscribers_come_and_go(house: Run) -> None:
    Path("people.csv").write_text("address,name,language\nada@example.org,Ada,zh\nnonsense,,\n", encoding="utf-8")
    assert house("subscribers", "import", "people.csv", "--dry-run").stdout == "1 good, 1 bad; 0 added, 0 updated\n"
    result = house("subscribers", "import", "people.csv")
    assert (result.exit_code, result.stdout) == (1, "1 good, 1 bad; 1 added, 0 updated\n")
    assert "people.csv:3: 'nonsense' is no e-mail address" in result.stderr
    assert house("subscribers", "add", "ADA@example.org", "--name", "Ada").stdout == "updated ADA@example.org\n"
    assert house("subscribers", "remove", "ada@example.org").exit_code == 0
    (one,) = json.loads(house("subscribers", "list", "--json").stdout)
    assert (one["address"], one["state"]) == ("ADA@example.org", "unsubscribed")
    assert house("subscribers", "export").stdout.splitlines()[1] == "ADA@example.org,Ada,zh,,,unsubscribed,,,,"


async def say_dead(address: str) -> None:
    """The ledger hears that there is no such mailbox."""
    store = await SqliteStore.open("notifier.db")
    now = datetime(2021, 11, 26, tzinfo=UTC)
    one = await store.subscriber(address)
    assert one is not None
    about = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 0, now, now + timedelta(days=1), timedelta(days=1))
    opening = Decision(replace(about, recipients=Recipients(everyone=True)), Verdict.OPEN)
    await store.settle([opening], samples.session(), now)
    await store.come_back(Returned(about.key, one.id, Meaning.HARD, "5.1.1 gone"), now, limit=9, within=timedelta())
    await store.close()


def test_a_blocked_address_is_shown_with_the_reason_and_can_be_restored(house: Run) -> None:
    house("subscribers", "add", "ada@example.org")
    refused = house("subscribers", "restore", "ada@example.org")
    assert (refused.exit_code, refused.stderr.split(";")[0]) == (1, "ada@example.org is not blocked but confirmed")
    asyncio.run(say_dead("ada@example.org"))
    reason = "there is no such mailbox: 5.1.1 gone"
    assert house("subscribers", "list").stdout.split("\t")[5:7] == ["blocked", reason]
    explained = house("explain", "ada@example.org")
    assert f"ada@example.org: blocked since 2021-11-26: {reason}" in explained.stderr
    assert "came back (hard): 5.1.1 gone" in explained.stdout
    status = json.loads(house("status", "--json").stdout)
    assert (status["came_back"], status["said_dead"], status["blocked"]) == (
        {"hard": 1}, 0, [{"address": "ada@example.org", "because": reason}]
    )  # fmt: skip
    assert house("subscribers", "restore", "Ada@example.org").stdout == "restored ada@example.org\n"
    assert json.loads(house("status", "--json").stdout)["blocked"] == []
    assert house("subscribers", "restore", "bob@example.org").exit_code == 1


@pytest.mark.parametrize("command", ["check", "plan", "status"])
def test_without_settings_no_command_can_go_on(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOTIFIER_CONFIG", raising=False)
    result = CliRunner().invoke(main, [command])
    assert (result.exit_code, "notifier init" in result.stderr) == (3, True)


def test_approving_what_does_not_wait_is_told(house: Run) -> None:
    assert (house("approve").exit_code, house("approve").stdout) == (1, "nothing waits to be approved\n")
    result = house("approve", "2021-11-27/change-1/1")
    assert (result.exit_code, "does not wait to be approved" in result.stderr) == (1, True)


def test_a_subscriber_s_record_links_and_end_are_in_the_operator_s_hands(house: Run) -> None:
    house("subscribers", "add", "ada@example.org", "--words", "Topology", "--leads", "3h")
    house("subscribers", "add", "ada@example.org", "--name", "Ada")
    known = json.loads(house("subscribers", "record", "ADA@example.org").stdout)
    assert known["subscriber"] == {
        "address": "ada@example.org", "name": "Ada", "language": "en", "leads": "3h", "state": "confirmed",
        "words": "topology",
    }  # fmt: skip
    assert [consent["how"] for consent in known["consents"]] == ["command line"]
    assert house("subscribers", "revoke", "ada@example.org").stdout == "revoked the links of ada@example.org\n"
    assert house("subscribers", "rotate-key").stdout == "a new key signs; links are valid of 1 key\n"
    assert house("subscribers", "rotate-key").stdout == "a new key signs; links are valid of 2 keys\n"
    assert house("subscribers", "rotate-key", "--retire").stdout == "a new key signs; links are valid of 1 key\n"
    assert house("subscribers", "erase", "ada@example.org", "--yes").stdout == "erased ada@example.org\n"
    assert house("subscribers", "record", "ada@example.org").exit_code == 1


def test_status_says_what_needs_a_person(house: Run) -> None:
    assert json.loads(house("status", "--json").stdout)["running"] is False
    house("subscribers", "add", "ada@example.org")
    held = house("hold", "the room is flooded").stdout
    assert held == "nothing is sent until notifier release: the room is flooded\n"
    assert json.loads(house("hold", "--json", "the room is flooded").stdout) == {"hold": "the room is flooded"}
    result = house("status")
    assert result.exit_code == 1
    assert "the room is flooded" in result.stdout
    assert house("release").stdout == "what is due is sent again\n"
    assert json.loads(house("release", "--json").stdout) == {"hold": ""}
    assert house("status").exit_code == 0


def test_reload_without_a_daemon_says_so(house: Run) -> None:
    result = house("reload")
    assert result.exit_code == 1
    assert "no daemon runs" in result.stderr


async def test_the_command_line_speaks_to_the_running_daemon(house: Run, tmp_path: Path) -> None:
    text = Path("config.toml").read_text(encoding="utf-8").replace("127.0.0.1:8000", "127.0.0.1:0")
    Path("config.toml").write_text(text, encoding="utf-8")
    daemon = Daemon(settings.parse(text, folder=tmp_path))
    life = asyncio.create_task(daemon.run())
    while not daemon.addresses:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.02)
    ask = asyncio.to_thread
    assert (await ask(house, "subscribers", "add", "ada@example.org")).stdout == "added ada@example.org\n"
    assert (await ask(house, "reload")).stdout == "no changes\n"
    assert json.loads((await ask(house, "reload", "--json")).stdout) == {"changed": "no changes"}
    status = json.loads((await ask(house, "status", "--json")).stdout)
    assert (status["running"], status["pid"], status["subscribers"]) == (True, os.getpid(), {"confirmed": 1})
    watched = await ask(house, "status", "--watch")  # nothing is under way
    assert (watched.stderr, "mailings: none" in watched.stdout) == ("", True)
    second = await ask(house, "run")
    assert second.exit_code == 3
    assert f"is in use by process {os.getpid()}" in second.stderr
    daemon.stop()
    with suppress(TimeoutError):
        await asyncio.wait_for(life, 10)
    assert life.done()
