"""Write a run's network as one file that needs no seewhy.

Of a classifier: an image of any size in, probabilities out. Resizing, normalisation, test-time views, the mean of an ensemble and the
temperature are inside; class names and versions are in the file's metadata. Of a generative model: the decoder of a vae or an autoencoder, the
generator of a gan, one step of an autoregressive model. A page beside the file, NAME.README.md, shows the lines of Python that use it.

The file is compared with the run on real images of many sizes before it gets its name; one that differs is not written.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from seewhy.cli.options import add_trust
from seewhy.core.escaping import escaped


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument("folder", metavar="RUN", help="a folder that `seewhy train` made, of a run that has ended")
    parser.add_argument(
        "--format",
        default="onnx",
        metavar="NAME",
        help="onnx (default; needs seewhy[export]), which `seewhy predict` reads too, or torch, an exported program (.pt2)",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="the file, which must not exist (default: RUN/model.onnx or RUN/model.pt2)"
    )
    parser.add_argument(
        "--precision",
        default="fp32",
        metavar="NAME",
        help="fp32 (default); of an ONNX classifier also fp16, or int8 with scales from training images: the accuracy on the validation split "
        "before and after is printed",
    )
    add_trust(parser)


def run(options: argparse.Namespace) -> int:
    """Export, and print the file, the page beside it and what was measured."""
    from seewhy.runs.run import Run

    exported = Run(options.folder, trust=options.trust).export(options.format, options.out, precision=options.precision)
    print(escaped(str(exported.file)))
    print(escaped(str(exported.readme)))
    print("\n".join(exported.lines()))
    return 0
