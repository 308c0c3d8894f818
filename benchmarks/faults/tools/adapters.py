"""Other tools in the place of `seewhy.watch`: each watches a network and its optimiser, and says what it finds when watching ends.

A tool is given what it asks for: the loss of each step (taken from the backward pass), a batch, calls at the right times. Its messages are
translated by tables of patterns, generously: a message counts as every code that it could mean.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from results import told_as
from torch import Tensor, nn
from torch.optim import Optimizer

Said = dict[str, Any]
EVERY = 50
"""Steps between looks of the tools that are called, not hooked."""

STILL = (
    "learning_rate_too_low weights_do_not_move step_missing parameters_frozen parameters_not_in_optimizer parameters_unused "
    "gradients_clipped_away rate_decays_too_fast"
)
EXPLODING = (
    "exploding_gradients learning_rate_too_high initialisation_too_large initial_loss_too_high not_finite loss_is_a_sum"
)
VANISHING = f"vanishing_gradients initialisation_too_small saturated_units {STILL}"
COLLAPSED = "inputs_constant initialisation_symmetric outputs_ignore_inputs posterior_collapse mode_collapse dead_units"

TORCHMORTEM = (
    ("Update ratio too low", f"{STILL} vanishing_gradients"),
    (
        "Update ratio too high",
        "learning_rate_too_high loss_is_a_sum loss_oscillates zero_grad_missing weight_decay_too_large",
    ),
    ("Activation saturation", "saturated_units initialisation_too_large inputs_unscaled"),
    ("Dead units", "dead_units outputs_ignore_inputs"),
    ("gradient noise", "batch_too_small labels_noisy labels_unrelated_to_inputs"),
    ("Vanishing gradients", VANISHING),
    ("Exploding gradients", EXPLODING),
    ("Gradient stalling", VANISHING),
    ("Weight norm explosion", f"{EXPLODING} zero_grad_missing"),
    ("Stagnant weight norms", STILL),
    ("weight norm imbalance", "initialisation_too_large initialisation_too_small initialisation_symmetric"),
    ("divergence", f"{EXPLODING} loss_oscillates zero_grad_missing"),
    (
        "Loss plateau",
        f"{STILL} no_learning labels_unrelated_to_inputs underfitting capacity_too_small outputs_ignore_inputs",
    ),
    ("Catapult", "learning_rate_too_high loss_oscillates"),
    ("Edge of stability", "learning_rate_too_high loss_oscillates"),
    ("Rank collapse", COLLAPSED),
)

TORCH_AUDIT = (
    ("TA100|TA305", EXPLODING),
    ("TA102", EXPLODING),
    ("TA103", f"{COLLAPSED} {VANISHING}"),
    ("TA104", f"{STILL} training_in_eval_mode"),
    ("TA105|TA405", COLLAPSED),
    ("TA301", "inputs_unscaled inputs_one_signed"),
    ("TA302", "inputs_constant"),
    ("TA304", "batch_too_small"),
    ("TA402|TA401", "weight_decay_too_large"),
    ("TA500", "parameters_unused parameters_frozen parameters_not_in_optimizer"),
)

STYLE = frozenset(["TA200", "TA201", "TA202", "TA203", "TA303", "TA400", "TA401", "TA402", "TA403", "TA404"])
"""Rules of torch-audit about speed and taste."""

TORCHDIAG = (
    ("gradient is None", "parameters_unused parameters_frozen parameters_not_in_optimizer"),
    ("exploding", EXPLODING),
    ("vanishing", VANISHING),
    ("neurons dead", COLLAPSED),
    ("frozen", "parameters_frozen"),
)


def translated(table: tuple[tuple[str, str], ...], message: str, severity: str, step: int) -> Said:
    """Return a finding of a tool, as every code that its message could mean."""
    names = next((names for pattern, names in table if re.search(pattern, message)), "")
    return told_as(message[:60], severity, step, message, names.split())


class Torchmortem:
    """`Autopsy` around the loop, told the loss after each step."""

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        from torchmortem import Autopsy

        self.autopsy, self.steps = Autopsy(model, optimizer=optimizer), 0
        self.autopsy.attach()

    def ready(self, batch: Any) -> None:
        """Gradients are there."""

    def stepped(self, loss: float | None) -> None:
        """A step was taken."""
        self.steps += 1
        self.autopsy.step(**({} if loss is None else {"loss": loss}))

    def end(self) -> Iterator[Said]:
        """Yield the findings in the report's order."""
        self.autopsy.detach()
        report = self.autopsy.get_report()
        kinds = {"INFO": "note", "WARNING": "warning", "CRITICAL": "critical"}
        for finding in [] if report is None else report.findings:
            yield translated(TORCHMORTEM, finding.title, kinds[finding.severity.name], self.steps)


class TorchAudit:
    """`autopatch`, with its defaults."""

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        from torch_audit import autopatch

        self.auditor = autopatch(model, optimizer=optimizer, **self.options)

    def ready(self, batch: Any) -> None:
        """Gradients are there."""

    def stepped(self, loss: float | None) -> None:
        """A step was taken."""

    def end(self) -> Iterator[Said]:
        """Yield the findings, the most severe first."""
        self.auditor.unpatch()
        kinds = {"INFO": "note", "WARN": "warning", "ERROR": "critical", "FATAL": "critical"}
        for finding in sorted(self.auditor.finish().findings, key=lambda f: f.severity, reverse=True):
            message = f"{finding.rule_id} {finding.message}"
            yield translated(TORCH_AUDIT, message, kinds[finding.severity.value], finding.step or 0)


class TorchAuditQuiet(TorchAudit):
    """Without its rules of style, every 50th step."""

    options: ClassVar[dict[str, Any]] = {"every_n_steps": EVERY, "ignore_rules": set(STYLE)}


class Torchdiag:
    """Its gradient and dead-neuron checks at the first step and every 50th, its summary once."""

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        import torchdiag

        self.tool, self.model, self.steps = torchdiag, model, 0
        self.said: list[tuple[int, str]] = []
        self._call(torchdiag.summary, model)

    def _call(self, function: Any, *args: Any) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            function(*args)
        self.said += [(self.steps, line.strip(" •")) for line in out.getvalue().splitlines() if line.startswith("  •")]

    def ready(self, batch: Any) -> None:
        """Gradients are there."""
        if self.steps % EVERY == 0:
            self._call(self.tool.check_gradients, self.model)
            if isinstance(batch, Tensor):
                self._call(self.tool.check_dead_neurons, self.model, batch)

    def stepped(self, loss: float | None) -> None:
        """A step was taken."""
        self.steps += 1

    def end(self) -> Iterator[Said]:
        """Yield what it printed, in order of time, each message once."""
        for message in dict.fromkeys(message for _, message in self.said):
            yield translated(TORCHDIAG, message, "warning", next(step for step, text in self.said if text == message))


TOOLS: dict[str, Any] = {
    "torchmortem 0.1.1": Torchmortem,
    "torch-audit 0.3.0, defaults": TorchAudit,
    "torch-audit 0.3.0, no style, every 50th step": TorchAuditQuiet,
    "torchdiag 0.1.0, every 50th step": Torchdiag,
}


class Losses:
    """The latest scalar whose backward pass was asked for."""

    def __init__(self) -> None:
        self.value: float | None = None
        self._own = Tensor.backward

    def __enter__(self) -> Losses:
        own = self._own

        def backward(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            self.value = tensor.item() if tensor.numel() == 1 else None
            return own(tensor, *args, **kwargs)

        Tensor.backward = backward  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        Tensor.backward = self._own  # type: ignore[method-assign]


class Watched:
    """Stands where a `seewhy.Watch` would: one tool for each network and its optimiser."""

    def __init__(self, tool: Any, losses: Losses, networks: list[tuple[nn.Module, Optimizer]]) -> None:
        self.losses, self.findings, self.closed = losses, [], False
        self.tools, self.handles = [], []
        for model, optimizer in networks:
            batch: list[Any] = [None]
            self.handles.append(model.register_forward_pre_hook(self._keeper(batch)))
            one = tool(model, optimizer)
            self.tools.append(one)
            self.handles.append(optimizer.register_step_pre_hook(lambda *_, one=one, batch=batch: one.ready(batch[0])))
            self.handles.append(optimizer.register_step_post_hook(lambda *_, one=one: one.stepped(losses.value)))

    @staticmethod
    def _keeper(batch: list[Any]) -> Any:
        def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
            if torch.is_grad_enabled() and args:
                batch[0] = args[0].detach() if isinstance(args[0], Tensor) else args[0]

        return keep

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def observe(self, **_: object) -> None:
        """None of the tools has a place for it."""

    def close(self) -> None:
        """Ask the tools what they found, the alarms first."""
        if self.closed:
            return
        self.closed = True
        for handle in self.handles:
            handle.remove()
        found = [finding for tool in self.tools for finding in tool.end()]
        self.findings = sorted(found, key=lambda finding: ("critical", "warning", "note").index(finding["severity"]))
