"""The resolved specification of a run: every field has its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.spec import check, tree
from seewhy.spec.family import Family, Model, family_of
from seewhy.spec.optimizers import Optimizer
from seewhy.spec.request import FORMAT, Request
from seewhy.spec.sections import DataSection, EnsembleSection, ModelSection, RegSection, TrainSection, Values
from seewhy.spec.toml import format_toml, read_toml


@dataclass(frozen=True)
class RunSpec:
    """One run: the data and every choice.

    Attributes:
        source: a folder, a built-in name or an .npz file.
        data, reg, train: records of fields; a family's own have more (`seewhy.spec.classifiers.ClassifierReg`, ...).
        model, optim: the records of the model and the optimiser that their `name` says.
        ensemble: one member for families that are not averaged.
    """

    source: str
    data: DataSection
    model: ModelSection
    reg: RegSection
    optim: Optimizer
    train: TrainSection
    ensemble: EnsembleSection = field(default_factory=EnsembleSection)

    @classmethod
    def of(cls, source: str, values: Mapping[str, Any]) -> RunSpec:
        """Build a specification from whole values; raises InputError that names every field that is wrong or missing."""
        found = check.problems(source, values, whole=True)
        if found:
            raise InputError("\n".join(found))
        records = check.records(values)
        built: dict[str, Any] = {name: record.model_validate(values.get(name, {})) for name, record in records.items()}
        return cls(source, **built)

    @property
    def family(self) -> Family:
        """The family of its model."""
        return family_of(self.model.name)

    @property
    def model_record(self) -> Model:
        """What is known of its model."""
        return self.family.model(self.model.name)

    @property
    def networks(self) -> int:
        """How many networks predict together: the members of an ensemble, the snapshots of a training, or 1."""
        if self.ensemble.members > 1:
            return self.ensemble.members
        return int(tree.get(self.values(), "train.snapshots") or 1)

    def values(self) -> Values:
        """Return every field that has a value, nested by section."""
        sections = {name: getattr(self, name) for name in ("data", "model", "reg", "optim", "train", "ensemble")}
        if not self.family.ensemble:
            del sections["ensemble"]
        return {name: section.values() for name, section in sections.items()}

    def flat(self) -> Values:
        """Return every field that has a value, by leaf path."""
        return tree.flat(self.values())

    def request(self) -> Request:
        """Return the request that asks for every field as it is here."""
        return Request(self.source, self.values())

    def replace(self, changes: Mapping[str, Any]) -> RunSpec:
        """Return a checked specification with fields replaced by leaf path; nothing else follows the change. None removes a value."""
        values = self.values()
        source = changes.get("source", self.source)
        for path, value in changes.items():
            if path != "source":
                tree.put(values, path, value)
        return RunSpec.of(source, values)

    @classmethod
    def from_toml(cls, path: Path) -> RunSpec:
        """Read the specification of a run from its folder.

        Raises:
            InputError: the file is missing or damaged, or of another version.
        """
        values = read_toml(path)
        form = values.pop("format", 1)
        if form != FORMAT:
            raise InputError(
                f"{path.parent}: is a run of format {form}, but this version of seewhy reads format {FORMAT}; "
                "open it with the version that made it, or train again"
            )
        source = values.pop("source", "")
        try:
            return cls.of(str(source), tree.applied({}, tree.leaves(values)))
        except InputError as error:
            raise InputError("\n".join(f"{path}: {line}" for line in str(error).split("\n"))) from None

    def to_toml(self, request: Request | None = None, reasons: Mapping[str, str] | None = None) -> str:
        """Return the specification as TOML; with a request, comments say what was asked for, and why the rest was chosen."""
        head = {"format": FORMAT, "source": self.source}
        if request is None:
            return format_toml(head, self.values())
        origins = provenance(self, request, reasons or {})

        def comment(path: str) -> str:
            inside = [origin for leaf, origin in origins.items() if leaf == path or leaf.startswith(f"{path}.")]
            return _first(inside) if inside else ""

        return format_toml(head, self.values(), comment)


ASKED, CHOSEN, USUAL = "asked", "chosen", "default"
_RANK = [ASKED, CHOSEN, USUAL]


def _first(origins: list[str]) -> str:
    """Return the one of several origins of a group's fields that says most: asked before chosen before default."""
    return min(origins, key=lambda origin: next(k for k, word in enumerate(_RANK) if origin.startswith(word)))


def provenance(spec: RunSpec, request: Request, reasons: Mapping[str, str]) -> dict[str, str]:
    """Return where every field comes from, by leaf path: "asked", "chosen" (with its reason after a colon), or "default"."""
    asked = request.asked()
    records = check.records(spec.values())
    found = {}
    for path in spec.flat():
        if path in asked:
            found[path] = ASKED
        elif path in reasons:
            found[path] = f"{CHOSEN}: {reasons[path]}" if reasons[path] else CHOSEN
        else:
            section, name, *_ = path.split(".")
            info = records[section].model_fields[name]
            found[path] = CHOSEN if info.is_required() and path.count(".") == 1 else USUAL
    return found


def reasons_in(toml: str, spec: RunSpec) -> dict[str, str]:
    """Return why fields were chosen, by leaf path, as the comments of a spec.toml say; those of a group's fields are one."""
    comments, section = {}, ""
    for line in toml.splitlines():
        if line.startswith("["):
            section = line.strip("[]") + "."
        elif " = " in line and f"  # {CHOSEN}" in line:
            comments[section + line.split(" = ")[0]] = line.rpartition(f"  # {CHOSEN}")[2].removeprefix(": ")
    holders = {path: ".".join(path.split(".")[:2]) for path in spec.flat()}
    return {path: comments[holder] for path, holder in holders.items() if holder in comments}
