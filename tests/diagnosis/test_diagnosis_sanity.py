"""Sanity before training: each check with a program that is wrong and its twin that is not, silence, and nothing changed."""

import copy
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sanity_programs import HEALTHY, Recurrent, convnet, images, mlp, table
from torch import nn

import seewhy
from seewhy.core.errors import InputError


class Call(nn.Module):
    """A network and what a function makes of its inputs and outputs."""

    def __init__(self, body, before=None, after=None):
        super().__init__()
        self.body, self.before, self.after = body, before or (lambda x: x), after or (lambda x: x)

    def forward(self, x):
        return self.after(self.body(self.before(x)))


class Attention(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=batch_first), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.attention(x, x, x)[0].mean(1))


class Twice(nn.Module):
    """Halves its outputs, or removes what it has learned, in evaluation mode."""

    def __init__(self, factor):
        super().__init__()
        self.body, self.factor = mlp(), factor

    def forward(self, x):
        return self.body(x) * (1 if self.training else self.factor)


def initialised(model, function):
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            function(module)
    return model


def constant(value):
    def fill(module):
        nn.init.constant_(module.weight, value)
        nn.init.zeros_(module.bias)

    return fill


def normal(std):
    def fill(module):
        nn.init.normal_(module.weight, std=std)
        nn.init.zeros_(module.bias)

    return fill


def biased(value):
    def model():
        torch.manual_seed(0)
        net = mlp(depth=2)
        with torch.no_grad():
            net[2].bias.fill_(value)
        return net

    return model


def sequences(n=24, t=7):
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, t, 8, generator=g), torch.randint(4, (n,), generator=g)


def changed(batch, function):
    return function(batch[0].clone()), batch[1]


def with_nan(x):
    x[3, 0] = float("nan")
    return x


def squared(out, y):
    return F.mse_loss(out, y)


def separable(shuffled, n=256):
    g = torch.Generator().manual_seed(0)
    y = torch.randint(4, (n,), generator=g)
    x = torch.randn(n, 20, generator=g) + 2 * F.one_hot(y, 20)
    return x, y[torch.randperm(n, generator=g)] if shuffled else y


def cut(model):
    return Call(model, after=lambda z: z.detach() + 0 * z)


_x, _y = table()
_number = _x[:, :3].sum(1)

PAIRS = {
    # code: (wrong model, batch, loss), (its twin)
    "inputs_not_finite": ((mlp, changed(table(), with_nan), None), (mlp, table(), None)),
    "inputs_constant": ((mlp, changed(table(), lambda x: x[:1].expand_as(x)), None), (mlp, table(), None)),
    "inputs_unscaled": (
        (lambda: convnet(norm=False), changed(images(32), lambda x: (x * 50 + 127).clamp(0, 255)), None),
        (lambda: convnet(norm=False), images(32), None),
    ),
    "inputs_unscaled small": (
        (mlp, changed(table(), lambda x: x / 1000), None),
        (mlp, changed(table(), lambda x: x / 4), None),
    ),
    "inputs_off_centre": (
        (convnet, changed(images(32), lambda x: x * 0.1 + 4), None),
        (convnet, changed(images(32), lambda x: x * 0.25 + 0.5), None),
    ),
    "inputs_off_centre flat": (
        (convnet, changed(images(32), lambda x: x * torch.tensor([1.0, 0, 1]).view(3, 1, 1)), None),
        (convnet, changed(images(32), lambda x: x * torch.tensor([1.0, 0.5, 1]).view(3, 1, 1)), None),
    ),
    "targets_do_not_fit broadcast": (
        (lambda: mlp(sizes=(20, 1)), (_x, _number), squared),
        (lambda: mlp(sizes=(20, 1)), (_x, _number[:, None]), squared),
    ),
    "targets_do_not_fit from 1": ((mlp, (_x, _y + 1), None), (lambda: mlp(sizes=(20, 6)), (_x, _y + 1), None)),
    "targets_do_not_fit one-hot": (
        (mlp, (_x, F.one_hot(_y, 5)), nn.CrossEntropyLoss()),
        (mlp, (_x, F.one_hot(_y, 5).float()), nn.CrossEntropyLoss()),
    ),
    "targets_do_not_fit float": (
        (mlp, (_x, _y.float()), nn.CrossEntropyLoss()),
        (mlp, (_x, _y), nn.CrossEntropyLoss()),
    ),
    "targets_do_not_fit nan": (
        (lambda: mlp(sizes=(20, 1)), (_x, _number[:, None].log()), squared),
        (lambda: mlp(sizes=(20, 1)), (_x, _number[:, None].abs().log()), squared),
    ),
    "targets_constant": ((mlp, (_x, torch.full_like(_y, 2)), None), (mlp, (_x, _y), None)),
    "softmax_before_softmax_loss": (
        (lambda: nn.Sequential(mlp(), nn.Softmax(1)), table(), None),
        (lambda: nn.Sequential(mlp(), nn.LogSoftmax(1)), table(), None),
    ),
    "outputs_not_logits sigmoid": (
        (lambda: nn.Sequential(mlp(), nn.Sigmoid()), table(), None),
        (lambda: nn.Sequential(mlp(), nn.Tanh()), table(), None),
    ),
    "outputs_not_logits relu": (
        (lambda: nn.Sequential(mlp(), nn.ReLU()), table(), None),
        (lambda: nn.Sequential(mlp(), nn.LeakyReLU(0.5)), table(), None),
    ),
    "outputs_not_logits binary": (
        (lambda: nn.Sequential(mlp(), nn.Sigmoid()), (_x, (_x[:, :5] > 0).float()), nn.BCEWithLogitsLoss()),
        (lambda: nn.Sequential(mlp(), nn.Sigmoid()), (_x, (_x[:, :5] > 0).float()), nn.BCELoss()),
    ),
    "outputs_not_logits nll": (
        (mlp, table(), nn.NLLLoss()),
        (lambda: nn.Sequential(mlp(), nn.LogSoftmax(1)), table(), nn.NLLLoss()),
    ),
    "examples_mixed view": (
        (lambda: Call(mlp(), before=lambda x: x.t().reshape(x.shape)), table(), None),
        (lambda: Call(mlp(), before=lambda x: x.flip(1)), table(), None),
    ),
    "examples_mixed softmax": (
        (lambda: Call(mlp(), after=lambda z: torch.log_softmax(z, 0)), table(), None),
        (lambda: Call(mlp(), after=lambda z: torch.log_softmax(z, 1)), table(), None),
    ),
    "examples_mixed attention": (
        (lambda: Attention(batch_first=False), sequences(), None),
        (lambda: Attention(batch_first=True), sequences(), None),
    ),
    "examples_mixed norm": (
        (
            lambda: nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16, track_running_stats=False), nn.Linear(16, 5)),
            table(),
            None,
        ),
        (lambda: nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.Linear(16, 5)), table(), None),
    ),
    "batch_size_fixed": (
        (lambda: Call(mlp(), before=lambda x: x.view(32, 20)), table(32), None),
        (lambda: Call(mlp(), before=lambda x: x.view(-1, 20)), table(32), None),
    ),
    "outputs_ignore_inputs": (
        (lambda: Call(mlp(), before=lambda x: x * 0), table(), None),
        (lambda: Call(mlp(), before=lambda x: x * 0.5), table(), None),
    ),
    "not_finite": (
        (lambda: Call(mlp(), after=lambda z: (z - 1).log()), table(), None),
        (lambda: Call(mlp(), after=lambda z: (z.abs() + 1).log()), table(), None),
    ),
    "initial_loss_too_high": (
        (lambda: Call(mlp(), after=lambda z: z * 300), table(), None),
        (lambda: Call(mlp(), after=lambda z: z * 3), table(), None),
    ),
    "initial_loss_too_high regression": (
        (lambda: mlp(sizes=(20, 1)), (_x, _number[:, None] + 100), squared),
        (lambda: mlp(sizes=(20, 1)), (_x, _number[:, None] + 3), squared),
    ),
    "symmetric_initialisation": (
        (lambda: initialised(mlp(), constant(0.05)), table(), None),
        (lambda: initialised(mlp(), normal(0.1)), table(), None),
    ),
    "symmetric_initialisation zero": (
        (lambda: initialised(mlp(), constant(0.0)), table(), None),
        (lambda: nn.Sequential(*mlp()[:-1], initialised(mlp()[-1], constant(0.0))), table(), None),
    ),
    "initial_spread vanishing": (
        (lambda: initialised(mlp(depth=8), normal(0.01)), table(), None),
        (lambda: initialised(mlp(depth=8), normal(0.15)), table(), None),
    ),
    "initial_spread exploding": (
        (lambda: initialised(mlp(depth=8), normal(1.0)), table(), None),
        (lambda: initialised(mlp(depth=8), normal(0.2)), table(), None),
    ),
    "dead_units": ((biased(-20.0), table(), None), (biased(-0.2), table(), None)),
    "batch_not_fitted": ((lambda: cut(mlp()), table(), None), (mlp, table(), None)),
    "modes_disagree": ((lambda: Twice(-1), table(), None), (lambda: Twice(0.9), table(), None)),
    "modes_disagree momentum": (
        (
            lambda: nn.Sequential(nn.Linear(20, 32), nn.BatchNorm1d(32, momentum=1e-5), nn.ReLU(), nn.Linear(32, 5)),
            (_x * 5 + 20, _y),
            None,
        ),
        (
            lambda: nn.Sequential(nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 5)),
            (_x * 5 + 20, _y),
            None,
        ),
    ),
    "shuffled_labels_as_easy": ((mlp, separable(shuffled=True), None), (mlp, separable(shuffled=False), None)),
}


def tried(program, **more):
    model, batch, loss = program
    torch.manual_seed(0)
    return seewhy.sanity(model(), batch, loss, seconds=30, **more)


def statuses(result):
    return {check.code: check.status for check in result.checks}


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_wrong_is_found_and_its_twin_is_not(name):
    code = name.split()[0]
    wrong, right = (tried(program) for program in PAIRS[name])
    assert statuses(wrong)[code] == "found", str(wrong)
    assert statuses(right)[code] == "passed", str(right)
    assert code in {finding.code for finding in wrong.findings}, str(wrong)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_is_not_spoken_of(name):
    torch.manual_seed(0)
    result = seewhy.sanity(*HEALTHY[name](), seconds=30)
    assert not result.findings, str(result)
    assert result.ok
    assert statuses(result)["targets_do_not_fit"] == "passed"


def states():
    return torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002


class Noisy(nn.Module):
    """Draws from every source, counts its calls, and divides its input in place."""

    def __init__(self):
        super().__init__()
        self.body = convnet()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        x.div_(2)
        return self.body(x + torch.rand(()) * 0.01 + np.random.rand() * 0.01 + random.random() * 0.01)  # noqa: NPY002

    def loss(self, outputs, targets):
        self.calls += 1
        return F.cross_entropy(outputs, targets)


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("style", ["method", "closure", "default"])
def test_nothing_is_changed(mode, style):
    torch.manual_seed(0)
    model, batch = Noisy(), images(16)
    model.body[1].eval() if mode else model.body[1].train()
    model.body[0].weight.grad = torch.ones_like(model.body[0].weight)
    losses = {
        "method": model.loss,
        "closure": lambda out, y: F.cross_entropy(out, y) + 1e-3 * model(batch[0]).square().sum(),
        "default": None,
    }
    before, kept, rng = copy.deepcopy(model.state_dict()), copy.deepcopy(batch), states()
    modes = [module.training for module in model.modules()]
    if style == "closure":
        batch[0].requires_grad_()  # so that dividing it in place fails in the user's own network
        with pytest.raises(RuntimeError):
            seewhy.sanity(model, batch, losses[style], seconds=1)
        batch[0].requires_grad_(False)
    else:
        seewhy.sanity(model, batch, losses[style], seconds=1)
    for one, other in zip(rng, states(), strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other)) if not isinstance(one, tuple) else one == other
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(batch, kept, strict=True))
    assert [module.training for module in model.modules()] == modes
    graded = {name for name, p in model.named_parameters() if p.grad is not None}
    assert graded == {"body.0.weight"}
    assert torch.equal(model.body[0].weight.grad, torch.ones_like(model.body[0].weight))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_loss_that_refers_to_the_model_gives_it_no_gradient_and_no_statistics():
    torch.manual_seed(0)
    model, batch = convnet(), images(16)
    before = copy.deepcopy(model.state_dict())
    seewhy.sanity(
        model, batch, lambda out, y: F.cross_entropy(out, y) + 1e-3 * model(batch[0]).square().mean(), seconds=1
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_errors_of_the_program_come_as_they_are_with_a_line_of_context():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        seewhy.sanity(mlp(), (torch.randn(8, 19), torch.zeros(8, dtype=torch.long)))
    assert caught.value.__notes__ == [
        "seewhy.sanity: in the forward pass of the model in training mode, called with the batch's inputs"
    ]

    def loss(outputs, targets):
        raise KeyError("mask")

    with pytest.raises(KeyError) as caught:
        seewhy.sanity(mlp(), table(), loss)
    assert caught.value.__notes__ == [
        "seewhy.sanity: in the loss, called with the model's outputs and the batch's targets"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((F.relu, table()), "model: must be a module"),
        ((mlp(), {"x": _x}), r"batch: must be \(inputs, targets\)"),
        ((mlp(), (_x, _y, _y)), r"batch: must be \(inputs, targets\)"),
        ((mlp(), table(), 3), "loss: must be callable"),
        ((mlp(sizes=(20, 1)), (_x, _number[:, None])), "loss: needed where the targets are no integer class labels"),
        ((mlp(), table(), nn.CrossEntropyLoss(reduction="none")), "loss: must return a tensor of one number"),
        ((mlp(), table(), lambda out, y: (out.detach() ** 2).mean()), "no gradient flows"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        seewhy.sanity(*arguments)


def test_an_optimiser_is_taken_as_a_factory():
    with pytest.raises(InputError, match="must be a function that makes an optimiser"):
        seewhy.sanity(mlp(), table(), optimizer=torch.optim.SGD(mlp().parameters(), 0.1))
    for factory in (lambda p: torch.optim.SGD(p, 0.5), lambda p: torch.optim.LBFGS(p, 0.1)):
        result = tried((mlp, table(), None), optimizer=factory)
        assert statuses(result)["batch_not_fitted"] == "passed", str(result)
        assert "the given optimiser" in next(c.reason for c in result.checks if c.code == "batch_not_fitted")


def test_a_cause_is_said_and_not_its_consequences():
    result = tried((lambda: Call(mlp(), before=lambda x: x.t().reshape(x.shape) * 0 + 1), table(), None))
    assert statuses(result)["outputs_ignore_inputs"] == "found"
    both = tried((lambda: nn.Sequential(cut(mlp()), nn.Softmax(1)), table(), None))
    assert [finding.code for finding in both.findings] == ["softmax_before_softmax_loss"], str(both)


def test_what_does_not_fit_the_time_is_skipped_with_that_reason():
    result = seewhy.sanity(convnet(), images(16), seconds=1e-6)
    ended = statuses(result)
    assert ended["targets_do_not_fit"] == "passed"
    assert ended["batch_not_fitted"] == "skipped"
    assert (
        next(c.reason for c in result.checks if c.code == "batch_not_fitted") == "no time was left; give more seconds"
    )


def test_classes_that_are_all_the_same_at_the_start_are_no_squashed_logits():
    result = tried((lambda: initialised(mlp(), constant(0.01)), table(), None))
    assert [finding.code for finding in result.findings] == ["symmetric_initialisation"], str(result)


def test_equal_inputs_with_unequal_labels_are_no_fault():
    x, y = table(32)
    result = tried((mlp, (x.repeat(2, 1), torch.cat([y, (y + 1) % 5])), None))
    assert not result.findings, str(result)


def test_the_result_is_printed_with_what_was_found_and_how_many_checks_passed():
    text = str(tried((mlp, (_x, _y + 1), None)))
    assert (
        "labels lie between 1 and 5, where the outputs have 5 classes, 0 to 4; they seem to be counted from 1" in text
    )
    assert "checks passed" in text.splitlines()[-1]
    healthy = tried((Recurrent, sequences(), None))
    assert str(healthy).startswith("nothing wrong was found before training; ")
    assert len({check.code for check in healthy.checks}) == len(healthy.checks)


def test_every_finding_has_three_sentences_a_source_and_remedies():
    from seewhy.diagnosis.trial.result import RULES

    for rule in RULES:
        assert rule.explanation.count(". ") >= 1, rule.code
        assert rule.source
        assert rule.remedies
