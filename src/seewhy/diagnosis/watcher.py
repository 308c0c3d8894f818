"""Watching a training loop that somebody else wrote.

    with seewhy.watch(model, optimizer) as why:
        for images, labels in loader:
            ...                             # the loop, unchanged
    print(why)

What hangs where: a pre-hook at the network's root, and a hook after each optimiser's step; at the first steps and at probed ones also a hook at
the root's end, one before the optimiser's step, and tensor hooks on outputs (`probe`). They read, and return None. Nothing is patched, no
attribute is added, no random number is drawn, no pass through the network is added. Probes are dense at the start, then about every fiftieth
step, and further apart where they would take more than `SHARE` of the time.

An error within a hook never reaches the loop: watching ends there, with one warning that holds it.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.optim import Optimizer

from seewhy.core.errors import InputError
from seewhy.core.findings import CheckOutcome, Finding
from seewhy.diagnosis.checks import CHECKS, Judge, outcomes
from seewhy.diagnosis.hooks import Hook
from seewhy.diagnosis.logits import read_logits
from seewhy.diagnosis.probe import Probe, UnitMemory, dense
from seewhy.diagnosis.records import History, LogitsRecord, ParameterRecord, ProbeRecord

DENSE = (1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 75, 100, 130, 170)
EVERY = 50
SECONDS = 60.0
"""After which a probe comes even if there were fewer steps."""

SHARE = 0.02
"""Of the time, which probes may take after the dense ones."""

CAREFUL = 60
"""Steps at whose every backward pass the gradients' state is looked at."""

OUTPUTS = 32
"""Outputs whose gradients are waited for, at most."""

COUNT = 10
"""Steps between looks at what is counted at every step."""

KEPT = 1000
"""Values of each name that the user tells, the latest."""

SAMPLE = 256
"""Entries of each parameter of which updates are measured."""


class Network:
    """One watched network, with what is known of it so far."""

    def __init__(self, name: str, module: nn.Module, optimizers: list[Optimizer], *, alone: bool) -> None:
        self.module, self.optimizers = module, optimizers
        self.refresh()
        self.history = History(name, alone=alone)
        self.history.loop.mode_matters = any(_mode_matters(part) for part in module.modules())
        self.memory = UnitMemory()
        self.judge = Judge(CHECKS)
        self.probe: Probe | None = None
        self.due = True
        self.stale: list[bool] = []
        self.before: Tensor | None = None
        self.graded: dict[str, float] = {}
        self.eval_forward = False
        self.handles: list[Any] = []  # of the hooks that only some steps need
        self.output_handles: deque[Any] = deque()
        self.cost = self.each = 0.0
        self.since = time.perf_counter()

    def forget(self) -> None:
        """Take away the hooks on outputs."""
        for handle in self.output_handles:
            handle.remove()
        self.output_handles.clear()

    def disarm(self) -> None:
        """Take away the hooks that only some steps need."""
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def refresh(self) -> None:
        """Look anew at what the network is made of, which the user may have changed."""
        self.names = {part: path for path, part in self.module.named_modules()}
        self.parameters = [
            (path, p) for path, p in self.module.named_parameters() if p.requires_grad and p.is_floating_point()
        ]
        # What is compiled runs as it was traced, and what is on meta has no values.
        compiled = any(
            type(part).__name__ == "OptimizedModule" or part._compiled_call_impl is not None for part in self.names
        )
        self.measurable = not compiled and not any(p.is_meta for _, p in self.parameters)

    def held(self) -> set[int]:
        """Return the identities of the parameters that the watched optimisers hold."""
        return {id(p) for optimizer in self.optimizers for group in optimizer.param_groups for p in group["params"]}

    def held_parameters(self) -> list[Tensor]:
        """Return the network's parameters that the watched optimisers hold, which `zero_grad` clears."""
        held = self.held()
        return [p for _, p in self.parameters if id(p) in held]

    def sample(self) -> Tensor | None:
        """Return some entries of every parameter, one after the other."""
        parts = [_entries(p).float() for _, p in self.parameters]
        return torch.cat(parts) if parts else None


def _entries(p: Tensor) -> Tensor:
    flat = dense(p)
    return flat[:: max(1, flat.numel() // SAMPLE)][:SAMPLE]


def print_finding(finding: Finding) -> None:
    """Print a finding on stderr."""
    print(f"seewhy  {finding}", file=sys.stderr)


def _mode_matters(module: nn.Module) -> bool:
    if isinstance(module, (_BatchNorm, _InstanceNorm)):
        return bool(module.track_running_stats)
    return isinstance(module, _DropoutNd) and module.p > 0


class Watch:
    """What is known of a watched loop.

    Attributes:
        error: the traceback of what ended the watching, "" if nothing did.
    """

    def __init__(
        self, modules: dict[str, nn.Module], optimizers: dict[str, Optimizer], *, tell: Callable[[Finding], None] | None
    ) -> None:
        self._tell, self.error, self._closing = tell, "", False
        alone = len(modules) == 1
        self._networks = {
            name: Network(name, module, _of(module, optimizers.values()), alone=alone)
            for name, module in modules.items()
        }
        self._handles: list[Any] = []
        self._stepping_with = {
            id(optimizer): [network for network in self._networks.values() if optimizer in network.optimizers]
            for optimizer in optimizers.values()
        }
        for network in self._networks.values():
            self._handles.append(network.module.register_forward_pre_hook(Hook(self, Watch._entered, network)))
            self._arm(network)
        for optimizer in optimizers.values():
            self._handles.append(optimizer.register_step_post_hook(Hook(self, Watch._stepped)))

    # What the user sees.

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Take every hook away; what was found stays."""
        networks = list(self.__dict__.get("_networks", {}).values())
        if any(network.probe is not None and network.probe.inside for network in networks):
            self._closing = True  # a mode that is at work cannot be left: at the end of the pass
            return
        for network in networks:
            if network.probe is not None:
                network.probe.forget()
                network.probe = None
            network.forget()
            network.disarm()
        handles, self._handles = self.__dict__.get("_handles", []), []
        for handle in handles:
            handle.remove()
        if handles and not self.error:
            try:
                for network in networks:
                    self._judge(network, counted=True)
            except Exception:  # noqa: BLE001  a watcher must not break what it watches
                self.failed()

    def observe(self, **values: float | Tensor) -> None:
        """Tell what the hooks cannot see, such as `loss`, `val_loss`, `val_accuracy`; welcome, and never needed."""
        for network in self._networks.values():
            for name, value in values.items():
                kept = network.history.observed.setdefault(name, deque(maxlen=KEPT))
                kept.append((network.history.loop.step, float(value.detach() if isinstance(value, Tensor) else value)))

    @property
    def findings(self) -> list[Finding]:
        """What was found and lasts, the likeliest cause first, without what follows from it."""
        found = [finding for network in self._networks.values() for finding in network.judge.causes]
        rank = {"critical": 0, "warning": 1, "note": 2}
        return sorted(found, key=lambda finding: (finding.depth, rank[finding.severity], finding.step))

    @property
    def checks(self) -> list[CheckOutcome]:
        """How each check has ended so far: found, passed, not applicable or skipped, each once."""
        return outcomes([network.judge for network in self._networks.values()])

    def history(self, network: str = "model") -> History:
        """Return the records of a network."""
        return self._networks[network].history

    def __str__(self) -> str:
        steps = max(network.history.loop.step for network in self._networks.values())
        found = self.findings
        if not steps:
            return (
                "no step was seen: the loop has not begun, or it steps another optimiser than the one that is watched"
            )
        passed = sum(check.status == "passed" for check in self.checks)
        if not found:
            return f"nothing wrong was found in {steps:,} steps; {passed} of {len(CHECKS)} checks passed"
        lines = [str(finding) for finding in found]
        for finding in found[:1]:
            lines += [f"    {finding.explanation}", *(f"    - {remedy.text}" for remedy in finding.remedies)]
        return "\n".join(lines)

    # Hooks.

    def failed(self) -> None:
        """End the watching for an error of its own, with one warning."""
        if self.error:
            return
        self.error = traceback.format_exc()
        self.close()
        last = self.error.strip().splitlines()[-1]
        warnings.warn(f"seewhy.watch has ended, for an error of its own: {last}", RuntimeWarning, stacklevel=3)

    def _arm(self, network: Network) -> None:
        """Hang up what only some steps need: the first ones, and those that are probed."""
        module, handles = network.module, network.handles
        handles.append(module.register_forward_pre_hook(Hook(self, Watch._forward, network), with_kwargs=True))
        hook = Hook(self, Watch._forwarded, network)
        handles.append(module.register_forward_hook(hook, with_kwargs=True, always_call=True))
        for optimizer in network.optimizers:
            handles.append(optimizer.register_step_pre_hook(Hook(self, Watch._stepping, network)))

    def _entered(self, network: Network, module: nn.Module, _args: tuple[Any, ...]) -> None:
        """Every forward pass begins here: note its mode."""
        loop = network.history.loop
        if not loop.mode_matters:
            return
        if torch.is_grad_enabled():
            network.eval_forward = not module.training and not _live(module)
        elif loop.step:
            wrong = _live(module)
            loop.train_evaluations += wrong
            loop.evaluations += not wrong

    def _forward(self, network: Network, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if network.probe is not None and network.probe.sees:  # the pass before was interrupted
            network.probe.forget()
            network.probe, network.due = None, True
        if not torch.is_grad_enabled() or not network.due or network.probe is not None:
            return
        start = time.perf_counter()
        network.refresh()
        if not network.measurable:
            network.due = False
            return
        network.probe = Probe(self, module, network.names, network.memory)
        network.probe.begin((*args, *kwargs.values()))
        network.cost += time.perf_counter() - start
        network.due = False

    def _forwarded(
        self, network: Network, _module: nn.Module, _args: tuple[Any, ...], _kwargs: dict[str, Any], output: Any
    ) -> None:
        probe = network.probe
        if probe is not None:
            probe.end()
        if self._closing:
            self.close()
            return
        if not torch.is_grad_enabled() or output is None:
            return
        if probe is None and network.history.loop.step >= CAREFUL:
            return
        for tensor in list(_tensors(output))[:4]:
            if not tensor.requires_grad:
                continue
            gradients: list[Tensor] = []
            if probe is not None and len(probe.outputs) < OUTPUTS:
                probe.outputs.append((tensor.detach(), gradients))
            if len(network.output_handles) == OUTPUTS:  # passes that no step follows
                network.output_handles.popleft().remove()
            hook = Hook(self, Watch._arrived, network, gradients)
            network.output_handles.append(tensor.register_hook(hook))  # type: ignore[no-untyped-call]

    def _arrived(self, network: Network, kept: list[Tensor], gradient: Tensor) -> None:
        """A backward pass begins: the gradient is at the outputs, the parameters still hold what they held before."""
        if network.probe is not None and not kept:
            kept.append(gradient.detach())
        some = network.held_parameters()
        held = [p.grad for p in some[:: max(1, len(some) // 3)] if p.grad is not None]
        if len(network.stale) < OUTPUTS:
            network.stale.append(bool(held) and any(bool(grad.any()) for grad in held))

    def _stepping(self, network: Network, _: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        start = time.perf_counter()
        loop = network.history.loop
        closure = (args[1] if len(args) > 1 else kwargs.get("closure")) is not None
        loop.closure |= closure
        if not closure and network.stale and loop.step:
            if all(network.stale):
                loop.stale += 1
            else:
                loop.stale = 0
                loop.cleared += 1
        network.stale = []
        if network.probe is not None:
            network.before = network.sample()
            network.graded = {} if closure else _gradient_norms(network)
            network.cost += time.perf_counter() - start

    def _stepped(self, optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        for network in self._stepping_with[id(optimizer)]:
            loop = network.history.loop
            loop.step += 1
            if network.eval_forward:
                loop.eval_steps += 1
            else:
                loop.train_steps += 1
            if network.probe is not None:
                start = time.perf_counter()
                if loop.closure:
                    network.graded = _gradient_norms(network)
                network.history.add(_record(network, optimizer))
                network.probe.forget()
                network.probe = network.before = None
                self._judge(network)
                network.since = time.perf_counter()
                network.each, network.cost = network.cost + network.since - start, 0.0
            elif loop.step % COUNT == 0:
                self._judge(network, counted=True)
            network.forget()
            network.due = network.due or _is_due(network)
            needed = network.due or loop.step < CAREFUL
            if needed and not network.handles:
                self._arm(network)
            elif not needed and network.handles:
                network.disarm()

    def _judge(self, network: Network, *, counted: bool = False) -> None:
        for finding in network.judge.judge(network.history, counted=counted):
            if self._tell is not None and _speaks():
                self._tell(finding)


def _speaks() -> bool:
    """Whether this process tells: of several that train together the first one."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0


def _is_due(network: Network) -> bool:
    """Whether the next step is probed."""
    coming = network.history.loop.step + 1
    if coming <= DENSE[-1]:
        return coming in DENSE
    last, idle = network.history.latest[-1].step if network.history.latest else 0, time.perf_counter() - network.since
    return (coming - last >= EVERY or idle >= SECONDS) and idle >= network.each / SHARE


def _gradient_norms(network: Network) -> dict[str, float]:
    """Return the norm of each parameter's gradient, by name, where there is one."""
    graded = [(name, p.grad) for name, p in network.parameters if p.grad is not None and not p.grad.is_sparse]
    if not graded:
        return {}
    norms = torch.stack([norm.float() for norm in torch._foreach_norm([grad.detach() for _, grad in graded])])
    return dict(zip((name for name, _ in graded), norms.tolist(), strict=True))


def _record(network: Network, optimizer: Optimizer) -> ProbeRecord:
    """Put together what the probe of this step has measured."""
    probe = network.probe
    assert probe is not None
    logits: LogitsRecord | None = None
    bad = probe.bad
    for output, gradients in probe.outputs:
        if not bool(torch.isfinite(output).all()):
            bad = bad or "the outputs"
        elif gradients and logits is None:
            logits = read_logits(output, gradients[0])
    bad = bad or next(
        (f"the gradient of {name}" for name, norm in network.graded.items() if not math.isfinite(norm)), ""
    )
    parameters = _parameter_records(network)
    bad = bad or next((record.name for record in parameters if not math.isfinite(record.weight)), "")
    lr = optimizer.param_groups[0].get("lr")
    return ProbeRecord(
        step=network.history.loop.step,
        bad=bad,
        lr=None if lr is None else float(lr),
        inputs=probe.inputs,
        logits=logits,
        layers=probe.layer_records(),
        activations=tuple(probe.activations),
        parameters=parameters,
    )


@torch.no_grad()
def _parameter_records(network: Network) -> tuple[ParameterRecord, ...]:
    held, after, before = network.held(), network.sample(), network.before
    if after is None:
        return ()
    sizes = [min(SAMPLE, len(_entries(p))) for _, p in network.parameters]
    weights = torch.stack([part.norm() for part in torch.split(after, sizes)]).tolist()
    updates: list[float | None] = [None] * len(sizes)
    if before is not None and len(before) == len(after):
        updates = torch.stack([part.norm() for part in torch.split(after - before, sizes)]).tolist()
    return tuple(
        ParameterRecord(
            name,
            network.graded.get(name),
            weight,
            None if update is None else update / weight if weight else math.inf if update else 0.0,
            None if update is None else update > 0,
            id(p) in held,
        )
        for (name, p), weight, update in zip(network.parameters, weights, updates, strict=True)
    )


def _live(module: nn.Module) -> bool:
    """Whether dropout or batch norm behaves as in training anywhere."""
    return any(part.training and _mode_matters(part) for part in module.modules())


def _of(module: nn.Module, optimizers: Iterable[Optimizer]) -> list[Optimizer]:
    """Return the optimisers that hold a parameter of a module; all of them where none does, which a check will tell."""
    own = {id(p) for p in module.parameters()}
    every = list(optimizers)
    holding = [
        optimizer
        for optimizer in every
        if any(id(p) in own for group in optimizer.param_groups for p in group["params"])
    ]
    return holding or every


def _tensors(output: Any) -> Iterator[Tensor]:
    """Yield the tensors of an output, however nested."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, (list, tuple)):
        for value in output:
            yield from _tensors(value)


def watch(
    model: nn.Module,
    optimizer: Optimizer,
    *,
    tell: Callable[[Finding], None] | None = print_finding,
    **more: nn.Module | Optimizer,
) -> Watch:
    """Watch a training loop, and say what is wrong with it.

    Args:
        model: any module; its forward pass, called as `model(...)`, is what is seen.
        optimizer: of its parameters; any of torch's kind, also with closures.
        tell: called with each finding as it is confirmed; by default it is printed on stderr, None is silent.
        more: further networks and optimisers of the same loop, by name, such as `discriminator=D, d_optimizer=opt_d`.

    Returns:
        a `Watch`, to be closed, or used as a context. `print(why)` says what was found.

    Raises:
        InputError: one of them is no module or no optimiser.
    """
    modules = {"model": model} | {name: value for name, value in more.items() if isinstance(value, nn.Module)}
    optimizers = {"optimizer": optimizer} | {
        name: value for name, value in more.items() if isinstance(value, Optimizer)
    }
    for name, value in {"model": model, "optimizer": optimizer, **more}.items():
        if not isinstance(
            value, Optimizer if name == "optimizer" else nn.Module if name == "model" else (nn.Module, Optimizer)
        ):
            kind = (
                "a torch optimiser"
                if name == "optimizer"
                else "a module"
                if name == "model"
                else "a module or a torch optimiser"
            )
            raise InputError(f"watch: {name}: must be {kind}, got {type(value).__name__}")
    return Watch(modules, optimizers, tell=tell)
