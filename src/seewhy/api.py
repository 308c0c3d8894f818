"""The verbs that the command line and Python share: train, resume, evaluate, predict, check, report.

>>> run = seewhy.train("photos/", activation="elu")     # doctest: +SKIP
>>> run.predict("picture.jpg").label                    # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError
from seewhy.data import Audit
from seewhy.training import train as training
from seewhy.training.assemble import absolute_source
from seewhy.training.ensemble import train as ensembles
from seewhy.training.ensemble.evaluate import compare, member_probabilities
from seewhy.training.fabric import is_main_process
from seewhy.training.fidelity.extractor import INCEPTION
from seewhy.training.fidelity.measure import Fidelity
from seewhy.training.generators import draw as drawing
from seewhy.training.generators.draw import Label
from seewhy.training.generators.faithful import fidelity
from seewhy.training.generators.likelihood import Likelihood
from seewhy.training.generators.measure import measure_likelihood
from seewhy.training.loop.events import Observer
from seewhy.training.results import predict as predicting
from seewhy.training.results.evaluation import Evaluation, predict_part
from seewhy.training.results.evaluation import evaluate as measure
from seewhy.training.results.folder import RunFolder
from seewhy.training.results.predict import Prediction
from seewhy.training.spec import RunSpec, build_spec
from seewhy.training.spec.sections import GENERATORS


class Run:
    """A run in its folder: what it was, what it reached, and the network that predicts.

    Attributes:
        folder: where it lives.
        spec: the resolved specification.
    """

    def __init__(self, folder: Path | str) -> None:
        """Open a run folder; raises InputError if it is none. The network is loaded when it is first needed."""
        self._run = RunFolder(folder)
        self.folder: Path = self._run.folder
        self.spec: RunSpec = self._run.spec

    def __repr__(self) -> str:
        return f"seewhy.Run({str(self.folder)!r})"

    @property
    def results(self) -> dict[str, Any]:
        """The final figures by part, such as `run.results["test"]["accuracy"]`; {} before the end."""
        return self._run.results

    @property
    def metrics(self) -> list[dict[str, float]]:
        """One dictionary an epoch: losses (nats), accuracies, learning rate, speed."""
        return self._run.metrics

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the network's outputs."""
        return self._run.classes

    @property
    def model(self) -> Any:
        """The network with the best weights by validation: a recogniser, uint8 (N, C, H, W) to logits (N, K), or a generator."""
        return self._run.model

    def predict(self, images: Any, *, draws: int | None = None) -> Any:
        """Predict one picture (path, PIL image, array, tensor) or a list of them.

        With `draws` the prediction is the mean over so many draws of dropout and its kin, and `disagreement` says how far they lie apart.

        Returns a `Prediction` (or a list): `label`, `confidence`, `top` five classes, `error`. One picture that cannot be read raises
        InputError; in a list it gives a `Prediction` with `error` set.
        """
        return predicting.predict(self._run, images, draws=draws)

    def predict_files(
        self, paths: Sequence[str], progress: Callable[[int, int], None] | None = None, *, draws: int | None = None
    ) -> Iterator[Prediction]:
        """Yield a `Prediction` for every file, in order; any number of files fits in memory."""
        return predicting.predict_files(self._run, paths, progress, draws=draws)

    def probabilities(self, images: Tensor) -> Tensor:
        """Return class probabilities (N, K) of uint8 images (N, C, H, W) of the run's size."""
        return self._run.probabilities(images)

    def evaluate(
        self,
        source: str | Path | None = None,
        progress: Callable[[int, int], None] | None = None,
        *,
        samples: int | None = None,
    ) -> Evaluation | Likelihood:
        """Measure the network on data: the run's own test part (else validation), or another source.

        Args:
            source: a folder of class folders, a built-in name or an .npz file whose class names the run knows. Its test part is
                taken if it has one of its own, else all its images. The run's own source means the run's own test part, so that no
                image is examined that was trained on.
            progress: called with (images done, images in all).
            samples: codes for each picture by which a VAE's likelihood is bounded (None: 100).

        Raises:
            InputError: the source has classes that the run does not know, or there is nothing to evaluate.
        """
        return evaluate(self, source, progress, samples=samples)

    def sample(self, n: int, *, label: Label = None, seed: int = 0, temperature: float = 1.0) -> Tensor:
        """Draw n pictures with a generator: uint8 (n, C, H, W); equal seeds give equal pictures.

        Args:
            n: from 1 to 1,000,000.
            label: a class by name or number, or one for each picture, where the generator is told classes; None: all in turn.
            seed: of the noise.
            temperature: below 1 likelier pictures, above 1 more varied ones.

        Raises:
            InputError: the run is no generator, or an argument is wrong.
        """
        return drawing.sample(self._run, n, label=label, seed=seed, temperature=temperature)

    def complete(
        self,
        images: Any,
        *,
        rows: int | None = None,
        given: Tensor | None = None,
        label: Label = None,
        seed: int = 0,
        temperature: float = 1.0,
    ) -> Tensor:
        """Keep the upper `rows` of pictures (None: half), or the pixels `given` (bool), exactly, and draw the others: uint8 (N, C, H, W).

        For autoregressive generators; other arguments as in `sample`.
        """
        return drawing.complete(
            self._run, images, rows=rows, given=given, label=label, seed=seed, temperature=temperature
        )

    def reconstruct(self, images: Any, *, label: Label = None, seed: int = 0) -> Tensor:
        """Return pictures from the codes of pictures, uint8 (N, C, H, W); for autoencoders and VAEs."""
        return drawing.reconstruct(self._run, images, label=label, seed=seed)

    def interpolate(
        self, start: Any, end: Any, *, steps: int = 9, label: Label = None, path: str = "spherical", seed: int = 0
    ) -> Tensor:
        """Return the pictures on the way from one picture's code to another's, uint8 (steps, C, H, W); for autoencoders and VAEs."""
        return drawing.way(self._run, start, end, steps=steps, label=label, path=path, seed=seed)

    def traverse(
        self, image: Any = None, *, steps: int = 9, dimensions: int = 10, label: Label = None, seed: int = 0
    ) -> Tensor:
        """Change one dimension of a VAE's code at a time, the one of the most KL first: uint8 (dimensions x steps, C, H, W)."""
        return drawing.along_dimensions(self._run, image, steps=steps, dimensions=dimensions, label=label, seed=seed)

    def read(self, images: Any) -> Tensor:
        """Return pictures (paths, PIL pictures, arrays, tensors) at the run's size, uint8 (N, C, H, W)."""
        return drawing.read(self._run, images)

    def fidelity(self, *, extractor: Run | str | Path | None = None, n: int = 2000, seed: int = 0) -> Fidelity:
        """Compare n pictures that a generator draws with real ones: FID, KID, precision and recall, density and coverage, memorisation, classes.

        Args:
            extractor: the run of a recogniser of such pictures, whose features are compared; "inception" for the network of published FIDs,
                where its weights are there; None takes the pixels.
            n: pictures to draw, at least 100.
            seed: of their noise.
        """
        reader = extractor._run if isinstance(extractor, Run) else extractor
        if isinstance(reader, (str, Path)) and reader != INCEPTION:
            reader = RunFolder(reader)
        return fidelity(self._run, extractor=reader, n=n, seed=seed)

    def report(self) -> Path:
        """Draw report.html anew from the folder's files and return its path."""
        from seewhy.training.results.report import write_report  # the drawing library takes a second to import

        return write_report(self._run)


def train(
    source: str | Path,
    *,
    out: str | Path | None = None,
    spec: str | Path | None = None,
    observers: Sequence[Observer] = (),
    **options: Any,
) -> Run:
    """Train a recogniser or a generator and return its run.

    Args:
        source: a folder of class folders (for a generator, any folder of pictures), a built-in name (such as "digits") or an .npz file.
        out: the run's folder, which must not exist; None makes a name under `runs/`.
        spec: a TOML file to start from; `source` and `options` override it.
        observers: callables that are given every event of the training.
        options: short names (`epochs=3, activation="elu"`), sections (`model={"width": 32}`) or dotted paths
            (`**{"optim.lr": 0.1}`); see `seewhy.training.spec.RunSpec`.

    Raises:
        InputError: an option or the data are wrong; nothing has been written.
        RunError: the loss is not finite, or the disk cannot be written.
    """
    run = run_spec(build_spec(source, spec, options), out=out, observers=observers)
    assert run is not None
    return run


def run_spec(
    spec: RunSpec, *, out: str | Path | None = None, observers: Sequence[Observer] = (), dry_run: bool = False
) -> Run | None:
    """Train, evaluate and report a specification; None after a dry run."""
    start = ensembles.start if spec.ensemble.members > 1 else training.start
    folder = start(spec, Path(out) if out is not None else None, observers, dry_run=dry_run)
    return _reported(folder) if folder is not None else None


def resume(folder: str | Path, *, observers: Sequence[Observer] = ()) -> Run:
    """Go on with an interrupted run exactly where it stopped, to its end.

    Raises:
        InputError: the folder is no run, its data have changed, or another process is training it.
    """
    ensemble = RunFolder(folder).spec.ensemble.members > 1
    return _reported((ensembles if ensemble else training).resume(Path(folder), observers))


def _reported(folder: RunFolder) -> Run:
    run = Run(folder.folder)
    if is_main_process():
        run.report()
    return run


def evaluate(
    run: Run | str | Path,
    source: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    samples: int | None = None,
) -> Evaluation | Likelihood:
    """Measure a run on its own test data, or on another source; see `Run.evaluate`."""
    opened = run._run if isinstance(run, Run) else RunFolder(run)
    where = str(source) if source is not None else opened.spec.source
    makes = opened.spec.model.name in GENERATORS
    fields = {
        **opened.spec.data.model_dump(),
        "resolution": opened.data["facts"]["width"],
        "fewest_classes": 1 if makes else 2,
        "progress": progress,
    }
    if absolute_source(where) == opened.spec.source:
        dataset = seewhy_data.prepare(where, **fields)
        name, part = ("test", dataset.test) if dataset.test is not None and len(dataset.test) else ("val", dataset.val)
        classes = dataset.classes
    else:
        name, (classes, part) = "test", seewhy_data.prepare_all(where, **fields)
    if part is None or not len(part):
        raise InputError(f"{where}: has no test or validation images to evaluate on; name another source")
    total = len(part)
    done = (lambda count: progress(count, total)) if progress is not None else None
    if makes:
        return measure_likelihood(opened, name, part, classes, where=where, samples=samples, progress=done)
    if samples is not None:
        raise InputError(
            f"samples: is for the likelihood of a vae, but {opened.folder} is a {opened.spec.model.name}; leave it out"
        )
    labels = opened.relabel(part.labels, classes, where)
    if not opened.members:
        probabilities = predict_part(opened.engine, opened.task, opened.model, part, done)
        return measure(name, opened.classes, probabilities, labels)
    members = member_probabilities(opened, part)
    found = measure(name, opened.classes, members.mean(0), labels)
    return replace(found, ensemble=compare(name, opened.classes, members, labels, found))


def check(source: str | Path, **options: Any) -> Audit:
    """List what is wrong with the images and the split of a data set, before any training.

    Args:
        source: a folder of class folders, a built-in name or an .npz file.
        options: of the data section, such as `resolution=64`.
    """
    return seewhy_data.check(str(source), **options)
