"""The decoder of a latent-variable model, to be exported: latents to images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seewhy.core.seeding import rng
from seewhy.models.family import Trained
from seewhy.models.generative import labels_for
from seewhy.models.graph import EXAMPLES, IMAGES, Graph, Port, with_labels
from seewhy.models.latent.encoder_decoder import EncoderDecoder


class DecoderGraph(nn.Module):
    """Latents (N, D), and labels int64 (N) where there are classes -> each pixel's mean, uint8 (N, H, W, C)."""

    def __init__(self, networks: EncoderDecoder) -> None:
        super().__init__()
        self.decoder, self.likelihood, self.levels = networks.decoder, networks.likelihood, networks.levels

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images."""
        return self.levels.images(self.likelihood.mean(self.decoder(latents, labels))).permute(0, 2, 3, 1)


def export(trained: Trained) -> Graph:
    """Return the decoder of a trained model."""
    networks: EncoderDecoder = trained.model.networks
    latents = torch.randn(EXAMPLES, networks.latent_dim, generator=rng(0, "export"))

    def reference(latents: Tensor, labels: Tensor | None = None) -> tuple[Tensor]:
        return (networks.decode_images(latents, labels).permute(0, 2, 3, 1),)

    port = Port(
        axes=("batch*", "dimension"),
        meaning=f"float32 (N, {networks.latent_dim}); from N(0, 1) for images of the prior",
    )
    inputs, examples = with_labels({"latents": port}, {"latents": latents}, labels_for(trained, None, EXAMPLES))
    return Graph(
        module=DecoderGraph(networks),
        outputs={"images": IMAGES},
        reference=reference,
        inputs=inputs,
        examples=examples,
    )
