"""The claims, by code."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from seewhy.comparison.claims.base import Claim
from seewhy.core.errors import unknown_name

MODULES = {
    "C01": "c01_cost_of_exp",
    "C02": "c02_sigmoid_saturates",
    "C03": "c03_one_sign",
    "C04": "c04_tanh_and_sigmoid",
    "C05": "c05_relu_is_sooner",
    "C06": "c06_dying_units",
    "C07": "c07_elu_and_noise",
    "C08": "c08_maxout",
    "C09": "c09_fixed_initialisation",
    "C10": "c10_xavier_and_he",
    "C11": "c11_batch_norm",
    "C12": "c12_ravines_and_saddles",
    "C13": "c13_nesterov",
    "C14": "c14_adagrad_and_rmsprop",
    "C15": "c15_adam",
    "C16": "c16_newton",
    "C17": "c17_secant_and_recovery",
    "C18": "c18_limited_memory",
    "C19": "c19_penalties",
    "C20": "c20_ensembles",
    "C21": "c21_dropout",
    "C22": "c22_augmentation",
    "C23": "c23_random_structures",
    "C24": "c24_causal_pixels",
    "C25": "c25_random_latents",
    "C26": "c26_meaning_of_dimensions",
    "C27": "c27_bound_and_kl",
    "C28": "c28_blur_and_sharpness",
    "C29": "c29_mode_collapse",
}
"""Where each claim is, in the order of the canon."""


def claim(code: str) -> Claim:
    """Return the claim of a code, such as "C05" or "c5".

    Raises:
        InputError: there is none; names the nearest.
    """
    known = _canonical(code)
    if known not in MODULES:
        raise unknown_name("claim", code, MODULES)
    found: Claim = import_module(f"seewhy.comparison.claims.{MODULES[known]}").CLAIM
    return found


def claims(codes: Iterable[str] = ()) -> tuple[Claim, ...]:
    """Return the claims of these codes in the order of the canon, each once; all where none is named.

    Raises:
        InputError: one is not known.
    """
    asked = {claim(code).code for code in codes}
    return tuple(claim(code) for code in MODULES if not asked or code in asked)


def measured_by(codes: Iterable[str]) -> tuple[Claim, ...]:
    """Return the claims of these codes that there are, such as those that a technique's record names."""
    return tuple(claim(code) for code in codes if code in MODULES)


def _canonical(code: str) -> str:
    digits = code[1:] if code[:1] in ("c", "C") else code
    return f"C{int(digits):02}" if digits.isascii() and digits.isdigit() else code
