"""A diagnosis before training: the network, the data and the loss of a request, tried on one batch; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer

from seewhy import optim
from seewhy.core.errors import InputError
from seewhy.diagnosis import Sanity, sanity
from seewhy.models.family import Inputs, Update
from seewhy.runs.diagnose.diagnosis import Diagnosis
from seewhy.runs.members import single
from seewhy.runs.start import announcement, prepare_run
from seewhy.spec import Request, RunSpec
from seewhy.training import state
from seewhy.training.build import make_job, validate_steps
from seewhy.training.events import Emit, Planned
from seewhy.training.loop import first_inputs


def diagnose_request(request: Request, emit: Emit) -> Diagnosis:
    """Try a request before it is trained.

    Of an ensemble its first member is tried.

    Args:
        request: what would be trained.
        emit: told of the progress of decoding, and of the plan.

    Raises:
        InputError: the request or the data are wrong, or the model is trained by several losses in turn.
    """
    asked = single(request) if request.view()["ensemble.members"] not in (None, 1) else request
    with state.training():
        prepared = prepare_run(asked, emit)
        validate_steps(prepared)
        emit(Planned(prepared.spec, announcement(prepared)))
        job = make_job(prepared, Path(), emit, None)
        update = job.objective.updates(0)[0]
        if update.network != "model":
            raise InputError(
                f"model.name: {prepared.spec.model.name} is trained by the losses of two networks in turn, and the checks before "
                "training are of one loss; train it watched: seewhy train"
            )
        inputs = first_inputs(job)
        found = _tried(prepared.spec, job.model, update, inputs)
    source = prepared.spec.source
    return Diagnosis(source, source, found.findings, (), found.checks)


def _tried(spec: RunSpec, model: nn.Module, update: Update, inputs: Inputs) -> Sanity:
    """Try a network: with labels as targets where there must be some, else by its loss alone."""
    if spec.family.labels == "required":

        def of_targets(outputs: Tensor, targets: Tensor) -> Tensor:
            labels = targets if targets.dim() == 1 else targets.argmax(1)
            return update.criterion(outputs, Inputs(inputs.images, labels, targets)).loss

        return sanity(model, (inputs.images, inputs.targets), of_targets, optimizer=_optimizer(spec))

    def whole(model: nn.Module, batch: Inputs) -> Tensor:
        return update.criterion(update.forward(model, batch), batch).loss

    return sanity(model, inputs, whole, optimizer=_optimizer(spec))


def _optimizer(spec: RunSpec) -> Callable[[Iterable[nn.Parameter]], Optimizer] | None:
    """Return what makes the run's own optimiser; None for one that searches along the loss."""
    if spec.optim.closure:
        return None
    name, settings = spec.optim.name, spec.optim.settings()
    return lambda parameters: optim.build(name, ((str(k), p) for k, p in enumerate(parameters)), **settings)
