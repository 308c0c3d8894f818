"""A run that is watched: the very same watch as of anybody's loop, fed from the training's events.

What a probe measures is appended to records.jsonl as it comes, an entry a line (`seewhy.diagnosis.records.Entry`) with the run's step beside
it. A run that goes on cuts what came after its checkpoint, and lets the watch begin with the rest and with what the checkpoint kept. What is
found, and what has passed away, is told as events once it is confirmed, and stands in findings.json together with how every check ended.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from seewhy.core.errors import InputError
from seewhy.core.files import naming, write_json
from seewhy.core.findings import Finding
from seewhy.core.json_lines import keep_lines, read_lines
from seewhy.diagnosis import Watch
from seewhy.diagnosis.history import Entry, plain
from seewhy.training.event_log import read_events
from seewhy.training.events import (
    Emit,
    Evaluated,
    Event,
    Found,
    GradientsReady,
    OptimizerStepped,
    PassedAway,
    RunEnded,
    RunStarted,
    StepEnded,
)

FINDINGS, RECORDS = "findings.json", "records.jsonl"


class Watching:
    """An observer that watches the networks of a run.

    What the watch says from within its hooks waits for the end of the step, so that an observer's exception, or a full disk, ends the run as
    everywhere else.

    Args:
        folder: of the run; its records.jsonl ends with the step from which the run goes on.
        emit: told of every finding.
        state: what `state` gave when the checkpoint was saved from which the run goes on; {} for none.
    """

    def __init__(self, folder: Path, emit: Emit, state: Mapping[str, Any]) -> None:
        self._folder, self._emit, self._state = folder, emit, state
        self._why: Watch | None = None
        self._parts: dict[str, PartOptimizer] = {}
        self._step = 0
        self._file: IO[str] | None = None
        self._entries: list[Entry] = []
        self._findings: list[Finding] = []
        self._told: set[str] = set()  # fingerprints of what was told and lasts
        self._past: list[Finding] = []

    def __call__(self, event: Event) -> None:
        """Begin with the run, follow its updates and its validation, and end with it."""
        why = self._why
        match event:
            case RunStarted():
                self._begin(event)
            case GradientsReady(network=network):
                self._step = event.step
                if network in self._parts:
                    self._parts[network].begin()
            case OptimizerStepped(network=network) if network in self._parts:
                self._parts[network].end()
            case StepEnded() if why is not None:
                if self._entries and not self._parts and "loss" in event.metrics:  # as often as the rest is measured
                    why.observe(loss=event.metrics["loss"])
                self._tell(why)
            case Evaluated(split="val") if why is not None and "loss" in event.metrics:
                why.observe(val_loss=event.metrics["loss"])
            case RunEnded():
                self.close()

    def close(self) -> None:
        """End the watching and write what was found; does nothing a second time, or if the run has not begun."""
        why, self._why = self._why, None
        if why is not None:
            why.close()
            self._tell(why)
            self._write(why)
        if self._file is not None:
            self._file.close()
        self._file = None

    def state(self) -> dict[str, Any]:
        """Return what the records do not hold, such as what was counted since the last probe: a checkpoint keeps it."""
        return {} if self._why is None else self._why.state()

    def _begin(self, event: RunStarted) -> None:
        networks, self._step = dict(event.networks), event.step
        optimizers: dict[str, Optimizer] = {"optimizer": event.optimizer}
        if len(networks) > 1:  # one optimiser moves them in turn
            self._parts = {name: PartOptimizer(event.optimizer, module) for name, module in networks.items()}
            optimizers = {f"{name}_optimizer": part for name, part in self._parts.items()}
        with naming(self._folder / RECORDS):
            self._file = open(self._folder / RECORDS, "a", encoding="utf-8", newline="\n")  # noqa: SIM115  closed by `close`
        for told in read_events(self._folder):
            if told.get("event") == Found.name:
                self._told.add(told["finding"]["fingerprint"])
            elif told.get("event") == PassedAway.name:
                self._told.discard(told["finding"]["fingerprint"])
        start = read_records(self._folder)
        self._why = Watch(networks, optimizers, tell=self._findings.append, record=self._entries.append, start=start)
        self._why.restore(self._state)
        self._past = self._why.past
        self._write(self._why)

    def _tell(self, why: Watch) -> None:
        """Write what has been measured, and tell what was found and what has passed away."""
        entries, self._entries[:] = list(self._entries), []
        findings, self._findings[:] = list(self._findings), []
        if entries and self._file is not None:
            with naming(self._folder / RECORDS):
                self._file.writelines(f"{json.dumps({'step': self._step, **entry.to_json()})}\n" for entry in entries)
                self._file.flush()  # before a checkpoint of this step can be saved
        before, self._past = self._past, why.past
        past = [finding for finding in self._past if finding not in before] if len(self._past) > len(before) else []
        new = [finding for finding in findings if finding.fingerprint not in self._told]
        if new or past:
            self._write(why)  # first: whoever is told may look there
        for finding in new:
            self._told.add(finding.fingerprint)
            self._emit(Found(self._step, plain(finding.to_json()), f"{self._where(finding)}{finding}"))
        for finding in past:
            if finding.fingerprint in self._told:
                self._told.remove(finding.fingerprint)
                text = f"{self._where(finding)}{format_past(finding)}"
                self._emit(PassedAway(self._step, plain(finding.to_json()), text))

    def _where(self, finding: Finding) -> str:
        return f"{finding.network}: " if self._parts else ""

    def _write(self, why: Watch) -> None:
        found = {
            "findings": [plain(finding.to_json()) for finding in why.findings],
            "past": [plain(finding.to_json()) for finding in why.past],
            "checks": [vars(check) for check in why.checks],
        }
        write_json(self._folder / FINDINGS, found)


def format_past(finding: Finding) -> str:
    """Return what is said of a finding that has passed away."""
    return f"passed away at step {finding.ended:,}: {finding.title}"


def read_records(folder: Path) -> list[Entry]:
    """Return what the probes of a run have measured so far, oldest first; [] if it was not watched.

    Raises:
        InputError: the file holds something else.
    """
    try:
        return [Entry.from_json(line) for line in read_lines(folder / RECORDS)]
    except ValueError as error:
        reason = str(error).split("\n")[0]
        raise InputError(
            f"{folder / RECORDS}: a line is no entry of this version ({reason}); move the file away to go on without it"
        ) from None


def cut_records(folder: Path, step: int) -> None:
    """Remove what was measured after step `step`, from which a run goes on, and a line that a killed process left half written."""
    with naming(folder / RECORDS):
        if (folder / RECORDS).exists():
            keep_lines(folder / RECORDS, lambda line: line.get("step", step + 1) <= step)


class PartOptimizer(Optimizer):
    """What an optimiser of several networks does to one of them, as an optimiser that steps only where it moves this one.

    Args:
        whole: the optimiser.
        network: whose parameters are its part.
    """

    def __init__(self, whole: Optimizer, network: nn.Module) -> None:
        own = {id(p) for p in network.parameters()}
        self._before: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._after: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        parts = [[p for p in group["params"] if id(p) in own] for group in whole.param_groups]
        self._pairs = [(group, part) for group, part in zip(whole.param_groups, parts, strict=True) if part]
        super().__init__([{**group, "params": part} for group, part in self._pairs], {})

    def register_step_pre_hook(self, hook: Any) -> RemovableHandle:
        """Call a hook before each update of the network."""
        return _registered(self._before, hook)

    def register_step_post_hook(self, hook: Any) -> RemovableHandle:
        """Call a hook after each update of the network."""
        return _registered(self._after, hook)

    def begin(self) -> None:
        """Tell that the network's update begins: its gradients are there."""
        for (group, _), mine in zip(self._pairs, self.param_groups, strict=True):
            mine.update({name: value for name, value in group.items() if name != "params"})  # the rate of this step
        self._call(self._before)

    def end(self) -> None:
        """Tell that the network has been updated."""
        self._call(self._after)

    def _call(self, hooks: Mapping[int, Callable[..., Any]]) -> None:
        for hook in tuple(hooks.values()):
            hook(self, (self,), {})


def _registered(hooks: OrderedDict[int, Callable[..., Any]], hook: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle
