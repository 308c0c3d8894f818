"""The classifier: a network together with the normalisation of its images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seewhy.models.classifiers.convnet import ConvNet, Whitening
from seewhy.models.classifiers.design import ClassifierDesign
from seewhy.nn import lsuv_, skip_unread_pixels_, start_as_identity

SAMPLE = 500
"""Images by which LSUV and the identity start of batch normalisation are measured."""


class Classifier(nn.Module):
    """logits = net((x / 255 - mean) / std), for images as they are stored.

    Args:
        net: maps normalised images (N, C, H, W) to logits (N, K); it is brought into channels_last memory, see `skip_unread_pixels_`.
        mean: per channel, in [0, 1] units; saved with the weights.
        std: per channel, in [0, 1] units, above 0; saved with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = skip_unread_pixels_(net).to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def normalise(self, images: Tensor) -> Tensor:
        """Return uint8 (N, C, H, W) as float32 of mean 0 and standard deviation 1 per channel of the training data, channels last."""
        scale = (1.0 / (255.0 * self.std)).view(1, -1, 1, 1)
        shift = (-self.mean / self.std).view(1, -1, 1, 1)
        x = images.to(torch.float32, memory_format=torch.channels_last)
        return torch.addcmul(shift, x, scale)

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 logits (N, K) of uint8 images (N, C, H, W), whatever the precision inside."""
        logits: Tensor = self.net(self.normalise(images))
        return logits.float()


@torch.no_grad()
def prepare_classifier(classifier: Classifier, images: Tensor, design: ClassifierDesign | None = None) -> None:
    """Compute the weights that depend on data, in place, once before training: whitening filters, LSUV, batch norm as the identity.

    Args:
        classifier: as built.
        images: a fixed sample of training images, uint8 (N, C, H, W).
        design: what the network was built from; None for the usual choices.
    """
    net, design = classifier.net, design or ClassifierDesign()
    for module in net.modules():
        if isinstance(module, Whitening):
            module.fit(classifier.normalise(images))
    if design.data_dependent:
        batch = classifier.normalise(images[:: max(1, len(images) // SAMPLE)][:SAMPLE])
        if design.init_choice.name == "lsuv":
            skip = [net.head] if isinstance(net, ConvNet) else []
            lsuv_(net, batch, activation=design.act, skip=skip, **design.init_choice.options)
        if design.norm_init == "identity":
            start_as_identity(net, [batch])
