"""A run in its folder: what it was, what it reached, and the network that predicts or generates."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from torch import Tensor, nn

from seewhy import data as seewhy_data
from seewhy.core import trust as core_trust
from seewhy.core.errors import InputError
from seewhy.core.files import user_path
from seewhy.core.named import load
from seewhy.core.tensors import load_tensors
from seewhy.data import ImageSource
from seewhy.metrics import ClassificationMetrics, LikelihoodMetrics, SampleQuality
from seewhy.models.family import Evaluated, Trained, implementation_of, verb
from seewhy.models.predictor import Predictor
from seewhy.runs import folder as files
from seewhy.runs.classification import Classification
from seewhy.runs.evaluate import SELECTED, Progress, evaluate_ensemble, evaluation_split
from seewhy.runs.explain import Asked, explain, mistakes
from seewhy.runs.explained import Explanations, write_explained
from seewhy.runs.exported import EXPORT, Exported
from seewhy.runs.extractors import INCEPTION, features_of
from seewhy.runs.generation import Generation
from seewhy.runs.inference import computing
from seewhy.runs.notebook import run_html
from seewhy.runs.predict import ImageLike, is_batch, read_each, read_images
from seewhy.runs.report import write_report
from seewhy.spec import RunSpec
from seewhy.training.build import data_options
from seewhy.training.checkpoint import Checkpoints, snapshot_file
from seewhy.training.fabric import Engine, choose_device, choose_precision
from seewhy.training.state import isolated


class Run(Classification, Generation):
    """A trained (or half-trained) run in its folder.

    Opening reads only small files; the network is loaded when it is first needed.

    Attributes:
        folder: where it lives; `seewhy.runs.folder` lists its files.
        spec: the resolved specification.
        snapshot: of a snapshot ensemble, which network this is (from 1); None for the whole run.
    """

    def __init__(self, folder: Path | str, snapshot: int | None = None, *, trust: bool = False) -> None:
        """Open a run folder, or one of its snapshots as a network by itself.

        Args:
            folder: of the run.
            snapshot: its number, from 1.
            trust: whether code that the run names, such as the factory of its network, may be imported.

        Raises:
            InputError: the folder is no run, or one of another version.
        """
        self.folder, self.snapshot = user_path(folder, "folder"), snapshot
        self.spec: RunSpec = files.read_spec(self.folder)
        if trust:
            for name in self.spec.model.code:
                core_trust.trust(name)
        self.checkpoints = Checkpoints(self.folder / "checkpoint")

    def __repr__(self) -> str:
        return f"seewhy.Run({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        return run_html(self)

    # What it consists of.

    @property
    def members(self) -> tuple[Run, ...]:
        """The members of an ensemble, in order: runs of their own, or the snapshots of this one; () for a single network."""
        if self.snapshot is not None or self.spec.networks == 1:
            return ()
        numbers = range(1, self.spec.networks + 1)
        if self.spec.ensemble.members > 1:
            return tuple(Run(self.folder / "members" / f"{number:02d}") for number in numbers)
        return tuple(Run(self.folder, number) for number in numbers)

    # The network.

    @cached_property
    def engine(self) -> Engine:
        """Where predictions are computed: this machine's best device, at the run's precision where it is supported."""
        device = choose_device("auto")
        precision = self.spec.train.precision if device == self.spec.train.device else choose_precision("auto", device)
        with isolated():  # an engine sets threads and precision
            return Engine(device=device, precision=precision, alone=True)

    @cached_property
    def model(self) -> nn.Module:
        """The network with the best weights by validation: a classifier, uint8 (N, C, H, W) to logits (N, K), or a generative model.

        Raises:
            InputError: the run is an ensemble, which has several, or it has no checkpoint yet.
        """
        weights = self.weights()
        with isolated():
            implementation = implementation_of(self.spec)
            model = implementation.build(self.spec, self.facts, tuple(self.data["mean"]), tuple(self.data["std"]))
            try:
                model.load_state_dict(weights)
            except RuntimeError as error:
                raise InputError(
                    f"{self.folder}: the weights are of another network than spec.toml and data.json describe, one of which was edited: "
                    f"{' '.join(str(error).split())[:300]}"
                ) from None
            implementation.load(model, self.folder)
            return model.to(self.engine.device).eval()

    def weights(self) -> dict[str, Tensor]:
        """Return the best weights by validation, by name, as they are stored.

        Raises:
            InputError: the run is an ensemble, they are damaged, or there are none yet.
        """
        if self.spec.ensemble.members > 1:
            raise InputError(
                f"{self.folder}: is an ensemble; each of its members has a network: {self.members[0].folder}, ..."
            )
        if self.snapshot is not None:
            return load_tensors(snapshot_file(self.folder, self.snapshot))
        return self.checkpoints.weights("best" if self.checkpoints.has("best") else "last")

    @property
    def trained(self) -> Trained:
        """The network together with what evaluation and the verbs of its family need."""
        return Trained(
            spec=self.spec,
            model=self.model,
            facts=self.facts,
            classes=self.classes,
            engine=self.engine,
            folder=self.folder,
            record=self._kept,
        )

    @property
    def _kept(self) -> dict[str, Any]:
        """What the end of the run has kept for this network: of a snapshot nothing, for all that is known is the ensemble's."""
        return {} if self.snapshot is not None else self.record

    @cached_property
    def predictor(self) -> Predictor:
        """The module from uint8 images of any size to calibrated probabilities; of an ensemble, with all its members.

        Raises:
            InputError: the run is of a generative model.
        """
        make = verb(self.spec, "predict", self.folder)
        with isolated():
            predictors: list[Predictor] = [member.predictor for member in self.members] or [make(self.trained)]
            if not self.members:
                return predictors[0]
            networks = [network for predictor in predictors for network in predictor.members]
            first = predictors[0]
            return Predictor(networks, shape=first.shape, views=first.views, temperature=self._temperature)

    @property
    def _temperature(self) -> float:
        return float(self._kept.get("temperature", 1.0))

    def release(self) -> None:
        """Let go of the network; it is loaded again when it is needed."""
        for name in ("_replicas", "predictor", "model"):
            self.__dict__.pop(name, None)

    # Explanation.

    @computing
    def explain(
        self,
        images: ImageLike | Iterable[ImageLike] | None = None,
        *,
        class_name: str | None = None,
        method: str = "all",
        layer: str | None = None,
        nearest: int = 4,
        check: bool = True,
        progress: Progress | None = None,
    ) -> Explanations:
        """Explain predictions: which pixels speak for a class, whether these maps depend on the weights, and the nearest training images.

        Args:
            images: of the kinds that `predict` takes; None for the most confident mistakes of the run, which then stand in its report.
            class_name: the class that the maps speak for; None for the predicted one.
            method: "grad_cam", "integrated_gradients", "occlusion" or "all" (`seewhy.models.explanation`).
            layer: of Grad-CAM, the name of a module of the network; None for the last feature map of at least 4 x 4.
            nearest: training images to show, the nearest by the inputs of the last layer; their features are kept beside the run.
            check: compare the maps with those of random weights (Adebayo et al. 2018).
            progress: told (training images done, in all) while their features are computed.

        Returns:
            `Explanations`: print it, `save("why.png")`, `to_json()`; `images[0].maps["grad_cam"]` is an array [H, W].

        Raises:
            InputError: the run is of a generative model, no image can be read, or a class, method or layer is not known.
        """
        verb(self.spec, "explain", self.folder)  # refuses generative models before any work
        errors: list[tuple[str, str]] = []
        if images is None:
            names, pixels, true = mistakes(self)
        else:
            given = cast("Sequence[ImageLike]", list(images) if is_batch(images) else [images])  # type: ignore[arg-type]
            pixels, names, errors = read_each(given, self.facts.shape, self.rule)
            true = [None] * len(names)
        asked = Asked(
            names, pixels, true, class_name=class_name, method=method, layer=layer, nearest=nearest, check=check
        )
        found = explain(self, self._known, asked, progress)
        if images is None:
            write_explained(self.folder, found, self.record)
            self.report()
        return replace(found, errors=tuple(errors))

    # Evaluation.

    def evaluate(
        self, source: ImageSource | None = None, progress: Progress | None = None, *, samples: int | None = None
    ) -> ClassificationMetrics | LikelihoodMetrics:
        """Measure the network on data: the run's own test split (else validation), or another source.

        Args:
            source: a folder of class folders, a built-in name, an .npz file or arrays whose class names the run knows. Its test split is
                taken if it has one of its own, else all its images. The run's own source means the run's own test split, so that no
                image is evaluated that was trained on; of another source those that the run was trained or validated on, known by their
                pixels, are left out with a warning.
            progress: told (images done, images in all).
            samples: latents for each image by which a VAE's likelihood is bounded (None: 100).

        Raises:
            InputError: the source has classes that the run does not know, or only images that it was trained on, there is nothing to
                evaluate, or the model has no such figures.
        """
        evaluated = self.measure(source, progress, samples=samples)
        for note in evaluated.notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        figures: ClassificationMetrics | LikelihoodMetrics = evaluated.figures
        return figures

    @computing
    def measure(
        self, source: ImageSource | None = None, progress: Progress | None = None, *, samples: int | None = None
    ) -> Evaluated:
        """Do what `evaluate` does; return the figures with their lines for people and the arrays by image, which predictions/ keeps."""
        measure = verb(self.spec, "evaluate", self.folder)
        where = source if source is None or seewhy_data.is_arrays(source) else seewhy_data.source_name(source)
        known = self._known
        name, split, notes = evaluation_split(self.spec, known, self.folder, where, progress)
        total = len(split)
        done = (lambda count: progress(count, total)) if progress is not None else None
        if self.members:
            if samples is not None:
                raise InputError("samples: bound the likelihood of a vae, but this is an ensemble; leave them out")
            evaluated = evaluate_ensemble(self.members, self._temperature, split, name, self.classes)
        else:
            evaluated = measure(self.trained, split, name, self.classes, samples=samples, progress=done)
        if where is None and self.snapshot is None and evaluated.arrays and notes in ([], [SELECTED]):
            files.write_predictions(self.folder, name, evaluated.arrays, split.names)
        return replace(evaluated, notes=[*notes, *evaluated.notes])

    # Generation.

    def read(self, images: ImageLike | Sequence[ImageLike]) -> Tensor:
        """Return images (paths, PIL images, arrays, tensors) at the run's size, uint8 (N, C, H, W)."""
        return read_images(images, self.facts.shape, self.rule)

    @computing
    def sample_quality(
        self,
        *,
        extractor: Run | str | Path | None = None,
        n: int = 2000,
        seed: int = 0,
        prior: str | None = None,
        pixel_noise: bool = False,
    ) -> SampleQuality:
        """Compare n images that a generative model samples with real ones: FID, KID, precision and recall, density and coverage, memorisation.

        Args:
            extractor: the run of a classifier of such images, whose features are compared; "inception" for the network of published FIDs,
                where its weights are there; None takes the pixels.
            n: images to sample, at least 100.
            seed: of their noise.
            prior, pixel_noise: of the samples, as in `sample`; the figures say which.

        Raises:
            InputError: the run is no generative model, the extractor no classifier or of other images, or there are too few images.
        """
        compare, options = verb(self.spec, "sample_quality", self.folder), self._sampling(prior, pixel_noise)
        other = (
            Run(extractor)
            if extractor is not None and extractor != INCEPTION and not isinstance(extractor, Run)
            else extractor
        )
        features, known = features_of(other, self)
        loading = data_options(dict(self.spec.data), self._known.rule.peaks)
        dataset = seewhy_data.load_dataset(self.spec.source, **loading, labels=self.spec.family.labels)
        about: dict[str, Any] = {"extractor": features, "classes": known, "n": n, "seed": seed}
        figures: SampleQuality = compare(self.trained, dataset, **about, **options)
        return figures

    # Elsewhere.

    def export(
        self,
        format: str = "onnx",
        out: str | Path | None = None,
        *,
        precision: Literal["fp32", "fp16", "int8"] = "fp32",
    ) -> Exported:
        """Write the network as one file that needs no seewhy, after its parity with the run was measured on real images.

        Of a classifier: uint8 images (N, H, W, 1 or 3) of any size to probabilities, with resizing, normalisation, test-time views, the mean of
        an ensemble and the temperature inside. Of a generative model: the decoder, the generator, or one step of an autoregressive model.
        A page beside the file, `NAME.README.md`, shows the lines that use it.

        Args:
            format: "onnx" (needs the extra `seewhy[export]`), or "torch" for an exported program of torch.
            out: the file, which must not exist; None for `model.onnx` or `model.pt2` in the run's folder.
            precision: of the networks of an ONNX classifier; "fp16", or "int8" with scales from training images. The accuracy on the
                validation split before and after is measured.

        Returns:
            `file`, `readme`, `parity`, `accuracy`; `lines()` says what was measured.

        Raises:
            InputError: the run has not ended, the file exists, a package is missing, or the data of a classifier have gone.
            RunError: the network cannot be exported, or the file does not compute what the run does; nothing is written then.
        """
        exported: Exported = load(EXPORT)(self, format, out, precision=precision)
        return exported

    # The report.

    def report(self) -> Path:
        """Draw report.html anew from the folder's files and return its path."""
        with isolated():
            try:
                return write_report(self)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                raise InputError(
                    f"{self.folder}: the report cannot be drawn, for a file of the run does not hold what was written "
                    f"({type(error).__name__}: {error}); restore results.json, record.json, spec.toml and the others"
                ) from error
