"""What the figures of a benchmark were measured on."""

from __future__ import annotations

import os
import platform
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
