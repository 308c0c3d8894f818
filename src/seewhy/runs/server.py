"""A process that has imported what runs need, and forks one off itself for each run: short runs start in no time.

Importing torch, the figures' library and the rest takes some seconds of processor time, which a run of seconds pays many times over. The server
imports them once, computes nothing and starts no thread, and each run is a fork of it: a process of its own, with its own session, log and exit
code, as if `seewhy` had been started anew. It reads what to start from stdin, a JSON line each, and answers on stdout with process ids and exit
codes. When whoever started it ends, however that happens, stdin closes: the runs are asked to save, and the server ends after them.

Forking is safe only where no thread and no GPU is in use, and only on Linux do all libraries heed that; elsewhere each run starts from scratch.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from select import select
from typing import Any, Protocol

from seewhy.runs.stopping import LAUNCHER

PRELOADED = (
    "lightning_fabric",
    "torch._dynamo",
    "sklearn.datasets",
    "altair",
    "rich.progress",
    "scipy.stats",
    "seewhy.api",
    "seewhy.reporting",
    "seewhy.cli.main",
    "seewhy.cli.commands.train",
    "seewhy.runs.progress",
    "seewhy.models.classifiers.family",
)
"""What a run imports sooner or later."""

FORKS = sys.platform == "linux"

ASKING = (signal.SIGTERM,)
"""Signals by which a run is asked to stop."""

LOOK_SECONDS = 1.0
"""Between looks of the server at its children, whose ends wake it."""


class Process(Protocol):
    """What is asked of a run's process; `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""

    def send_signal(self, sig: int) -> None:
        """Send a signal."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code; raises subprocess.TimeoutExpired."""


class Forked:
    """A run that a server has forked."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.code: int | None = None
        self.started, self.over = threading.Event(), threading.Event()

    def poll(self) -> int | None:
        """Return the exit code, None while it runs; of one that a signal has ended minus the signal."""
        return self.code

    def send_signal(self, sig: int) -> None:
        """Send a signal; raises ProcessLookupError once it is over."""
        self.started.wait()
        if self.over.is_set() or self.pid is None:
            raise ProcessLookupError
        os.kill(self.pid, sig)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code; raises subprocess.TimeoutExpired."""
        if not self.over.wait(timeout):
            raise subprocess.TimeoutExpired("seewhy", timeout or 0.0)
        assert self.code is not None
        return self.code


class Server:
    """The parent's side: starts the server, hands it what to start, and hears how it ends.

    Args:
        environment: of the runs.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.key = _key(environment)
        self._lock, self._runs = threading.Lock(), list[Forked]()
        # -P: a file of the working folder that is called like a module of Python's own is not imported in its place.
        command = [sys.executable, "-P", "-m", "seewhy.runs.server"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=dict(environment),
            text=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        """Whether it can start runs."""
        return self._process.poll() is None

    def start(self, arguments: Sequence[str], log: Path) -> Forked:
        """Start `seewhy ARGUMENTS`, which prints into a log; raises OSError if the server is gone."""
        run = Forked()
        assert self._process.stdin is not None
        with self._lock:
            self._runs.append(run)
            line = {"run": len(self._runs) - 1, "arguments": list(arguments), "log": str(log.absolute())}
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()
        return run

    def close(self) -> None:
        """End it once its runs have ended; at once where none is left."""
        if all(run.over.is_set() for run in self._runs):
            self._process.kill()
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.wait()
        self._listener.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            run = self._runs[told["run"]]
            if "pid" in told:
                run.pid = told["pid"]
                run.started.set()
            else:
                self._end(run, told["code"])
        for run in self._runs:  # the server was killed; its runs notice by themselves
            if not run.over.is_set():
                self._end(run, -signal.SIGKILL)

    @staticmethod
    def _end(run: Forked, code: int) -> None:
        run.code = code
        run.over.set()
        run.started.set()


class _Shared:
    """The servers of this process, kept while somebody needs one: usually a single one, another where the environment has changed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.servers: list[Server] = []
        self.users = 0

    def get(self) -> Server:
        """Return a server for today's environment."""
        with self.lock:
            for server in self.servers:
                if server.alive and server.key == _key(os.environ):
                    return server
            self.servers.append(Server(os.environ))
            return self.servers[-1]


_shared = _Shared()


@contextmanager
def warm() -> Iterator[None]:
    """Keep the server, once it was started, until the last of those who are within has left."""
    with _shared.lock:
        _shared.users += 1
    try:
        yield
    finally:
        with _shared.lock:
            _shared.users -= 1
            servers = [] if _shared.users else _shared.servers
            if servers:
                _shared.servers = []
        for server in servers:
            server.close()


def start_ahead() -> None:
    """Start the server now, within `warm()`, so that it gets ready while others plan."""
    if FORKS:
        with suppress(OSError):
            _shared.get()


def start_process(arguments: Sequence[str], log: Path) -> Process:
    """Start `seewhy ARGUMENTS` as a process that prints into a log, within `warm()`; its end is this process's concern (`LAUNCHER`)."""
    if FORKS:
        with suppress(OSError):
            return _shared.get().start(arguments, log)
    environment = {**os.environ, LAUNCHER: str(os.getpid())}
    with open(log, "ab") as file:
        command = [sys.executable, "-P", "-m", "seewhy", *arguments]
        return subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True, env=environment)


def _key(environment: Mapping[str, str]) -> tuple[Any, ...]:
    return (os.getcwd(), *sorted(environment.items()))


def serve() -> None:
    """Be the server."""
    for name in PRELOADED:
        import_module(name)
    children: dict[int, int] = {}
    wakes, waker = os.pipe()
    for end in (wakes, waker):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the runs are asked to stop by themselves; this only waits for them
    reading, pending = True, b""
    while reading or children:
        ready = select([0, wakes] if reading else [wakes], [], [], LOOK_SECONDS)[0]
        if wakes in ready:
            os.read(wakes, 4096)
        if 0 in ready:
            chunk = os.read(0, 65536)
            reading, pending = bool(chunk), pending + chunk
            *lines, pending = pending.split(b"\n")
            for line in lines:
                _fork(json.loads(line), children)
            if not reading:
                for pid in children:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
        _reap(children)
    os._exit(0)  # taking thousands of modules down again takes as long as a short run


def _fork(job: Mapping[str, Any], children: dict[int, int]) -> None:
    signal.pthread_sigmask(
        signal.SIG_BLOCK, ASKING
    )  # one that comes before the fork has its own way with it must not be lost
    pid = os.fork()
    if pid == 0:
        _become(job["arguments"], job["log"])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
    children[pid] = job["run"]
    _tell({"run": job["run"], "pid": pid})


def _reap(children: dict[int, int]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _tell({"run": children.pop(pid), "code": os.waitstatus_to_exitcode(status)})


def _tell(message: Mapping[str, Any]) -> None:
    with suppress(BrokenPipeError):  # whoever listened is gone
        os.write(1, (json.dumps(message) + "\n").encode())


def _become(arguments: Sequence[str], log: str) -> None:
    """Turn this fork into a run; does not return."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
        os.environ[LAUNCHER] = str(os.getppid())
        nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(nothing, 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = ["seewhy", *arguments]
        runpy.run_module("seewhy", run_name="__main__", alter_sys=False)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:  # noqa: BLE001  what Python prints of an error that nobody catches
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
