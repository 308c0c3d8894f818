"""Run the same programs under other tools, in an environment of their own, and print the same table.

    python benchmarks/faults/tools/run_tools.py ENVIRONMENT [--set dev|unseen] [--tools NAME ...] [--only NAME ...] [--out DIR]

ENVIRONMENT is made if it is not there: the tools come from PyPI (`requirements.txt`), torch and the rest from the environment that runs this.
One seed, one thread, one process; what a tool crashes on counts as an error that finds nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from adapters import TOOLS  # noqa: E402
from programs import SETS  # noqa: E402
from results import Result, show  # noqa: E402


def prepare(folder: Path) -> Path:
    """Make the environment if need be, and return its interpreter."""
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if done.exists():
        return python
    venv.create(folder, with_pip=True)
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    here = sysconfig.get_path("purelib")
    Path(found.stdout.strip(), "torch_of_the_caller.pth").write_text(f"{here}\n", encoding="utf-8")
    for line in (HERE / "requirements.txt").read_text(encoding="utf-8").split():
        tried = subprocess.run([python, "-m", "pip", "install", "--quiet", line], check=False)
        if tried.returncode:
            print(f"{line} cannot be installed", file=sys.stderr)
    done.touch()
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path)
    parser.add_argument("--tools", nargs="+", default=[], help="parts of their names")
    parser.add_argument("--set", choices=SETS)
    parser.add_argument(
        "--only", nargs="+", default=[], help="parts of programs' names; the plain programs run with them"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("tools"), help="folder of the results, a file a tool")
    options = parser.parse_args()
    python = prepare(options.environment.resolve())
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    more = [*(["--set", options.set] if options.set else []), *(["--only", *options.only] if options.only else [])]
    path = os.pathsep.join([*sys.path[1:], str(HERE.parents[2] / "src")])
    for number, tool in enumerate(TOOLS):
        if options.tools and not any(part in tool for part in options.tools):
            continue
        file = out / f"{number}.json"
        with tempfile.TemporaryDirectory() as scratch:  # where a tool may leave its crash reports
            command = [python, HERE / "work.py", tool, file, "--seed", str(options.seed), *more]
            subprocess.run(command, cwd=scratch, env={**os.environ, "PYTHONPATH": path}, check=True)
        results = [Result(**value) for value in json.loads(file.read_text(encoding="utf-8"))]
        print(f"\n=== {tool}")
        for set_ in SETS:
            if some := [r for r in results if r.set == set_]:
                show(some, set_)


if __name__ == "__main__":
    main()
