"""Generators by name, from named choices."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from seewhy.core.errors import bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.models.adversarial.dcgan import ConvDiscriminator, ConvGenerator
from seewhy.models.adversarial.dense import DenseDiscriminator, DenseGenerator, spectral
from seewhy.models.adversarial.gan import GAN
from seewhy.models.adversarial.networks import Discriminator, Generator, Noise
from seewhy.models.autoregressive.diagonal_bilstm import DiagonalBiLSTM
from seewhy.models.autoregressive.gated import GatedPixelCNN
from seewhy.models.autoregressive.generator import RasterGenerator
from seewhy.models.autoregressive.pixelcnn import PixelCNN
from seewhy.models.autoregressive.raster import Autoregressive
from seewhy.models.autoregressive.row_lstm import RowLSTM
from seewhy.models.latent.autoencoder import Autoencoder
from seewhy.models.latent.coders import CoderDesign
from seewhy.models.latent.vae import VAE, Objective
from seewhy.models.levels import Levels

Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class GeneratorDesign:
    """The choices of a generator beside its name; each generator takes what concerns it.

    Attributes:
        width: units of a layer, or features of a map.
        depth: layers, or blocks.
        activation: of coders, one of `seewhy.nn.ACTIVATIONS`.
        levels: of brightness.
        binarise: how 2 levels are made, "stochastic" or "threshold".
        kernel: side of the convolutions after the first that look at other pixels.
        code: numbers in a code, or in the noise.
        coder: "dense" or "conv".
        output: distribution of a pixel given the code.
        beta: weight of the KL term.
        free_bits: nats of KL that cost nothing in each dimension.
        samples: codes drawn for each picture in training.
        loss: what generator and discriminator play for.
        penalty: weight of the gradient penalty.
        turns: steps of the discriminator for one of the generator.
    """

    width: int = 32
    depth: int = 7
    activation: str = "tanh"
    levels: int = 2
    binarise: str = "stochastic"
    kernel: int = 3
    code: int = 50
    coder: str = "dense"
    output: str = "bernoulli"
    beta: float = 1.0
    free_bits: float = 0.0
    samples: int = 1
    loss: str = "non_saturating"
    penalty: float = 0.0
    turns: int = 1


GENERATORS: Registry[Callable[..., nn.Module]] = Registry("generators", "model.name")
"""`f(in_shape, classes, design)`; classes is None where the generator is not told them."""


def build_generator(
    name: str,
    *,
    in_shape: Shape,
    classes: int | None,
    generator: torch.Generator,
    design: GeneratorDesign | None = None,
) -> Any:
    """Return a generator of uint8 pictures (N, C, H, W).

    Args:
        name: one of `GENERATORS`.
        in_shape: (C, H, W).
        classes: K, where the pictures of each class are learnt; None where not.
        generator: source of every weight: equal states give equal bits. The global generator is left as it was.
        design: the choices; None for the usual ones.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """
    factory = GENERATORS[name].factory
    if min(in_shape) < 1:
        raise bad_value("in_shape", in_shape, "(channels, height, width), each at least 1")
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory(in_shape, classes, design or GeneratorDesign())


def _raster(
    net: Callable[..., Autoregressive], in_shape: Shape, classes: int | None, design: GeneratorDesign, **options: Any
) -> nn.Module:
    made = net(in_shape, design.levels, classes=classes, width=design.width, depth=design.depth, **options)
    return RasterGenerator(made, Levels(design.levels, design.binarise))


def pixelcnn(in_shape: Shape, classes: int | None, design: GeneratorDesign) -> nn.Module:
    """Make a PixelCNN."""
    return _raster(PixelCNN, in_shape, classes, design, inner=design.kernel)


def gated_pixelcnn(in_shape: Shape, classes: int | None, design: GeneratorDesign) -> nn.Module:
    """Make a gated PixelCNN."""
    return _raster(GatedPixelCNN, in_shape, classes, design, inner=design.kernel)


def row_lstm(in_shape: Shape, classes: int | None, design: GeneratorDesign) -> nn.Module:
    """Make a Row LSTM."""
    return _raster(RowLSTM, in_shape, classes, design)


def diagonal_bilstm(in_shape: Shape, classes: int | None, design: GeneratorDesign) -> nn.Module:
    """Make a Diagonal BiLSTM."""
    return _raster(DiagonalBiLSTM, in_shape, classes, design)


def _coder(classes: int | None, design: GeneratorDesign) -> CoderDesign:
    return CoderDesign(
        kind=design.coder, width=design.width, depth=design.depth, activation=design.activation, classes=classes
    )


def autoencoder(in_shape: Shape, classes: int | None, design: GeneratorDesign) -> nn.Module:
    """Make an autoencoder."""
    levels = Levels(design.levels, design.binarise)
    return Autoencoder(in_shape, code=design.code, levels=levels, output=design.output, coder=_coder(classes, design))


def vae(in_shape: Shape, classes: int | None, design: GeneratorDesign) -> nn.Module:
    """Make a variational autoencoder."""
    return VAE(
        in_shape,
        code=design.code,
        levels=Levels(design.levels, design.binarise),
        output=design.output,
        coder=_coder(classes, design),
        objective=Objective(beta=design.beta, free_bits=design.free_bits, samples=design.samples),
    )


def gan(in_shape: Shape, classes: int | None, design: GeneratorDesign) -> nn.Module:
    """Make a generator and a discriminator: Goodfellow's dense ones, or DCGAN's.

    Under the hinge both discriminators have spectral normalisation. The convolutional one has layer normalisation under the gradient penalty,
    which needs each picture's own slope, and else batch normalisation, as the paper's.
    """
    players: tuple[Generator, Discriminator]
    if design.coder == "dense":
        discriminator = DenseDiscriminator(
            in_shape, width=max(1, design.width // 5), depth=design.depth, classes=classes
        )
        players = (
            DenseGenerator(
                in_shape,
                Noise(design.code, "uniform"),
                widths=(design.width,) * design.depth,
                classes=classes,
                spread=math.sqrt(3.0 / design.width),  # 0.05 at the authors' 1200 units
            ),
            spectral(discriminator) if design.loss == "hinge" else discriminator,
        )
    else:
        norm = {"wasserstein": "layer", "hinge": "spectral"}.get(design.loss, "batch")
        players = (
            ConvGenerator(in_shape, Noise(design.code), width=design.width, depth=design.depth, classes=classes),
            ConvDiscriminator(in_shape, width=design.width, depth=design.depth, norm=norm, classes=classes),
        )
    return GAN(*players, loss=design.loss, penalty=design.penalty, turns=design.turns)


GENERATORS.add(
    Technique(
        name="pixelcnn",
        factory=pixelcnn,
        summary="pixel after pixel, from those before it, by masked convolutions",
        formula="p(x) = prod_i p(x_i | x_<i), each a softmax over levels",
        source="van den Oord et al. 2016, 1601.06759",
        good_for="exact likelihoods; completing pictures",
        bad_for="global shape; a blind spot to the upper right of each pixel",
        claims=("C24",),
    )
)
GENERATORS.add(
    Technique(
        name="gated_pixelcnn",
        factory=gated_pixelcnn,
        summary="PixelCNN of two stacks without blind spot, with gates and class conditioning",
        formula="y = tanh(W_f * x + V_f h) sigmoid(W_g * x + V_g h)",
        source="van den Oord et al. 2016, 1606.05328",
        good_for="the best likelihood for the time; pictures of a class",
        bad_for="drawing large pictures: a step for each pixel",
        claims=("C24",),
    )
)
GENERATORS.add(
    Technique(
        name="row_lstm",
        factory=row_lstm,
        summary="an LSTM that goes down an image a row at a time, its state a convolution along the row",
        formula="c_r = s(f) c_(r-1) + s(i) tanh(g), h_r = s(o) tanh(c_r); gates = K_is * x_r + K_ss * h_(r-1)",
        source="van den Oord et al. 2016, 1601.06759",
        good_for="more context than a PixelCNN of few layers",
        bad_for="a triangle of context only; rows one after the other",
        claims=("C24",),
    )
)
GENERATORS.add(
    Technique(
        name="diagonal_bilstm",
        factory=diagonal_bilstm,
        summary="LSTMs along the diagonals from both upper corners: every earlier pixel is seen",
        formula="gates of (r, j) = K_is x_rj + U_0 h_(r,j-1) + U_1 h_(r-1,j), in two directions",
        source="van den Oord et al. 2016, 1601.06759",
        good_for="the whole context in one layer",
        bad_for="training time: a step for each diagonal",
        claims=("C24",),
    )
)
GENERATORS.add(
    Technique(
        name="autoencoder",
        factory=autoencoder,
        summary="a picture through a short code and back",
        formula="minimise -log p(x | d(e(x)))",
        source="Rumelhart et al. 1986; Hinton & Salakhutdinov 2006",
        good_for="compression, denoising, a first look at a data set",
        bad_for="new pictures: random codes decode badly",
        claims=("C25",),
    )
)
GENERATORS.add(
    Technique(
        name="vae",
        factory=vae,
        summary="an autoencoder whose codes have a distribution, so that random ones mean something",
        formula="maximise L_b = E_q log p(x | z) - beta KL(q(z | x) || p(z)), z = m + exp(log-sigma) e, e ~ N(0, I)",
        source="Kingma & Welling 2014, 1312.6114; Burda et al. 2016, 1509.00519; Higgins et al. 2017",
        good_for="smooth codes, interpolation, a bound on the likelihood in seconds",
        bad_for="sharpness: pixels are means over what the code leaves open",
        claims=("C25", "C26", "C27", "C28"),
    )
)
GENERATORS.add(
    Technique(
        name="gan",
        factory=gan,
        summary="a generator against a discriminator that tells its pictures from real ones",
        formula="min_G max_D E log D(x) + E log(1 - D(G(z))), or one of the other losses",
        source="Goodfellow et al. 2014, 1406.2661; Radford et al. 2016, 1511.06434",
        good_for="sharp pictures, drawn at once",
        bad_for="likelihoods, which it has none of; coverage: it may forget kinds of pictures",
        claims=("C28", "C29"),
    )
)
