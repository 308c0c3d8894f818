"""The generator of a GAN, to be exported: noise to images."""

from __future__ import annotations

from torch import Tensor, nn

from seewhy.core.seeding import rng
from seewhy.models.adversarial.gan import GAN
from seewhy.models.family import Trained
from seewhy.models.generative import labels_for
from seewhy.models.graph import EXAMPLES, IMAGES, Graph, Port, with_labels


class GeneratorGraph(nn.Module):
    """Noise (N, Z), and labels int64 (N) where there are classes -> images, uint8 (N, H, W, C)."""

    def __init__(self, gan: GAN) -> None:
        super().__init__()
        self.generator, self.to_uint8 = gan.generator, gan.to_uint8

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images."""
        return self.to_uint8(self.generator(noise, labels)).permute(0, 2, 3, 1)


def export(trained: Trained) -> Graph:
    """Return the generator of a trained GAN."""
    gan: GAN = trained.model
    kind = gan.generator.noise
    spread = "from N(0, 1)" if kind.kind == "normal" else "uniform within +-sqrt(3)"
    port = Port(axes=("batch*", "dimension"), meaning=f"float32 (N, {kind.size}), {spread}")
    noise = kind.sample(EXAMPLES, rng(0, "export"))

    def reference(noise: Tensor, labels: Tensor | None = None) -> tuple[Tensor]:
        return (gan.to_uint8(gan.generator(noise, labels)).permute(0, 2, 3, 1),)

    inputs, examples = with_labels({"noise": port}, {"noise": noise}, labels_for(trained, None, EXAMPLES))
    return Graph(
        module=GeneratorGraph(gan),
        outputs={"images": IMAGES},
        reference=reference,
        inputs=inputs,
        examples=examples,
    )
