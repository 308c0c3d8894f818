"""Serve the local page: runs and studies as they go on, classify by drag and drop, generate with sliders, check data, start runs.

The page is for this machine alone and opens by the address that is printed, with its token. RUNS are the folders in which runs and studies lie
(default: runs). Nothing of the page comes from elsewhere, and nothing leaves the machine. Training goes on without the page. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import getpass
import webbrowser
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from seewhy.core.errors import InputError

RUNS = "runs"

PACKAGES = ("starlette", "uvicorn")


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument(
        "runs", metavar="RUNS", nargs="*", default=[], help="folders of runs and studies (default: runs)"
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        action="append",
        help="folder of images that may be checked and trained on from the page; again for another (default: the working folder)",
    )
    parser.add_argument("--port", metavar="N", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--host", metavar="ADDRESS", help="listen on another address, for others; needs --password")
    parser.add_argument(
        "--password",
        metavar="WORD",
        nargs="?",
        const="",
        help="opens the page without the token; asked for without WORD",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--trust", action="store_true", help="import the factories of networks that runs name, which runs their code"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(f"web: needs {' and '.join(missing)}; pip install 'seewhy[web]'")
    from seewhy.web.serve import Settings, given_places, serve

    if not options.runs:
        Path(RUNS).mkdir(exist_ok=True)
    password = getpass.getpass("password: ") if options.password == "" else options.password
    settings = Settings(
        given_places(options.runs or [RUNS], options.data or ["."]),
        **({} if options.host is None else {"host": options.host}),
        port=options.port,
        password=password,
        trust=options.trust,
    )

    def told(address: str) -> None:
        print(address, flush=True)
        if options.open:
            webbrowser.open(address)

    serve(settings, told)
    return 0
