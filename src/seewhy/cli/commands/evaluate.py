"""Measure a run on its own test data, or on other data with the same class names.

Of a classifier: accuracy with its 95% interval, top-5 where there are more than five classes, log-loss, expected calibration error, and
precision, recall and F1 of every class; --json prints everything, with the confusion matrix. Each image's probabilities are kept in the run's
predictions/ folder.

Of a generative model: its likelihood, in nats per image and bits per value; of a gan, and of any with --generated, --extractor, --prior or
--pixel-noise: how its images compare with real ones (FID, KID, precision and recall, density and coverage, memorisation, classes).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from seewhy.cli.options import add_trust
from seewhy.cli.text import json_text
from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument("folder", metavar="RUN", help="a folder that `seewhy train` made")
    parser.add_argument(
        "source", metavar="DATA", nargs="?", help="other data to evaluate on (default: the run's own test split)"
    )
    add_trust(parser)
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="latents for each image by which a vae's likelihood is bounded (default: 100)",
    )
    parser.add_argument(
        "--extractor",
        metavar="RUN",
        help="a classifier of such images, by whose features generated images are compared, or 'inception', where its weights are there",
    )
    parser.add_argument(
        "--generated",
        type=int,
        metavar="N",
        help="images that a generative model samples to be compared with real ones (default: 2000)",
    )
    parser.add_argument(
        "--prior",
        metavar="NAME",
        help="density of the latents that an autoencoder's images are sampled from: gaussian (default), mixture, standard",
    )
    parser.add_argument(
        "--pixel-noise",
        action="store_true",
        help="sample the pixels of generated images too, by the likelihood (autoencoder, vae)",
    )
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")


def run(options: argparse.Namespace) -> int:
    """Evaluate and print."""
    from seewhy.cli.progress import counting, tell_unfinished
    from seewhy.runs.run import Run

    run = Run(options.folder, trust=options.trust)
    tell_unfinished(run)
    compares = any((options.generated is not None, options.extractor is not None, options.prior, options.pixel_noise))
    if compares or "evaluate" not in run.spec.model_record.verbs:
        return _compare(run, options)
    with counting("evaluating") as update:
        evaluated = run.measure(options.source, update, samples=options.samples)
    for note in evaluated.notes:
        print(escaped(f"note: {note}"), file=sys.stderr)
    print(json_text(evaluated.figures.to_json()) if options.json else escaped("\n".join(evaluated.lines), lines=True))
    return 0


def _compare(run: object, options: argparse.Namespace) -> int:
    """Compare generated images with real ones, and print."""
    from seewhy.metrics import format_sample_quality
    from seewhy.runs.extractors import INCEPTION
    from seewhy.runs.run import Run

    assert isinstance(run, Run)
    if options.source is not None or options.samples is not None:
        raise InputError(
            "DATA, --samples: are for likelihoods; generated images are compared with the run's own unseen ones"
        )
    count = {} if options.generated is None else {"n": options.generated}
    extractor = options.extractor
    if options.trust and extractor not in (None, INCEPTION):
        extractor = Run(extractor, trust=True)
    about = {"extractor": extractor, "prior": options.prior, "pixel_noise": options.pixel_noise}
    try:
        quality = run.sample_quality(**about, **count)
    except InputError as error:
        raise InputError(re.sub(r"^n: ", "--generated: ", str(error))) from None
    if options.json:
        print(json_text(quality.to_json()))
    else:
        for label, value in format_sample_quality(quality):
            print(f"{label:<26}{value}")
    return 0
