"""Forms by measurement: what is timed, what is kept, and that programs are made of what was chosen."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.layers.conv import conv
from gan_jax.layers.lowerings import Choices, Problem, by_rule, choice, choices, measured

WIDE = Problem("conv", 4, (4, 4, 32, 48), 2, (8, 8))


@pytest.fixture
def clock(monkeypatch):
    """Seconds that each form takes, by name, and the names that were timed."""
    seconds, timed = {}, []

    def computation(self, name):
        timed.append(name)
        return name, []

    monkeypatch.setattr(Problem, "computation", computation)
    monkeypatch.setattr(choices, "_turn", lambda name, like: lambda: seconds.get(name, 1.0))
    return seconds, timed


def kept(known=(), most=60.0):
    told = {}
    return Choices(dict(known), lambda key, name, measured: told.update({key: (name, measured)}), most), told


def test_what_is_measured_is_announced_once(clock):
    told = []
    chosen = Choices({}, lambda *_: None, begin=lambda: told.append("now"))
    large = WIDE._replace(batch=64)
    for problem in (WIDE, large, large, large._replace(derivative="adjoint")):
        chosen.of(problem, "subpixel")
    assert told == ["now"]
    known = Choices({large.key: "winograd"}, lambda *_: None, begin=lambda: told.append("again"))
    known.of(large, "subpixel")
    assert told == ["now"]


@pytest.mark.parametrize("derivative", ["conv", "adjoint", "correlate"])
@pytest.mark.parametrize(
    ("kernel", "stride", "outputs"),
    [
        ((4, 4, 3, 24), 2, (8, 8)),
        ((4, 4, 24, 48), 2, (4, 6)),
        ((5, 3, 3, 8), 3, (4, 6)),
        ((2, 2, 4, 8), 3, (4, 6)),
        ((3, 3, 32, 32), 1, (8, 8)),
        ((9, 9, 32, 3), 1, (8, 8)),
        ((9, 9, 3, 32), 1, (8, 8)),
    ],
)
def test_all_candidates_compute_the_same(derivative, kernel, stride, outputs):
    problem = Problem(derivative, 2, kernel, stride, outputs)
    names = problem.candidates(by_rule(kernel, stride, outputs).name)
    like = problem.computation("plain")[1]
    arrays = [jax.random.normal(jax.random.key(i), each.shape) for i, each in enumerate(like)]
    wanted, *results = (jax.jit(problem.computation(name)[0])(*arrays) for name in ("plain", *names))
    for result in results:
        np.testing.assert_allclose(result, wanted, atol=1e-4 * float(jnp.max(jnp.abs(wanted))))


def test_the_rule_is_timed_too_and_no_form_twice():
    first = Problem("adjoint", 64, (4, 4, 3, 24), 1, (32, 32))
    assert first.candidates("patches") == ["patches", "subpixel"]
    assert first.candidates("phases") == ["phases"]  # whose adjoint is the sub-pixel form


def test_images_of_few_channels_may_be_filled_up():
    kernel, outputs = (5, 5, 3, 24), (32, 32)
    assert "padded" in Problem("conv", 64, kernel, 2, outputs).candidates("phases")
    assert "padded" in Problem("adjoint", 64, (5, 5, 24, 1), 1, outputs).candidates("subpixel")
    for derivative in ("adjoint", "correlate"):
        assert "padded" not in Problem(derivative, 64, kernel, 2, outputs).candidates("phases")
    assert "padded" not in Problem("conv", 64, (5, 5, 4, 24), 2, outputs).candidates("phases")


def test_the_fastest_is_chosen_and_the_rule_where_it_hardly_loses(clock):
    seconds, timed = clock
    seconds.update(winograd=0.5)
    assert WIDE.fastest("subpixel") == "winograd"
    assert timed == ["subpixel", "winograd"]
    seconds.update(winograd=0.95)
    assert WIDE.fastest("subpixel") == "subpixel"
    assert WIDE.fastest("winograd") == "winograd"


def test_a_choice_is_measured_once_kept_and_of_64_images(clock):
    seconds, timed = clock
    seconds.update(winograd=0.5)
    found, told = kept()
    assert [found.of(WIDE._replace(batch=b), "subpixel") for b in (64, 256, 64)] == ["winograd"] * 3
    assert told == {"conv 64 4x4x32x48 /2 8x8": ("winograd", True)}
    assert len(timed) == 2


def test_what_is_known_is_not_measured_but_a_form_that_cannot_compute_it_is(clock):
    _, timed = clock
    key = WIDE._replace(batch=64).key
    found, told = kept({key: "winograd"})
    assert found.of(WIDE._replace(batch=64), "subpixel") == "winograd"
    assert told == {key: ("winograd", False)}
    assert not timed
    assert kept({key: "no such form"})[0].of(WIDE._replace(batch=64), "subpixel") == "subpixel"
    assert timed


def test_small_sums_and_spent_time_are_by_rule(clock):
    _, timed = clock
    found, told = kept()
    assert found.of(WIDE._replace(batch=1), "per_image") == "per_image"
    assert not told
    found, told = kept(most=0.0)
    assert found.of(WIDE._replace(batch=64), "per_image") == "per_image"
    assert list(told.values()) == [("per_image", False)]
    again, _ = kept({key: name for key, (name, _) in told.items()})
    assert again.of(WIDE._replace(batch=64), "winograd") == "per_image"  # the run goes on as it began
    assert not timed


def lowered(x, kernel):
    return jax.jit(lambda x, kernel: conv(x, kernel, 2)).lower(x, kernel).as_text()


def test_programs_have_the_form_that_was_chosen():
    """Traced while measuring, though the same layer was traced by rule before, and after it by rule again."""
    x, kernel = jnp.ones((16, 16, 16, 32)), jnp.ones((4, 4, 32, 48))
    by_rule = lowered(x, kernel)
    found, told = kept({WIDE._replace(batch=16).key: "subpixel"})
    with measured(found):
        chosen = lowered(x, kernel)
    assert list(told.values()) == [("subpixel", False)]
    assert "convolution" in chosen
    assert "convolution" not in by_rule
    assert lowered(x, kernel) == by_rule


def test_a_measurement_within_a_trace():
    found, told = kept()
    with measured(found):
        y = jax.jit(lambda x, kernel: conv(x, kernel, 2))(jnp.ones((16, 16, 16, 32)), jnp.ones((4, 4, 32, 48)))
    assert y.shape == (16, 8, 8, 48)
    assert [measured for _, measured in told.values()] == [True]
    assert found.spent > 0


def test_any_number_of_images_is_by_rule():
    found, told = kept()
    (b,) = jax.export.symbolic_shape("b")
    with measured(found):
        jax.jit(lambda x, kernel: conv(x, kernel, 2)).trace(
            jax.ShapeDtypeStruct((b, 16, 16, 32), jnp.float32), jax.ShapeDtypeStruct((4, 4, 32, 48), jnp.float32)
        )
    assert not told


def test_groups_are_by_what_one_of_them_is_or_those_that_are_computed_together():
    found, told = kept()
    with measured(found):
        assert choice("conv", 64, (3, 3, 16, 64), 1, (16, 16), 4) == by_rule((3, 3, 16, 64), 1, (16, 16), 4)
        assert choice("conv", 64, (3, 3, 16, 288), 1, (16, 16), 18).pack == 2
        assert choice("conv", 64, (3, 3, 16, 640), 1, (16, 16), 40) == by_rule((3, 3, 16, 640), 1, (16, 16), 40)
    assert told.keys() == {"conv 64 3x3x16x16 /1 16x16", "conv 64 3x3x32x32 /1 16x16"}  # what is mapped over is by rule


def test_another_thread_is_by_rule():
    found, _ = kept({WIDE._replace(batch=64).key: "subpixel"})
    with measured(found), ThreadPoolExecutor(1) as pool:
        asked = ("conv", 64, WIDE.kernel, WIDE.stride, WIDE.outputs)
        assert choice(*asked).name == "subpixel"
        assert pool.submit(choice, *asked).result().name == "winograd"
