"""C24: PixelRNN's output at a pixel depends on no later pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.comparison.claims.base import Claim, Criterion, Measured
from seewhy.comparison.claims.fitting import fit
from seewhy.comparison.claims.generators import sheet
from seewhy.comparison.claims.setting import Setting
from seewhy.comparison.claims.subsets import stored
from seewhy.core.seeding import rng
from seewhy.models import AUTOREGRESSIVE, AutoregressiveDesign, RasterGenerator, build_autoregressive
from seewhy.reporting.claim_records import Images

WIDTH, DEPTH = 8, 4
CHUNK = 256
"""Images with a flipped pixel in a forward pass."""


def measure(setting: Setting) -> Measured:
    """Flip every pixel of an image in turn, and see which outputs move."""
    later: dict[str, list[float]] = {name: [] for name in AUTOREGRESSIVE}
    earlier: dict[str, list[float]] = {name: [] for name in AUTOREGRESSIVE}
    maps = []
    for name in AUTOREGRESSIVE:
        for seed in range(setting.seeds):
            reached = _reached(_trained(setting, name, seed), setting, seed)
            outputs, inputs = torch.tril_indices(len(reached), len(reached), offset=-1)
            above = torch.triu_indices(len(reached), len(reached))
            later[name].append(float(reached[above[0], above[1]].sum()))
            earlier[name].append(float(reached[outputs, inputs].double().mean()))
            if seed == 0:
                middle = len(reached) // 2 + setting.in_shape[2] // 2
                maps.append((reached[middle].view(1, 1, *setting.in_shape[1:]) * 255).to(torch.uint8))
    return Measured(
        criteria=(
            *(
                Criterion(
                    text=f"no output of {name} depends on its own pixel or a later one",
                    measure="pairs (output, pixel not before it) of which flipping the pixel moves the output",
                    values=tuple(values),
                    high=0.0,
                    kind="exact",
                )
                for name, values in later.items()
            ),
            Criterion(
                text="of the diagonal BiLSTM each output depends on all earlier pixels",
                measure="share of pairs (output, earlier pixel) of which flipping the pixel moves the output",
                values=tuple(earlier["diagonal_bilstm"]),
                low=0.999,
            ),
        ),
        experiment=f"Networks of width {WIDTH} and depth {DEPTH} after {setting.amount(30, 3)} steps on binarised images; "
        "every pixel of a test image is "
        f"flipped alone, and an output has moved if any bit of its logits has: in float32, whose rounding hides the influence of far pixels. "
        "One image for each seed.",
        figure=Images(
            images=tuple(
                (f"{name}: pixels that move the output in the middle", sheet(image, columns=1))
                for name, image in zip(AUTOREGRESSIVE, maps, strict=True)
            )
        ),
        remarks=tuple(
            (f"{name}: earlier pixels that an output depends on", f"{100 * sum(values) / len(values):.1f}%")
            for name, values in earlier.items()
        ),
    )


def _trained(setting: Setting, name: str, seed: int) -> RasterGenerator:
    """Return a network whose weights are no longer those of the start, some of which are 0."""
    design = AutoregressiveDesign(width=WIDTH, depth=DEPTH)
    model = build_autoregressive(
        name, in_shape=(1, *setting.in_shape[1:]), rng=rng(seed, "claims", "weights"), design=design
    )
    images = stored(setting.train)[:, :1]

    def loss(terms: dict[str, Tensor], _: Tensor) -> Tensor:
        return terms["loss"].mean()

    fit(
        model, images, setting.train.y, steps=setting.amount(30, 3), lr=1e-3, seed=seed, optimizer="adam", batch=16, loss=loss  # type: ignore[arg-type]
    )  # fmt: skip
    return model.eval()


@torch.no_grad()
def _reached(model: RasterGenerator, setting: Setting, seed: int) -> Tensor:
    """Return whether flipping a pixel moves an output, bool (outputs, pixels), both in raster order."""
    values = model.levels.values(stored(setting.test)[seed : seed + 1, :1], rng(seed, "claims", "binarised"))
    pixels = values[0].numel()
    flips = torch.eye(pixels, dtype=torch.int64).view(pixels, *values.shape[1:])
    moved = []
    for chunk in torch.split((values + flips) % 2, CHUNK):
        # The unchanged image stands in the same row of a batch of the same size, so that equal inputs give equal bits.
        same = model.net(values.expand_as(chunk))
        moved.append((model.net(chunk) != same).any(1).flatten(1))
    return torch.cat(moved).T


CLAIM = Claim(
    code="C24",
    title="No output depends on a later pixel",
    sentence="PixelRNN's output at a pixel depends on no later pixel.",
    source="van den Oord et al. 2016 (1601.06759): each pixel is conditioned on all those above and to the left, by masked convolutions. "
    "van den Oord et al. 2016 (1606.05328): the plain PixelCNN's stacked masks leave a blind spot, which the gated one has not.",
    measure=measure,
)
