"""The recipes of text to image beside each other, over seeds: what samples show of their captions, and how much they vary.

    python -m experiments.text_recipes                                 # GAN, CLS, INT and INT-CLS on drawn birds, 3 seeds
    python -m experiments.text_recipes --data doodle_flowers --recipes gan int_cls --minibatch discrimination

Reed et al. 2016 (arXiv:1605.05396) show samples beside each other. Here the pictures are drawn, so that their colours, numbers
and angles can be read (`gan_jax.evaluation.doodle_text.measure`): the share of named parts with the colour that the caption
names, for seen combinations and for those kept out of training; R-precision by an encoder of another seed, which knows
nothing of the generator's own; the share of valid pictures; and how much samples of one caption vary, over the data's.

A run stands in RECIPE-SEED of --outdir; run the same command again to continue. Written beside them: table.md and
results.json (means and standard errors over the seeds), samples.png (a row a caption, for the first seed of each recipe).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from experiments import text_to_image
from experiments.caption_sheet import save_caption_sheet
from experiments.tables import markdown, mean_and_error
from gan_jax import cli
from gan_jax.config import FREE, MOST, Count, Within, checked
from gan_jax.data import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.doodle_text import TOLD, USUAL, VERSION, Plan, asked, measure
from gan_jax.evaluation.readers import READERS
from gan_jax.evaluation.text_encoder import TextEncoder
from gan_jax.files import place, whole
from gan_jax.runs import Trained, open_trained
from gan_jax.runs.records import read_json, write_json
from gan_jax.training import run_experiment

COLUMNS = {  # of `measure`
    "match": "match",
    "match_unseen": "unseen",
    "match_chance": "chance",
    "r_precision": "R-precision",
    "valid": "valid",
    "diversity": "diversity",
    "least_diverse": "least diverse",
}
REAL = {"match": "match_real", "r_precision": "r_precision_real"}
ANOTHER = 1  # seed of the encoder that measures
SHOWN = (6, 5)  # captions, and samples of each

Numbers = dict[str, float]


@dataclass(frozen=True)
class Config(text_to_image.Config):
    recipes: tuple[Literal["gan", "cls", "int", "int_cls"], ...] = field(
        default=("gan", "cls", "int", "int_cls"), metadata=FREE
    )
    """The recipes that are trained and measured."""
    seeds: Count = field(default=3, metadata=FREE)
    """Runs of each."""
    eval_metrics: str = field(default="none", metadata=FREE)
    """Scores while training; all is measured at the end."""
    captions_matched: Annotated[int, Within(4, MOST)] = field(default=USUAL.matches, metadata=FREE)
    """Captions, of seen and of unseen combinations each, whose samples are compared with what they name."""
    captions_varied: Count = field(default=USUAL.captions, metadata=FREE)
    """Captions whose samples are compared with each other."""
    samples_varied: Count = field(default=USUAL.samples, metadata=FREE)
    """Samples of each of these."""

    @property
    def plan(self) -> Plan:
        return Plan(self.captions_matched, self.captions_varied, self.samples_varied)


def main(config: Config) -> dict[str, dict[str, list[float]]] | None:
    """Train and measure all; returns what results.json has, None after a dry run.

    Raises `InputError` for data whose captions cannot be compared with pictures, and as `experiments.text_to_image`.
    """
    config = checked(config)
    if config.data not in TOLD:
        raise InputError(f"what {config.data} shows of its captions cannot be read: choose --data {' or '.join(TOLD)}")
    if config.text_embeddings is not None:
        raise InputError("recipes are compared by captions of pictures that are in no data set: leave out --text-embeddings")
    if not config.unseen:
        raise InputError("one column is of combinations that were kept out of training: leave out --no-unseen")
    outdir = place(config.outdir or Path("runs") / f"text_recipes-{config.data}")
    rows: dict[str, list[Numbers]] = {}
    opened: dict[str, Trained] = {}
    for recipe in config.recipes:
        for seed in range(config.seeds):
            directory = outdir / f"{recipe}-{seed}"
            run = run_experiment(text_to_image.build, "text_to_image", asked_of(config, recipe, seed, directory))
            if run is None or not run.writes:
                return None
            trained = open_trained(directory)
            rows.setdefault(recipe, []).append(measured(trained, config, directory / "captions.json"))
            opened.setdefault(recipe, trained)
    found = {recipe: summary(each) for recipe, each in rows.items()}
    told = table(found, config.seeds)
    print(f"\n{told}")
    with whole(outdir / "table.md") as unfinished:
        unfinished.write_text(told + "\n")
    write_json(outdir / "results.json", found)
    draw_samples(opened, config.data, outdir / "samples.png")
    return found


def asked_of(config: Config, recipe: str, seed: int, directory: Path) -> text_to_image.Config:
    """The flags of one run, as `experiments.text_to_image` has them."""
    values: dict[str, Any] = {each.name: getattr(config, each.name) for each in fields(text_to_image.Config)}
    return text_to_image.Config(**values | {"recipe": recipe, "seed": seed, "outdir": directory})


def measured(trained: Trained, config: Config, path: Path) -> Numbers:
    """What is measured of a run, from the file of an earlier time if it was of the same round, as many samples and alike."""
    about = {"step": trained.step, "plan": list(config.plan), "version": VERSION}
    before = read_json(path)
    if before is not None and before.get("about") == about:
        return before["measured"]
    dataset, encoder = _another(config)
    real, size = dataset.held_out["image"], config.size
    numbers = measure(
        config.data,
        lambda captions, seed: trained.draw(caption=list(captions), seed=seed),
        READERS[config.data].open(size),
        real[: config.plan.matches],
        encoder,
        config.plan,
    )
    write_json(path, {"about": about, "measured": numbers})
    return numbers


def _another(config: Config) -> tuple[Dataset, TextEncoder]:
    """The data, and an encoder of their captions that no generator was asked by."""
    dataset = config.load_captioned()
    return dataset, config.train_encoder(dataset, seed=ANOTHER)


def summary(rows: Sequence[Numbers]) -> dict[str, list[float]]:
    """Of each number its mean over the seeds and the standard error."""
    return {name: mean_and_error(np.array([row[name] for row in rows])) for name in rows[0]}


def table(found: Mapping[str, Mapping[str, Sequence[float]]], seeds: int) -> str:
    """The recipes as rows, in Markdown; the last one is what real pictures score."""
    rows = [[f"{seeds} seeds", *COLUMNS.values()]]
    for recipe, numbers in found.items():
        rows.append([recipe, *("{:.3f} ± {:.3f}".format(*numbers[name]) for name in COLUMNS)])
    first = next(iter(found.values()))
    rows.append(["real", *(f"{first[REAL[name]][0]:.3f}" if name in REAL else "" for name in COLUMNS)])
    return markdown(rows)


def draw_samples(opened: Mapping[str, Trained], data: str, path: Path) -> None:
    """Samples of the same captions, a block a recipe, a row a caption."""
    captions, n = asked(data, SHOWN[0], combinations=False).captions, SHOWN[1]
    rows = [text for text in captions for _ in range(n)]
    drawn = {recipe: trained.draw(caption=rows) for recipe, trained in opened.items()}
    blocks = {recipe: samples.reshape(len(captions), n, *samples.shape[1:]) for recipe, samples in drawn.items()}
    save_caption_sheet(captions, blocks, path)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
