"""Runs as forks of a process that has imported what they need: codes, logs, signals, and the end of whoever started them."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from seewhy.runs import server
from seewhy.runs.server import start_process, warm

pytestmark = pytest.mark.skipif(not server.FORKS, reason="forks are used on Linux alone")


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_a_fork_is_seewhy_itself_with_its_exit_code_and_its_log(tmp_path):
    with warm():
        good = start_process(["--version"], tmp_path / "good.log")
        bad = start_process(["train", str(tmp_path / "nothing")], tmp_path / "bad.log")
        assert (good.wait(), bad.wait()) == (0, 2)
        assert good.poll() == 0
    assert (tmp_path / "good.log").read_text().startswith("seewhy ")
    assert "nothing" in (tmp_path / "bad.log").read_text()


def test_two_forks_of_one_server_do_not_share_what_they_print(tmp_path):
    with warm():
        forks = [start_process(["techniques", name], tmp_path / f"{name}.log") for name in ("relu", "elu")]
        assert [fork.wait() for fork in forks] == [0, 0]
    assert "max(0, x)" in (tmp_path / "relu.log").read_text()
    assert "max(0, x)" not in (tmp_path / "elu.log").read_text().replace("relu", "")


def test_the_environment_of_a_run_is_that_of_its_start_and_not_of_the_server(tmp_path, monkeypatch):
    with warm():
        monkeypatch.setenv("SEEWHY_DATA", str(tmp_path / "one"))
        assert start_process(["check", "mnist"], tmp_path / "one.log").wait() == 2
        monkeypatch.setenv("SEEWHY_DATA", str(tmp_path / "two"))
        assert start_process(["check", "mnist"], tmp_path / "two.log").wait() == 2
    assert "one" in (tmp_path / "one.log").read_text()
    assert "two" in (tmp_path / "two.log").read_text()


def train(folder, log, epochs=2000):
    return start_process(
        ["train", "digits", "--epochs", str(epochs), "--train.threads", "1", "--out", str(folder)], log
    )


def test_a_signal_reaches_the_run_which_saves(tmp_path):
    with warm():
        run = train(tmp_path / "run", tmp_path / "run.log")
        wait_until(lambda: (tmp_path / "run" / "metrics.csv").is_file())
        run.send_signal(signal.SIGTERM)
        assert run.wait() == 1
        with pytest.raises(ProcessLookupError):
            run.send_signal(signal.SIGTERM)
    assert "--resume" in (tmp_path / "run.log").read_text()
    assert list((tmp_path / "run" / "checkpoint").glob("step-*"))


def test_the_runs_of_a_killed_starter_save_and_end(tmp_path):
    program = f"""
    from pathlib import Path
    from seewhy.runs.server import start_process, warm
    with warm():
        place = Path({str(tmp_path)!r})
        start_process(["train", "digits", "--epochs", "2000", "--train.threads", "1", "--out", str(place / "run")], place / "log").wait()
    """
    starter = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], start_new_session=True)
    wait_until(lambda: (tmp_path / "run" / "metrics.csv").is_file())
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    wait_until(lambda: "--resume" in (tmp_path / "log").read_text())


def test_the_end_of_the_server_is_the_end_of_its_runs(tmp_path):
    with warm():
        run = train(tmp_path / "run", tmp_path / "log")
        wait_until(lambda: (tmp_path / "run" / "metrics.csv").is_file())
        os.kill(server._shared.servers[0]._process.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        wait_until(lambda: "--resume" in (tmp_path / "log").read_text())
        assert start_process(["--version"], tmp_path / "next.log").wait() == 0
