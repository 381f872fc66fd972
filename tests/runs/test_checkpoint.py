"""Checkpoints of populations, whose members may have died."""

import jax
import numpy as np
import pytest

from gan_jax.errors import InputError, RunError
from gan_jax.parallel import init_population
from gan_jax.runs.checkpoint import Checkpoints
from tests.game import SGD, batches, game

FIRST = "labels, spectral norm, R1, standard deviation"


def population(dead: tuple[int, ...]):
    """Three members, of which some have a NaN in their parameters."""
    states = init_population(game(FIRST)[0], SGD, jax.random.split(jax.random.key(0), 3), batches(1, size=8)[0])
    params = jax.tree.map(lambda x: x.at[np.asarray(dead, int)].set(np.nan), states.gen.params)
    return states._replace(gen=states.gen._replace(params=params))


def test_members_that_are_not_finite_are_saved_and_marked(tmp_path, caplog):
    states = population(dead=(1,))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, states)
    assert "members [1] are not finite at step 5" in caplog.text
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.not_finite(5) == [1]
        with pytest.raises(InputError, match="checkpoint 6 .* cannot be read"):
            checkpoints.not_finite(6)
        found, step = checkpoints.restore(states)
    assert step == 5
    for a, b in zip(jax.tree.leaves(found.gen.params), jax.tree.leaves(states.gen.params), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dead", [(), (0, 1, 2)])
def test_only_a_population_without_a_finite_member_is_refused(tmp_path, dead):
    with Checkpoints(tmp_path) as checkpoints:
        if dead:
            with pytest.raises(RunError, match="not finite and was not saved"):
                checkpoints.save(5, population(dead))
        else:
            checkpoints.save(5, population(dead))
            checkpoints._manager.wait_until_finished()
            assert checkpoints.not_finite(5) == []


def test_a_run_that_is_not_finite_is_refused(tmp_path):
    one = jax.tree.map(lambda x: x[1], population(dead=(1,)))
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(RunError, match="not finite and was not saved"):
        checkpoints.save(5, one)
