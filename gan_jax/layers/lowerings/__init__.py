"""Ways to compute a convolution and its two gradients; all are equal up to rounding."""

from gan_jax.layers.lowerings.choices import FORMS, VERSION, Choice, Choices, Derivative, Problem, by_rule, choice, measured
from gan_jax.layers.lowerings.form import Form, Side
from gan_jax.layers.lowerings.grouped import grouped
from gan_jax.layers.lowerings.winograd import tiling

__all__ = [
    "FORMS",
    "VERSION",
    "Choice",
    "Choices",
    "Derivative",
    "Form",
    "Problem",
    "Side",
    "by_rule",
    "choice",
    "grouped",
    "measured",
    "tiling",
]
