"""Which form computes a convolution or a gradient of it on a CPU: by rule, or the one that is fastest where it was measured.

The fastest form differs between processors, shapes and the three derivatives. `measured` makes names that are known count while
a program is traced, and times what is not among them: forms that can compute it, one after the other, each as a program of its
own (within a larger one, where caches are shared, another may be fastest).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.layers.lowerings.form import Form, Side
from gan_jax.layers.lowerings.grouped import MOST, grouped, packing
from gan_jax.layers.lowerings.padded import MULTIPLE, padded
from gan_jax.layers.lowerings.patches import patches
from gan_jax.layers.lowerings.per_image import per_image
from gan_jax.layers.lowerings.phases import phases
from gan_jax.layers.lowerings.plain import plain
from gan_jax.layers.lowerings.subpixel import subpixel
from gan_jax.layers.lowerings.winograd import tiling, winograd

Derivative = Literal["conv", "adjoint", "correlate"]
FORMS: dict[str, Form] = {
    "plain": plain,
    "subpixel": subpixel,
    "patches": patches,
    "per_image": per_image,
    "phases": phases,
    "padded": padded,
    "winograd": winograd,
}
VERSION = 2  # of the forms: with another, what was measured before is not known
IMAGES = 64  # that are timed, at most: fewer would stay in a cache that more leave
TURNS = 3  # of each form, alternating; the shortest counts
LEAST = 1e7  # multiplications for which a choice is worth its time
SLOWER = 0.9  # of the time by rule: a form that takes more than this share is not taken in its place


class Problem(NamedTuple):
    """One derivative of <conv(x, kernel), y> at these shapes: kernel (k, l, c, o), y (b, i, j, o), x (b, i s, j s, c)."""

    derivative: Derivative
    batch: int
    kernel: tuple[int, ...]
    stride: int
    outputs: tuple[int, ...]

    @property
    def key(self) -> str:
        """Such as "adjoint 64 4x4x24x48 /2 16x16"."""
        kernel, outputs = ("x".join(map(str, sides)) for sides in (self.kernel, self.outputs))
        return f"{self.derivative} {self.batch} {kernel} /{self.stride} {outputs}"

    @property
    def multiplications(self) -> int:
        return int(self.batch * np.prod(self.outputs) * np.prod(self.kernel))

    def can_be(self, name: str) -> bool:
        """Whether the form of this name computes it."""
        return name in FORMS and (name != "winograd" or tiling(self.kernel, self.stride, self.outputs) is not None)

    def candidates(self, by_rule: str) -> list[str]:
        """The names of forms that may be the fastest, the one by rule first; each computes it in another way."""
        (*_, c, o), one = self.kernel, self.stride == 1
        names = [by_rule, "subpixel", "winograd"]
        if self.derivative == "conv" and c <= 4:
            names.append("patches" if one else "phases")
        read = {"conv": c, "adjoint": o}.get(self.derivative, MULTIPLE)  # channels of the image whose patches are gathered
        if read < MULTIPLE:
            names.append("padded")
        if self.derivative == "correlate" and (one or c <= o):
            names.append("per_image")
        ways = {getattr(FORMS[name], self.derivative): name for name in reversed(names) if self.can_be(name)}
        return list(reversed(ways.values()))

    def computation(self, name: str) -> tuple[Callable[[Array, Array], Array], list[jax.ShapeDtypeStruct]]:
        """The function of this form, and what its arguments are."""
        form, (b, (i, j), s) = FORMS[name], (self.batch, self.outputs, self.stride)
        shapes = {"x": (b, i * s, j * s, self.kernel[2]), "kernel": self.kernel, "y": (b, i, j, self.kernel[3])}
        x, kernel, y = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes.values())
        if self.derivative == "conv":
            return (lambda x, kernel: form.conv(x, kernel, s)), [x, kernel]
        if self.derivative == "adjoint":
            return (lambda y, kernel: form.adjoint(y, kernel, s)), [y, kernel]
        return (lambda x, y: form.correlate(x, y, s, (self.kernel[0], self.kernel[1]))), [x, y]

    def fastest(self, by_rule: str) -> str:
        """The name of the form that takes the shortest, or by rule where that is hardly slower."""
        names = self.candidates(by_rule)
        if len(names) == 1:
            return names[0]
        turns = {name: _turn(*self.computation(name)) for name in names}
        rounds = [{name: turn() for name, turn in turns.items()} for _ in range(TURNS)]
        spent = {name: min(each[name] for each in rounds) for name in names}
        best = min(names, key=lambda name: spent[name])
        return best if spent[best] < SLOWER * spent[by_rule] else by_rule


def _turn(compute: Callable[[Array, Array], Array], like: list[jax.ShapeDtypeStruct]) -> Callable[[], float]:
    """A function that computes it once, compiled, and says how many seconds it took."""
    with jax.ensure_compile_time_eval():  # another program is being traced
        compiled = jax.jit(compute).lower(*like).compile()
        arrays = [jnp.ones(each.shape, each.dtype) for each in like]

    def turn() -> float:
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arrays))
        return time.perf_counter() - start

    turn()
    return turn


class Choices:
    """The fastest forms by what is computed; what is not `known` is measured, for `most` seconds in all, then by rule.

    `keep(key, name, measured)` is called at the first use of each: the key of a `Problem`, the name of its form from then on,
    and whether it was measured just now; `begin()` before the first is measured.
    """

    def __init__(
        self,
        known: Mapping[str, str],
        keep: Callable[[str, str, bool], None],
        most: float = 60.0,
        begin: Callable[[], None] = lambda: None,
    ):
        self._known, self._keep, self._most, self._begin = known, keep, most, begin
        self._used: dict[str, str] = {}
        self.spent = 0.0  # seconds of measuring

    def of(self, problem: Problem, by_rule: str) -> str:
        """The name of the form for this, the same each time; by rule for what takes no time."""
        problem = problem._replace(batch=min(problem.batch, IMAGES))
        if problem.multiplications < LEAST:
            return by_rule
        if problem.key not in self._used:
            name = self._known.get(problem.key, "")
            measures = not problem.can_be(name) and self.spent < self._most
            if measures:
                if not self.spent:
                    self._begin()
                start = time.perf_counter()
                name = problem.fastest(by_rule)
                self.spent += time.perf_counter() - start
            elif not problem.can_be(name):
                name = by_rule
            self._used[problem.key] = name
            self._keep(problem.key, name, measures)
        return self._used[problem.key]


class Choice(NamedTuple):
    """A form by name, over `groups` of channels of which `pack` are computed together."""

    name: str
    groups: int = 1
    pack: int = 1

    @property
    def form(self) -> Form:
        form = FORMS[self.name]
        return form if self.groups == 1 else grouped(form, self.groups, self.pack)


def by_rule(kernel: tuple[int, ...], stride: int, outputs: tuple[Side, ...], groups: int = 1) -> Choice:
    """What is fast on most CPUs for kernels (k, l, c, groups o) and images of `outputs` (height, width)."""
    pack = packing(min(kernel[2], kernel[3] // groups), groups)
    return Choice(_rule(_together(kernel, groups, pack), stride, outputs), groups, pack)


def choice(
    derivative: Derivative, batch: Side, kernel: tuple[int, ...], stride: int, outputs: tuple[Side, ...], groups: int = 1
) -> Choice:
    """The measured form; that by rule where nothing is measured, of groups that are mapped over, and for sides of any size."""
    rule, choices = by_rule(kernel, stride, outputs, groups), _choices.get()
    if (
        choices is None
        or groups // rule.pack > MOST
        or not all(isinstance(side, int) and side for side in (batch, *outputs, *kernel))
    ):
        return rule
    problem = Problem(derivative, batch, _together(kernel, groups, rule.pack), stride, outputs)
    return rule._replace(name=choices.of(problem, rule.name))


def _together(kernel: tuple[int, ...], groups: int, pack: int) -> tuple[int, ...]:
    """The kernel of `pack` of the groups."""
    return (*kernel[:2], pack * kernel[2], kernel[3] // groups * pack)


def _rule(kernel: tuple[int, ...], stride: int, outputs: tuple[Side, ...]) -> str:
    _, _, c, o = kernel
    ends_in_pixels, fans_out = o <= 4 and c >= 8, c >= 32 and o >= 4 * c
    if stride == 1 and (ends_in_pixels or fans_out):
        return "per_image"
    if tiling(kernel, stride, outputs):
        return "winograd"
    if c <= 4 and o >= 8:
        return "patches" if stride == 1 else "phases"
    if stride > 1 and 4 < c < 32 <= o:
        return "per_image"
    return "subpixel"


_choices: ContextVar[Choices | None] = ContextVar("choices", default=None)


@contextmanager
def measured(choices: Choices | None) -> Iterator[None]:
    """While a program is traced in this context, by this thread, forms are as chosen; None is by rule.

    A function that JAX has traced before is not traced again: trace a new one.
    """
    token = _choices.set(choices)
    try:
        yield
    finally:
        _choices.reset(token)
