"""A process that has imported the package, and forks itself for each program that a test starts; `fork_client.py` asks it to.

    python fork_server.py ADDRESS OWNER     ends with the process OWNER, and all forks with it

Importing torch and what comes with it takes some seconds of processor time, which a test of a second pays many times over. A fork becomes what a
new interpreter would be: its streams are made anew, and if the client is killed, so is it. It ends as an interpreter ends, with the codes that
Python has for that, but does not take thousands of modules down again, which takes a second.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from importlib import import_module
from types import SimpleNamespace

import vl_convert

from seewhy.runs.server import PRELOADED
from sketches import sketch

PATIENCE = 1.0
"""Seconds between looks whether the owner is still there."""


class Client:
    """One that has asked for a process: its connection, the process, and a handle of it that is readable once it has ended."""

    def __init__(self, connection):
        self.connection = connection
        _, streams, _, _ = socket.recv_fds(connection, 3, 3)
        with connection.makefile("rb", buffering=0) as file:
            job = json.loads(file.readline())
        self.process = os.fork()
        if self.process == 0:
            raise Fork(job, streams)
        for number in streams:
            os.close(number)
        self.ended = os.pidfd_open(self.process)
        self.tell(self.process)

    def tell(self, number):
        """Tell the client a number."""
        with contextlib.suppress(OSError):
            self.connection.sendall(b"%d\n" % number)

    def close(self):
        """Tell how the process has ended, which is killed if the client was."""
        if not select.select([self.ended], [], [], 0)[0]:
            os.kill(self.process, signal.SIGKILL)
        self.tell(os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1]))
        os.close(self.ended)
        self.connection.close()


class Fork(BaseException):
    """Takes a fork out of the server's loop."""


def serve(address, owner):
    """Answer clients until the owner has ended."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen(64)
        os.rename(f"{address}.new", address)  # whoever sees it can connect
        for name in PRELOADED:
            import_module(name)
        vl_convert.vegalite_to_svg = sketch
        gc.freeze()  # a collection would copy every page
        clients = []
        while os.path.exists(f"/proc/{owner}"):
            watched = [listener, *(one.connection for one in clients), *(one.ended for one in clients)]
            ready = select.select(watched, [], [], PATIENCE)[0]
            for one in [one for one in clients if one.ended in ready or one.connection in ready]:
                one.close()
                clients.remove(one)
            if listener in ready:
                clients.append(Client(listener.accept()[0]))
        for one in clients:
            one.close()


def become(job, streams):
    """Turn this fork into the program, and run it."""
    os.setsid()
    for place, number in zip(job["streams"], [os.dup(number) for number in streams], strict=True):
        os.dup2(number, place)
    for place in set(range(3)) - set(job["streams"]):
        with contextlib.suppress(OSError):
            os.close(place)
    os.closerange(3, 256)
    arguments, flags = list(job["arguments"]), []
    while arguments[0] in ("-P", "-u"):
        flags.append(arguments.pop(0))
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = None
        if number in job["streams"]:
            errors = "backslashreplace" if name == "stderr" else "strict"
            stream = open(number, "w" if number else "r", errors=errors, closefd=False)  # noqa: SIM115
            stream.reconfigure(line_buffering=number == 2 or stream.isatty(), write_through="-u" in flags)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module = arguments.pop(0) if arguments[0] == "-m" else None
    name, sys.argv, sys.executable = arguments[0], arguments, job["executable"]
    if "-P" not in flags:
        sys.path.insert(0, job["folder"] if module else os.path.dirname(os.path.abspath(name)))
    if module:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(name, run_name="__main__")


def end(error):
    """End this fork as the interpreter ends after an exception, or after none."""
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if not isinstance(error.code, int | None):
            print(error.code, file=sys.stderr)
    elif error is not None:
        code = 1
        sys.excepthook(type(error), error, error.__traceback__)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream is None or stream.closed or stream.flush()
        except OSError as unwritten:
            code = 120
            sys.unraisablehook(SimpleNamespace(exc_value=unwritten, err_msg=None, object=stream))
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)


if __name__ == "__main__":
    try:
        serve(sys.argv[1], int(sys.argv[2]))
    except Fork as fork:
        asked = fork.args
    else:
        os._exit(0)
    raised = None
    try:
        become(*asked)
    except BaseException as error:  # noqa: BLE001  it is told as Python would tell it
        raised = error
    end(raised)
