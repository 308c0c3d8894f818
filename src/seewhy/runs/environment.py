"""What a run was made with: versions, machine, command; for people who repeat it."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib import metadata
from typing import Any

import torch

PACKAGES = ("seewhy", "torch", "torchvision", "lightning-fabric", "numpy", "pillow")


def environment(device: str, precision: str, world: int) -> dict[str, Any]:
    """Return versions, hardware and command as JSON values; nothing personal such as user or host names."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "precision": precision,
        "processes": world,
        "command": shlex.join(["seewhy", *sys.argv[1:]]) if sys.argv[0].endswith(("seewhy", "__main__.py")) else "",
    }


def processor() -> str:
    """Return the processor's name."""
    name = str(torch.cpu.get_capabilities().get("cpu_name", ""))
    return name or platform.processor() or "unknown"
