"""Stands in for `python` in the tests: has a process forked off one that has imported the package, and is it for whoever started this.

    python -IS fork_client.py PLACE OWNER ARGUMENT...     PLACE: of the socket; OWNER: the process with whose end the server ends

The fork gets the streams, the folder, the environment and the arguments that came; signals are handed on, and so is how it ends. What needs an
interpreter of its own gets one: options of Python's, code on the command line, variables that Python or its libraries read as they start.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time

MODULES = ("seewhy", "seewhy.runs.server", "torch.distributed.run")
"""What is forked, beside scripts."""

HOME = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = (HOME, os.path.join(os.path.dirname(HOME), "examples"))
"""The folders whose scripts are forked."""


def forked(arguments):
    """Whether a fork does: `-m MODULE ...` or `SCRIPT ...`, in an environment that is the server's where it matters, and without a launcher."""
    words = arguments[sum(word in ("-P", "-u") for word in arguments[:2]) :]
    known = words[:1] == ["-m"] and words[1:2] and words[1] in MODULES
    script = words[:1] and words[0].endswith(".py") and os.path.dirname(os.path.abspath(words[0])).startswith(SCRIPTS)
    return bool(known or script) and "SEEWHY_LAUNCHER" not in os.environ


def started_by(environment):
    """Return the variables that are read once, as a process starts."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(("PYTHON", "OMP_", "MKL_", "OPENBLAS_", "LC_", "LANG")) and name != "PYTHON_EXEC"
    }


def connected(place, owner):
    """Return a connection to the server, which is started where there is none."""
    address = os.path.join(place, "socket")
    with open(os.path.join(place, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(address):
            with open(os.path.join(place, "environment.json"), "w") as file:
                json.dump(started_by(os.environ), file)
            with open(os.path.join(place, "log"), "ab") as log:
                command = [sys.executable, os.path.join(HOME, "fork_server.py"), address, owner]
                nothing = subprocess.DEVNULL
                subprocess.Popen(command, stdin=nothing, stdout=log, stderr=log, start_new_session=True)
            while not os.path.exists(address):
                time.sleep(0.01)
    with open(os.path.join(place, "environment.json")) as file:
        if json.load(file) != started_by(os.environ):
            return None
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    return connection


def main():
    """Be the process that the arguments ask for."""
    streams = [number for number in range(3) if is_open(number)]
    place, owner, *arguments = sys.argv[1:]
    for _ in range(3 - len(streams)):  # nothing else is to get the number of a stream that is closed
        os.open(os.devnull, os.O_RDWR)
    connection = connected(place, owner) if forked(arguments) else None
    if connection is None:
        for number in set(range(3)) - set(streams):
            os.close(number)
        os.execv(sys.executable, [sys.executable, *arguments])
    held, process = [], None

    def hand_on(number, _):
        held.append(number)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        signal.signal(number, hand_on)
    job = {"executable": os.path.join(place, "python"), "arguments": arguments, "streams": streams}
    job |= {"folder": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(connection, [b"job"], streams)
    answers = connection.makefile("rwb")
    answers.write(json.dumps(job).encode() + b"\n")
    answers.flush()
    process = int(answers.readline())
    for number in held:
        os.kill(process, number)
    code = int(answers.readline())
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def is_open(number):
    """Whether there is such a stream."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
