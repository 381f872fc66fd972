"""What a generator is asked for: rows of the data, or words of a command line, as the batch that its sampler takes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_jax.core import Batch, Sampler
from gan_jax.data import captions
from gan_jax.errors import InputError
from gan_jax.files import place

Rows = dict[str, np.ndarray]
Facts = Mapping[str, Any]  # of model.json: the classes' names, and what the run's own data ask for


def rows_of(sampler: Sampler, arrays: Batch, n: int, seed: int = 0) -> Rows:
    """What n rows of the data ask for: the arrays that the sampler needs, in a random order that the seed fixes.

    Of fewer rows than n they come again in the same order. A sampler that needs nothing gets numbers that count. Raises
    `InputError` where the data lack an array.
    """
    if not sampler.needs:
        return count(n)
    if missing := [name for name in sampler.needs if name not in arrays]:
        raise InputError(f"the generator is asked by {', '.join(missing)}, which the data lack: they have {', '.join(arrays)}")
    size = len(arrays[sampler.needs[0]])
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(size)
    return {name: np.asarray(arrays[name])[np.resize(order, n)] for name in sampler.needs}


def count(n: int) -> Rows:
    """A batch of n rows that ask for nothing."""
    return {"row": np.arange(n, dtype=np.int32)}


class Ask(NamedTuple):
    """One kind of condition.

    all:   (facts, n) -> rows for n samples of everything there is, in turn
    parse: (word, facts) -> the row that the user's word stands for; raises `InputError` with what is possible
    check: (row, facts) -> why a row cannot be asked for, or nothing
    """

    all: Callable[[Facts, int], np.ndarray]
    parse: Callable[[str, Facts], np.ndarray]
    check: Callable[[np.ndarray, Facts], str]


def ask(sampler: Sampler, facts: Facts, n: int, wanted: Mapping[str, Any]) -> Rows:
    """The batch for n samples of what is `wanted`: for each name a word for all of them, or words or rows, one a sample.

    What is not named is asked for in turn; what of a word cannot be read is told. Raises `InputError` for a condition that
    the generator has not, for what it does not know, and for rows of another number.
    """
    if foreign := [name for name in wanted if name not in sampler.needs]:
        asks = f"it is asked by {', '.join(sampler.needs)}" if sampler.needs else "it makes samples of noise alone"
        asks += f". {_ONLY_EMBEDDINGS}" if "text" in sampler.needs else ""
        raise InputError(f"this generator cannot be asked by {', '.join(foreign)}: {asks}")
    if n < 1:
        raise InputError(f"ask for at least one sample, not {n}")
    facts = {**facts, "alphabet": sampler.alphabet}
    rows = {name: _column(name, wanted.get(name), facts, n) for name in sampler.needs}
    return rows or count(n)


def _column(name: str, wanted: Any, facts: Facts, n: int) -> np.ndarray:
    kind = ASK.get(name, _OTHER)
    if wanted is None:
        return kind.all({**facts, "name": name}, n)
    if isinstance(wanted, str | Path):
        row = kind.parse(str(wanted), facts)
        return np.broadcast_to(row, (n, *row.shape))
    if isinstance(wanted, list | tuple) and wanted and all(isinstance(word, str | Path) for word in wanted):
        known = {word: kind.parse(str(word), facts) for word in dict.fromkeys(wanted)}
        rows = np.stack([known[word] for word in wanted])
    else:
        rows = np.asarray(wanted)
    if rows.ndim == 0:  # one for all
        rows = np.full(n, rows)
    if len(rows) != n:
        raise InputError(f"{n} samples need {n} rows of {name}, not {len(rows)}")
    if reason := kind.check(rows, facts):
        raise InputError(reason)
    return rows


def _known(facts: Facts, n: int) -> np.ndarray:
    """Rows of the run's own data, in turn."""
    rows = facts.get("rows", {}).get(facts["name"])
    if rows is None:
        raise InputError(f"this run keeps no examples of {facts['name']}: name what to draw")
    return np.asarray(rows)[np.arange(n) % len(rows)]


def _classes(facts: Facts, n: int) -> np.ndarray:
    drawn = np.setdiff1d(np.arange(max(len(facts.get("classes", ())), 1)), facts.get("untrained", ()))
    return np.resize(drawn, n).astype(np.int32)


def _class(word: str, facts: Facts) -> np.ndarray:
    classes = list(facts.get("classes", ()))
    if word not in classes:
        known = f"its classes are {', '.join(classes)}" if classes else "it was trained without classes"
        raise InputError(f"there is no class {word!r}: {known}")
    number = classes.index(word)
    if number in facts.get("untrained", ()):
        raise InputError(f"the class {word!r} had no training pictures: it cannot be drawn")
    return np.array(number, np.int32)


def _class_lacks(rows: np.ndarray, facts: Facts) -> str:
    classes = len(facts.get("classes", ()))
    if rows.ndim == 1 and np.issubdtype(rows.dtype, np.integer) and ((rows >= 0) & (rows < classes)).all():
        without = np.intersect1d(rows, facts.get("untrained", ()))
        return f"label {without[0]} cannot be drawn: its class had no training pictures" if len(without) else ""
    return f"labels are whole numbers from 0 to {classes - 1}, one a sample"


def _text(word: str, facts: Facts) -> np.ndarray:
    """A caption as the encoder of the run reads it (`gan_jax.data.captions.parse`); says what of it cannot be read."""
    read = captions.parse(word, _last_side("caption", facts), facts.get("alphabet", ""))
    for note in read.notes:
        print(f"note        {note}", flush=True)
    return read.row


_ONLY_EMBEDDINGS = (
    "It was trained on embeddings from a file, whose encoder is not part of the run: give embeddings of that encoder, a row of "
    "`text` for each sample, from Python, or ask for those of the run's data"
)


def _embedding(word: str, facts: Facts) -> np.ndarray:
    raise InputError(f"this run cannot read {word!r}. {_ONLY_EMBEDDINGS}")


def _picture(word: str, facts: Facts) -> np.ndarray:
    """The picture in a file, in the channels that the run was trained with; of any size that the generator takes."""
    channels = _last_side("low", facts)
    if channels not in _MODES:
        raise InputError(f"this generator reads pictures of {channels} channels: no file has these, give rows")
    try:
        with Image.open(place(word)) as opened:
            image = np.asarray(opened.convert(_MODES[channels]))
    except (OSError, ValueError) as error:
        raise InputError(f"{word} is no picture that can be read: {error}") from error
    return image[..., None] if channels == 1 else image


_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of Pillow, by channels


def _last_side(name: str, facts: Facts) -> int:
    """The last number of the shape of a row: the bytes of a caption, the channels of a picture."""
    shape = facts.get("shapes", {}).get(name)
    if not shape:
        raise InputError(f"this run does not say what shape a row of {name} has: give rows")
    return int(shape[-1])


def _shape_lacks(name: str) -> Callable[[np.ndarray, Facts], str]:
    def check(rows: np.ndarray, facts: Facts) -> str:
        wanted = tuple(facts.get("shapes", {}).get(name, rows.shape[1:]))
        fits = len(wanted) == rows.ndim - 1 and (name == "low" or wanted == rows.shape[1:])
        return "" if fits else f"a row of {name} has the shape {wanted}, not {rows.shape[1:]}"

    return check


ASK: dict[str, Ask] = {
    "label": Ask(_classes, _class, _class_lacks),
    "caption": Ask(_known, _text, _shape_lacks("caption")),
    "text": Ask(_known, _embedding, _shape_lacks("text")),
    "low": Ask(_known, _picture, _shape_lacks("low")),
}


def _wordless(word: str, facts: Facts) -> np.ndarray:
    raise InputError(f"this cannot be asked for in words ({word!r}): give rows")


_OTHER = Ask(_known, _wordless, lambda rows, facts: "")


def facts_of(sampler: Sampler, arrays: Batch, classes: Sequence[str], untrained: Sequence[int] = ()) -> dict[str, Any]:
    """What model.json says of what the sampler is asked by: the names of classes, and the shape of a row of all else.

    `untrained` are the numbers of classes without a training picture, which cannot be asked for.
    """
    without = {"untrained": list(untrained)} if untrained and "label" in sampler.needs else {}
    return {
        "classes": list(classes) if "label" in sampler.needs else [],
        **without,
        "shapes": {name: list(np.shape(arrays[name])[1:]) for name in sampler.needs if name != "label"},
    }


def population(sampler: Sampler, facts: Facts, least: int = 256) -> Rows:
    """Rows of everything that a generator may be asked for, each class as often: what its statistics are settled on."""
    classes = max(len(facts.get("classes", ())) - len(facts.get("untrained", ())), 1)
    return ask(sampler, facts, classes * -(-least // classes), {})
