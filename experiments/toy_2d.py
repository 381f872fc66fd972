"""The game in the plane, where every mode is known: two recipes beside each other on a ring of 8 or a grid of 25 Gaussians.

    python -m experiments.toy_2d --data grid --seed 0

`regularised` is the relativistic paired cost with R1 and R2 (Huang et al. 2024, arXiv:2501.05441), `plain` the
non-saturating GAN of 2014 with the same networks. For each: samples over the density, the discriminator's surface, the
modes covered in the protocol of PacGAN (2,500 samples, 3 sigma), and a film of the play. Run it again to continue.

On two CPU cores the grid takes 1 min 17 s: both cover 25 modes, with 93.0 % (regularised) and 92.4 % (plain) of the samples
within 3 sigma, reverse KL 0.0036 and 0.0210 (seed 0).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from gan_jax import cli, core, losses, penalties
from gan_jax.core import Players, TrainState
from gan_jax.data import MIXTURES, Dataset, Mixture, Order, Rounds
from gan_jax.errors import InputError
from gan_jax.images.film import film
from gan_jax.images.sheets import save
from gan_jax.latents import Normal
from gan_jax.metrics.modes import mode_coverage
from gan_jax.models import mlp
from gan_jax.objectives import image_gan
from gan_jax.runs.run import Run, read_rows
from gan_jax.sampling import make_draw
from gan_jax.training.loop import Every
from gan_jax.training.report import Row
from gan_jax.training.trainer import train

RECIPES = {
    "regularised": (losses.relativistic_paired, ((0.1, penalties.r1), (0.1, penalties.r2))),
    "plain": (losses.non_saturating, ()),
}


SAMPLES = 2500  # PacGAN's protocol


@dataclass(frozen=True)
class Config:
    data: Literal["ring", "grid"] = "grid"
    """8 Gaussians on a circle, or 25 on a square grid."""
    outdir: Path | None = None
    """Where the two runs go; default runs/toy_2d-DATA."""
    steps: int = 12000
    """Rounds of play for each recipe; may grow when the runs are continued."""
    batch: int = 256
    """Points in a minibatch."""
    seed: int = 0
    """Of weights, noise and order."""
    latent_dim: int = 2
    """Length of the latent code."""
    width: int = 128
    """Units in a hidden layer."""
    depth: int = 3
    """Hidden layers of each player."""
    lr: float = 1e-3
    """Learning rate of both players (Adam)."""
    b1: float = 0.0
    """Adam's decay of the mean gradient."""
    b2: float = 0.99
    """Adam's decay of the mean squared gradient."""
    ema: float = 0.999
    """Decay of the generator's averaged weights."""
    frame_every: int = 200
    """Steps between frames of the film."""
    log_every: int = 1000
    """Steps between lines of metrics."""
    save_every: int = 2000
    """Steps between checkpoints."""


def main(config: Config) -> None:
    if config.steps < 1 or config.seed < 0:
        raise InputError("--steps must be at least 1 and --seed at least 0")
    mixture = MIXTURES[config.data]()
    dataset = mixture.dataset(seed=config.seed)
    outdir = config.outdir or Path("runs") / f"toy_2d-{config.data}"
    for name in RECIPES:
        play(name, config, mixture, dataset, Run(outdir / name, config, dataset.fingerprint))
    compare(outdir)


def play(name: str, config: Config, mixture: Mixture, dataset: Dataset, run: Run) -> None:
    """Train one recipe, with a frame of the film at intervals."""
    loss, terms = RECIPES[name]
    scale = float(np.abs(mixture.means).max())
    generator = mlp.Generator(width=config.width, depth=config.depth, scale=scale)
    discriminator = mlp.Discriminator(width=config.width, depth=config.depth, scale=scale)
    latent = Normal(config.latent_dim)
    objective = image_gan(generator, discriminator, loss, latent, terms, real="point")
    adam = optax.adam(config.lr, b1=config.b1, b2=config.b2)
    tx = Players(gen=adam, disc=adam)
    state = core.init_state(objective, tx, jax.random.key(config.seed), dataset.first(2))
    facts: dict[str, Any] = {"statistics": "running", "classes": [], "metric": None}
    run.describe_model("gan_jax.objectives.image:image_sampler", {"generator": generator, "latent": latent}, facts)
    run.log(f"{config.data}, {name}")
    draw = make_draw(objective.inputs, objective.sample, piece=SAMPLES)
    surface = jax.jit(lambda variables, x: discriminator.apply(variables, x, train=False))

    def look(step: int, state: TrainState) -> Row:
        points, _ = draw(core.sampling_variables(state), jax.random.key(1), {"point": np.zeros((SAMPLES, 2))})
        coverage = mode_coverage(jnp.asarray(points), jnp.asarray(mixture.means), mixture.sigma)
        score = {name: float(value) for name, value in coverage._asdict().items()}
        covered = f"{score['modes']:.0f} of {len(mixture.means)} modes, {score['high_quality']:.0%} within 3 sigma"
        picture = frame(points, lambda x: surface(state.disc.variables, x), mixture, f"{name}, step {step}: {covered}")
        save(picture, run.path(f"samples/{step:06}.png"))
        return score

    train(
        run,
        core.make_step(objective, tx, ema=config.ema),
        state,
        Rounds(dataset.train, Order(config.seed, len(dataset), config.batch)),
        steps=config.steps,
        log_every=config.log_every,
        save_every=config.save_every,
        callbacks=[Every(config.frame_every, look)],
    )


def frame(points: np.ndarray, surface: Callable, mixture: Mixture, title: str) -> np.ndarray:
    """Samples over the true modes, on the discriminator's surface D(x) (blue: taken for fake, red: for real)."""
    reach = 1.4 * float(np.abs(mixture.means).max())
    axis = np.linspace(-reach, reach, 60, dtype=np.float32)
    plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    logits = np.asarray(surface(plane)).reshape(60, 60)
    limit = max(float(np.abs(logits - np.median(logits)).max()), 1e-3)
    figure = Figure(figsize=(4.2, 4.5), dpi=80)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.9))
    levels = np.linspace(-limit, limit, 17)
    axes.contourf(axis, axis, logits - np.median(logits), levels=levels, cmap="RdBu_r", alpha=0.6, extend="both")
    axes.scatter(mixture.means[:, 0], mixture.means[:, 1], s=90, facecolors="none", edgecolors="black", linewidths=0.8)
    axes.scatter(points[:, 0], points[:, 1], s=2, color="black", alpha=0.5)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    axes.set_title(title, fontsize=8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def compare(outdir: Path) -> None:
    """The two recipes beside each other: last frames as a picture, all frames as a film, the coverage as lines of text."""
    folders = [outdir / name / "samples" for name in RECIPES]
    shared = set.intersection(*({path.name for path in folder.glob("[0-9]*.png")} for folder in folders))
    frames = [np.concatenate([np.asarray(Image.open(folder / name)) for folder in folders], axis=1) for name in sorted(shared)]
    save(frames[-1], outdir / "comparison.png")
    films = film(frames, outdir / "film")
    for name in RECIPES:
        score = read_rows(outdir / name / "eval.jsonl")[-1]
        print(
            f"{name:12} {score['modes']:.0f} modes, {score['high_quality']:.1%} of {SAMPLES:,} samples within 3 sigma, "
            f"reverse KL {score['reverse_kl']:.4f}"
        )
    print(f"picture      {outdir / 'comparison.png'}\nfilm         {', '.join(map(str, films))}")


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
