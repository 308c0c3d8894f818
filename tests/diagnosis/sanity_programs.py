"""Small programs that are as they should be, in several people's styles: name -> (model, batch, loss)."""

import dataclasses

import torch
import torch.nn.functional as F
import torchvision
from torch import nn


def images(n=16, c=3, size=16, k=10, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, c, size, size, generator=g), torch.randint(k, (n,), generator=g)


def mlp(depth=3, width=64, act=nn.ReLU, sizes=(20, 5)):
    layers, d = [], sizes[0]
    for _ in range(depth):
        layers += [nn.Linear(d, width), act()]
        d = width
    return nn.Sequential(*layers, nn.Linear(d, sizes[1]))


def table(n=64, d=20, k=5):
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, d, generator=g), torch.randint(k, (n,), generator=g)


def convnet(norm=True, head=10):
    def block(a, b):
        return [
            nn.Conv2d(a, b, 3, padding=1),
            *([nn.BatchNorm2d(b)] if norm else []),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        ]

    return nn.Sequential(*block(3, 16), *block(16, 32), nn.Flatten(), nn.Dropout(0.5), nn.Linear(32 * 16, head))


class ViT(nn.Module):
    def __init__(self, zero_head=True, drop=0.1):
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 4, 4)
        self.cls, self.pos = nn.Parameter(torch.zeros(1, 1, 32)), nn.Parameter(torch.zeros(1, 17, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, drop, batch_first=True, norm_first=True, activation="gelu")
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)
        if zero_head:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        return self.head(self.norm(self.body(x))[:, 0])


class Recurrent(nn.Module):
    def __init__(self, batch_first=True, every=False):
        super().__init__()
        self.gru, self.head = nn.GRU(8, 32, batch_first=batch_first), nn.Linear(32, 4)
        self.batch_first, self.every = batch_first, every

    def forward(self, x):
        states, _ = self.gru(x)
        return self.head(states if self.every else states[:, -1] if self.batch_first else states[-1])


class UNet(nn.Module):
    def __init__(self, k=3):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.up, self.c = nn.ConvTranspose2d(32, 16, 2, 2), nn.Conv2d(32, k, 3, padding=1)

    def forward(self, x):
        skip = F.relu(self.a(x))
        deep = F.relu(self.b(F.max_pool2d(skip, 2)))
        return self.c(torch.cat([skip, F.relu(self.up(deep))], 1))


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(64, 32), nn.Linear(4, 32)
        self.mean, self.logvar, self.out = nn.Linear(32, 4), nn.Linear(32, 4), nn.Linear(32, 64)

    def forward(self, x):
        h = torch.relu(self.encoder(x))
        mean, logvar = self.mean(h), self.logvar(h)
        z = mean + torch.randn_like(mean) * (0.5 * logvar).exp()
        return self.out(torch.relu(self.decoder(z))), mean, logvar


def elbo(outputs, x):
    logits, mean, logvar = outputs
    kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(1).mean()
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean() + kl


@dataclasses.dataclass
class Answer:
    logits: torch.Tensor
    features: torch.Tensor


class Structured(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.body, self.head = kind, nn.Linear(20, 32), nn.Linear(32, 5)

    def forward(self, x, scale=None):
        h = torch.tanh(self.body(x if scale is None else x * scale))
        return Answer(self.head(h), h) if self.kind is Answer else {"logits": self.head(h), "features": h}


class Residual(nn.Module):
    """Residual branches that start at zero, and a head that does."""

    def __init__(self, depth=4):
        super().__init__()
        self.stem, self.head = nn.Linear(20, 32), nn.Linear(32, 5)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32)) for _ in range(depth)
        )
        for layer in (self.head, *(block[2] for block in self.blocks)):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class Clip(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(20, 16), nn.Linear(12, 16)

    def forward(self, x, y):
        return F.normalize(self.a(x), dim=1) @ F.normalize(self.b(y), dim=1).T * 10


class OwnScale(nn.Module):
    """Takes bytes as they are."""

    def __init__(self):
        super().__init__()
        self.body = convnet()

    def forward(self, x):
        return self.body((x.float() / 255 - 0.5) / 0.25)


def _xent(model, batch):
    return F.cross_entropy(model(batch["image"]), batch["label"])


def _regression():
    x, _ = table()
    return x, x[:, :3].sum(1)


def _sequences(seed=0, n=24, t=7):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, t, 8, generator=g), torch.randint(4, (n,), generator=g)


def _masks():
    x, _ = images(8)
    return x, (x.mean(1) > 0).long() + (x[:, 0] > 1).long()


def _binary_images():
    return (torch.rand(32, 64, generator=torch.Generator().manual_seed(3)) > 0.6).float()


def _time_first():
    x, y = _sequences()
    return x.transpose(0, 1).contiguous(), y


def _smooth(outputs, targets):
    return F.cross_entropy(outputs, targets, label_smoothing=0.2)


HEALTHY = {
    "resnet18": lambda: (torchvision.models.resnet18(num_classes=10), images(16, size=32), None),
    "ViT with a zero head": lambda: (ViT(), images(), None),
    "ViT with dropout": lambda: (ViT(zero_head=False, drop=0.5), images(), nn.CrossEntropyLoss()),
    "convnet with batch norm": lambda: (convnet(), images(32), None),
    "convnet without batch norm": lambda: (convnet(norm=False), images(32), None),
    "convnet, pixels from 0 to 1": lambda: (convnet(), (images(32)[0].sigmoid(), images(32)[1]), None),
    "bytes that the network scales": lambda: (
        OwnScale(),
        ((images(32)[0] * 50 + 127).clamp(0, 255).to(torch.uint8), images(32)[1]),
        None,
    ),
    "floats of bytes that the network scales": lambda: (
        OwnScale(),
        ((images(32)[0] * 50 + 127).clamp(0, 255).round(), images(32)[1]),
        None,
    ),
    "bytes before batch norm": lambda: (
        nn.Sequential(nn.BatchNorm2d(3), convnet()),
        ((images(32)[0] * 50 + 127).clamp(0, 255), images(32)[1]),
        None,
    ),
    "MLP": lambda: (mlp(), table(), None),
    "deep MLP": lambda: (mlp(depth=8), table(), None),
    "tanh MLP": lambda: (mlp(act=nn.Tanh), table(), None),
    "GELU MLP, summed": lambda: (mlp(act=nn.GELU), table(), nn.CrossEntropyLoss(reduction="sum")),
    "label smoothing": lambda: (mlp(), table(), _smooth),
    "two classes": lambda: (mlp(sizes=(20, 2)), table(k=2), None),
    "log-probabilities": lambda: (nn.Sequential(mlp(), nn.LogSoftmax(1)), table(), nn.NLLLoss()),
    "one-hot targets": lambda: (mlp(), (table()[0], F.one_hot(table()[1], 5).float()), nn.CrossEntropyLoss()),
    "several labels": lambda: (
        mlp(),
        (table()[0], (table()[0][:, :5] > 0.5).float()),
        nn.BCEWithLogitsLoss(),
    ),
    "probabilities": lambda: (
        nn.Sequential(mlp(sizes=(20, 1)), nn.Sigmoid()),
        (table()[0], (table()[0][:, :1] > 0).float()),
        nn.BCELoss(),
    ),
    "regression": lambda: (
        nn.Sequential(mlp(sizes=(20, 1)), nn.Flatten(0)),
        _regression(),
        nn.MSELoss(),
    ),
    "regression, squeezed in the loss": lambda: (
        mlp(sizes=(20, 1)),
        _regression(),
        lambda out, y: F.l1_loss(out.squeeze(1), y),
    ),
    "class weights": lambda: (mlp(), table(), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 3, 1, 1]))),
    "GRU": lambda: (Recurrent(), _sequences(), None),
    "GRU, time first": lambda: (Recurrent(batch_first=False), _time_first(), None),
    "tagger, time first": lambda: (
        Recurrent(batch_first=False, every=True),
        (_time_first()[0], torch.randint(4, (7, 24), generator=torch.Generator().manual_seed(2))),
        lambda out, y: F.cross_entropy(out.flatten(0, 1), y.flatten()),
    ),
    "U-Net": lambda: (UNet(), _masks(), None),
    "VAE": lambda: (VAE(), _binary_images(), elbo),
    "autoencoder": lambda: (mlp(sizes=(64, 64)), _binary_images(), None),
    "dict": lambda: (Structured(dict), table(), lambda out, y: F.cross_entropy(out["logits"], y)),
    "dataclass, arguments by name": lambda: (
        Structured(Answer),
        ({"x": table()[0], "scale": torch.tensor(0.5)}, table()[1]),
        lambda out, y: F.cross_entropy(out.logits, y),
    ),
    "loss of model and batch": lambda: (convnet(), {"image": images(32)[0], "label": images(32)[1]}, _xent),
    "branches that start at zero": lambda: (Residual(), table(), None),
    "contrastive": lambda: (
        Clip(),
        ((table(16)[0], table(16, 12)[0]), torch.arange(16)),
        lambda out, y: (F.cross_entropy(out, y) + F.cross_entropy(out.T, y)) / 2,
    ),
    "frozen backbone": lambda: (
        nn.Sequential(convnet(head=32).requires_grad_(False), nn.ReLU(), nn.Linear(32, 10)),
        images(32),
        None,
    ),
    "ignored pixels": lambda: (
        UNet(),
        (_masks()[0], _masks()[1].masked_fill(_masks()[0][:, 1] > 1, 255)),
        nn.CrossEntropyLoss(ignore_index=255),
    ),
}
