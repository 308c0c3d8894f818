"""Runs on disk: a file a run, gzip of JSON lines: what the run was, each probe's entry, and how it ended."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from results import Result

from seewhy.core.files import write_atomic
from seewhy.diagnosis.history import Entry, LoopRecord, Told
from seewhy.diagnosis.watcher import Watch

ENDING = ".jsonl.gz"


@dataclass
class Kept:
    """A run that was kept.

    Attributes:
        result: of the program, with what was found then.
        entries: of the probes, in order.
        ends: by network: what was counted when watching ended, and what the user told after the last entry.
    """

    result: Result
    entries: list[Entry]
    ends: dict[str, tuple[LoopRecord, Told]]


def keep(folder: Path, result: Result, entries: list[Entry], why: Watch) -> None:
    """Write a run."""
    folder.mkdir(parents=True, exist_ok=True)
    last = {entry.network: entry.record.step for entry in entries}
    end = {
        name: {
            "loop": asdict(why.history(name).loop),
            "told": {
                key: [pair for pair in pairs if pair[0] >= last.get(name, 0)]
                for key, pairs in why.history(name).observed.items()
            },
        }
        for name in why.networks
    }
    name = re.sub(r"[^a-z0-9]+", "-", result.name.lower()).strip("-")
    lines = [json.dumps(line) for line in (asdict(result), *(entry.to_json() for entry in entries), end)]
    data = gzip.compress("\n".join(lines).encode())
    write_atomic(folder / f"{name}.{result.seed}{ENDING}", lambda path: path.write_bytes(data))


def read(path: Path) -> Kept:
    """Read a run."""
    first, *lines, end = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n")]
    ends = {name: (LoopRecord(**value["loop"]), value["told"]) for name, value in end.items()}
    return Kept(Result(**first), [Entry.from_json(line) for line in lines], ends)


def files(folder: Path) -> list[Path]:
    """Return the files of a folder, in order.

    Raises:
        SystemExit: there are none.
    """
    paths = sorted(folder.glob(f"*{ENDING}"))
    if not paths:
        raise SystemExit(f"{folder}: no records (*{ENDING}); run.py --records {folder} writes them")
    return paths
