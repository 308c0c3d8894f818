"""Run scenarios in pairs of forked processes that see themselves as ranks 0 and 1; run as a script by test_training_parallel.py.

One process imports torch, then forks, so a scenario costs its training only. The children find in their environment what
torchrun would have put there.

    python parallel_server.py FOLDER DATA     writes into FOLDER, prints {scenario: [exit code of rank 0, of rank 1]} as JSON
"""

import atexit
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import torch

from seewhy import api
from seewhy.cli.main import main
from seewhy.runs import train as training
from seewhy.runs.stopping import InterruptedRun, InterruptedRunError
from seewhy.training.events import StepEnded

OPTIONS = {"epochs": 2.0, "batch_size": 17, "width": 4, "precision": "fp32", "train.threads": 1}
WORDS = ["--epochs", "2", "--batch-size", "17", "--width", "4", "--precision", "fp32", "--train.threads", "1"]
PATIENCE = 60  # seconds after which a process counts as hanging


def resume(rank: int, source: str) -> None:
    """Go on with a run that one process began."""
    main(["train", "--resume", "half"])


def small_batch(rank: int, source: str) -> None:
    """Ask for batches of one image."""
    main(["train", source, "--batch-size", "1", "--out", "small"])


def own_name(rank: int, source: str) -> None:
    """Leave the folder's name to the program, on processes that would choose differently."""
    training.free_name = lambda _: Path("runs") / f"named-by-{rank}"
    try:
        main(["train", source, *WORDS])
    finally:
        atexit._run_exitfuncs()  # as at an interpreter's end, which a forked child does not reach
        print("in a group:", torch.distributed.is_initialized())


def interrupted(rank: int, source: str) -> None:
    """Get Ctrl-C on one process only, in the third step."""

    def ask(event: object) -> None:
        if isinstance(event, StepEnded) and event.step == 3 and rank == 1:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        api.train(source, out="interrupted", observers=[ask], **OPTIONS)
    except (InterruptedRun, InterruptedRunError):  # one got the Ctrl-C, the other was told
        sys.exit(130)


def dies(rank: int, source: str) -> None:
    """Lose one process in the third step."""

    def die(event: object) -> None:
        if isinstance(event, StepEnded) and event.step == 3 and rank == 1:
            os._exit(9)

    api.train(source, out="dies", observers=[die], **OPTIONS)


SCENARIOS = [resume, small_batch, own_name, interrupted, dies]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def child(scenario: object, rank: int, port: int, source: str) -> None:
    """Become one rank; what it says goes to <scenario>-<rank>.txt."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        GROUP_RANK="0",
        WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        TORCHELASTIC_RUN_ID="test",
    )
    said = os.open(f"{scenario.__name__}-{rank}.txt", os.O_CREAT | os.O_WRONLY)
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = 1
    try:
        scenario(rank, source)
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:  # noqa: BLE001  the parent reads the traceback
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def pair(scenario: object, source: str) -> list[int]:
    """Run a scenario on two ranks and return their exit codes; -9 for one that had to be killed."""
    port = free_port()
    children = []
    for rank in range(2):
        process = os.fork()
        if process == 0:
            child(scenario, rank, port, source)
        children.append(process)
    codes: dict[int, int] = {}
    deadline = time.monotonic() + PATIENCE
    while len(codes) < 2:
        for process in set(children) - set(codes):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                codes[process] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)
    return [codes[process] for process in children]


if __name__ == "__main__":
    torch.set_num_threads(1)
    source = str(Path(sys.argv[2]).resolve())
    os.chdir(sys.argv[1])
    print(json.dumps({scenario.__name__: pair(scenario, source) for scenario in SCENARIOS}))
