"""A small program for every check of a network that is trained alone, and its twin without the fault: code -> (faulty, healthy)."""

from functools import partial

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

import seewhy

FEATURES, CLASSES = 20, 4


def data(rows=512, *, crossed=False, digits=False):
    if digits:
        x, y = map(torch.as_tensor, load_digits(return_X_y=True))
        return (x.float()[:rows] - 5) / 6, y[:rows]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, FEATURES, generator=generator)
    if crossed:  # which no linear map tells apart
        return x, (x[:, 0] * x[:, 1] > 0).long() + 2 * (x[:, 2] * x[:, 3] > 0)
    return x, (x @ torch.randn(FEATURES, CLASSES, generator=generator)).argmax(1)


def mlp(*last, act=nn.ReLU):
    return nn.Sequential(nn.Linear(FEATURES, 64), act(), nn.Linear(64, 64), act(), nn.Linear(64, CLASSES), *last)


def normed():
    return nn.Sequential(
        nn.Linear(FEATURES, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, CLASSES)
    )


def adam(model):
    return torch.optim.Adam(model.parameters(), 1e-3)


def fast(model):
    return torch.optim.Adam(model.parameters(), 1e-2)


def sgd(lr, **options):
    return lambda model: torch.optim.SGD(model.parameters(), lr, **options)


def train(
    model,
    optimizer=adam,
    *,
    steps=120,
    inputs=lambda x: x,
    targets=lambda y: y,
    loss=F.cross_entropy,
    clear=True,
    lose=False,
    choose=lambda batch, y, number: batch,
    mode="train",
    evaluate=None,
    evaluated=lambda x: x,
    validate=None,
    rows=512,
    size=64,
    step=True,
    clip=None,
    crossed=False,
    digits=False,
    shuffled=False,
):
    """Train a watched model; return what was found."""
    torch.manual_seed(0)
    model = model()
    optimizer = optimizer(model)
    getattr(model, mode)()
    x, y = data(rows, crossed=crossed, digits=digits)
    y = y[torch.randperm(rows, generator=torch.Generator().manual_seed(2))] if shuffled else y
    generator = torch.Generator().manual_seed(1)
    with seewhy.watch(model, optimizer, tell=None) as why:
        for number in range(steps):
            batch = choose(torch.randint(rows, (size,), generator=generator), y, number)
            if clear:
                optimizer.zero_grad()
            value = loss(model(inputs(x[batch])), targets(y[batch]))
            value.backward()
            if lose:
                optimizer.zero_grad()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            if step:
                optimizer.step()
            if evaluate and number % 20 == 19:
                getattr(model, evaluate)()
                with torch.no_grad():
                    model(evaluated(x))
                getattr(model, mode)()
            if validate:
                why.observe(loss=value.item(), val_loss=validate(number))
    assert not why.error, why.error
    return why


def with_new_head(model):
    optimizer = adam(model)
    model[4] = nn.Linear(64, CLASSES)
    return optimizer


class Dead(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.first, self.last = nn.Linear(FEATURES, 64), nn.Linear(64, CLASSES)
        nn.init.constant_(self.first.bias, bias)

    def forward(self, x):
        return self.last(F.relu(self.first(x)))


class Unused(nn.Module):
    def __init__(self, use):
        super().__init__()
        self.use, self.body, self.more = use, mlp(), nn.Linear(CLASSES, CLASSES)

    def forward(self, x):
        x = self.body(x)
        return self.more(x) if self.use else x


class Listed(nn.Module):
    """A network of layers that are kept in a container."""

    def __init__(self, container):
        super().__init__()
        self.layers, self.last = (
            container(nn.Linear(FEATURES, FEATURES) for _ in range(2)),
            nn.Linear(FEATURES, CLASSES),
        )

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.last(x)


class Ignoring(nn.Module):
    """A network whose signal is multiplied by 0."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.body, self.last = scale, nn.Linear(FEATURES, 32), nn.Linear(32, CLASSES)

    def forward(self, x):
        return self.last(self.scale * torch.tanh(self.body(x)))


def scaled(model, factor):
    """Return a model with larger weights but for the last layer."""
    with torch.no_grad():
        for p in list(model.parameters())[:-2]:
            p *= factor
    return model


def deep(act):
    return lambda: nn.Sequential(
        *[part for _ in range(10) for part in (nn.Linear(FEATURES, FEATURES), act())], nn.Linear(FEATURES, CLASSES)
    )


def nan_after(step):
    count = [0]

    def loss(outputs, labels):
        count[0] += 1
        value = F.cross_entropy(outputs, labels)
        return value * float("nan") if count[0] > step else value

    return loss


class Sequence(nn.Module):
    """A recurrent network over five parts of the inputs."""

    def __init__(self, **options):
        super().__init__()
        self.rnn, self.last = nn.LSTM(4, 32, **options), nn.Linear(32, CLASSES)

    def forward(self, x):
        return self.last(self.rnn(x.unflatten(1, (5, 4)))[0][:, -1])


def constant(model):
    for p in model.parameters():
        nn.init.constant_(p, 0.02)
    return model


def frozen_but(model, *names):
    for name, p in model.named_parameters():
        p.requires_grad_(name in names)
    return model


def with_bias(model, value):
    nn.init.constant_(list(model.parameters())[-1][:1], value)
    return model


def labels_of(x):
    teacher = torch.Generator().manual_seed(0)
    torch.randn(512, FEATURES, generator=teacher)
    return (x @ torch.randn(FEATURES, CLASSES, generator=teacher)).argmax(1)


def leaky(x):
    """Write the label into the first column."""
    return torch.cat([labels_of(x)[:, None] - 1.5, x[:, 1:]], 1)


def clustered(x):
    """Move each class to a place of its own."""
    places = torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(2))
    return places[labels_of(x)] + 0.6 * x


def squares(z, y):
    return (z - y.float()).square().mean()


def binary(z, y):
    return F.binary_cross_entropy_with_logits(z, F.one_hot(y, CLASSES).float())


def one_class(batch, y, number):
    """Return rows of one class, at the next step those of the next one."""
    rows = torch.where(y == number % CLASSES)[0]
    return rows[batch % len(rows)]


def single(*last):
    """Return a network of one output a row."""
    return mlp(nn.Linear(CLASSES, 1), *last, nn.Flatten(0))


def likelihood(z, y):
    return z.log_softmax(1).gather(1, y[:, None]).mean()


def nll(z, y):
    return F.nll_loss(z, y)


def agreement(z, y):
    """Return a loss without a lower bound."""
    return -((2.0 * (y > 1) - 1) * z[:, 0]).mean()


def margin(z, y):
    return (1 - (2.0 * (y > 1) - 1) * z[:, 0]).clamp_min(0).mean()


def smoothed(share):
    return lambda z, y: F.cross_entropy(z, y, label_smoothing=share)


def noisy_line(z, y):
    return (z[:, 0] - y.float() - torch.randn(len(y))).square().mean()


def stretched(x):
    return x * torch.cat([torch.full((1,), 10.0), torch.ones(FEATURES - 1)])


def mislabelled(y):
    return torch.where(torch.arange(len(y)) % 14 == 0, (y + 1) % CLASSES, y)


def hinted(x):
    """Put a blurred product in the place of a column: what a linear map can learn of it is little."""
    return torch.cat([x[:, :1] * x[:, 1:2] + torch.randn(len(x), 1), x[:, 1:]], 1)


class Mixing(nn.Module):
    """A recurrent network whose outputs, time first, are put into rows."""

    def __init__(self, exchange):
        super().__init__()
        self.exchange, self.rnn, self.last = exchange, nn.GRU(4, 16), nn.Linear(5 * 16, CLASSES)

    def forward(self, x):
        h = self.rnn(x.unflatten(1, (5, 4)).transpose(0, 1))[0]
        return self.last((h.transpose(0, 1) if self.exchange else h).reshape(len(x), -1))


def cooled(temperature):
    return lambda z, y: F.cross_entropy(z / temperature, y)


def ten(outputs):
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs), nn.Flatten(0 if outputs == 1 else 1))


def wide():
    return nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def weighted(z, y, *, inverted):
    share = torch.tensor([0.7, 0.1, 0.1, 0.1])
    return F.cross_entropy(z, y, weight=share if inverted else 1 / share)


def balanced_less(batch, y, _):
    """Return all rows of class 0 and few others."""
    return batch[(y[batch] == 0) | (torch.arange(len(batch)) % 4 == 0)]


def unbalanced(y):
    return (y == 0).long() * (torch.arange(len(y)) % 3 == 0)


PAIRS = {
    "zero_grad_missing": ({"model": mlp, "clear": False}, {"model": mlp}),
    "gradients_cleared_too_early": ({"model": mlp, "lose": True}, {"model": mlp}),
    "parameters_not_registered": ({"model": lambda: Listed(list)}, {"model": lambda: Listed(nn.ModuleList)}),
    "parameters_not_in_optimizer": ({"model": mlp, "optimizer": with_new_head}, {"model": mlp}),
    "weights_do_not_move": (
        {"model": lambda: mlp().bfloat16(), "inputs": lambda x: x.bfloat16(), "optimizer": sgd(1e-5)},
        {"model": lambda: mlp().bfloat16(), "inputs": lambda x: x.bfloat16(), "optimizer": sgd(0.5)},
    ),
    "parameters_unused": ({"model": lambda: Unused(False)}, {"model": lambda: Unused(True)}),
    "training_in_eval_mode": ({"model": normed, "mode": "eval"}, {"model": normed}),
    "evaluation_in_train_mode": ({"model": normed, "evaluate": "train"}, {"model": normed, "evaluate": "eval"}),
    "not_finite": ({"model": mlp, "loss": nan_after(10), "steps": 30}, {"model": mlp, "loss": nan_after(1000)}),
    "softmax_before_softmax_loss": ({"model": lambda: mlp(nn.Softmax(1))}, {"model": lambda: mlp(nn.LogSoftmax(1))}),
    "loss_is_a_sum": (
        {"model": mlp, "optimizer": sgd(0.3), "loss": lambda z, y: F.cross_entropy(z, y, reduction="sum")},
        {"model": mlp, "optimizer": sgd(0.003), "loss": lambda z, y: F.cross_entropy(z, y, reduction="sum")},
    ),
    "inputs_unscaled": (
        {"model": mlp, "inputs": lambda x: 255 * (x + 3) / 6, "optimizer": sgd(0.1)},
        {"model": mlp, "inputs": lambda x: (x + 3) / 6, "optimizer": sgd(0.1)},
    ),
    "inputs_constant": ({"model": mlp, "inputs": lambda x: x[:1].expand_as(x)}, {"model": mlp}),
    "labels_constant": ({"model": mlp, "targets": torch.zeros_like}, {"model": mlp}),
    "batches_not_shuffled": (
        {"model": mlp, "optimizer": sgd(0.1), "choose": one_class, "steps": 200},
        {"model": mlp, "optimizer": sgd(0.1), "steps": 200},
    ),
    "batches_repeat": (
        {"model": normed, "choose": lambda *_: torch.arange(64), "evaluate": "eval", "steps": 200},
        {"model": normed, "evaluate": "eval", "steps": 200},
    ),
    "outputs_ignore_inputs": ({"model": lambda: Ignoring(0.0)}, {"model": lambda: Ignoring(1.0)}),
    "dead_units": ({"model": lambda: Dead(-100.0), "steps": 300}, {"model": lambda: Dead(0.0), "steps": 300}),
    "saturated_units": (
        {"model": lambda: scaled(deep(nn.Tanh)(), 200.0), "optimizer": sgd(1e-3)},
        {"model": lambda: mlp(act=nn.Tanh), "optimizer": sgd(0.3)},
    ),
    "vanishing_gradients": (
        {"model": deep(nn.Sigmoid), "optimizer": sgd(0.1)},
        {"model": deep(nn.ReLU), "steps": 200},
    ),
    "initial_loss_too_high": (
        {"model": lambda: with_bias(mlp(), 12.0), "optimizer": sgd(1e-3), "steps": 40},
        {"model": mlp, "optimizer": sgd(0.1), "steps": 40},
    ),
    "step_missing": ({"model": mlp, "step": False, "steps": 20}, {"model": mlp, "steps": 20}),
    "softmax_over_wrong_axis": ({"model": lambda: mlp(nn.Softmax(0))}, {"model": lambda: mlp(nn.LogSoftmax(1))}),
    "sequence_over_batch": ({"model": Sequence}, {"model": lambda: Sequence(batch_first=True)}),
    "nll_without_log": (
        {"model": lambda: mlp(nn.Softmax(1)), "loss": nll},
        {"model": lambda: mlp(nn.LogSoftmax(1)), "loss": nll},
    ),
    "sigmoid_before_logits_loss": (
        {"model": lambda: mlp(nn.Sigmoid()), "loss": binary},
        {"model": mlp, "loss": binary},
    ),
    "activation_before_loss": ({"model": lambda: mlp(nn.ReLU())}, {"model": mlp}),
    "loss_sign_flipped": (
        {"model": mlp, "loss": likelihood},
        {"model": mlp, "loss": lambda z, y: -likelihood(z, y)},
    ),
    "targets_unscaled": (
        {"model": single, "loss": squares, "targets": lambda y: 1000 * y},
        {"model": single, "loss": squares},
    ),
    "shapes_broadcast": (
        {"model": lambda: mlp(nn.Linear(CLASSES, 1)), "loss": squares},
        {"model": single, "loss": squares},
    ),
    "label_smoothing_too_large": ({"model": mlp, "loss": smoothed(0.9)}, {"model": mlp, "loss": smoothed(0.1)}),
    "label_leakage": ({"model": mlp, "inputs": leaky}, {"model": mlp}),
    "class_imbalance": (
        {"model": mlp, "targets": lambda y: torch.where(torch.arange(len(y)) < 60, 0, y), "steps": 200},
        {"model": mlp, "targets": lambda y: torch.where(torch.arange(len(y)) < 6, 0, y), "steps": 200},
    ),
    "inputs_one_signed": (
        {"model": mlp, "inputs": lambda x: 1 + x / 100, "optimizer": sgd(0.05)},
        {"model": mlp, "inputs": lambda x: 1 + x, "optimizer": sgd(0.05), "steps": 200},
    ),
    "no_nonlinearity": (
        {"model": lambda: mlp(act=nn.Identity), "crossed": True, "optimizer": adam, "steps": 400},
        {"model": mlp, "crossed": True, "optimizer": lambda m: torch.optim.Adam(m.parameters(), 3e-3), "steps": 400},
    ),
    "initialisation_symmetric": ({"model": lambda: constant(mlp())}, {"model": mlp}),
    "parameters_frozen": ({"model": lambda: frozen_but(mlp(), "4.bias")}, {"model": mlp}),
    "initialisation_too_large": (
        {"model": lambda: scaled(mlp(), 20.0), "optimizer": sgd(1e-5), "steps": 40},
        {"model": mlp, "optimizer": sgd(0.1), "steps": 40},
    ),
    "initialisation_too_small": (
        {"model": lambda: scaled(mlp(), 1e-4), "optimizer": sgd(0.1)},
        {"model": mlp, "optimizer": sgd(0.1)},
    ),
    "capacity_too_small": (
        {"model": lambda: nn.Sequential(nn.Linear(FEATURES, 1), nn.ReLU(), nn.Linear(1, CLASSES)), "steps": 200},
        {"model": lambda: nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, CLASSES)), "steps": 400},
    ),
    "dropout_too_large": (
        {"model": lambda: nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Dropout(0.95), nn.Linear(64, CLASSES))},
        {"model": lambda: nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, CLASSES))},
    ),
    "batch_too_small": ({"model": normed, "size": 2}, {"model": normed, "size": 32}),
    "weight_decay_too_large": (
        {"model": mlp, "optimizer": sgd(0.1, weight_decay=1.0)},
        {"model": mlp, "optimizer": sgd(0.1, weight_decay=5e-4)},
    ),
    "gradients_clipped_away": (
        {"model": mlp, "optimizer": sgd(0.1), "clip": 1e-4},
        {"model": mlp, "optimizer": sgd(0.1), "clip": 1.0},
    ),
    "majority_class_only": (
        {"model": mlp, "targets": unbalanced, "optimizer": sgd(0.01), "steps": 200},
        {"model": mlp, "steps": 200},
    ),
    "learning_rate_too_high": ({"model": mlp, "optimizer": sgd(50.0)}, {"model": mlp, "optimizer": sgd(0.3)}),
    "learning_rate_too_low": ({"model": mlp, "optimizer": sgd(1e-8)}, {"model": mlp, "optimizer": sgd(0.1)}),
    "no_learning": (
        {"model": mlp, "targets": lambda y: y[torch.randperm(len(y))], "steps": 180},
        {"model": mlp, "steps": 180},
    ),
    "exploding_gradients": (
        {"model": deep(nn.ReLU), "loss": agreement, "optimizer": fast},
        {"model": deep(nn.ReLU), "loss": margin, "optimizer": adam},
    ),
    "loss_oscillates": (
        {"model": lambda: nn.Linear(FEATURES, 1), "inputs": stretched, "loss": noisy_line, "optimizer": sgd(0.007)},
        {"model": lambda: nn.Linear(FEATURES, 1), "loss": noisy_line, "optimizer": sgd(0.007)},
    ),
    "labels_noisy": (
        {"model": mlp, "inputs": clustered, "targets": mislabelled, "size": 512, "optimizer": fast, "steps": 400},
        {"model": mlp, "inputs": clustered, "size": 512, "optimizer": fast, "steps": 400},
    ),
    "underfitting": (
        {
            "model": lambda: nn.Linear(FEATURES, CLASSES),
            "inputs": hinted,
            "crossed": True,
            "optimizer": fast,
            "steps": 400,
        },
        {"model": mlp, "inputs": hinted, "crossed": True, "optimizer": fast, "steps": 400},
    ),
    "overfitting": (
        {"model": mlp, "rows": 64, "validate": lambda step: 0.5 + abs(step - 30) / 30},
        {"model": mlp, "rows": 64, "validate": lambda step: 2 - step / 100},
    ),
    "batch_mixed": ({"model": lambda: Mixing(False), "steps": 20}, {"model": lambda: Mixing(True), "steps": 200}),
    "evaluation_inputs_differ": (
        {"model": normed, "evaluate": "eval", "evaluated": lambda x: 10 * x},
        {"model": normed, "evaluate": "eval", "evaluated": lambda x: 1.2 * x},
    ),
    "logits_divided": (
        {"model": mlp, "loss": cooled(500.0), "optimizer": sgd(0.1, momentum=0.9)},
        {"model": mlp, "loss": cooled(2.0), "optimizer": sgd(0.1, momentum=0.9)},
    ),
    "class_weights_inverted": (
        {"model": mlp, "choose": balanced_less, "loss": partial(weighted, inverted=True), "steps": 200},
        {"model": mlp, "choose": balanced_less, "loss": partial(weighted, inverted=False), "steps": 200},
    ),
    "targets_are_classes": (
        {"model": lambda: ten(1), "digits": True, "loss": squares, "rows": 1000},
        {"model": lambda: ten(10), "digits": True, "loss": F.cross_entropy, "rows": 1000},
    ),
    "labels_unrelated_to_inputs": (
        {"model": wide, "digits": True, "rows": 500, "shuffled": True, "steps": 500},
        {"model": wide, "digits": True, "rows": 500, "steps": 500},
    ),
}
