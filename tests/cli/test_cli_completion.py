"""Completion offers what the commands take, in the shells themselves."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

from seewhy import data
from seewhy.cli.completion import SCRIPTS, candidates
from seewhy.cli.main import COMMANDS, DATA, run


def words(*typed):
    return [word for word, _ in candidates(typed).words]


def test_commands_and_data():
    assert words("") == list(COMMANDS)
    assert words("tr") == ["train"]
    assert words("--v") == ["--version"]
    assert words("train", "ci") == ["cifar10", "cifar100"]
    assert candidates(["train", ""]).files
    assert not candidates([""]).files
    assert words("no-such-command", "") == []


def test_options_are_those_of_the_model_that_is_named():
    assert "--model.latent-dim" in words("train", "digits", "--model", "vae", "--model.")
    assert "--model.latent-dim" not in words("train", "digits", "--model", "resnet", "--model.")
    assert words("train", "--optim.hist") == []
    assert words("train", "--optimizer", "lbfgs", "--optim.hist") == ["--optim.history"]
    assert all(word.startswith("--") and "_" not in word for word in words("train", "--"))


def test_values_of_options():
    assert "relu" in words("train", "digits", "--activation", "re")
    assert "elu" not in words("train", "digits", "--activation", "re")
    assert set(words("train", "--activation=so")) == {
        f"--activation={name}" for name in words("train", "--activation", "so")
    }
    assert words("train", "--activation", "=", "so") == words("train", "--activation", "so")  # as bash gives it
    assert words("train", "--activation", "=") == words("train", "--activation", "")
    assert candidates(["train", "--epochs", ""]) == candidates(["train", "--seed", ""])
    assert not candidates(["train", "--epochs", ""]).files
    assert candidates(["train", "--resume", ""]).files


def test_arguments_in_their_places():
    assert words("generate", "s") == ["sample"]
    assert candidates(["generate", "sample", ""]).files
    assert words("generate", "sample", "r") == []
    assert words("completion", "") == list(SCRIPTS)
    assert candidates(["report", "runs/one", ""]) == candidates(["no-such-command", ""])


def test_the_names_of_data_are_those_that_there_are():
    assert set(DATA) == set(data.BUILTIN)


def test_an_unknown_shell_is_refused(capsys):
    assert run(["completion", "zhs"]) == 2
    assert "did you mean 'zsh'" in capsys.readouterr().err


@pytest.fixture
def bin_folder(tmp_path):
    """A folder with `seewhy`, and one file to complete."""
    command = tmp_path / "bin" / "seewhy"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m seewhy "$@"\n')
    command.chmod(0o755)
    (tmp_path / "photos").mkdir()
    return command.parent


def environment(bin_folder):
    return {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(bin_folder), "TERM": "dumb"}


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


CASES = [("seewhy tr", "train"), ("seewhy train pho", "photos"), ("seewhy train --optimizer lbf", "lbfgs")]


@needs("bash")
@pytest.mark.parametrize(("line", "expected"), [*CASES, ("seewhy train --optimizer=lbf", "lbfgs")])
def test_bash_completes(line, expected, bin_folder):
    typed = re.findall(r"=|[^\s=]+", line)
    script = (
        f"{SCRIPTS['bash']}COMP_WORDS=({' '.join(typed)}); COMP_CWORD={len(typed) - 1}\n"
        'compopt() { :; }\n_seewhy; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, cwd=bin_folder.parent,
        env=environment(bin_folder), timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split() == [expected], done.stderr


@needs("fish")
@pytest.mark.parametrize(("line", "expected"), [*CASES, ("seewhy train --optimizer=lbf", "--optimizer=lbfgs")])
def test_fish_completes(line, expected, bin_folder):
    script = f"{SCRIPTS['fish']}\ncomplete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, cwd=bin_folder.parent,
        env=environment(bin_folder), timeout=60, check=False,
    )  # fmt: skip
    assert [row.split("\t")[0].rstrip("/") for row in done.stdout.splitlines()] == [expected], done.stderr


@needs("zsh")
@pytest.mark.parametrize(("line", "expected"), CASES)
def test_zsh_completes(line, expected, bin_folder):
    script = bin_folder / "complete.zsh"
    script.write_text(f"autoload -Uz compinit; compinit -u -D\n{SCRIPTS['zsh']}")
    assert expected in typed_in("zsh", ["-f", "-i"], f"source {script}", line, expected, bin_folder)


def typed_in(shell, options, first, line, expected, bin_folder):
    """Return what a terminal shows after a line and a tab."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(bin_folder.parent)
        os.execvpe(shell, [shell, *options], environment(bin_folder))
    try:
        os.write(terminal, f"{first}; echo rea''dy\n".encode())
        read_until(terminal, "ready")
        os.write(terminal, f"{line}\t".encode())
        return read_until(terminal, expected)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def read_until(terminal, text, seconds=20):
    """Return what a terminal shows, without bells, until a text has come or the time is over."""
    shown, end = "", time.monotonic() + seconds
    while text not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace").replace("\a", "")
    return shown
