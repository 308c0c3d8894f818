"""Which of how many processes this is, as torchrun or srun have started it.

Only what the launcher has set for this very process counts. In the shell of an allocation (`salloc`, an interactive job) SLURM describes
the whole allocation, and variables of a torchrun that has ended may linger: there a process is alone, and waits for nobody.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

ANSWER_SECONDS = 5.0
"""How long the agent of torchrun may take to answer."""


@dataclass(frozen=True)
class Launch:
    """Attributes: rank: of this process, from 0; local: processes on its node; nodes: how many; note: why variables were left aside, or ""."""

    rank: int = 0
    local: int = 1
    nodes: int = 1
    note: str = ""

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.local * self.nodes == 1


def launch() -> Launch:
    """Return how this process was launched."""
    return _read(tuple(sorted((name, os.environ.get(name, "")) for name in _NAMES)))


_NAMES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_USE_AGENT_STORE",
    "SLURM_PROCID",
    "SLURM_STEP_ID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_NUM_NODES",
    "SLURM_NTASKS",
)


@cache
def _read(variables: tuple[tuple[str, str], ...]) -> Launch:
    env = dict(variables)
    if _number(env, "WORLD_SIZE") > 1:
        return _torchrun(env)
    tasks = _number(env, "SLURM_STEP_NUM_TASKS")
    if env["SLURM_STEP_ID"] and env["SLURM_PROCID"] and tasks > 1:
        nodes = max(1, _number(env, "SLURM_STEP_NUM_NODES"))
        return Launch(int(env["SLURM_PROCID"]), tasks // nodes, nodes)
    if _number(env, "SLURM_NTASKS") > 1:
        return Launch(
            note=f"SLURM_NTASKS is {env['SLURM_NTASKS']}, but srun did not start this process: it trains alone"
        )
    return Launch()


def _torchrun(env: Mapping[str, str]) -> Launch:
    world, local = _number(env, "WORLD_SIZE"), _number(env, "LOCAL_WORLD_SIZE")
    said = f"WORLD_SIZE is {world}, but"
    if not env["TORCHELASTIC_RUN_ID"] or local < 1 or not env["RANK"].isdecimal():
        return Launch(note=f"{said} torchrun did not start this process: it trains alone")
    if env["TORCHELASTIC_USE_AGENT_STORE"] == "True" and not _answers(env["MASTER_ADDR"], _number(env, "MASTER_PORT")):
        return Launch(note=f"{said} the torchrun that set it no longer answers: this process trains alone")
    return Launch(int(env["RANK"]), local, max(1, world // local))


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=ANSWER_SECONDS):
            return True
    except OSError:
        return False


def _number(env: Mapping[str, str], name: str) -> int:
    return int(env[name]) if env[name].isdecimal() else 0
