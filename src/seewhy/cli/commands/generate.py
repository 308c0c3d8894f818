"""Make images with a trained generative model, and write them as one PNG sheet, or one by one into a folder.

sample         sample images; with --label those of a class
complete       keep the upper rows of images, or the white pixels of a --mask, and sample the rest (autoregressive models)
decode         the images of latents with dimensions set by hand, --set 3=-2.5, from images' latents or the prior's mean (autoencoder, vae)
reconstruct    images decoded from the latents of images (autoencoder, vae)
interpolate    from the latent of one image to that of another (autoencoder, vae)
traverse       change one latent dimension at a time, the most informative first (vae)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seewhy.core.errors import InputError, bad_value
from seewhy.core.files import free_path, new_path

if TYPE_CHECKING:
    from torch import Tensor

    from seewhy.runs.run import Run

VERBS = ("sample", "complete", "decode", "reconstruct", "interpolate", "traverse")

BELONGS = {
    "n": ("sample",),
    "temperature": ("sample", "complete"),
    "prior": ("sample",),
    "pixel_noise": ("sample", "decode"),
    "rows": ("complete",),
    "mask": ("complete",),
    "set": ("decode",),
    "path": ("interpolate",),
    "steps": ("interpolate", "traverse"),
    "dimensions": ("traverse",),
}
"""The verbs that each option is for; the others are for all."""


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument("verb", metavar="{" + ",".join(VERBS) + "}", help="what to make")
    parser.add_argument("folder", metavar="RUN", help="a folder that `seewhy train` made")
    parser.add_argument(
        "images", metavar="IMAGE", nargs="*", default=[], help="images to start from: files, folders, globs, -"
    )
    parser.add_argument("-n", type=int, metavar="N", help="images that are sampled (sample; default: 64)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the noise; equal seeds, equal images")
    parser.add_argument("--label", metavar="CLASS", help="class, for a class-conditional model (default: all in turn)")
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="X",
        help="below 1 more probable, above 1 more varied images (sample, complete; default: 1)",
    )
    parser.add_argument(
        "--prior",
        metavar="NAME",
        help="density of an autoencoder's latents (sample): gaussian (default), mixture (both fitted to training images) or standard, N(0, I)",
    )
    parser.add_argument(
        "--pixel-noise",
        action="store_true",
        default=None,
        help="sample pixels too, by the likelihood (sample, decode of autoencoder and vae; default: their means)",
    )
    parser.add_argument("--rows", type=int, metavar="N", help="uppermost rows that complete keeps (default: half)")
    parser.add_argument(
        "--mask",
        metavar="FILE",
        help="pixels that complete keeps instead: an image of any size, brought to the run's size, white (at least 128) kept, black sampled; "
        "or bool in a .npy file",
    )
    parser.add_argument(
        "--set",
        metavar="K=VALUE",
        action="append",
        help="latent dimension that decode sets, numbered from 0, such as 3=-2.5; may be repeated",
    )
    parser.add_argument(
        "--path", metavar="NAME", help="how interpolate goes between the latents: spherical (default) or linear"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="images along a path (interpolate, traverse; default: 9)"
    )
    parser.add_argument(
        "--dimensions", type=int, metavar="N", help="latent dimensions that traverse changes (default: 10)"
    )
    parser.add_argument("--columns", type=int, metavar="N", help="images in a row of the sheet")
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="a .png file, or a folder for single images, which must not exist (default: VERB.png, else VERB-2.png, ...)",
    )


def run(options: argparse.Namespace) -> int:
    """Make the images, write them, and print where."""
    if options.verb not in VERBS:
        raise InputError(f"generate: must be one of {', '.join(VERBS)}, got {options.verb!r}")
    out = free_path(Path(options.verb), ".png") if options.out is None else new_path(options.out, "--out")
    _validate(options, out)
    from seewhy.models.generative import write_images

    images, columns = _make(options, sheet=out.suffix == ".png")
    write_images(images, out, options.columns or columns)
    print(out)
    return 0


def _validate(options: argparse.Namespace, out: Path) -> None:
    """Refuse what cannot be meant, before any work."""
    if out.suffix and out.suffix != ".png":
        raise bad_value("--out", str(out), "a .png file, or a folder without a suffix")
    above = next(folder for folder in (*out.parents, Path()) if folder.exists())
    if not above.is_dir():
        raise InputError(f"--out: {out} cannot be made, since {above} is no folder; choose another name")
    for name, verbs in BELONGS.items():
        if getattr(options, name) is not None and options.verb not in verbs:
            raise InputError(
                f"{_flag(name)}: belongs to {' and '.join(verbs)}, but {options.verb} is asked for; leave it out"
            )
    for name in ("n", "columns", "steps", "dimensions"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise bad_value(_flag(name), value, "at least 1")
    if options.mask is not None and options.rows is not None:
        raise InputError("--mask, --rows: both say which pixels are kept; give one")
    _values(options.set or [])
    if options.verb == "sample" and options.images:
        raise InputError(f"sample: starts from noise, but images are given: {options.images[0]}; choose another verb")
    if options.verb in ("complete", "reconstruct", "interpolate") and not options.images:
        raise InputError(f"{options.verb}: needs images to start from; name files, a folder or a glob")


def _flag(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"


def _values(settings: Sequence[str]) -> dict[int, float]:
    """Return the latent dimensions that are set, from words such as 3=-2.5."""
    values: dict[int, float] = {}
    for setting in settings:
        number, _, value = setting.partition("=")
        try:
            dimension = int(number)
            if dimension in values:
                raise InputError(f"--set: sets latent dimension {dimension} twice, got {setting!r}; leave one out")
            values[dimension] = float(value)
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise bad_value("--set", setting, "DIMENSION=VALUE, such as 3=-2.5") from None
    return values


def _tell_order(trained: Run, dimensions: int) -> None:
    """Say which latent dimensions the rows of a traversal are, for --set."""
    order = trained.record.get("order", [])[:dimensions]
    print(f"latent dimensions from the top: {', '.join(map(str, order))}", file=sys.stderr)


def _make(options: argparse.Namespace, *, sheet: bool) -> tuple[Tensor, int | None]:
    """Return the images, and how many stand in a row of the sheet."""
    import torch

    from seewhy.cli.commands.predict import find
    from seewhy.runs.run import Run

    trained = Run(options.folder)
    text = options.label or ""
    label = int(text) if text.isdecimal() and text not in trained.classes else options.label
    paths = list(find(options.images))
    about: dict[str, Any] = {"label": label, "seed": options.seed}
    temperature = 1.0 if options.temperature is None else options.temperature
    if options.verb == "sample":
        about |= {"prior": options.prior, "pixel_noise": bool(options.pixel_noise)}
        return trained.sample(options.n or 64, temperature=temperature, **about), None
    if options.verb in ("complete", "reconstruct", "decode"):
        made = _from_images(options, trained, paths, temperature, about)
        # A sheet shows what they were made from above them; a folder of single images holds those that were made.
        return (torch.cat([trained.read(paths), made]) if sheet and paths else made), len(paths) or None
    steps = options.steps or 9
    if options.verb == "interpolate":
        if len(paths) != 2:
            raise InputError(f"interpolate: goes from one image to another, got {len(paths)} images; name two")
        path = options.path or "spherical"
        return trained.interpolate(paths[0], paths[1], steps=steps, path=path, **about), steps
    if len(paths) > 1:
        raise InputError(f"traverse: starts from one image, or from the middle, got {len(paths)} images")
    dimensions = options.dimensions or 10
    made = trained.traverse(paths[0] if paths else None, steps=steps, dimensions=dimensions, **about)
    _tell_order(trained, dimensions)
    return made, steps


def _from_images(
    options: argparse.Namespace, trained: Run, paths: list[str], temperature: float, about: dict[str, Any]
) -> Tensor:
    """Return an image made of each one that is given; of none, the one that decode starts from without."""
    if options.verb == "reconstruct":
        return trained.reconstruct(paths, **about)
    if options.verb == "complete":
        return trained.complete(paths, rows=options.rows, given=options.mask, temperature=temperature, **about)
    values, noise = _values(options.set or []), bool(options.pixel_noise)
    return trained.decode(images=paths or None, values=values, pixel_noise=noise, **about)
