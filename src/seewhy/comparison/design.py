"""What a study compares: variants, each an edit of one base request.

A *factor* is a field and the values that are tried for it (`activation=relu,elu`). Factors are crossed (every combination, a full factorial
design) or changed one at a time from the base. Named variants are edits that somebody wrote (`wide: model.width = 64, optim.lr = 0.1`).
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from seewhy.core.errors import InputError, bad_value
from seewhy.core.trust import trust
from seewhy.spec import Request, format_edit, parse_edit, tree
from seewhy.spec.sections import Values
from seewhy.spec.toml import format_value

BASE = "base"
"""The request itself, beside which single changes and named variants are compared."""

Layout = Literal["product", "one-at-a-time"]
LAYOUTS: tuple[Layout, ...] = ("product", "one-at-a-time")

RESERVED = ("train.seed", "data.split_seed", "data.test_fraction", "source")
"""What pairs the runs of a study, the seeds and the images they are judged on, and so cannot differ between variants."""

SLUG = 80
"""Letters of a folder's name, which systems limit; a longer one ends with a digest of all."""

MAX_VARIANTS = 200


@dataclass(frozen=True)
class Variant:
    """One of the choices that are compared.

    Attributes:
        name: for people; unique within a study.
        edit: what it changes in the base request, as text; "" for the base itself.
        levels: the value of each factor, as shown; {} for named variants.
    """

    name: str
    edit: str
    levels: Mapping[str, str] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """Its folder's name."""
        text = re.sub(r"[^A-Za-z0-9._=+-]+", "-", self.name).strip("-.") or "variant"
        return text if len(text) <= SLUG else f"{text[: SLUG - 9]}-{sha256(self.name.encode()).hexdigest()[:8]}"

    @property
    def changes(self) -> Values:
        """What it changes, by leaf path; None takes a field back."""
        return parse_edit(self.edit) if self.edit else {}

    def applied(self, base: Request) -> Request:
        """Return the request of this variant; raises InputError, naming the variant."""
        try:
            return base.with_changes(self.changes)
        except InputError as error:
            raise InputError("\n".join(f"variant {self.name!r}: {line}" for line in str(error).split("\n"))) from None


def parse_vary(text: str) -> tuple[str, list[Any]]:
    """Read `activation=relu,elu` as a field and its values; a list stands in brackets, a text with commas in quotes.

    Raises:
        InputError: there is no `=`, or no value.
    """
    name, equals, rest = text.partition("=")
    words = list(_split(rest)) if equals else []
    if not name.strip() or not words or not all(words):
        raise InputError(f"--vary: must be a field and its values, such as activation=relu,elu, got {text!r}")
    return name.strip(), [_value(word) for word in words]


def _split(text: str) -> Iterator[str]:
    """Yield the parts between commas that stand outside brackets and quotes."""
    depth, quote, part = 0, "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        depth += not quote and (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quote:
            yield part.strip()
            part = ""
        else:
            part += letter
    yield part.strip()


def _value(word: str) -> Any:
    """Read a value as TOML where it is one, else as a text."""
    try:
        return tomllib.loads(f"value = {word}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return word


def parse_variant(text: str) -> tuple[str, str]:
    """Read `wide: model.width = 64` as a name and an edit; raises InputError if there is no name."""
    name, colon, edit = text.partition(":")
    if not colon or not name.strip():
        raise InputError(
            f"--variant: must be a name, a colon and an edit, such as 'wide: model.width = 64', got {text!r}"
        )
    return name.strip(), edit.strip()


def design_variants(
    vary: Mapping[str, Sequence[Any]],
    variants: Mapping[str, str],
    base: Request,
    design: Layout = "product",
    *,
    least: int = 2,
) -> tuple[Variant, ...]:
    """Return the variants of a study, the base first where it is one of them.

    Args:
        vary: the values of each factor, by field (short names as on the command line).
        variants: named edits.
        base: what they edit.
        design: "product" crosses the factors; "one-at-a-time" changes one of them from the base.
        least: variants that there must be.

    Raises:
        InputError: there is nothing to compare, a field is unknown or a value wrong, or two variants are the same; every variant is checked.
    """
    if design not in LAYOUTS:
        raise bad_value("design", design, " or ".join(map(repr, LAYOUTS)))
    for name, values in vary.items():
        if isinstance(values, (str, bytes)) or not isinstance(values, Sequence) or not len(values):
            raise bad_value(f"vary: {name}", values, "a list of values")
    factors = {name: [_level(name, value) for value in values] for name, values in vary.items()}
    _validate_paths(factors)
    found: list[Variant] = []
    if factors and design == "product":
        found += [_crossed(dict(zip(factors, levels, strict=True))) for levels in itertools.product(*factors.values())]
    elif factors:
        found += [_crossed({name: level}) for name, levels in factors.items() for level in levels]
    found += [Variant(name, format_edit(_parsed(name, edit)) if edit else "") for name, edit in variants.items()]
    if variants or design != "product":
        found = [Variant(BASE, ""), *(each for each in found if not _same(each, base))]
    return check_variants(found, base, least)


def _trust_named(changes: Mapping[str, Any]) -> None:
    """Let the factory of a network that is named here be imported."""
    if (factory := tree.factory_of(changes)) is not None:
        trust(factory)


@dataclass(frozen=True)
class _Level:
    path: str
    value: Any
    shown: str


def _level(name: str, value: Any) -> _Level:
    leaf = tree.leaves({name: value})
    if len(leaf) != 1:
        raise InputError(f"vary: {name}: a value must set one field, got {value!r}; use a named variant")
    _trust_named(leaf)
    ((path, plain),) = leaf.items()
    text = value if isinstance(value, str) else f"{name.rpartition('.')[2]}={format_value(_plain(value))}"
    return _Level(path, plain, text)


def _validate_paths(factors: Mapping[str, Sequence[_Level]]) -> None:
    """Refuse one field under two names, of whose values one would hide the other."""
    names: dict[str, str] = {}
    for name, levels in factors.items():
        other = names.setdefault(levels[0].path, name)
        if other != name:
            raise InputError(f"vary: {other} and {name} are the same field; list all its values at once")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _crossed(levels: Mapping[str, _Level]) -> Variant:
    edit = format_edit({level.path: level.value for level in levels.values()})
    shown = {name: level.shown for name, level in levels.items()}
    return Variant(", ".join(shown.values()), edit, shown)


def _parsed(name: str, edit: str) -> Values:
    try:
        changes = parse_edit(edit)
    except InputError as error:
        raise InputError(f"variant {name!r}: {error}") from None
    _trust_named(changes)
    return changes


def _same(variant: Variant, base: Request) -> bool:
    return bool(variant.levels) and variant.applied(base) == base


def check_variants(variants: Sequence[Variant], base: Request, least: int) -> tuple[Variant, ...]:
    """Refuse what cannot be compared; every variant is looked at before any run begins.

    Args:
        variants: of a study.
        base: what they edit.
        least: variants that there must be.

    Raises:
        InputError: names all that is wrong.
    """
    problems: list[str] = []
    asked: dict[int, Request] = {}
    for number, variant in enumerate(variants):
        paths = [path for path in RESERVED if path in variant.changes]
        if paths:
            problems.append(
                f"variant {variant.name!r}: cannot change {paths[0]}: all are compared at the same seeds and on the same images"
            )
            continue
        try:
            asked[number] = variant.applied(base)
        except InputError as error:
            problems.append(str(error))
        if not variant.name.strip():
            problems.append(f"variants: each needs a name, got {variant.name!r} for {variant.edit!r}")
    for key, label in (("name", "name"), ("slug", "folder name")):
        names = [getattr(each, key).casefold() for each in variants]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            problems.append(f"variants: two have the {label} {twice!r}; give each its own")
            break
    for (a, first), (b, second) in itertools.combinations(asked.items(), 2):
        if first == second:
            problems.append(f"variants {variants[a].name!r} and {variants[b].name!r} ask for the same; leave one out")
    if problems:
        raise InputError("\n".join(problems))
    if len(variants) < least:
        raise InputError("nothing to compare: vary: give a field two values or more, or give variants")
    if len(variants) > MAX_VARIANTS:
        raise InputError(
            f"{len(variants)} variants are more than {MAX_VARIANTS}; use --design one-at-a-time or fewer values"
        )
    return tuple(variants)
