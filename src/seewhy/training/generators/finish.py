"""The end of a generator's run: how likely it finds pictures it has not seen, and what it makes.

generated.json      the figures for the report, and the sheets with their captions
generated/*.png     sheets of pictures
codes.safetensors   of an autoencoder: the Gaussian fitted to the codes of training pictures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seewhy.core.files import write_json
from seewhy.core.seeding import generator
from seewhy.data import Part
from seewhy.models.latent.journeys import by_information
from seewhy.training.assemble import Prepared
from seewhy.training.generators.codes import fit_codes
from seewhy.training.generators.likelihood import SAMPLES, estimator, log_likelihoods, summarise
from seewhy.training.generators.sheets import measured, write_sheets
from seewhy.training.loop.job import Job
from seewhy.training.results.folder import RunFolder


def finish(prepared: Prepared, job: Job, folder: Path) -> RunFolder:
    """Measure the best weights on validation and test data, draw the sheets, and write results.json and generated.json.

    The test part is looked at here, once, after every choice has been made.
    """
    run = RunFolder(folder)
    job.engine.barrier()
    model: Any = job.model
    model.load_state_dict(run.checkpoints.weights("best" if run.checkpoints.has("best") else "last"))
    model.eval()
    spec, dataset, facts = prepared.spec, prepared.dataset, prepared.facts
    conditional = spec.generator.conditional
    if spec.model.name == "autoencoder":
        fit_codes(job.engine, model, dataset.train, folder, conditional=conditional)
    results: dict[str, Any] = {}
    for name, part in {"val": dataset.val, "test": dataset.test}.items():
        if spec.model.name != "gan" and part is not None and len(part):
            found = log_likelihoods(job.engine, model, part, conditional=conditional, samples=SAMPLES)
            size = facts.channels * facts.height * facts.width
            results[name] = summarise(name, found, size, **estimator(spec)).to_json()
    if job.engine.is_main:
        # The use of a code is told from how it differs between pictures: one is too few.
        unseen = next(part for part in (dataset.test, dataset.val, dataset.train) if part is not None and len(part) > 1)
        use = code_use(run, model, unseen) if spec.model.name == "vae" else {}
        sheets = write_sheets(run, model, unseen, dataset.train)
        write_json(folder / "generated.json", {"sheets": sheets, **use})
        write_json(folder / "results.json", {**results, **({"code": use["code"]} if use else {})})
    job.engine.barrier()
    return run


def code_use(run: RunFolder, model: Any, part: Part) -> dict[str, Any]:
    """Return what a VAE puts into its code: KL by dimension, active units, mutual information; as JSON values."""
    images, labels = measured(run, part)
    found = model.describe(images, labels, generator(run.spec.train.seed, "describe", device=images.device))
    order = by_information(found.kl)
    kl = found.kl[order].tolist()
    about = found.information
    active = int(found.active.sum())
    code = {
        "n": about.pictures,
        "kl": about.kl,
        "active_units": active,
        "dimensions": len(kl),
        "mutual_information": about.mutual,
    }
    figures = [
        ("Images measured", f"{about.pictures:,}"),
        ("KL", f"{about.kl:.2f} nats"),
        ("Active units", f"{active} of {len(kl)}"),
        (
            "Mutual information of picture and code",
            f"{about.mutual:.2f} nats (at most {about.pictures:,} pictures can be told apart)",
        ),
    ]
    return {"kl": kl, "order": order.tolist(), "code": code, "figures": figures}
