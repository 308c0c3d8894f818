"""The stand-in for `seewhy train` in place."""

import sys

import pytest
from comparison_cases import PROGRAM, Stage

from seewhy.comparison import execute
from seewhy.runs import launch, server


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """The stand-in in the place of Python for all that is launched from here."""
    program = tmp_path / "program.sh"
    program.write_text(PROGRAM.format(place=tmp_path))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(server, "FORKS", False)
    monkeypatch.setattr(launch, "POLL", 0.02)
    monkeypatch.setattr(execute, "POLL", 0.02)
    monkeypatch.setattr(execute, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(execute, "LOOK_SECONDS", 0.05)
    return Stage(tmp_path)
