"""List what is wrong with the images and the split of DATA, before any training.

Unreadable and truncated files, empty and one-image classes, exact duplicates within and across the split (leakage), the same
image under two classes, strong imbalance, mixed sizes. Exit code 0 if nothing worse than a note was found, else 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from seewhy.cli.options import add_spec_options, spec_options
from seewhy.cli.text import json_text
from seewhy.core.escaping import escaped
from seewhy.spec import Request


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    parser.add_argument("source", metavar="DATA", help="folder of class folders, built-in name, or .npz file")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    add_spec_options(parser, arguments, ("data",))


def run(options: argparse.Namespace) -> int:
    """Print the findings."""
    request = Request.make(options.source, spec_options(options))
    from seewhy import api
    from seewhy.cli.progress import counting

    with counting("decoding") as update:
        audit = api.check(request.source, progress=update, **request.values.get("data", {}))
    worst = any(issue.severity != "note" for issue in audit.issues)
    if options.json:
        print(json_text(audit.to_json()))
        return int(worst)
    print(escaped(audit.summary, lines=True))
    for issue in audit.issues:
        print(f"{issue.severity:>7}  {escaped(issue.message)}")
        for path in issue.paths[:5]:
            print(f"         {escaped(path)}")
        if len(issue.paths) > 5:
            print(f"         ... and {len(issue.paths) - 5:,} more (--json lists all)")
    if not audit.issues:
        print("nothing wrong was found")
    return int(worst)
