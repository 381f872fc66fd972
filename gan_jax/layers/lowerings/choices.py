"""Which form computes a convolution or a gradient of it on a CPU: by rule, or the one that is fastest where it was measured.

The fastest form differs between processors, shapes and the three derivatives. `measured` makes a known list of names count
while programs are traced, and times what is not in it: forms that can compute it, one after the other, on at most 64 images.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from gan_jax.layers.lowerings.form import Form, Side
from gan_jax.layers.lowerings.grouped import grouped, packing
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
    "winograd": winograd,
}
IMAGES = 64  # that are timed, at most: fewer would stay in a cache that more leave
TURNS = 3  # of each form, alternating; the shortest counts
LEAST = 1e7  # multiplications for which a choice is worth its time
GAIN = 0.9  # of the time by rule: what takes more is not worth another choice


class Problem(NamedTuple):
    """One derivative of <conv(x, kernel), y> at these shapes: kernel (k, l, c, o), y (b, i, j, o), x (b, i s, j s, c)."""

    derivative: Derivative
    batch: int
    kernel: tuple[int, ...]
    stride: int
    outputs: tuple[int, ...]

    @property
    def key(self) -> str:
        """Such as "adjoint 16 4x4x24x48 /2 16x16"."""
        kernel, outputs = ("x".join(map(str, sides)) for sides in (self.kernel, self.outputs))
        return f"{self.derivative} {self.batch} {kernel} /{self.stride} {outputs}"

    @property
    def multiplications(self) -> int:
        return int(self.batch * np.prod(self.outputs) * np.prod(self.kernel))

    def candidates(self) -> list[str]:
        """The names of forms that may be the fastest."""
        (*_, c, o), one = self.kernel, self.stride == 1
        names = ["subpixel"]  # for `conv`, and for `adjoint` at stride 1, XLA's own
        if tiling(self.kernel, self.stride, self.outputs):
            names.append("winograd")
        if self.derivative == "conv" and c <= 8:
            names.append("patches" if one else "phases")
        if self.derivative == "correlate" and (one or c <= o):
            names.append("per_image")
        return names

    def computation(self, name: str) -> tuple[Callable[..., Any], list[np.ndarray]]:
        """The function of this form, and arrays for it."""
        form, (b, (i, j), s) = FORMS[name], (self.batch, self.outputs, self.stride)
        x, y = np.ones((b, i * s, j * s, self.kernel[2]), np.float32), np.ones((b, i, j, self.kernel[3]), np.float32)
        kernel = np.ones(self.kernel, np.float32)
        if self.derivative == "conv":
            return (lambda x, kernel: form.conv(x, kernel, s)), [x, kernel]
        if self.derivative == "adjoint":
            return (lambda y, kernel: form.adjoint(y, kernel, s)), [y, kernel]
        return (lambda x, y: form.correlate(x, y, s, (self.kernel[0], self.kernel[1]))), [x, y]

    def fastest(self, by_rule: str) -> str:
        """The name of the form that takes the shortest, or by rule where that is hardly slower."""
        names = self.candidates()
        if len(names) == 1:
            return names[0]
        turns = {name: _turn(*self.computation(name)) for name in names}
        spent = {name: min(times) for name, times in zip(turns, zip(*_alternating(turns.values()), strict=True), strict=True)}
        best = min(spent, key=lambda name: spent[name])
        return by_rule if spent.get(by_rule, np.inf) * GAIN <= spent[best] else best


def _turn(compute: Callable[..., Any], arrays: list[np.ndarray]) -> Callable[[], float]:
    """A function that computes it once, compiled, and says how many seconds it took."""
    with jax.ensure_compile_time_eval():  # another program is being traced
        compiled, there = jax.jit(compute).lower(*arrays).compile(), jax.device_put(arrays)

    def turn() -> float:
        start = time.perf_counter()
        jax.block_until_ready(compiled(*there))
        return time.perf_counter() - start

    turn()
    return turn


def _alternating(turns: Any) -> Iterator[list[float]]:
    for _ in range(TURNS):
        yield [turn() for turn in turns]


class Choices:
    """The fastest forms by what is computed; what is not `known` is measured, for `most` seconds in all, then by rule.

    `keep(key, name)` is called at the first use of each: the key of a `Problem`, and the name of its form from then on.
    """

    def __init__(self, known: Mapping[str, str], keep: Callable[[str, str], None], most: float = 60.0):
        self._known, self._keep, self._most = known, keep, most
        self._used: dict[str, str] = {}
        self.spent = 0.0  # seconds of measuring

    def of(self, problem: Problem, by_rule: str) -> str:
        """The name of the form for this, the same each time; by rule for what takes no time."""
        problem = problem._replace(batch=min(problem.batch, IMAGES))
        if problem.multiplications < LEAST:
            return by_rule
        if problem.key not in self._used:
            known = self._known.get(problem.key)
            name = known if known in problem.candidates() else self._measured(problem, by_rule)
            self._used[problem.key] = name
            self._keep(problem.key, name)
        return self._used[problem.key]

    def _measured(self, problem: Problem, by_rule: str) -> str:
        if self.spent > self._most:
            return by_rule
        start = time.perf_counter()
        name = problem.fastest(by_rule)
        self.spent += time.perf_counter() - start
        return name


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
    together, pack = _together(kernel, groups)
    return Choice(_rule(together, stride, outputs), groups, pack)


def choice(
    derivative: Derivative, batch: Side, kernel: tuple[int, ...], stride: int, outputs: tuple[Side, ...], groups: int = 1
) -> Choice:
    """The measured form; the one by rule where nothing is measured, also where a side is any number."""
    rule = by_rule(kernel, stride, outputs, groups)
    if _choices is None or not all(isinstance(side, int) and side for side in (batch, *outputs, *kernel)):
        return rule
    together, _ = _together(kernel, groups)
    return rule._replace(name=_choices.of(Problem(derivative, batch, together, stride, outputs), rule.name))


def _together(kernel: tuple[int, ...], groups: int) -> tuple[tuple[int, ...], int]:
    """The kernel of the groups that are computed together, and their number."""
    if groups == 1:
        return kernel, 1
    pack = packing(min(kernel[2], kernel[3] // groups), groups)
    return (*kernel[:2], pack * kernel[2], kernel[3] // groups * pack), pack


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


_choices: Choices | None = None


@contextmanager
def measured(choices: Choices | None) -> Iterator[None]:
    """While programs are traced in this context, forms are as chosen; None is by rule."""
    global _choices
    before, _choices = _choices, choices
    try:
        yield
    finally:
        _choices = before
