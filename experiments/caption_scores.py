"""Whether a run's samples show what they were asked for, on any captioned pictures: retrieval, attributes, variety, a sheet.

    python -m experiments.caption_scores runs/text_to_image-celeb_a
    python -m experiments.caption_scores RUN --captions "a woman with blond hair" "a man with eyeglasses" --n 1000

Samples are asked for by captions of held-out pictures. R-precision (Xu et al. 2018, arXiv:1711.10485): the share of samples
whose caption an encoder finds among 100 pictures', beside the share for the held-out pictures themselves, which is what a
perfect generator would score, and for samples of other captions: chance. The encoder is of the other kind than the
generator's own, whose mistakes a generator can learn (with --agreement it is trained to); its partner for pictures has the
same layers and other weights, so the classifier below is the stricter judge.

Where pictures have classes, or else attributes of 0 and 1, a classifier of the data reads them in samples, and they are right
as in the picture that the caption was written of; of an attribute the mean of the shares that are right of pictures with and
without it is counted (0.5 by chance). The rms distance among samples of one caption is compared with that among the held-out
pictures, of a class where there are classes.

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
from experiments.caption_sheet import save_caption_sheet
from experiments.tables import markdown
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
from gan_jax.evaluation.text_encoder import AMONG_GENERATED, TextEncoder, fitting, train_text_encoder
from gan_jax.files import check_apart, whole
from gan_jax.metrics.diversity import rms_distance, rms_within_classes
from gan_jax.metrics.retrieval import most_among, r_precision
from gan_jax.runs import Trained
from gan_jax.runs.records import read_json, write_json

OTHER = {"transformer": "char_cnn_rnn", "char_cnn_rnn": "transformer"}  # the kind of encoder that measures
SHOWN = 8  # captions in the sheet, and samples of each
VARIED = (16, 32)  # captions, and samples of each, whose distances are measured
LEAST = 20  # pictures with and without an attribute that it is counted of
READABLE = 0.75  # balanced accuracy on all held-out pictures of an attribute that is counted, at least

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
    ref: str = "train"
    """Where the captioned pictures that the run was trained on are now, if they were moved."""
    out: Path | None = None
    """Folder for the results; default the folder `captions` of the run."""


def main(config: Config) -> dict[str, Any]:
    """Write the scores, the table and the sheet, and return the scores.

    Raises `InputError` for what is no run on captioned pictures, for captions that it cannot be asked by, and for data with
    fewer than four held-out pictures.
    """
    config = checked(config)
    flags, trained = flags_of(config.run), config.open_generator(config.run)
    if config.captions:
        trained.ask(len(config.captions), caption=list(config.captions))  # refused before anything is measured
    out = config.out or config.run / "captions"
    check_apart(out / "table.md", [config.run / "checkpoints", config.run / "samples"])
    dataset = reference.of_run(config.run, config.ref, Needs((), False, "pixels"), lambda: (*flags.size, 3)).taught
    dataset.require("caption")
    if not dataset.held_out or len(dataset.held_out["image"]) < 4:
        raise InputError(f"{dataset.name} has fewer than four held-out pictures, whose captions would be asked for")
    asked = Asked.of(dataset.held_out, config.n, config.seed)
    samples = asked.drawn(trained, config.seed)
    found: dict[str, Any] = {"step": trained.step, "data": dataset.name, "asked": len(samples)}
    found |= precision(measuring_encoder(flags, dataset), samples, asked, config.seed)
    judge = judge_of(dataset)
    if judge is not None:
        found |= classes(judge, samples, asked) if judge.exclusive else attributes(judge, dataset, samples, asked)
    found |= distances(judge, trained, asked, config.seed)
    write_json(out / "scores.json", found)
    told = table(found)
    with whole(out / "table.md") as unfinished:
        unfinished.write_text(told + "\n")
    save_sheet(trained, asked, config, out / "sheet.png")
    print(f"{told}\n{out / 'sheet.png'}")
    return found


def flags_of(run: Path) -> text_to_image.Config:
    """The flags that the run was trained by; raises `InputError` for what is no run of text to image."""
    known = read_json(run / "config.json") or {}
    if not {"recipe", "encoder"} <= known.keys():
        raise InputError(f"{run} is no run of experiments.text_to_image: what its samples should show was not said")
    return configuration.read(text_to_image.Config, known)


def measuring_encoder(flags: text_to_image.Config, dataset: Dataset) -> TextEncoder:
    """An encoder of the data's captions, of another kind than the one that the run was asked by."""
    return train_text_encoder(
        dataset, OTHER[flags.encoder], dim=flags.embedding, width=flags.encoder_width, steps=flags.encoder_steps, seed=1
    )


def judge_of(dataset: Dataset) -> Judge | None:
    """A classifier of the data's classes or attributes; None where they have neither."""
    try:
        return train_judge(dataset)
    except InputError as error:
        print(f"classifier  none: {error}")
        return None


@dataclass(frozen=True)
class Asked:
    """Held-out pictures (n) in random order, and the number of the caption of each that is asked for."""

    arrays: Arrays
    which: np.ndarray
    held_out: Arrays

    @classmethod
    def of(cls, held_out: Arrays, n: int, seed: int) -> "Asked":
        generator = np.random.Generator(np.random.Philox(key=seed))
        rows = generator.permutation(len(held_out["image"]))[:n]
        arrays = {name: np.asarray(value)[rows] for name, value in held_out.items()}
        there = arrays["caption"].any(axis=-1)  # n k: some pictures have fewer captions than others
        return cls(arrays, np.argmax(np.where(there, generator.random(there.shape), -1.0), axis=1), held_out)

    @property
    def captions(self) -> np.ndarray:
        """(n, t)."""
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
    """R-precision of the samples, of the pictures, and of samples of other captions.

    Among 100 captions, or fewer where too many fit a picture; {} where all fit.
    """
    own, all_of_them = np.arange(len(samples)), fitting(asked.arrays["caption"], asked.captions)
    among = most_among(all_of_them, own, min(AMONG_GENERATED, len(samples)))
    if among < 2:
        return {}
    texts, seen = encoder.embed(asked.captions), encoder.see(samples)
    each = {"": seen, "_real": encoder.see(asked.arrays["image"]), "_chance": np.roll(seen, 1, axis=0)}
    shares = {f"r_precision{name}": r_precision(x, texts, own, all_of_them, among, seed) for name, x in each.items()}
    return {**shares, "among": among}


def classes(judge: Judge, samples: np.ndarray, asked: Asked) -> Found:
    """The shares of samples and of held-out pictures that are taken for the class of their picture, and by chance."""
    label = np.asarray(asked.arrays["label"])
    made, real = (judge.see(images).known_logits().argmax(axis=1) for images in (samples, asked.arrays["image"]))
    right, true = (float(np.mean(each == label)) for each in (made, real))
    return {"match": right, "match_real": true, "match_chance": float(np.mean(made[:, None] == label[None]))}


def attributes(judge: Judge, dataset: Dataset, samples: np.ndarray, asked: Asked) -> dict[str, Any]:
    """How often binary attributes are as in the picture that a caption was written of, of each and the mean.

    Balanced accuracy, 0.5 by chance, of attributes that 20 of the pictures have and 20 have not, and that the classifier
    reads in the held-out pictures with 0.75 or more. Pictures of which an attribute is not known take no part in it.
    """
    columns = [dataset.attribute_names.index(name) for name in judge.names]
    truth = np.asarray(asked.arrays["attributes"], np.float64)[:, columns]
    every = np.asarray(asked.held_out["attributes"], np.float64)[:, columns]
    made, real, known = (
        judge.see(images).known_logits() > 0 for images in (samples, asked.arrays["image"], asked.held_out["image"])
    )
    each = {}
    for i, name in enumerate(judge.names):
        if min((truth[:, i] == value).sum() for value in (0, 1)) < LEAST:
            continue
        if balanced_accuracy(known[:, i], every[:, i]) >= READABLE:
            each[name] = [balanced_accuracy(values[:, i], truth[:, i]) for values in (made, real)]
    if not each:
        return {}
    mean = np.mean(list(each.values()), axis=0)
    return {"match": float(mean[0]), "match_real": float(mean[1]), "match_chance": 0.5, "attributes": each}


def balanced_accuracy(values: np.ndarray, truth: np.ndarray) -> float:
    """The mean of the shares of right values (n,) bool where the truth is 1 and where it is 0; others are left out."""
    return float((values[truth == 1].mean() + (~values[truth == 0]).mean()) / 2)


def distances(judge: Judge | None, trained: Trained, asked: Asked, seed: int) -> Found:
    """The rms distance, in a classifier's features and in pixels, among samples of one caption over that among pictures."""
    k, n = min(VARIED[0], len(asked.which)), VARIED[1]
    groups = np.repeat(np.arange(k), n)
    made, real = asked.drawn(trained, seed + 1, groups), np.asarray(asked.held_out["image"])
    label = np.asarray(asked.held_out.get("label", np.zeros(len(real), int)))
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {"pixels": _pixels}
    if judge is not None:
        ways["features"] = lambda images: judge.see(images).features
    return {f"rms_{name}": within(see(made), groups) / max(within(see(real), label), 1e-12) for name, see in ways.items()}


def _pixels(images: np.ndarray) -> np.ndarray:
    return (images.reshape(len(images), -1) / 255).astype(np.float32)


def within(features: np.ndarray, label: np.ndarray) -> float:
    """The rms distance of examples to the mean of their class, of classes of several, as if the means were known.

    Of all examples to their mean where no class has several.
    """
    groups, counts = np.unique(label, return_inverse=True, return_counts=True)[1:]
    several = counts[groups] > 1
    if not several.any():
        return rms_distance(features) * float(np.sqrt(len(features) / (len(features) - 1)))
    groups = np.unique(groups[several], return_inverse=True)[1]
    number = int(groups.max()) + 1
    inside = float(rms_within_classes(jnp.asarray(features[several]), jnp.asarray(groups), number))
    return inside * float(np.sqrt(len(groups) / (len(groups) - number)))


def table(found: Mapping[str, Any]) -> str:
    """The scores in Markdown, and of each attribute where there are some."""
    rows: list[Sequence[str]] = [[f"{found['data']}, step {found['step']:,}", "samples", "pictures", "chance"]]
    named = {"r_precision": f"R-precision among {found.get('among')}", "match": "classes or attributes of the picture"}
    for name, told in named.items():
        if name in found:
            rows.append([told, *(f"{found[name + end]:.3f}" for end in ("", "_real", "_chance"))])
    for name in ("features", "pixels"):
        if f"rms_{name}" in found:
            rows.append([f"rms distance of one caption's samples, {name}", f"{found[f'rms_{name}']:.2f}", "1", ""])
    for name, (right, true) in sorted(found.get("attributes", {}).items(), key=lambda item: -item[1][0]):
        rows.append([name, f"{right:.2f}", f"{true:.2f}", "0.50"])
    return markdown(rows)


def save_sheet(trained: Trained, asked: Asked, config: Config, path: Path) -> None:
    """A row a caption: the picture that it was written of, if it is one of the data's, and samples."""
    blocks = {}
    if config.captions:
        texts = list(config.captions)
        samples = trained.draw(caption=[text for text in texts for _ in range(config.samples)], seed=config.seed)
    else:
        chosen = np.sort(np.unique(asked.texts, return_index=True)[1])[:SHOWN]
        texts, blocks["data"] = [asked.texts[i] for i in chosen], asked.arrays["image"][chosen][:, None]
        samples = asked.drawn(trained, config.seed, np.repeat(chosen, config.samples))
    blocks["samples"] = samples.reshape(len(texts), config.samples, *samples.shape[1:])
    save_caption_sheet(texts, blocks, path)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
