"""Loops of strangers, each to be run with and without being watched."""

import contextlib
import random
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from seewhy.diagnosis import watch


class Unwatched:
    def __call__(self, *args, **kwargs):
        return contextlib.nullcontext()


class Watching:
    """Watches as a user does, and keeps what came of it."""

    def __call__(self, *args, **kwargs):
        self.told = []
        self.why = watch(*args, tell=self.told.append, **kwargs)
        return self.why


def fingerprint(*things):
    """The bits of modules and optimisers, and the states of all random number generators."""
    found = [torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype("int64")), random.getstate()]  # noqa: NPY002
    return found + [thing.state_dict() for thing in things]


def equal(a, b):
    """Whether two nested values are the same, bit by bit."""
    if isinstance(a, torch.Tensor):
        if a.is_sparse:
            a, b = a.to_dense(), b.to_dense()
        return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b or (a != a and b != b)


def run(loop, watcher):
    """Run a loop from the same random state."""
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    random.seed(7)
    return loop(watcher)


def hooks_of(thing):
    """All that hangs at a module and its parts, or at an optimiser."""
    parts = list(thing.modules()) if isinstance(thing, nn.Module) else [thing]
    found = []
    for part in parts:
        for name, value in vars(part).items():
            if "hooks" in name and value:
                found.append((type(part).__name__, name, dict(value)))
    if isinstance(thing, nn.Module):
        found += [(name, "tensor", p._backward_hooks) for name, p in thing.named_parameters() if p._backward_hooks]
    return found


# Networks.


def mlp():
    return nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 4))


def convnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.2),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens):
        return self.head(self.encoder(self.embed(tokens)).mean(1))


class FrozenEncoder(Encoder):
    """A frozen encoder in evaluation mode under a head that learns: torch takes its fast path there."""

    def __init__(self):
        super().__init__()
        for part in (self.embed, self.encoder):
            part.requires_grad_(requires_grad=False)
        self.train()

    def train(self, mode=True):
        super().train(mode)
        self.encoder.eval()
        return self


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.gru(self.lstm(x)[0])[0][:, -1])


class Skips(nn.Module):
    """A U-Net in small: skip connections, in-place ReLU, up-convolution."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 12, 3, padding=1)
        self.up, self.c = nn.ConvTranspose2d(12, 6, 2, stride=2), nn.Conv2d(12, 4, 3, padding=1)

    def forward(self, x):
        a = F.relu(self.a(x), inplace=True)
        b = self.b(F.max_pool2d(a, 2)).relu_()
        y = torch.cat([a, self.up(b)], 1)
        return self.c(y).clamp_(-50, 50)


class Shared(nn.Module):
    """One layer used three times, and a weight tied to another."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.out = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 12)
        self.act = nn.ReLU(inplace=True)
        self.out.weight = self.again.weight

    def forward(self, x):
        x = self.first(x)
        for _ in range(3):
            x = self.act(self.again(x))
        return self.out(x)[:, :4]


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = convnet()[:-1].requires_grad_(requires_grad=False), nn.Linear(8, 4)

    def forward(self, x):
        with torch.no_grad():
            x = self.body(x)
        return self.head(x)


class Checkpointed(nn.Module):
    """Runs its layers a second time in the backward pass."""

    def __init__(self):
        super().__init__()
        self.body, self.head = mlp()[:-1], nn.Linear(24, 4)

    def forward(self, x):
        return self.head(torch.utils.checkpoint.checkpoint(self.body, x, use_reentrant=False))


def vectors(n=8, g=None):
    return torch.randn(n, 12, generator=g)


def images(n=8, g=None):
    return torch.randn(n, 3, 8, 8, generator=g)


def tokens(n=8, g=None):
    return torch.randint(20, (n, 5), generator=g)


def sequences(n=8, g=None):
    return torch.randn(n, 5, 6, generator=g)


NETWORKS = {
    "mlp": (mlp, vectors),
    "convnet": (convnet, images),
    "encoder": (Encoder, tokens),
    "frozen_encoder": (FrozenEncoder, tokens),
    "recurrent": (Recurrent, sequences),
    "skips": (Skips, images),
    "shared": (Shared, vectors),
    "frozen": (Frozen, images),
    "checkpointed": (Checkpointed, vectors),
    "one_module": (lambda: nn.Linear(12, 4), vectors),
}


def batches(make, steps, n=8):
    """Batches that draw from no global generator."""
    g = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = make(n, g)
        yield x, torch.randint(4, (n,), generator=g)


def loss_of(output, y):
    if output.dim() == 4:
        return F.cross_entropy(output.mean((2, 3)), y)
    return F.cross_entropy(output, y)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=3e-3)


def plain(network, steps=200, optimizer=adamw):
    """The plain loop."""
    make, data = NETWORKS[network]

    def loop(watcher):
        model = make()
        opt = optimizer([p for p in model.parameters() if p.requires_grad])
        with watcher(model, opt):
            for x, y in batches(data, steps):
                opt.zero_grad()
                loss_of(model(x), y).backward()
                opt.step()
        return fingerprint(model, opt)

    return loop


# Loops that do more than the plain one.


def autocast(watcher):
    model = convnet()
    opt = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=10)
    with watcher(model, opt):
        for x, y in batches(images, 60):
            opt.zero_grad(set_to_none=False)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(opt)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(opt)
            scaler.update()
    return [*fingerprint(model, opt), scaler.state_dict()]


def accumulation(watcher):
    model = mlp()
    opt = torch.optim.Adam(model.parameters(), 1e-2, foreach=True)
    before = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 20)
    with watcher(model, opt):
        after = torch.optim.lr_scheduler.ExponentialLR(opt, 0.99)
        for number, (x, y) in enumerate(batches(vectors, 120)):
            (loss_of(model(x), y) / 4).backward()
            if number % 4 == 3:
                nn.utils.clip_grad_value_(model.parameters(), 0.1)
                opt.step()
                opt.zero_grad()
                before.step()
                after.step()
    return fingerprint(model, opt, before, after)


def fused(watcher):
    model = mlp()
    opt = torch.optim.AdamW(model.parameters(), 1e-2, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with watcher(model, opt):
        for x, y in batches(vectors, 60):
            opt.zero_grad(set_to_none=False)
            scaler.scale(loss_of(model(x), y)).backward()
            scaler.step(opt)
            scaler.update()
    return fingerprint(model, opt)


def closures(make):
    def loop(watcher):
        model = mlp().double()
        opt = make(model.parameters())
        (x, y), *_ = batches(vectors, 1, n=32)

        def closure():
            opt.zero_grad()
            loss = loss_of(model(x.double()), y)
            loss.backward()
            return loss

        with watcher(model, opt):
            for _ in range(25):
                opt.step(closure)
        return fingerprint(model)

    return loop


def groups(watcher):
    """Several groups, a parameter without a gradient, one that no optimiser holds, evaluations in between."""
    model = convnet()
    model.unused = nn.Parameter(torch.zeros(3))
    model.free = nn.Parameter(torch.zeros(3))
    opt = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": torch.tensor(0.01)}, {"params": model[1:].parameters()}], lr=0.1
    )
    opt.add_param_group({"params": [model.unused]})
    with watcher(model, opt):
        for number, (x, y) in enumerate(batches(images, 60)):
            opt.zero_grad()
            loss_of(model[:](x) if number == 5 else model(x), y).backward()
            opt.step()
            if number % 7 == 0:
                model.eval()
                with torch.no_grad() if number % 2 else torch.inference_mode():
                    model(x)
                model(x)
                model.train()
    return fingerprint(model, opt)


def sparse(watcher):
    embedding = nn.Embedding(20, 6, sparse=True)
    head = nn.Linear(6, 4)
    model = nn.Sequential(embedding, head)
    a, b = torch.optim.SparseAdam(list(embedding.parameters()), 1e-2), torch.optim.SGD(head.parameters(), 0.1)
    with watcher(model, a, head_optimizer=b):
        for number, (x, y) in enumerate(batches(tokens, 60)):
            if number % 3:
                a.zero_grad()
            b.zero_grad()
            loss_of(model(x).mean(1), y).backward()
            a.step()
            b.step()
    return fingerprint(model, a, b)


@dataclass
class Heads:
    logits: torch.Tensor
    parts: dict
    note: str = "no tensor"


class Several(nn.Module):
    """Keyword-only inputs; outputs nested in a dataclass, some without gradient, one of them a parameter."""

    def __init__(self):
        super().__init__()
        self.body, self.temperature = mlp(), nn.Parameter(torch.ones(()))

    def forward(self, *, pixels, flag=True):
        z = self.body(pixels)
        assert flag
        return Heads(z, {"more": [z.tanh(), (z.detach(), None)], "temperature": self.temperature, "k": 3})


def several(watcher):
    model = Several()
    opt = adamw(model.parameters())
    with watcher(model, opt):
        for x, y in batches(vectors, 60):
            opt.zero_grad()
            out = model(pixels=x)
            (loss_of(out.logits / out.parts["temperature"], y) + out.parts["more"][0].square().mean()).backward()
            opt.step()
            assert not model.temperature._backward_hooks
    return fingerprint(model, opt)


def adversarial(watcher):
    G, D = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 12)), mlp()[:-1].append(nn.Linear(24, 1))
    opt_g, opt_d = torch.optim.Adam(G.parameters(), 1e-3), torch.optim.Adam(D.parameters(), 1e-3)
    with watcher(G, opt_g, discriminator=D, d_optimizer=opt_d):
        for x, _ in batches(vectors, 60):
            fake = G(torch.randn(len(x), 4))
            opt_d.zero_grad()
            (F.softplus(-D(x)) + F.softplus(D(fake.detach()))).mean().backward()
            opt_d.step()
            opt_g.zero_grad()
            F.softplus(-D(fake)).mean().backward()
            opt_g.step()
    return fingerprint(G, D, opt_g, opt_d)


def penalty(watcher):
    """The gradient's norm in the loss: a backward pass through the backward pass."""
    model = mlp()
    opt = adamw(model.parameters())
    with watcher(model, opt):
        for x, y in batches(vectors, 60):
            opt.zero_grad()
            x.requires_grad_()
            loss = loss_of(model(x), y)
            (g,) = torch.autograd.grad(loss, x, create_graph=True)
            (loss + g.square().sum()).backward()
            opt.step()
    return fingerprint(model, opt)


def metric(watcher):
    """Three passes a step, no classes: a triplet loss of normed vectors."""
    model = mlp()
    opt = adamw(model.parameters())
    with watcher(model, opt):
        for x, _ in batches(vectors, 60):
            opt.zero_grad()
            F.triplet_margin_loss(*(F.normalize(model(x.roll(k, 0))) for k in range(3))).backward()
            opt.step()
    return fingerprint(model, opt)


def autoencoder(watcher):
    model = nn.Sequential(nn.Linear(12, 3), nn.Sigmoid(), nn.Linear(3, 12))
    opt = adamw(model.parameters())
    with watcher(model, opt):
        for x, _ in batches(vectors, 60):
            opt.zero_grad()
            F.mse_loss(model(x), x).backward()
            opt.step()
    return fingerprint(model, opt)


def retyped(watcher):
    """Becomes double midway, is taken to another device and back, and gets a new head."""
    model = mlp()
    opt = torch.optim.SGD(model.parameters(), 0.1)
    with watcher(model, opt):
        for number, (x, y) in enumerate(batches(vectors, 60)):
            out = model(x.double() if number > 2 else x)
            if number == 2:
                model.double()
            if number == 13:
                model[4] = nn.Linear(24, 4).double()
                model.append(nn.Identity())
                opt.add_param_group({"params": model[4].parameters()})
            if number == 27:
                state = {name: value.clone() for name, value in model.state_dict().items()}
                model.to("meta")
                model.to_empty(device="cpu").load_state_dict(state)
            if number not in (2, 13, 27):
                opt.zero_grad()
                loss_of(out, y).backward()
                opt.step()
    return fingerprint(model, opt)


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.mid, self.out = (
            nn.Linear(12, 12, dtype=torch.complex64),
            nn.Conv1d(1, 1, 3, padding=1, dtype=torch.complex64),
            nn.Linear(12, 4),
        )

    def forward(self, x):
        return self.out(self.mid(self.inp(x.to(torch.complex64))[:, None])[:, 0].abs())


def complex_(watcher):
    model = Complex()
    opt = adamw(model.parameters())
    with watcher(model, opt):
        for x, y in batches(vectors, 30):
            opt.zero_grad()
            loss_of(model(x), y).backward()
            opt.step()
    return fingerprint(model, opt)


def empty(watcher):
    """An empty batch now and then, the first one too."""
    model = convnet()[2:]
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.Flatten(), nn.Linear(288, 4))
    opt = torch.optim.SGD(model.parameters(), 0.1)
    with watcher(model, opt):
        for number, (x, y) in enumerate(batches(images, 30)):
            opt.zero_grad()
            some = slice(0, 0 if number % 4 == 0 else None)
            model(x[some]).square().sum().mul(0.01).backward()
            opt.step()
            del y
    return fingerprint(model, opt)


LOOPS = {
    "autocast": autocast,
    "accumulation": accumulation,
    "fused": fused,
    "groups": groups,
    "sparse": sparse,
    "several": several,
    "adversarial": adversarial,
    "penalty": penalty,
    "metric": metric,
    "autoencoder": autoencoder,
    "retyped": retyped,
    "complex": complex_,
    "empty": empty,
}
