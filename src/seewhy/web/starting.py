"""Starting a run as a process of its own: the very command that a person would type, which goes on when the page's server is gone."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.files import naming, new_path, read_text, user_path
from seewhy.spec import Request, build_request
from seewhy.spec.initial import SPEC
from seewhy.spec.options import OptionField, all_options, read_value
from seewhy.web.places import NotGivenError, Places, is_within

DRY_SECONDS = 120
"""How long a plan may take, for which the images are read."""

ENDING_SECONDS = 20
"""How long a process may take to end that has stopped its run."""

SHOWN = 4000
"""Letters of the end of a log that are shown."""

NOT_HERE = ("model.factory", "ensemble.edits")
"""Fields that can make a run import code, which is for the command line: a page must not be a way to it."""

WORDS = ("pretrained", "none")
"""What `model.weights` may be beside a file."""


@dataclass(frozen=True)
class Wanted:
    """A run that somebody wants.

    Attributes:
        arguments: of `seewhy`.
        folder: where it goes.
        request: what is asked for.
    """

    arguments: tuple[str, ...]
    folder: Path
    request: Request

    @property
    def command(self) -> str:
        """What a person would type."""
        return shlex.join(("seewhy", *self.arguments))


def form_fields(fields: Sequence[OptionField]) -> list[OptionField]:
    """Return the fields that the form has."""
    return [each for each in fields if each.path not in NOT_HERE]


def want(places: Places, asked: Mapping[str, Any]) -> Wanted:
    """Return the run that a form asks for.

    Args:
        places: the given folders, outside which nothing is read or written.
        asked: "source", "out" and "options", texts by dotted path.

    Raises:
        InputError: something is wrong; a line each, beginning with the field.
    """
    source, out, options = asked.get("source"), asked.get("out"), asked.get("options", {})
    name = places.data_name(source)
    if not isinstance(out, str) or not isinstance(options, dict):
        raise InputError("out: must be a name, and options a table of texts")
    fields = {each.path: each for each in all_options()}
    values: dict[str, Any] = {}
    for path, text in options.items():
        if path not in fields or path in NOT_HERE or not isinstance(text, str):
            raise InputError(f"{path}: is no field of this form; use the command line")
        values[path] = read_value(text, fields[path].annotation)
    _validate_places(places, values)
    request = build_request(name, None, values)
    folder = new_path(places.new_run(out.strip()), "out")
    words = [word for path, text in options.items() for word in _words(fields[path], text)]
    return Wanted(("train", plain_word(name), "--out", short_path(folder), *words), folder, request)


def _validate_places(places: Places, values: Mapping[str, Any]) -> None:
    """Raise NotGivenError for a file that lies outside the given folders, or a network that is code."""
    if ":" in str(values.get("model.name", "")) or values.get("model.name") == "custom":
        raise InputError("model.name: a network of one's own is code, which is for the command line")
    for path, roots in (
        ("data.labels", places.data),
        ("train.initial_weights", places.runs),
        ("model.weights", places.data),
    ):
        value = values.get(path)
        if value is None or (path == "model.weights" and value in WORDS):
            continue
        if not any(is_within(user_path(str(value).partition("@")[0], path), root) for root in roots):
            raise NotGivenError(f"{path}: must lie in a folder that the page was given, got {value!r}")


def plain_word(source: str) -> str:
    """Return data as a word of a command line, which is taken for no option."""
    return f"./{source}" if source.startswith("-") else source


def _words(each: OptionField, text: str) -> list[str]:
    """Return a field as words of a command line; a value that looks like an option is tied to its own."""
    return [f"{each.flags[0]}={text}"] if text.startswith("-") else [each.flags[0], text]


def short_path(path: Path) -> str:
    """Return a path as a person in the working folder would type it."""
    short = os.path.relpath(path)
    return str(path) if short.startswith(os.pardir) else short


class Started:
    """The runs that this server has started."""

    def __init__(self) -> None:
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, folder: Path, arguments: Sequence[str]) -> None:
        """Start `seewhy ARGUMENTS`, which trains in a folder; what it prints goes into a file beside that.

        Raises:
            InputError: the file is a link.
            RunError: it cannot be written.
        """
        log = log_of(folder)
        if log.is_symlink():
            raise InputError(f"out: {log} is a link, which is not followed; choose another name")
        with naming(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            with open(log, "ab") as file:
                streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
                self._processes[folder] = subprocess.Popen(_command(arguments), start_new_session=True, **streams)

    def go_on(self, folder: Path) -> None:
        """Let a run go on that has stopped, as `start` does, once the process that has stopped it has ended.

        Raises:
            InputError: that goes on.
        """
        if folder in self._processes:
            try:
                self._processes[folder].wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                raise InputError(f"{folder.name}: its process goes on; wait for it") from None
        self.start(folder, ("train", "--resume", short_path(folder)))

    def goes_on(self, folder: Path) -> bool:
        """Whether a process of ours is at work in a folder."""
        return folder in self._processes and self.code(folder) is None

    def stop(self, folder: Path) -> bool:
        """Stop the process of ours that is at work in a folder, as Ctrl-C does; returns whether there is one."""
        if not self.goes_on(folder):
            return False
        self._processes[folder].terminate()
        return True

    def code(self, folder: Path) -> int | None:
        """Return how the process of a run has ended, None while it goes on or where it is none of ours."""
        process = self._processes.get(folder)
        return None if process is None else process.poll()


def plan_text(wanted: Wanted) -> str:
    """Return what `seewhy train --dry-run` says; raises InputError with what it complains about."""
    command = _command((*wanted.arguments, "--dry-run"))
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DRY_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"source: reading the images takes longer than {DRY_SECONDS} seconds; start the run") from None
    text = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode:
        raise InputError(text.removeprefix("seewhy train: ") or "the plan could not be made")
    return text


def log_of(folder: Path) -> Path:
    """Return the file with what a started run prints."""
    return folder.with_name(f"{folder.name}.log")


def log_text(folder: Path) -> str:
    """Return the end of what a started run has printed."""
    if log_of(folder).is_symlink():
        return ""
    try:
        return read_text(log_of(folder), "replace")[-SHOWN:].strip()
    except OSError:
        return ""


def has_begun(folder: Path) -> bool:
    """Whether a run's folder is there."""
    return (folder / SPEC).is_file()


def _command(arguments: Sequence[str]) -> list[str]:
    # -P: a file of the working folder that is called like a module of Python's own is not imported in its place.
    return [sys.executable, "-P", "-m", "seewhy", *arguments]
