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

import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seewhy.core.findings import CheckOutcome, Finding
from seewhy.diagnosis.checks import outcomes, ranked
from seewhy.diagnosis.checks.loop import WITHOUT_STEP
from seewhy.diagnosis.evaluation import live
from seewhy.diagnosis.history import Entry, History
from seewhy.diagnosis.hooks import Countdown, Hook
from seewhy.diagnosis.nested import is_graded, tensors_of
from seewhy.diagnosis.network import Network, optimizers_of
from seewhy.diagnosis.outputs import seen
from seewhy.diagnosis.page import as_text, notebook_html, write_page

CAREFUL = 60
"""Steps at whose every backward pass the gradients' state is looked at."""

OUTPUTS = 32
"""Outputs whose gradients are waited for, at most."""

COUNT = 25
"""Steps between looks at what is counted at every step, and at whether a probe is due: a divisor of `EVERY`. Those between are only counted."""


class Watch:
    """What is known of a watched loop.

    Attributes:
        error: the traceback of what ended the watching, "" if nothing did.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        optimizers: dict[str, Optimizer],
        *,
        tell: Callable[[Finding], None] | None,
        record: Callable[[Entry], None] | None,
        start: Iterable[Entry],
    ) -> None:
        self._tell, self._record, self.error, self._closing = tell, record, "", False
        alone = len(modules) == 1
        self._networks = {
            name: Network(name, module, optimizers_of(module, optimizers.values()), alone=alone)
            for name, module in modules.items()
        }
        for network in self._networks.values():
            network.history.rivals = [other.history for other in self._networks.values() if other is not network]
        for entry in start:
            if entry.network in self._networks:
                self._networks[entry.network].replay(entry)
        self._handles: list[Any] = []
        self._stepping_with = {
            id(optimizer): [network for network in self._networks.values() if optimizer in network.optimizers]
            for optimizer in optimizers.values()
        }
        for network in self._networks.values():
            if network.history.loop.mode_matters:
                hook = Hook(self, Watch._entered, network)
                self._handles.append(network.module.register_forward_pre_hook(hook))
            self._arm(network)
        self._countdowns: dict[int, Countdown] = {}
        for optimizer in optimizers.values():
            self._countdowns[id(optimizer)] = countdown = Countdown(Hook(self, Watch._stepped))
            self._handles.append(optimizer.register_step_post_hook(countdown))

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
        self._catch_up()
        handles, self._handles = self.__dict__.get("_handles", []), []
        for handle in handles:
            handle.remove()
        if handles and not self.error:
            try:
                for network in networks:
                    network.history.loop.closed = True
                    self._judge(network, counted=True)
            except Exception:  # noqa: BLE001  a watcher must not break what it watches
                self.failed()

    def observe(self, **values: float | Tensor) -> None:
        """Tell what the hooks cannot see, such as `loss`, `val_loss`, `val_accuracy`; welcome, and never needed."""
        self._catch_up()
        for name, value in values.items():
            number = float(value.detach() if isinstance(value, Tensor) else value)
            for network in self._networks.values():
                step = network.history.loop.step
                network.history.tell(name, step, number)
                if self._record is not None:
                    network.told.setdefault(name, []).append((step, number))

    def state(self) -> dict[str, Any]:
        """Return what goes into no entry, by network, as tensors and plain values: with the entries it lets another watch go on exactly."""
        self._catch_up()
        return {name: network.state() for name, network in self._networks.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave; the entries before it come as `start`. Networks that it does not name begin anew."""
        for name, network in self._networks.items():
            if name in state:
                network.restore(state[name])

    @property
    def findings(self) -> list[Finding]:
        """What was found and lasts, the likeliest cause first, without what follows from it."""
        return ranked([network.judge for network in self._networks.values()])

    @property
    def past(self) -> list[Finding]:
        """What was found and has passed away, in the order of time."""
        gone = [finding for network in self._networks.values() for finding in network.judge.past]
        return sorted(gone, key=lambda finding: finding.ended or 0)

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of the watched networks."""
        return tuple(self._networks)

    @property
    def checks(self) -> list[CheckOutcome]:
        """How each check has ended so far: found, passed, not applicable or skipped, each once."""
        return outcomes([network.judge for network in self._networks.values()])

    def history(self, network: str = "model") -> History:
        """Return the records of a network."""
        self._catch_up()
        return self._networks[network].history

    def report(self, path: str | Path = "why.html", *, title: str = "") -> Path:
        """Write what was found and measured as one page, and return its path (`page.write_page`)."""
        return write_page(self, path, title=title)

    def _repr_html_(self) -> str:
        return notebook_html(self)

    def __str__(self) -> str:
        return as_text(self)

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

    def _entered(self, network: Network, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Every forward pass begins here where the mode matters: note it."""
        loop = network.history.loop
        if torch.is_grad_enabled():
            network.eval_forward = not module.training and not live(module)
        elif loop.step:
            if not network.handles:
                network.evaluations.begin(loop, args)
            if not live(module):
                loop.evaluations += 1
            else:
                network.evaluations.in_training_mode(loop, args)

    def _forward(self, network: Network, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if network.probe is not None and network.probe.sees:  # the pass before was interrupted
            network.probe.forget()
            network.probe, network.due = None, True
        if not torch.is_grad_enabled():
            network.evaluations.begin(network.history.loop, (*args, *kwargs.values()))
            return
        network.entered = True
        start = time.perf_counter()
        if network.probe is not None:
            network.probe.pass_begins((*args, *kwargs.values()))
        elif network.due and not network.skips():
            network.refresh()
            if not network.parameters:  # frozen for this pass, in which it serves another network
                return
            network.due = False
            if not network.measurable:
                return
            probe = network.new_probe(self)
            probe.pass_begins((*args, *kwargs.values()))
            probe.begin()
        network.cost += time.perf_counter() - start

    def _forwarded(
        self, network: Network, _module: nn.Module, _args: tuple[Any, ...], _kwargs: dict[str, Any], output: Any
    ) -> None:
        probe = network.probe
        if probe is not None:
            probe.end()
        network.evaluations.end(network.history.loop)
        if self._closing:
            self.close()
            return
        if not torch.is_grad_enabled() or output is None:
            return
        if probe is None and network.history.loop.step >= CAREFUL:
            return
        start = time.perf_counter()
        for place, tensor in enumerate([one for one in tensors_of(output) if is_graded(one)][:4]):
            gradients: list[Tensor] = []
            if probe is not None and len(probe.outputs) < OUTPUTS:
                found = seen(
                    tensor, probe.given, probe.passes, look_for_linear=not network.history.first and not probe.outputs
                )
                gradients = found.gradients
                probe.outputs.append(found)
            if len(network.output_handles) == OUTPUTS:  # passes that no step follows
                network.output_handles.popleft().remove()
            hook = Hook(self, Watch._arrived, network, gradients, place)
            network.output_handles.append(tensor.register_hook(hook))  # type: ignore[no-untyped-call]
        network.cost += time.perf_counter() - start

    def _arrived(self, network: Network, kept: list[Tensor], place: int, gradient: Tensor) -> None:
        """A backward pass begins: the gradient is at the outputs, the parameters still hold what they held before."""
        if network.probe is not None and not kept:
            kept.append(gradient.detach())
        loop = network.history.loop
        loop.backwards += place == 0
        if place == 0 and loop.backwards % WITHOUT_STEP == 0:
            self._judge(network, counted=True)
        if len(network.stale) < OUTPUTS:
            network.look_for_stale()

    def _apart(self, network: Network) -> None:
        """Watch a network that is not called itself, only its parts or its forward(): by its parameters alone."""
        last = network.last_left()
        if network.entered or network.history.loop.closure or not network.measurable or last is None:
            return
        network.apart = True
        self._handles.append(last[1].register_hook(Hook(self, Watch._arrived_apart, network, last[0])))  # type: ignore[no-untyped-call]

    def _arrived_apart(self, network: Network, name: str, _: Tensor) -> None:
        if network.apart and not network.stale:
            network.look_for_stale(only=name)

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
        if network.path is not None and not closure:
            network.look_back()
        if network.apart:
            network.apart = not network.entered
            if network.apart and network.due:
                network.due = False
                network.refresh()
                network.new_probe(self)
        if network.probe is not None:
            network.before_step(closure=closure)
        network.cost += time.perf_counter() - start

    def _catch_up(self) -> None:
        """Take over the steps that were only counted."""
        for key, countdown in self.__dict__.get("_countdowns", {}).items():
            taken = countdown.taken()
            for network in self._stepping_with[key]:
                network.history.loop.step += taken
                network.history.loop.train_steps += taken

    def _stepped(self, optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        self._catch_up()
        networks = self._stepping_with[id(optimizer)]
        for network in networks:
            loop = network.history.loop
            loop.step += 1
            loop.backwards = network.passed = 0
            if network.eval_forward:
                loop.eval_steps += 1
                loop.eval_run += 1
            else:
                loop.train_steps += 1
                loop.eval_run = 0
            if network.rests() and loop.step % COUNT:
                continue
            if network.probe is not None:
                self._probed(network, optimizer)
            elif loop.step % COUNT == 0:
                self._judge(network, counted=True)
            network.forget()
            network.due = network.due or network.is_due()
            needed = network.due or loop.step < CAREFUL or network.path is not None or network.evaluations.drops
            network.remember_gradients(needed=needed)
            if loop.step == 1:
                self._apart(network)
            if needed and not network.handles:
                self._arm(network)
            elif not needed and network.handles:
                network.disarm()
        if all(network.rests() and network.only_counts for network in networks):
            looks = [COUNT - 1 - network.history.loop.step % COUNT for network in networks]
            self._countdowns[id(optimizer)].grant(min(looks, default=0))

    def _probed(self, network: Network, optimizer: Optimizer) -> None:
        """A probed step has been taken: record and judge it."""
        start = time.perf_counter()
        assert network.probe is not None
        network.after_step(closure=network.history.loop.closure)
        record = network.record(optimizer)
        network.history.add(record)
        network.choose_pass()
        network.cost += network.probe.took
        network.probe.forget()
        network.probe = network.before = network.after = None
        if self._record is not None and _speaks():
            self._record(network.entry(record))
        self._judge(network)
        network.since = time.perf_counter()
        cost = network.cost + network.since - start
        network.each = (
            (network.each + cost) / 2 if network.each else cost
        )  # one that was disturbed must not delay the next for long
        network.cost = 0.0

    def _judge(self, network: Network, *, counted: bool = False) -> None:
        for finding in network.judge.judge(network.history, counted=counted):
            if self._tell is not None and _speaks():
                self._tell(finding)


def _speaks() -> bool:
    """Whether this process tells: of several that train together the first one."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0
