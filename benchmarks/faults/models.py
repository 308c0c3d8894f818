"""The architectures, as strangers write them: some from modules, some with functions in `forward`."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(sizes: list[int], activation: type[nn.Module] | None = nn.ReLU, dropout: float = 0.0) -> nn.Sequential:
    """Return a multilayer perceptron that flattens its inputs; `activation` None leaves the non-linearities out."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes[:-1]):
        layers.append(nn.Linear(before, after))
        if activation is not None:
            layers.append(activation())
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def with_norm(depth: int) -> nn.Sequential:
    """Return a deep network for points, with batch norm."""
    layers: list[nn.Module] = [nn.Linear(10, 48), nn.BatchNorm1d(48), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Linear(48, 48), nn.BatchNorm1d(48), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(48, 3))


class ConvNet(nn.Module):
    """Two convolutions without norms, with functions in `forward`."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 4, 64)
        self.fc2 = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def convnet_bn(classes: int = 4, dropout: float = 0.2) -> nn.Sequential:
    """Return three convolutions with batch norm."""

    def block(before: int, after: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *block(1, 12),
        nn.MaxPool2d(2),
        *block(12, 24),
        nn.MaxPool2d(2),
        *block(24, 24),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(24, classes),
    )


class Residual(nn.Module):
    """Two convolutions with batch norm, added to what comes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class ResNet(nn.Module):
    """A stem of stride 2, two residual blocks, and a head named `fc`."""

    def __init__(self, classes: int = 4, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.layer1, self.layer2 = Residual(width), Residual(width)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.layer2(F.max_pool2d(self.layer1(F.relu(self.bn(self.stem(x)))), 2))
        return self.fc(x.mean((2, 3)))


class Transformer(nn.Module):
    """Attention over the rows of a digit; returns a dictionary with the loss, as large libraries do."""

    def __init__(self, width: int = 32, classes: int = 10, attend_axis: int = -1) -> None:
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, 8, width))
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, classes)
        self.attend_axis = attend_axis

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:  # noqa: D102
        h = self.embed(x.squeeze(1)) + self.position
        q, k, v = self.qkv(self.norm1(h)).chunk(3, -1)
        h = h + self.project(torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, self.attend_axis) @ v)
        h = h + self.mlp(self.norm2(h))
        logits = self.head(h.mean(1))
        return {"logits": logits} if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}


class Recurrent(nn.Module):
    """A GRU over the rows of a digit."""

    def __init__(self, width: int = 48, classes: int = 10) -> None:
        super().__init__()
        self.rnn = nn.GRU(8, width, batch_first=True)
        self.out = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        states, _ = self.rnn(x.squeeze(1))
        return self.out(states[:, -1])


class UNet(nn.Module):
    """One level down and up, with a skip connection; logits of a mask."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU())
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.last = nn.Sequential(nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        skip = self.down(x)
        return self.last(torch.cat([skip, self.up(self.middle(F.max_pool2d(skip, 2)))], 1))


class VAE(nn.Module):
    """A variational autoencoder of 8 latent values."""

    def __init__(self, latent: int = 8, width: int = 96) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Tanh(), nn.Linear(width, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, width), nn.Tanh(), nn.Linear(width, 64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: D102
        mu, logvar = self.encoder(x).chunk(2, 1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.decoder(z), mu, logvar


def generator(latent: int = 16) -> nn.Sequential:
    return nn.Sequential(nn.Linear(latent, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 64), nn.Tanh())


def discriminator() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 96), nn.LeakyReLU(0.2), nn.Linear(96, 96), nn.LeakyReLU(0.2), nn.Linear(96, 1))
