"""Whether a run's samples show what they were asked for, on any captioned pictures: retrieval, attributes, variety, a sheet.

    python -m experiments.caption_scores runs/text_to_image-celeb_a
    python -m experiments.caption_scores RUN --captions "a woman with blond hair" "a man with eyeglasses" --n 1000

Samples are asked for by captions of held-out pictures. R-precision (Xu et al. 2018, arXiv:1711.10485): the share of samples
whose caption an encoder finds among 100 others', by an encoder of another seed than the generator's own; of the held-out
pictures themselves it is what a perfect generator would score. Where pictures have attributes of 0 and 1, or classes, a
classifier of the data reads them in samples and compares them with those of the picture that the caption was written of; of an
attribute the mean of both shares that are right is counted (0.5 by chance). The spread of samples of one caption is compared
with that of all held-out pictures, or of those of a class where the classes are what is said.

Written to --out, default the run's folder `captions`: scores.json, table.md, sheet.png (a row a caption, the picture that it
was written of on the left). For drawn birds and flowers, whose truth is known, see `experiments.text_recipes`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
import tyro

from experiments import text_to_image
from experiments.caption_sheet import draw_caption_sheet
from experiments.tables import markdown
from experiments.text_recipes import ANOTHER
from gan_jax import cli
from gan_jax import config as configuration
from gan_jax.commands import reference
from gan_jax.commands.flags import TrainedFlags
from gan_jax.commands.reference import Needs
from gan_jax.config import MOST, Count, Seed, Within, checked
from gan_jax.data import Dataset, captions
from gan_jax.data.dataset import Arrays
from gan_jax.errors import InputError
from gan_jax.evaluation.judge import Judge, train_judge
from gan_jax.evaluation.text_encoder import AMONG_GENERATED, TextEncoder, asked_found
from gan_jax.files import check_apart, whole
from gan_jax.metrics.diversity import rms_distance, rms_within_classes
from gan_jax.runs import Trained
from gan_jax.runs.records import read_json, write_json

SHOWN = 8  # captions in the sheet, and samples of each
VARIED = (16, 32)  # captions, and samples of each, whose spread is measured
LEAST = 20  # pictures with and without an attribute that it is counted of
READABLE = 0.75  # mean of both shares of held-out pictures of which an attribute is read rightly, at least

Found = dict[str, float]


@dataclass(frozen=True)
class Config(TrainedFlags):
    run: Annotated[Path, tyro.conf.Positional]
    """Directory of a run of `experiments.text_to_image`."""
    captions: tuple[str, ...] = ()
    """What the rows of the sheet are asked for; default captions of held-out pictures."""
    n: Annotated[int, Within(4, MOST)] = 500
    """Held-out pictures whose captions are asked for, at most."""
    seed: Seed = 0
    """Random seed for the noise and for which captions are taken."""
    samples: Count = SHOWN
    """Samples in a row of the sheet."""
    out: Path | None = None
    """Folder for the results; default the folder `captions` of the run."""


def main(config: Config) -> dict[str, Any]:
    """Write the scores, the table and the sheet, and return the scores.

    Raises `InputError` for what is no run on captioned pictures, and for data without held-out ones.
    """
    config = checked(config)
    trained, dataset = config.open_generator(config.run), own_data(config.run)
    out = config.out or config.run / "captions"
    check_apart(out / "table.md", [config.run / "checkpoints", config.run / "samples"])
    if not dataset.held_out:
        raise InputError(f"{dataset.name} has no held-out pictures, whose captions would be asked for")
    encoder = flags_of(config.run).train_encoder(dataset, seed=ANOTHER)
    asked = Asked.of(dataset.held_out, config.n, config.seed)
    samples = asked.drawn(trained, config.seed)
    found: dict[str, Any] = {"step": trained.step, "data": dataset.name, "asked": len(samples)}
    found |= precision(encoder, samples, asked, config.seed)
    judge = train_judge(dataset) if dataset.class_names or dataset.attribute_names else None
    if judge is not None:
        found |= classes(judge, samples, asked) if judge.exclusive else attributes(judge, dataset, samples, asked)
    see = encoder.see if judge is None else lambda pictures: judge.see(pictures).features
    found |= spread(see, trained, asked, config.seed)
    write_json(out / "scores.json", found)
    told = table(found)
    with whole(out / "table.md") as unfinished:
        unfinished.write_text(told + "\n")
    draw_sheet(trained, asked, config, out / "sheet.png")
    print(f"{told}\n{out / 'sheet.png'}")
    return found


def flags_of(run: Path) -> text_to_image.Config:
    """The flags that the run was trained by; raises `InputError` for what is no run of text to image."""
    known = read_json(run / "config.json") or {}
    if not {"recipe", "encoder"} <= known.keys():
        raise InputError(f"{run} is no run of experiments.text_to_image: what its samples should show was not said")
    return configuration.read(text_to_image.Config, known)


def own_data(run: Path) -> Dataset:
    """The captioned pictures that the run was trained on; raises `InputError` where they are gone, and as `flags_of`."""
    flags_of(run)
    return reference.of_run(run, "train", Needs((), False, "pixels"), lambda: (0, 0, 0)).taught


@dataclass(frozen=True)
class Asked:
    """Held-out pictures (n), the caption of each that is asked for (n, t), and all that the data have of them."""

    arrays: Arrays
    which: np.ndarray

    @classmethod
    def of(cls, held_out: Arrays, n: int, seed: int) -> "Asked":
        generator = np.random.Generator(np.random.Philox(key=seed))
        rows = np.sort(generator.permutation(len(held_out["image"]))[:n])
        arrays = {name: np.asarray(value[rows]) for name, value in held_out.items()}
        there = arrays["caption"].any(axis=-1)  # n k: pictures have fewer captions than others
        return cls(arrays, np.argmax(np.where(there, generator.random(there.shape), -1.0), axis=1))

    @property
    def captions(self) -> np.ndarray:
        return self._own("caption")

    @property
    def texts(self) -> list[str]:
        return [captions.decode(row) for row in self.captions]

    def drawn(self, trained: Trained, seed: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Samples of the captions, or of those of `rows`, by the embeddings of a file where the run was trained on such."""
        name = "caption" if "caption" in trained.sampler.needs else "text"
        asked = self._own(name)
        wanted: dict[str, Any] = {name: asked if rows is None else asked[rows]}
        return trained.draw(seed=seed, **wanted)

    def _own(self, name: str) -> np.ndarray:
        return np.asarray(self.arrays[name])[np.arange(len(self.which)), self.which]


def precision(encoder: TextEncoder, samples: np.ndarray, asked: Asked, seed: int) -> Found:
    """R-precision of the samples and of the pictures, among 100 captions, or fewer where most fit many pictures."""
    among = min(AMONG_GENERATED, len(samples))
    pair = {"r_precision": samples, "r_precision_real": asked.arrays["image"]}
    while among > 1:
        try:
            shares = {
                name: asked_found(encoder, images, asked.captions, asked.arrays["caption"], among, seed)
                for name, images in pair.items()
            }
        except InputError:  # too many captions fit
            among //= 2
        else:
            return {**shares, "r_precision_chance": 1 / among}
    return {}


def classes(judge: Judge, samples: np.ndarray, asked: Asked) -> Found:
    """The shares of samples and of held-out pictures that are taken for the class of their picture, and by chance."""
    label = np.asarray(asked.arrays["label"])
    made, real = (judge.see(images).known_logits().argmax(axis=1) for images in (samples, asked.arrays["image"]))
    right, true = (float(np.mean(each == label)) for each in (made, real))
    return {"match": right, "match_real": true, "match_chance": float(np.mean(made[:, None] == label[None]))}


def attributes(judge: Judge, dataset: Dataset, samples: np.ndarray, asked: Asked) -> dict[str, Any]:
    """How often binary attributes are as in the picture that a caption was written of, of each and the mean.

    The mean of the shares among pictures with and without the attribute, so that 0.5 is chance; of attributes that 20 of the
    pictures have and 20 have not, and that are read rightly in at least 0.75 of the pictures themselves.
    """
    columns = [dataset.attribute_names.index(name) for name in judge.names]
    truth = np.asarray(asked.arrays["attributes"])[:, columns] > 0.5
    made, real = (judge.see(images).known_logits() > 0 for images in (samples, asked.arrays["image"]))
    counted = (truth.sum(axis=0) >= LEAST) & ((~truth).sum(axis=0) >= LEAST)
    each = {}
    for i in np.flatnonzero(counted):
        right, true = (balanced(values[:, i], truth[:, i]) for values in (made, real))
        if true >= READABLE:
            each[judge.names[i]] = [right, true]
    if not each:
        return {}
    mean = np.mean(list(each.values()), axis=0)
    return {"match": float(mean[0]), "match_real": float(mean[1]), "match_chance": 0.5, "attributes": each}


def balanced(values: np.ndarray, truth: np.ndarray) -> float:
    """The mean of the shares of right values among those that are true and among those that are not."""
    return float((values[truth].mean() + (~values[~truth]).mean()) / 2)


def spread(see: Callable[[np.ndarray], np.ndarray], trained: Trained, asked: Asked, seed: int) -> Found:
    """The rms distance, in features and pixels, among samples of one caption over that among pictures."""
    k, n = min(VARIED[0], len(asked.which)), VARIED[1]
    groups = np.repeat(np.arange(k), n)
    made, real = asked.drawn(trained, seed + 1, groups), asked.arrays["image"]
    label = asked.arrays.get("label")

    def pixels(pictures: np.ndarray) -> np.ndarray:
        return (pictures.reshape(len(pictures), -1) / 255).astype(np.float32)

    found = {}
    for name, features in (("features", see), ("pixels", pixels)):
        ours = float(rms_within_classes(jnp.asarray(features(made)), jnp.asarray(groups), k))
        seen = features(np.asarray(real))
        theirs = rms_distance(seen) if label is None else _within(seen, np.asarray(label))
        found[f"spread_{name}"] = ours / theirs
    return found


def _within(features: np.ndarray, label: np.ndarray) -> float:
    """The rms distance of pictures to the mean of their class, of classes with several, as if each mean were known."""
    groups, counts = np.unique(label, return_inverse=True, return_counts=True)[1:]
    several = counts[groups] > 1
    groups = np.unique(groups[several], return_inverse=True)[1]
    inside = float(rms_within_classes(jnp.asarray(features[several]), jnp.asarray(groups), int(groups.max()) + 1))
    return inside * float(np.sqrt(len(groups) / (len(groups) - groups.max() - 1)))


def table(found: Mapping[str, Any]) -> str:
    """The scores in Markdown, and of each attribute where there are some."""
    rows: list[Sequence[str]] = [[f"{found['data']}, step {found['step']:,}", "samples", "pictures", "chance"]]
    for name, told in (("r_precision", "R-precision"), ("match", "attributes or classes as said")):
        if name in found:
            rows.append([told, *(f"{found[name + end]:.3f}" for end in ("", "_real", "_chance"))])
    for name in ("features", "pixels"):
        rows.append([f"spread of one caption's samples, {name}", f"{found[f'spread_{name}']:.2f}", "1", ""])
    for name, (right, true) in sorted(found.get("attributes", {}).items(), key=lambda item: -item[1][0]):
        rows.append([name, f"{right:.2f}", f"{true:.2f}", "0.50"])
    return markdown(rows)


def draw_sheet(trained: Trained, asked: Asked, config: Config, path: Path) -> None:
    """A row a caption: the picture that it was written of, if it is one of the data's, and samples."""
    if config.captions:
        texts, pictures = list(config.captions), None
        rows = [text for text in texts for _ in range(config.samples)]
        samples = trained.draw(caption=rows, seed=config.seed)
    else:
        _, first = np.unique(asked.texts, return_index=True)
        chosen = np.sort(first)[:SHOWN]
        texts, pictures = [asked.texts[i] for i in chosen], asked.arrays["image"][chosen]
        samples = asked.drawn(trained, config.seed, np.repeat(chosen, config.samples))
    blocks = {} if pictures is None else {"data": pictures[:, None]}
    blocks["samples"] = samples.reshape(len(texts), config.samples, *samples.shape[1:])
    draw_caption_sheet(texts, blocks, path)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
