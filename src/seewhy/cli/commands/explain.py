"""Show why images are classified as they are: attribution maps over them, and the nearest training images.

Without IMAGE the most confident mistakes of the run are explained, and stand in its report. The maps are held against those of random
weights, and a map that barely changes is said to explain nothing. An image that cannot be read is named, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from seewhy.cli.options import add_trust
from seewhy.cli.text import json_text
from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped

METHODS = ("grad_cam", "integrated_gradients", "occlusion", "all")

MOST = 32
"""Images of one figure."""


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument("folder", metavar="RUN", help="a folder that `seewhy train` made, of a classifier")
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="*",
        default=[],
        help=f"up to {MOST} files, folders or globs, or - to read paths from stdin",
    )
    parser.add_argument(
        "--class", dest="class_name", metavar="NAME", help="explain this class (default: the predicted one)"
    )
    parser.add_argument("--method", metavar="NAME", default="all", help=f"{', '.join(METHODS)} (default: all)")
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="module whose feature map Grad-CAM takes (default: the last one of at least 4 x 4)",
    )
    parser.add_argument("--nearest", type=int, metavar="N", default=4, help="training images to show (default: 4)")
    parser.add_argument("--no-check", action="store_true", help="do not compare the maps with those of random weights")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the figure, .png, .svg or .html, a new file (default, drawn anew: RUN/explained/explanation.png)",
    )
    add_trust(parser)
    parser.add_argument("--json", action="store_true", help="print all but the pixels as JSON")


def run(options: argparse.Namespace) -> int:
    """Explain, draw and print."""
    from seewhy.cli.commands.predict import find
    from seewhy.cli.progress import counting, tell_unfinished
    from seewhy.core.files import naming, new_file
    from seewhy.runs.explained import FIGURE, FOLDER, validate_figure
    from seewhy.runs.run import Run

    trained = Run(options.folder, trust=options.trust)
    out = trained.folder / FOLDER / FIGURE if options.out is None else new_file(options.out, "--out")
    validate_figure(out)
    tell_unfinished(trained)
    images = list(find(options.images))
    if options.images and not images:
        raise InputError("-: there is nothing to explain; write paths of images to stdin, one a line")
    if len(images) > MOST:
        raise InputError(f"{len(images):,} images are too many for one figure; name up to {MOST}")
    with counting("features of the training images") as update:
        found = trained.explain(
            images or None,
            class_name=options.class_name,
            method=options.method,
            layer=options.layer,
            nearest=options.nearest,
            check=not options.no_check,
            progress=update,
        )
    if options.out is None:
        with naming(out.parent):
            out.parent.mkdir(exist_ok=True)
    found.save(out)
    print(json_text(found.to_json()) if options.json else escaped(str(found), lines=True))
    print(f"wrote {escaped(str(out))}", file=sys.stderr)
    if not options.images:
        print(f"wrote {escaped(str(trained.folder / 'report.html'))}", file=sys.stderr)
    if found.errors:
        count = len(found.errors) + len(found.images)
        print(f"no explanation for {len(found.errors):,} of {count:,} images", file=sys.stderr)
    return int(bool(found.errors))
