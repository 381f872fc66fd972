"""How much arithmetic a round takes: the matrix products and convolutions that it is traced to."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.interpreters import partial_eval


def arithmetic(step: Callable[..., Any], *args: Any) -> int:
    """Floating-point operations of the products and convolutions of `step(*args)`, two a multiplication; nothing is run.

    Convolutions count as the plain sums that they are, whatever form a CPU computes them in, zeros at borders included.
    Bodies of loops count as often as they are passed, those of `while` once. Elementwise operations are left out.
    """
    jaxpr = jax.make_jaxpr(step)(*jax.eval_shape(lambda *a: a, *args)).jaxpr
    used, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _of(used)


def _of(jaxpr: Any) -> int:
    total, platform = 0, set()
    for eqn in jaxpr.eqns:
        match eqn.primitive.name:
            case "dot_general":
                (contracted, _), _ = eqn.params["dimension_numbers"]
                shape = eqn.invars[0].aval.shape
                total += 2 * eqn.outvars[0].aval.size * math.prod(shape[i] for i in contracted)
            case "conv_general_dilated":
                total += _of_convolution(eqn)
            case "platform_index":
                platform.update(eqn.outvars)
            case "cond":
                each = [_of(branch.jaxpr) for branch in eqn.params["branches"]]
                total += each[-1] if eqn.invars[0] in platform else max(each)  # the last one is that of other platforms
            case "scan":
                total += eqn.params["length"] * _of(eqn.params["jaxpr"].jaxpr)
            case _:
                total += sum(map(_of, _inner(eqn.params)))
    return total


def _of_convolution(eqn: Any) -> int:
    """Taps at every pixel of the result, without those that fall on zeros between the pixels of a dilated image."""
    numbers, kernel = eqn.params["dimension_numbers"].rhs_spec, eqn.invars[1].aval.shape
    taps = math.prod(kernel[i] for i in numbers[1:])  # of one group's inputs
    return 2 * eqn.outvars[0].aval.size * taps // math.prod(eqn.params["lhs_dilation"])


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(each, "jaxpr", each)
            if hasattr(inner, "eqns"):
                yield inner
