"""What is wrong with images and labels beyond what reading them shows: near duplicates, and, on request, labels that are probably wrong.

For the labels, the images that are not for testing are divided into folds. As many runs are trained, each without one fold, and every image is
looked at by a network that has not seen it (`seewhy.metrics.label_errors`). The runs stay in a folder, and the same call goes on with them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seewhy.core.errors import InputError, RunError, bad_value
from seewhy.core.files import new_file, write_text
from seewhy.data import Audit, Dataset, Issue, NearDuplicates, Split, load_dataset, near_duplicates
from seewhy.data.audit import collect, count, some
from seewhy.data.image_files import save_image, to_pixels
from seewhy.metrics import suspicious_labels
from seewhy.reporting import captioned_sheet
from seewhy.runs.folder import read_json
from seewhy.runs.launch import Job, ask, launch
from seewhy.runs.members import jobs_at_once, member_threads
from seewhy.runs.near import text_of
from seewhy.runs.stopping import forget_stop, stop_requests
from seewhy.spec import Request
from seewhy.spec.sections import DataSection
from seewhy.training.build import at_edge, data_options

SHEET = 48
"""Pairs, or labels, on a page."""

MOST_FOLDS = 20

LISTED = "labels.csv"
"""The file in the folder of the runs that lists suspicious labels."""


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        audit: everything, for people.
        dataset: as it was read.
        near: the pairs of near duplicates.
    """

    audit: Audit
    dataset: Dataset
    near: NearDuplicates


def check_images(source: Any, request: Request, labels: str, progress: Any) -> Checked:
    """Read a data set and look for near duplicates in it.

    Args:
        source: of the images; that of the request, or arrays.
        request: whose data section counts.
        labels: "required" or "optional".
        progress: told (images done, images in all).

    Raises:
        InputError: the source or a field is wrong.
    """
    view = request.view()
    options = data_options({name: view[f"data.{name}"] for name in DataSection.model_fields})
    with at_edge("data"):
        dataset = load_dataset(source, **options, labels=labels, progress=progress)  # type: ignore[arg-type]
    near = near_duplicates(dataset)
    return Checked(collect([*dataset.audit.issues, *near.issues()], dataset.audit.summary), dataset, near)


def validate(request: Request, page: Path | None, folder: Path | None, folds: int | None) -> None:
    """Refuse what could not be done, before any work.

    Raises:
        InputError: the page is no PNG, or there already; something belongs to runs, but there are none; the folds are wrong.
    """
    if page is not None and page.suffix.lower() != ".png":
        raise InputError(f"show: must be the name of a PNG file, got {str(page)!r}")
    if page is not None:
        new_file(page, "show")
    if folds is None:
        given = [*(f"{path}" for path in request.asked() if not path.startswith("data.")), *(["out"] if folder else [])]
        if given:
            raise InputError(
                f"{min(given)}: is for the runs that look for wrong labels; ask for these too, or leave it out"
            )
        return
    if not 2 <= folds <= MOST_FOLDS:
        raise bad_value("folds", folds, f"at least 2 and at most {MOST_FOLDS}")
    if request.get("data.folds") is not None:
        raise InputError("data.folds: the images are divided to look for wrong labels; leave it out")


def draw_pairs(checked: Checked, path: Path) -> bool:
    """Draw the pairs of near duplicates, the likest first, as a PNG; returns whether there are any."""
    tiles = []
    for pair in checked.near.pairs[:SHEET]:
        where = zip(pair.splits, pair.positions, strict=True)
        images = [_pixels(checked.dataset.splits[split], position) for split, position in where]
        tiles.append((images, [*pair.names, text_of(pair)]))
    if tiles:
        save_image(captioned_sheet(tiles, columns=3), path)
    return bool(tiles)


def _pixels(split: Split, position: int) -> Any:
    return to_pixels(split.images(torch.tensor([position]))[0])


def check_labels(request: Request, folder: Path | None, checked: Checked, *, folds: int, show: Path | None) -> Audit:
    """Train the runs of all folds and add the labels that are probably wrong, the likeliest first.

    Args:
        request: of the runs; its data section names no fold.
        folder: for the runs, where what is there already is gone on with; None for runs/<data>-labels.
        checked: the data set.
        folds: how many, at least 2.
        show: PNG of the likeliest, if there are any; None for none.

    Returns:
        the audit, with an issue "suspicious_labels" whose paths are the images, if there are any.

    Raises:
        InputError: the folder holds runs of another request, or a run refuses its own.
        RunError, KeyboardInterrupt: a run failed, or the runs were stopped; they have saved, and the same call goes on.
    """
    folder = folder or Path("runs") / f"{checked.dataset.name}-labels"
    whole = request.with_changes({"data.folds": folds, "data.test_fraction": 0.0, "ensemble.members": 1})
    shared = request.with_changes({"ensemble.members": folds})
    jobs = [Job(folder / f"{k}.toml", folder / str(k), folder / f"{k}.log", watch=False) for k in range(1, folds + 1)]
    for k, job in enumerate(jobs, start=1):
        ask(whole.with_changes({"data.fold": k, "train.threads": member_threads(shared)}), job)
    forget_stop(folder)
    with stop_requests(folder=folder) as asked:
        launch(jobs, at_once=jobs_at_once(shared), stop=asked)
    if not all(job.ended for job in jobs):
        message = f"stopped; the same call goes on with the runs in {folder}"
        raise KeyboardInterrupt(message) if asked.signal is not None else RunError(message)
    names, labels, probabilities = _out_of_fold([job.folder for job in jobs])
    classes = read_json(jobs[0].folder, "data.json")["classes"]
    found = suspicious_labels(probabilities, labels)
    rows = [(names[each.row], classes[each.given], classes[each.suggested], each.margin) for each in found]
    _write_rows(folder / LISTED, rows)
    if not rows:
        return checked.audit
    if show is not None:
        _draw_labels(rows[:SHEET], checked.dataset, show)
    shown = some([f"{name} ({given}; looks like {suggested})" for name, given, suggested, _ in rows])
    message = (
        f"{count(len(rows), 'label')} of {len(labels):,} probably wrong, by {folds} networks that had not seen the image: {shown}; look at "
        f"them, likeliest first: {folder / LISTED}"
    )
    issue = Issue("suspicious_labels", "warning", message, tuple(name for name, *_ in rows))
    return collect([*checked.audit.issues, issue], checked.audit.summary)


def _out_of_fold(folders: Sequence[Path]) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Return names, labels (N) and probabilities (N, K) of images by runs that were not trained on them; a test split's are the mean of all."""
    parts = [_predictions(folder, "val") for folder in folders]
    tests = [_predictions(folder, "test") for folder in folders if (folder / "predictions" / "test.npz").is_file()]
    if tests:
        parts.append({**tests[0], "probabilities": np.mean([test["probabilities"] for test in tests], axis=0)})
    names = [str(name) for part in parts for name in part["names"]]
    labels, probabilities = (np.concatenate([part[key] for part in parts]) for key in ("labels", "probabilities"))
    return names, torch.from_numpy(labels), torch.from_numpy(probabilities)


def _predictions(folder: Path, split: str) -> dict[str, Any]:
    with np.load(folder / "predictions" / f"{split}.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("names", "labels", "probabilities")}


def _write_rows(path: Path, rows: Sequence[tuple[str, str, str, float]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "label", "suggested", "margin"))
    writer.writerows((*row[:3], f"{row[3]:.4f}") for row in rows)
    write_text(path, text.getvalue())


def _draw_labels(rows: Sequence[tuple[str, str, str, float]], dataset: Dataset, path: Path) -> None:
    where = {str(name): (split, i) for split in dataset.splits.values() for i, name in enumerate(split.names)}
    tiles = [
        ([_pixels(*where[name])], [name, f"label: {given}", f"looks like: {suggested}"])
        for name, given, suggested, _ in rows
        if name in where
    ]
    save_image(captioned_sheet(tiles, columns=8), path)
