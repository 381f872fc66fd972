"""What happens at intervals of a run: sheets of samples, scores, a look at held-out examples."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.core import Batch, Metrics, Objective, Sampler, TrainState, Turn
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.images.convert import to_uint8
from gan_jax.images.sheets import grid, save
from gan_jax.runs.run import Run
from gan_jax.sampling import Inputs, Statistics, draw, sampling_variables, settle
from gan_jax.training.report import Row

Call = Callable[[int, TrainState], Row | None]
Take = Callable[[TrainState], tuple[np.ndarray, Inputs]]  # the samples of a state, and what they are made of
Show = Callable[[np.ndarray, Inputs, TrainState], np.ndarray]  # samples and what they are made of -> uint8 (h, w, c)
SHEET_SEED, SCORE_SEED = 1, 2  # noise of sheets and of scores: the same in every run


def sampled(
    sampler: Sampler,
    asked: Batch,
    population: Batch,
    statistics: Statistics,
    seed: int,
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Take:
    """What draws samples of fixed noise by the averaged generator of a state, its statistics settled if they are standing."""

    def take(state: TrainState) -> tuple[np.ndarray, Inputs]:
        key_settle, key_draw = jax.random.split(jax.random.key(seed))
        variables = sampling_variables(state)
        if statistics == "standing":
            variables = settle(sampler, variables, population, key_settle)
        return draw(sampler, variables, asked, key_draw, statistics=statistics, finish=finish)

    return take


def sheet(samples: np.ndarray, inputs: Inputs, state: TrainState) -> np.ndarray:
    """Images (n, h, w, c) in [-1, 1] side by side."""
    return grid(to_uint8(samples))


def sample_sheets(run: Run, take: Take, show: Show = sheet, scale: int = 1) -> Call:
    """Write samples/STEP.png, what `take` draws as `show` shows it, each pixel `scale` times."""

    def call(step: int, state: TrainState) -> None:
        save(show(*take(state), state), run.path(f"samples/{step:06}.png"), scale)

    return call


def evaluation(evaluator: Evaluator, take: Take, n: int, asked: Mapping[str, np.ndarray], statistics: Statistics) -> Call:
    """Scores of the n samples that `take` draws, with their floors and their protocol; `asked` is what they were asked for.

    Raises `InputError` if the evaluator's metrics cannot score so many.
    """
    evaluator.require(n)
    protocol = {"generator_weights": "averaged", "statistics": statistics, "seed": SCORE_SEED}

    def call(step: int, state: TrainState) -> Row:
        samples, _ = take(state)
        return {"source": "training", **evaluator.row([evaluator.score(samples, asked)], n, **protocol)}

    return call


def overfit_check(objective: Objective, train: Batch, held_out: Batch) -> Call:
    """How much the discriminator has memorised, from batches of training and of held-out examples; see `overfit`."""
    measure = jax.jit(partial(overfit, objective))
    return lambda step, state: {"overfit": float(measure(state, dict(train), dict(held_out), jax.random.key(SCORE_SEED)))}


def overfit(objective: Objective, state: TrainState, train: Batch, held_out: Batch, key: Array) -> Float[Array, ""]:
    """How far D's answer to held-out examples has moved from that to training ones towards that to fakes: 0 is none, 1 all.

    r_v of Karras et al. 2020 (arXiv:2006.06676, eq. 1). Differs: of D(x) in place of logits; 0 where the discriminator hardly
    tells real from fake (by less than 0.1), since there it cannot have memorised much.
    """

    def judged(batch: Batch) -> Metrics:
        key_inputs, key_sample, key_loss = jax.random.split(key, 3)
        inputs = objective.sampler.inputs(key_inputs, batch)
        fakes, _ = objective.sampler.sample(state.gen.variables, inputs, key_sample, True)
        turn = Turn(batch, inputs, key_loss, key_sample, state.step, state.gen.variables)
        _, (_, metrics) = objective.disc_loss(state.disc.variables, fakes, turn)
        return metrics

    seen, unseen = judged(train), judged(held_out)
    gap = seen["disc/real"] - seen["disc/fake"]
    return jnp.where(gap > 0.1, (seen["disc/real"] - unseen["disc/real"]) / jnp.maximum(gap, 0.1), 0.0)
