"""Train in forked processes that are killed with SIGKILL right before and right after each rename; run as a script by test_runs_renames.

Everything that a run writes appears by a rename. For the n-th rename, n = 1, 2, ..., a child is killed there, in turn before and after it, and
another child lets the run end, or begins it anew where there is nothing yet. One process imports torch, then forks, so that a leg costs its
training only.

    python kill_at_rename.py HOME SPEC before|after      how the first one is killed

Each case is a run HOME/NUMBER-MOMENT; the last one, which nothing killed any more, is HOME/whole. Prints how many renames there are.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning_fabric  # noqa: F401  imported once, before the forks
import torch

from seewhy.runs import train
from seewhy.spec import build_request


def leg(run: Path, spec: Path) -> None:
    """Start the run, or go on with it, to its end."""
    torch.set_num_threads(1)
    if run.exists():
        train.resume(run)
    else:
        train.start(build_request(None, spec, {}), run)


def child(work: Callable[[], None]) -> int:
    """Do something in a forked process; return how it ended, as `waitpid` says."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(process, 0)[1]


def dying_at(number: int, moment: str, work: Callable[[], None]) -> Callable[[], None]:
    """Return the work, killed at its n-th rename."""

    def inside() -> None:
        count = 0

        def wrapped(rename: Callable[..., Any]) -> Callable[..., Any]:
            def renamed(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == number and moment == "before":
                    os.kill(os.getpid(), signal.SIGKILL)
                result = rename(*arguments, **options)
                if count == number and moment == "after":
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return renamed

        os.rename, os.replace = wrapped(os.rename), wrapped(os.replace)
        work()

    return inside


def main() -> None:
    """Run the cases."""
    home, spec, first = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    moments = ("before", "after") if first == "before" else ("after", "before")
    child(lambda: leg(home / "first", spec))  # so that the data are decoded
    number = 0
    while True:
        moment = moments[number % 2]
        number += 1
        run = home / f"{number:03d}-{moment}"
        status = child(dying_at(number, moment, lambda run=run: leg(run, spec)))
        if status == 0:
            run.rename(home / "whole")
            print(number - 1)
            return
        if not os.WIFSIGNALED(status):
            sys.exit(f"{run.name}: the first leg ended with status {status}")
        if (status := child(lambda run=run: leg(run, spec))) != 0:
            sys.exit(f"{run.name}: the second leg ended with status {status}")


if __name__ == "__main__":
    main()
