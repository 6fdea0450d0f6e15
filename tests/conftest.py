"""What the tests may lack on a machine, and the rule that under NOTIFIER_TEST_ALL=1 they may lack nothing."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trustme
from house import House
from hypothesis import settings
from mailserver import MailServer

# Machines are shared, so that time proves nothing; and a change is not to be refused for what chance finds elsewhere.
settings.register_profile("here", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("here")

TEST_ALL = os.environ.get("NOTIFIER_TEST_ALL") == "1"
PUBLISHED = Path(__file__).parents[2] / "shared" / "data"  # the seminar's real page, which is not ours to ship


def needs(program: str, package: str) -> pytest.MarkDecorator:
    """Skips the test where the program is missing, with a line that says what to install."""
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))  # servers are kept there
    is_missing = shutil.which(program, path=places) is None
    return pytest.mark.skipif(is_missing, reason=f"{program} is missing: apt-get install {package}")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    """An authority of the tests' own, and the file that makes it trusted."""
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return authority, path


@pytest.fixture
def certified(authority: tuple[trustme.CA, Path]) -> Callable[..., ssl.SSLContext]:
    """What makes a server's TLS context that the authority vouches for, by default for loopback."""

    def context(name: str = "127.0.0.1") -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority[0].issue_cert(name).configure_cert(made)
        return made

    return context


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    with MailServer() as mail:
        house = House(tmp_path, mail)
        yield house
        await house.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "real_page" in getattr(item, "fixturenames", ()):
            item.add_marker("real_page")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("real_page") and not PUBLISHED.is_dir():
        pytest.skip("the seminar's real page is not beside this checkout")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    may_be_absent = item.get_closest_marker("real_page") and not PUBLISHED.is_dir()
    if not may_be_absent and not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if TEST_ALL and report.skipped:
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"NOTIFIER_TEST_ALL=1 allows no skip. {reason}"
