"""Making a study's folder, and extending one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seewhy.comparison.asked import Asked
from seewhy.comparison.design import BASE, Layout, Variant, check_variants, design_variants
from seewhy.comparison.folder import Design
from seewhy.comparison.planning import plan_study
from seewhy.comparison.study import Study
from seewhy.core.errors import InputError, bad_value
from seewhy.core.files import free_path, user_path
from seewhy.runs.start import validate_place
from seewhy.spec import Request
from seewhy.training import state
from seewhy.training.build import prepare
from seewhy.training.events import Emit


def place_of(out: str | Path | None, base: Request) -> Path:
    """Return a new study's folder, refused if it exists or cannot be made; None makes a name under `studies/`."""
    if out is not None:
        folder = user_path(out, "out")
    else:
        name = f"{Path(base.source).stem or 'data'}-{time.strftime('%Y%m%d-%H%M%S')}"
        folder = free_path(Path("studies") / name)
    validate_place(folder)
    return folder


def create_study(asked: Asked, folder: Path, emit: Emit) -> Study:
    """Plan a study and make its folder."""
    return Study.create(folder, plan_study(asked, emit))


def extended_design(
    study: Study,
    emit: Emit,
    *,
    seeds: int | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    variants: Mapping[str, str] | None = None,
    layout: Layout = "product",
    at_once: int = 1,
) -> Design:
    """Return a study's design with more seeds or variants; what it has stays, and its runs keep their places.

    Raises:
        InputError: fewer seeds are asked for than there are, a new variant is wrong or has the name of another, or the images have changed.
    """
    design = study.design
    if seeds is not None and seeds < len(design.seeds):
        raise bad_value("seeds", seeds, f"at least {len(design.seeds)}, which the study has", "a study only grows")
    with state.training():
        fingerprint = prepare(design.base, emit).dataset.fingerprint
    if fingerprint != design.fingerprint:
        raise InputError(
            f"{design.base.source}: the images have changed since {study.folder} was made, so that its runs cannot be compared; "
            "restore them, or start a new study"
        )
    if seeds is not None:
        first = design.seeds[0]
        design = replace(design, seeds=tuple(range(first, first + seeds)))
    if not vary and not variants:
        return design
    wanted = design_variants(vary or {}, variants or {}, design.base, layout, least=1)
    return _with_variants(design, [each for each in wanted if each.name != BASE], at_once, emit)


def _with_variants(design: Design, wanted: Sequence[Variant], at_once: int, emit: Emit) -> Design:
    known = {each.name: each for each in design.variants}
    edits = {each.edit for each in design.variants}
    for each in wanted:
        if each.name in known and known[each.name].edit != each.edit:
            raise InputError(
                f"variant {each.name!r}: the study has one of this name that is another; choose another name"
            )
    new = [each for each in wanted if each.edit not in edits]
    if not new:
        return design
    everything = check_variants((*design.variants, *new), design.base, 2)
    asked = Asked(
        design.base,
        everything,
        len(design.seeds),
        design.metric.name,
        design.reference,
        design.tune,
        design.halving,
        at_once=at_once,
        extractor=(design.sampling.extractor or None) if design.sampling is not None else None,
    )
    planned = plan_study(asked, emit)
    return replace(
        design,
        variants=planned.variants,
        run_seconds=planned.run_seconds,
        rates=planned.rates,
        fingerprints=planned.fingerprints,
    )
