"""A lock between real processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest

from notifier.errors import StoreError, StoreLocked
from notifier.locks import lock


def test_a_second_lock_is_refused_with_the_pid_of_the_first_until_that_is_released(tmp_path):
    path = tmp_path / "lock"
    path.write_text("99999999 and more\n")  # left by a daemon that died
    with lock(path):
        with pytest.raises(StoreLocked) as caught:
            lock(path)
        assert caught.value.pid == os.getpid()
        assert str(path) in str(caught.value)
    second = lock(path)
    second.release()
    second.release()
    lock(path).release()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = "import sys, notifier.locks as l; lock = l.lock(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked) as caught:
            lock(tmp_path / "lock")
        assert caught.value.pid == first.pid
        first.send_signal(signal.SIGKILL)
        first.wait()
        with lock(tmp_path / "lock"):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("text", ["", "12 monkeys"])
def test_a_lock_that_names_no_pid_is_refused_without_one(tmp_path, text):
    with lock(tmp_path / "lock"):
        (tmp_path / "lock").write_text(text)
        with pytest.raises(StoreLocked) as caught:
            lock(tmp_path / "lock")
    assert caught.value.pid is None


def test_the_lock_is_no_ones_to_read_but_ours(tmp_path):
    with lock(tmp_path / "lock"):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_a_lock_in_a_missing_folder_is_an_error_with_words(tmp_path):
    with pytest.raises(StoreError) as caught:
        lock(tmp_path / "none" / "lock")
    assert str(caught.value) == f"{tmp_path}/none/lock: there is no such folder; make it, or mend the path"
