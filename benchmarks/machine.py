"""What the figures of a benchmark were measured on."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path


def processor() -> str:
    """Return the processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def hardware() -> str:
    """Return the processor, its cores, torch's threads and version, on one line."""
    import torch

    return f"{processor()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads; torch {torch.__version__}"


def basis() -> dict[str, str]:
    """Return what figures rest on, as files of results say it: command, hardware, date and commit."""
    command = shlex.join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    found = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    known = {
        "command": command,
        "hardware": hardware(),
        "date": datetime.datetime.now().astimezone().date().isoformat(),
    }
    return known | ({"commit": found} if found else {})
