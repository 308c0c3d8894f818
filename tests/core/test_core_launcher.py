"""Only what a launcher has set for this very process makes it one of many; everybody else trains alone, and says so."""

import os
import socket
import subprocess
import sys

import pytest

from seewhy.core.launcher import _NAMES, Launch, launch

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}


@pytest.fixture
def environment(monkeypatch):
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)

    def change(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return change


def test_nothing_set_is_one_process(environment):
    assert launch() == Launch()
    assert launch().alone


def test_torchrun_says_rank_and_world(environment):
    environment(**TORCHRUN)
    assert launch() == Launch(rank=1, local=2, nodes=2)
    assert not launch().alone


def test_torchrun_with_its_agent_there_or_gone(environment):
    with socket.create_server(("127.0.0.1", 0)) as agent:
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(agent.getsockname()[1])}
        environment(**TORCHRUN, **address, TORCHELASTIC_USE_AGENT_STORE="True")
        assert launch() == Launch(rank=1, local=2, nodes=2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    environment(MASTER_PORT=str(free))
    assert launch().alone
    assert launch().note == "WORLD_SIZE is 4, but the torchrun that set it no longer answers: this process trains alone"


@pytest.mark.parametrize(
    "variables",
    [
        {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"},
        {"WORLD_SIZE": "2"},
        {**TORCHRUN, "RANK": "one"},
        {**TORCHRUN, "LOCAL_WORLD_SIZE": ""},
    ],
)
def test_variables_without_torchrun_are_left_aside(environment, variables):
    environment(**variables)
    assert launch().alone
    assert "torchrun did not start this process" in launch().note


def test_a_step_of_slurm_counts_and_an_allocation_does_not(environment):
    environment(SLURM_NTASKS="4")
    assert launch().alone
    assert launch().note == "SLURM_NTASKS is 4, but srun did not start this process: it trains alone"
    environment(SLURM_PROCID="0")  # a batch script's own shell
    assert launch().alone
    environment(SLURM_PROCID="3", SLURM_STEP_ID="0", SLURM_STEP_NUM_TASKS="4", SLURM_STEP_NUM_NODES="2")
    assert launch() == Launch(rank=3, local=2, nodes=2)


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"},
        {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "0"},
    ],
)
def test_a_run_in_such_a_shell_trains_alone_and_says_so(environment, variables, tmp_path):
    words = [sys.executable, "-m", "seewhy", "train", "digits", "--model", "mlp", "--epochs", "1", "--out", "run"]
    done = subprocess.run(
        words, env={**os.environ, **variables}, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "it trains alone" in done.stderr
    assert (tmp_path / "run" / "results.json").is_file()
