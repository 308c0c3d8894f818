"""From records to what a page draws: each network's layers over the probed steps, and the series that show a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from seewhy.core.findings import CheckOutcome, Finding
from seewhy.diagnosis.history import Entry
from seewhy.diagnosis.records import ActivationRecord, ParameterRecord, ProbeRecord
from seewhy.diagnosis.series import MEASURES, Points, Told, finding_plot, losses
from seewhy.reporting.records import Health, LinePlot, NetworkHealth

COLUMNS = 80
"""Probes of a network that a page shows, at most."""

BOUNDED = ("tanh", "sigmoid")
"""Activation functions of which saturation is shown; of the others a flat side is what they are made for."""


def health_of(
    records: Mapping[str, Sequence[ProbeRecord]],
    told: Told,
    *,
    steps: int,
    findings: Sequence[Finding],
    past: Sequence[Finding] = (),
    checks: Sequence[CheckOutcome] = (),
) -> Health:
    """Return what a page draws.

    Args:
        records: of each network by its name, in order of the steps.
        told: (step, value) pairs of what the user told, by name.
        steps: that were seen.
        findings, past, checks: what the rules say of the records.
    """
    every = [*findings, *past]
    plots = {f.fingerprint: plot for f in every if (plot := finding_plot(f, records.get(f.network, ()), told))}
    return Health(
        steps=steps,
        findings=findings,
        past=past,
        checks=checks,
        networks=[
            network_health(name, columns(own, [f.step for f in every if f.network == name]))
            for name, own in records.items()
        ],
        plots=plots,
        measures={f.fingerprint: MEASURES[f.code] for f in every if f.code in MEASURES},
        learning=learning_plots(records, told),
        told=[(name, len(points), points[-1][1]) for name, points in told.items() if points],
    )


def health_of_entries(
    entries: Iterable[Entry],
    *,
    findings: Sequence[Finding],
    past: Sequence[Finding] = (),
    checks: Sequence[CheckOutcome] = (),
) -> Health:
    """Return what a page draws of stored entries, of one network or several."""
    steps = 0
    records: dict[str, list[ProbeRecord]] = {}
    told: dict[str, dict[str, Points]] = {}
    for entry in entries:
        steps = max(steps, entry.loop.step)
        records.setdefault(entry.network, []).append(entry.record)
        for name, points in entry.told.items():
            told.setdefault(entry.network, {}).setdefault(name, []).extend(points)
    once = {name: points for own in reversed(told.values()) for name, points in own.items()}  # every network is told
    return health_of(records, once, steps=steps, findings=findings, past=past, checks=checks)


def columns(records: Sequence[ProbeRecord], wanted: Iterable[int] = ()) -> list[ProbeRecord]:
    """Return at most about `COLUMNS` of the records, spread evenly, with the last ones up to each of the wanted steps."""
    if len(records) <= COLUMNS:
        return list(records)
    places = {round(k * (len(records) - 1) / (COLUMNS - 1)) for k in range(COLUMNS)}
    for step in wanted:
        places.add(max((place for place, record in enumerate(records) if record.step <= step), default=0))
    return [records[place] for place in sorted(places)]


def network_health(name: str, records: Sequence[ProbeRecord]) -> NetworkHealth:
    """Return a network's rows: linear and convolutional layers as they are computed, each with the activation functions behind it.

    An activation before the first layer is a row of its own, and so are parameters of no such layer, such as a recurrent cell's, after the
    row of the parameters before them. A normalisation's are left out.
    """
    order = _order(records)
    rows, rows_by_name = {layer: row for row, layer in enumerate(order)}, {}
    functions = [""] * len(order)
    measures: dict[str, list[list[float | None]]] = {
        measure: [[None] * len(records) for _ in order]
        for measure in ("gradient", "spread", "silent", "saturated", "update")
    }
    for column, record in enumerate(records):
        for layer in record.layers:
            measures["gradient"][rows[layer.layer]][column] = layer.gradient
            measures["spread"][rows[layer.layer]][column] = layer.std
        for activation in record.activations:
            host = _host(record, activation.after, activation.layer)
            rows_by_name[activation.layer] = row = rows[host]
            function = _function(activation, host)
            if function not in functions[row].split(", "):
                functions[row] = ", ".join(filter(None, (functions[row], function)))
            shares = {"silent": activation.silent}
            if activation.function in BOUNDED:
                shares["saturated"] = activation.saturated
            for measure, share in shares.items():  # of several functions behind one layer the worst
                held = measures[measure][row][column]
                measures[measure][row][column] = share if held is None else max(held, share)
        for owner, parameters in _by_owner(record.parameters).items():
            if owner not in rows:
                continue
            rows_by_name |= {parameter.name: rows[owner] for parameter in parameters}
            weight = next((p for p in parameters if p.matrix), parameters[0])
            measures["update"][rows[owner]][column] = weight.update
    return NetworkHealth(name, [record.step for record in records], order, functions, measures, rows_by_name | rows)


def _host(record: ProbeRecord, after: int, name: str) -> str:
    """Return the layer behind which an activation function stands; its own name where there is none."""
    return record.layers[min(after, len(record.layers)) - 1].layer if after and record.layers else name


def _function(activation: ActivationRecord, host: str) -> str:
    """Return what is called behind a layer: the function, after the name of its module where it has one of its own."""
    path = activation.layer.partition("(")[0].strip()
    inside = not path or host == activation.layer or host.startswith(f"{path}.")
    return activation.function if inside else f"{path.rpartition('.')[2]} {activation.function}"


def _by_owner(parameters: Sequence[ParameterRecord]) -> dict[str, list[ParameterRecord]]:
    """Return the parameters by the path of their module."""
    owners: dict[str, list[ParameterRecord]] = {}
    for parameter in parameters:
        path, _, own = parameter.name.rpartition(".")
        owners.setdefault(path or own, []).append(parameter)
    return owners


def _order(records: Sequence[ProbeRecord]) -> list[str]:
    """Return the rows of all records in the order of the computation."""
    order: list[str] = []
    for record in records:
        called = [layer.layer for layer in record.layers]
        first = [a.layer for a in record.activations if _host(record, a.after, a.layer) == a.layer]
        _merge(order, [*dict.fromkeys(first), *called])
    for record in records:
        owners = _by_owner(record.parameters)
        _merge(order, [owner for owner in owners if owner in order or not _scales(owners[owner])])
    return order


def _scales(parameters: Sequence[ParameterRecord]) -> bool:
    """Whether parameters of a module that computed no linear map are vectors in use, as a normalisation's are."""
    return all(not p.matrix and p.gradient is not None for p in parameters)


def _merge(order: list[str], names: Sequence[str]) -> None:
    """Insert what is new, each behind what it follows."""
    known, at = set(order), 0
    for name in names:
        if name in known:
            at = order.index(name) + 1
        else:
            order.insert(at, name)
            known.add(name)
            at += 1


def _accuracies(records: Sequence[ProbeRecord]) -> Points:
    known = [(r.step, [r.logits] if r.logits else [o.binary for o in r.outputs if o.binary]) for r in records]
    return [(step, judged[0].accuracy) for step, judged in known if judged]


def learning_plots(records: Mapping[str, Sequence[ProbeRecord]], told: Told) -> list[LinePlot]:
    """Return the losses, told and measured, and whatever else is known of the learning, a drawing for each kind."""
    lost, accuracies = (_with_measured(told, records, *kind) for kind in (("loss", losses), ("acc", _accuracies)))
    others = {name: points for name, points in told.items() if name not in lost and name not in accuracies}
    rates = {name: [(r.step, r.lr) for r in own if r.lr is not None] for name, own in records.items()}
    plots = [LinePlot("Loss", lost), LinePlot("Accuracy", accuracies, percent=_shares(accuracies))]
    plots += [LinePlot(name, {name: points}) for name, points in others.items()]
    if any(len({rate for _, rate in points}) > 1 for points in rates.values()):
        plots.append(LinePlot("Learning rate", rates))
    return [plot for plot in plots if any(plot.lines.values())]


def _with_measured(
    told: Told,
    records: Mapping[str, Sequence[ProbeRecord]],
    word: str,
    measure: Callable[[Sequence[ProbeRecord]], Points],
) -> dict[str, Sequence[tuple[int, float]]]:
    """Return what was told under names with a word in them; before it what was measured, where the training's own was not told."""
    given = {name: points for name, points in told.items() if word in name.lower()}
    if any("val" not in name.lower() for name in given):
        return given
    own = {name: points for name, several in records.items() if (points := measure(several))}
    name_of = {"loss": "loss", "acc": "accuracy"}[word]
    return {(name_of if len(records) == 1 else f"{name_of} of {name}"): points for name, points in own.items()} | given


def _shares(lines: Told) -> bool:
    return all(0 <= value <= 1 for points in lines.values() for _, value in points)
