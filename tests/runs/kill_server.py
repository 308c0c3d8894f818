"""Train in forked processes that are killed with SIGKILL at given moments; run as a script by test_training_resume.

One process imports torch, then forks a child for every leg, so a leg costs its training only. The children run one thread, use no
thread pools before the fork, and die by a real SIGKILL wherever they are: between steps, within one, or while writing a checkpoint.

    python kill_server.py RUN SPEC SECONDS [SECONDS ...]     kills the i-th leg after SECONDS[i], then lets the run end
"""

import os
import signal
import sys
import time
from pathlib import Path

import lightning_fabric  # noqa: F401  imported once, before the forks
import torch

from seewhy import api
from seewhy.spec import build_request


def leg(run: Path, spec: Path) -> None:
    """Start the run, or go on with it, to its end."""
    torch.set_num_threads(1)
    if (run / "spec.toml").exists():
        api.resume(run)
    else:
        api.start(build_request(None, spec, {}), out=run)


def main() -> None:
    """Run the legs."""
    run, spec = Path(sys.argv[1]), Path(sys.argv[2])
    killed = 0
    for seconds in [*map(float, sys.argv[3:]), None]:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                leg(run, spec)
                code = 0
            finally:
                os._exit(code)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        if seconds is None and status != 0:
            sys.exit(f"the last leg ended with status {status}")
        if run.exists() and not (run / "spec.toml").exists():
            sys.exit(f"the run's folder was made without its specification: {os.listdir(run)}")
    print(killed)


if __name__ == "__main__":
    main()
