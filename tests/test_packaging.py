"""What is shipped is whole: the wheel, the locks, the versions, the service; and importing it stays cheap."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from conftest import needs

import notifier

ROOT = Path(__file__).parents[1]
SERVICE = ROOT / "deploy" / "notifier.service"

HEAVY = {"aiosmtplib", "apscheduler", "bs4", "httpx", "icalendar", "jinja2", "pydantic", "rich", "starlette", "uvicorn"}

checkout = pytest.mark.checkout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.iterdir()
    return zipfile.ZipFile(path)


def kept(folder: Path) -> dict[str, bytes]:
    """Every file in the folder, by its path in it."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "__pycache__" not in name}


@checkout
def test_the_wheel_holds_the_package_the_templates_and_the_example_and_nothing_else(wheel):
    expected = {f"notifier/{name}": data for name, data in kept(ROOT / "notifier").items()}
    expected |= {f"notifier/templates/{name}": data for name, data in kept(ROOT / "templates").items()}
    expected["notifier/config.example.toml"] = (ROOT / "config.example.toml").read_bytes()
    found = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    assert sorted(found) == sorted(expected)
    assert found == expected
    assert "notifier/py.typed" in found


@checkout
def test_the_wheel_brings_the_command_and_the_licence(wheel):
    texts = {name.partition(".dist-info/")[2]: name for name in wheel.namelist()}
    assert wheel.read(texts["entry_points.txt"]).decode().split() == [
        "[console_scripts]", "notifier", "=", "notifier.cli:main"
    ]  # fmt: skip
    assert wheel.read(texts["licenses/LICENSE"]) == (ROOT / "LICENSE").read_bytes()


@checkout
def test_the_newest_change_is_of_this_version(wheel):
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == notifier.__version__
    assert wheel.filename.endswith(f"seminar_notifier-{notifier.__version__}-py3-none-any.whl")


def test_what_is_installed_is_of_this_version():
    assert metadata.version("seminar-notifier") == notifier.__version__


def pins(name: str) -> dict[str, str]:
    """The requirements of a lock file, each with its hashes, by distribution and condition."""
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    return {re.split(r"\s+--hash", line)[0]: line for line in text.splitlines()}


@checkout
@pytest.mark.parametrize("name", ["run.txt", "dev.txt", "../tests/interop/requirements.txt"])
def test_a_lock_pins_with_hashes_and_names_no_index(name):
    pinned = r"[a-z0-9-]+==[\w.]+(?: ; [^\\]+?)?(?:\s+--hash=sha256:[0-9a-f]{64})+"
    assert [line for line in pins(name).values() if not re.fullmatch(pinned, line)] == []


@checkout
def test_the_lock_of_what_comes_from_npm_pins_with_hashes_and_names_no_registry():
    lock = json.loads((ROOT / "tests" / "interop" / "package-lock.json").read_text())
    pinned = {name: package for name, package in lock["packages"].items() if name}
    assert pinned
    assert [name for name, package in pinned.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in pinned.items() if "resolved" in package] == []


@checkout
def test_the_tests_run_on_the_very_libraries_that_the_daemon_runs_on():
    run, dev = pins("run.txt"), pins("dev.txt")
    assert {name: dev.get(name) for name in run} == run


@checkout
def test_the_locks_hold_everything_that_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    extras = [name for extra in project["project"]["optional-dependencies"].values() for name in extra]
    wanted = {"run.txt": project["project"]["dependencies"] + groups["build"], "dev.txt": groups["dev"] + extras}
    for file, requirements in wanted.items():
        locked = {pin.partition("==")[0] for pin in pins(file)}
        assert {re.match(r"[\w-]+", requirement)[0] for requirement in requirements} - locked == set()


@checkout
def test_every_dependency_has_its_reason_written_down():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"], *chain(*extras)]
    written = (ROOT / "docs" / "dependencies.md").read_text()
    firsts = {name.strip() for row in re.findall(r"^\| ([^|]+) \|", written, re.MULTILINE) for name in row.split(",")}
    assert firsts - {"library", "---"} == {re.match(r"[\w-]+", name)[0] for name in asked} | {"hatchling", "editables"}


def test_importing_the_command_imports_nothing_that_not_every_command_needs():
    code = "import sys, notifier.cli; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(run.stdout.split()) == set()


@pytest.fixture
def service(tmp_path) -> Path:
    """The unit with a program that is on every machine, since systemd refuses one that is not there."""
    path = tmp_path / "notifier.service"
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", SERVICE.read_text(), flags=re.MULTILINE))
    return path


@checkout
@needs("systemd-analyze", "systemd")
def test_systemd_finds_nothing_wrong_with_the_service(service):
    run = subprocess.run(["systemd-analyze", "verify", service], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


@checkout
@needs("systemd-analyze", "systemd")
def test_the_service_is_exposed_by_at_most_1_5_of_10(service):
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", service]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
