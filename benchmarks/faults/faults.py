"""The faults: what is changed, in which programs, and which codes name the cause.

Codes that no check has are what a check of it should be called; they count as missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from bases import Adam, elbo, triplets
from changes import Change, chain, each, first, freeze, imbalanced, inputs, model, options, pretrain, put, rate, weights
from loops import Setup, by_epochs
from torch import Tensor, nn

from data import spirals
from models import Transformer, mlp, with_norm


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: of the fault.
        causes: the codes that count as its cause.
        bases: the programs that it is planted in.
        change: the mutation.
    """

    name: str
    causes: frozenset[str]
    bases: tuple[str, ...]
    change: Change


def fault(name: str, causes: str, bases: str, *changes: Change) -> Fault:
    return Fault(name, frozenset(causes.split()), tuple(bases.split()), chain(*changes))


def head_replaced(net: nn.Module) -> None:
    name, old = [(name, part) for name, part in net.named_modules() if isinstance(part, nn.Linear)][-1]
    parent = net.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], nn.Linear(old.in_features, old.out_features))


def of_head_only(setup: Setup) -> None:
    """Give the optimiser the last layer's parameters alone."""
    make, net = setup.optimizer, setup.model
    setup.optimizer = lambda _: make(list(net.parameters())[-2:])


def of_rival(setup: Setup) -> None:
    make, rival = setup.optimizer, setup.rival
    setup.optimizer = lambda _: make(rival.parameters())


def rival(**values: object) -> Change:
    def change(setup: Setup) -> None:
        setup.rival_optimizer = partial(setup.rival_optimizer, **values)

    return change


def sort_validation(setup: Setup) -> None:
    order = setup.y_val.argsort()
    setup.x_val, setup.y_val = setup.x_val[order], setup.y_val[order]


def shuffle_labels(setup: Setup) -> None:
    setup.y = setup.y[torch.randperm(len(setup.y))]


def detached(setup: Setup) -> None:
    """Cut the graph in the middle of a sequential network, as a stray `.detach()` or `.data` does."""
    middle = [part for part in setup.model.modules() if isinstance(part, (nn.Linear, nn.GRU, nn.Conv2d))][-1]
    middle.register_forward_pre_hook(lambda _, args: (args[0].detach(),))


def behind(f) -> Change:
    """Append a function to the network's `forward`."""

    class Behind(nn.Module):
        def __init__(self, body: nn.Module) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: Tensor) -> Tensor:
            return f(self.body(x))

    def change(setup: Setup) -> None:
        setup.model = Behind(setup.model)

    return change


def nll(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.nll_loss(net(x), y)


def summed(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net(x), y, reduction="sum")


def summed_squares(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(net(x), y, reduction="sum")


def broadcast(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Subtract targets (N) from outputs (N, 1)."""
    return (net(x) - y).square().mean()


def one_target(setup: Setup) -> None:
    setup.model, setup.y, setup.y_val = mlp([256, 96, 48, 1]), setup.y[:, 0], setup.y_val[:, 0]


def distances(e: Tensor) -> Tensor:
    """Return distances whose square root has no derivative at 0."""
    return (e[:, None] - e).square().sum(2).sqrt()


def log_of_probabilities(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return -(F.one_hot(y, 10) * torch.log(torch.softmax(20 * net(x), 1))).sum(1).mean()


def standardise_pixels(setup: Setup) -> None:
    """Divide each pixel by its deviation, which is 0 for those that are never inked."""
    mean, std = setup.x.mean(0), setup.x.std(0)
    setup.x, setup.x_val = (setup.x - mean) / std, (setup.x_val - mean) / std


def noisy_and_few(setup: Setup) -> None:
    setup.x, setup.y, setup.x_val, setup.y_val = spirals(0, noise=0.35)
    first(120)(setup)
    setup.steps, setup.tell, setup.model, setup.loop = 400, True, mlp([10, 128, 128, 3]), by_epochs


def decays_by_the_step(optimizer: torch.optim.Optimizer) -> object:
    """Return a scheduler that is meant for epochs."""
    return torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)


def to_bytes(x: Tensor) -> Tensor:
    return (x - x.min()) / (x.max() - x.min()) * 255


def is_bias(name: str) -> bool:
    return "bias" in name


FAULTS: tuple[Fault, ...] = (
    fault(
        "zero_grad missing",
        "zero_grad_missing",
        "mlp-shallow convnet convnet-bn transformer rnn regression gan",
        put(clear=False),
    ),
    fault("step never called", "step_missing", "mlp-shallow unet", put(take_step=False)),
    fault(
        "softmax before cross-entropy",
        "softmax_before_softmax_loss",
        "mlp-shallow convnet rnn",
        behind(lambda z: torch.softmax(z, 1)),
    ),
    fault(
        "softmax over the batch before cross-entropy",
        "softmax_before_softmax_loss softmax_over_wrong_axis",
        "mlp-shallow convnet",
        behind(lambda z: torch.softmax(z, 0)),
    ),
    fault(
        "attention over queries",
        "softmax_over_wrong_axis",
        "transformer",
        model(lambda: Transformer(attend_axis=0)),
    ),
    fault(
        "likelihood of probabilities without logarithm",
        "softmax_before_softmax_loss nll_without_log",
        "mlp-shallow rnn",
        behind(lambda z: torch.softmax(z, 1)),
        put(loss=nll),
    ),
    fault("relu on the logits", "activation_before_loss", "mlp-shallow convnet rnn", behind(torch.relu)),
    fault(
        "sigmoid before the loss with logits",
        "sigmoid_before_logits_loss",
        "unet",
        behind(torch.sigmoid),
    ),
    fault(
        "head replaced after the optimiser, the rest frozen",
        "parameters_not_in_optimizer",
        "convnet resnet transformer mlp-deep",
        pretrain,
        freeze(lambda name: True),
        put(after_optimizer=head_replaced),
    ),
    fault("optimiser of the head only", "parameters_not_in_optimizer", "mlp-deep convnet regression", of_head_only),
    fault("generator's optimiser of the discriminator", "parameters_not_in_optimizer", "gan", of_rival),
    fault(
        "all frozen but the last bias",
        "parameters_frozen",
        "mlp-shallow rnn",
        lambda setup: freeze(lambda name: name != [n for n, _ in setup.model.named_parameters()][-1])(setup),
    ),
    fault("detached before the head", "parameters_unused", "mlp-deep rnn regression", detached),
    fault(
        "training in eval mode",
        "training_in_eval_mode",
        "mlp-deep",
        model(lambda: with_norm(9)),
        put(train_mode=False, steps=150),
    ),
    fault(
        "evaluation in train mode, class by class",
        "evaluation_in_train_mode",
        "convnet-bn resnet",
        put(eval_mode=False),
        sort_validation,
    ),
    fault(
        "evaluation in train mode with dropout",
        "evaluation_in_train_mode",
        "mlp-shallow",
        model(lambda: mlp([64, 64, 10], dropout=0.6)),
        put(eval_mode=False),
    ),
    fault("rate x 100", "learning_rate_too_high", "mlp-shallow mlp-deep convnet resnet rnn unet vae", rate(100)),
    fault("rate x 1000", "learning_rate_too_high", "transformer regression metric gan", rate(1000)),
    fault("rate / 10,000", "learning_rate_too_low", "mlp-shallow convnet transformer unet regression", rate(1e-4)),
    fault(
        "rate decays by the step, not the epoch",
        "learning_rate_too_low weights_do_not_move rate_decays_too_fast",
        "mlp-shallow mlp-deep",
        put(schedule=decays_by_the_step),
    ),
    fault("bytes as inputs", "inputs_unscaled", "mlp-shallow convnet rnn regression", inputs(to_bytes)),
    fault("inputs scaled twice", "inputs_unscaled", "mlp-shallow convnet rnn", inputs(lambda x: to_bytes(x) / 255**2)),
    fault(
        "the loader repeats a row",
        "inputs_constant",
        "mlp-shallow convnet rnn unet regression",
        each(lambda x, y: (x[:1].expand_as(x).clone(), y)),
    ),
    fault("inputs are zero", "inputs_constant", "convnet-bn transformer", inputs(torch.zeros_like)),
    fault(
        "shuffled labels",
        "labels_unrelated_to_inputs no_learning",
        "mlp-shallow convnet resnet unet regression",
        shuffle_labels,
    ),
    fault(
        "weights too large",
        "initial_loss_too_high initialisation_too_large",
        "mlp-shallow mlp-deep convnet transformer regression",
        weights(lambda w: 25 * w),
    ),
    fault(
        "weights too small",
        "initialisation_too_small vanishing_gradients",
        "mlp-deep convnet rnn",
        weights(lambda w: 0.01 * w),
    ),
    fault(
        "weights all the same",
        "initialisation_symmetric",
        "mlp-shallow convnet mlp-deep",
        weights(lambda w: torch.full_like(w, 0.02)),
    ),
    fault(
        "weights all zero",
        "initialisation_symmetric outputs_ignore_inputs",
        "mlp-shallow convnet regression vae",
        weights(torch.zeros_like),
    ),
    fault(
        "relu killed by biases",
        "dead_units",
        "mlp-shallow mlp-deep regression convnet",
        weights(lambda b: b - 12, is_bias),
    ),
    fault(
        "tanh saturated by weights",
        "saturated_units",
        "mlp-shallow",
        model(lambda: mlp([64, 64, 64, 10], nn.Tanh)),
        weights(lambda w: 40 * w, lambda name: not name.startswith("5")),
        rate(0.1),
    ),
    fault(
        "sigmoid saturated by inputs",
        "saturated_units inputs_unscaled",
        "mlp-deep",
        model(lambda: mlp([10, 64, 64, 3], nn.Sigmoid)),
        inputs(lambda x: 300 * x),
    ),
    fault(
        "deep sigmoid",
        "vanishing_gradients",
        "mlp-shallow mlp-deep",
        lambda setup: model(lambda: mlp([setup.x[0].numel(), *[48] * 8, int(setup.y.max()) + 1], nn.Sigmoid))(setup),
    ),
    fault(
        "deep linear with large weights",
        "exploding_gradients initial_loss_too_high initialisation_too_large no_nonlinearity",
        "mlp-shallow regression",
        lambda setup: model(lambda: mlp([setup.x[0].numel(), *[48] * 8, 10 if setup.y.dim() == 1 else 2], None))(setup),
        weights(lambda w: 4 * w),
    ),
    fault("sum over the batch", "loss_is_a_sum", "mlp-shallow convnet resnet", put(loss=summed), rate(2)),
    fault("sum of squares over the batch", "loss_is_a_sum", "regression", put(loss=summed_squares), rate(20)),
    fault("batch norm on pairs", "batch_too_small", "convnet-bn resnet", put(batch=2)),
    fault("overfitting", "overfitting", "mlp-deep mlp-shallow", noisy_and_few, put(optimizer=partial(Adam, lr=0.01))),
    fault(
        "weight decay eats the step",
        "weight_decay_too_large",
        "mlp-shallow convnet transformer",
        lambda setup: options(weight_decay={"SGD": 1.0}.get(setup.optimizer.func.__name__, 100.0))(setup),
    ),
    fault(
        "gradients clipped to nothing",
        "gradients_clipped_away learning_rate_too_low",
        "mlp-shallow convnet resnet",
        put(clip=1e-4),
    ),
    fault(
        "no non-linearity",
        "no_nonlinearity",
        "mlp-deep",
        model(lambda: mlp([10, 64, 64, 64, 64, 3], None)),
    ),
    fault(
        "too narrow",
        "capacity_too_small",
        "mlp-shallow mlp-deep",
        lambda setup: model(lambda: mlp([setup.x[0].numel(), 1, 10 if setup.x.dim() > 2 else 3]))(setup),
    ),
    fault(
        "too much dropout",
        "dropout_too_large",
        "mlp-shallow mlp-deep",
        lambda setup: model(lambda: mlp([setup.x[0].numel(), 64, 64, 10 if setup.x.dim() > 2 else 3], dropout=0.95))(
            setup
        ),
    ),
    fault("imbalance ignored", "majority_class_only class_imbalance", "mlp-deep convnet-bn", imbalanced(60)),
    fault("division by a deviation of 0", "not_finite", "mlp-shallow convnet rnn", standardise_pixels),
    fault("logarithm of 0", "not_finite", "convnet", put(loss=log_of_probabilities)),
    fault("root of 0", "not_finite", "metric", put(loss=partial(triplets, distance=distances))),
    fault("targets broadcast", "shapes_broadcast", "regression", one_target, put(loss=broadcast)),
    fault("rate term too heavy", "posterior_collapse", "vae", put(loss=partial(elbo, beta=20.0))),
    fault("discriminator too strong", "discriminator_wins", "gan", rate(0.02), rival(lr=5e-3), put(notes={"turns": 5})),
    fault("generator too fast", "mode_collapse", "gan", rate(20)),
)
