"""A trained generator as one file that opens without gan_jax. The file is a zip:

generator.jaxexport    the forward pass (`jax.export`): StableHLO for CPU, CUDA and TPU, for any number of samples
encoder.jaxexport      what embeds captions, of runs that are asked by them and have an encoder
weights.safetensors    the generator's variables, by their paths
card.json  README.md   what it is (`gan_jax.runs.card`)
load.py                opens the file by jax and NumPy alone (`gan_jax.runs.load_exported`)
"""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, export
from jaxtyping import PyTree

from gan_jax.errors import InputError
from gan_jax.files import whole
from gan_jax.runs.card import as_markdown, card_of
from gan_jax.runs.records import json_default
from gan_jax.runs.trained import Trained

PLATFORMS = ("cpu", "cuda", "tpu")
CARD, PAGE, OPENER, WEIGHTS = "card.json", "README.md", "load.py", "weights.safetensors"
LOADER = Path(__file__).with_name("load_exported.py")
_DATE = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal generators give equal files
_STORED = {"f": "F", "i": "I", "u": "U"}  # kinds of NumPy, as safetensors calls them


class Program(NamedTuple):
    """An exported function of (weights by path, inputs by name), and the types of its inputs and of its output."""

    exported: export.Exported
    inputs: dict[str, jax.ShapeDtypeStruct]
    output: jax.ShapeDtypeStruct

    @property
    def content(self) -> bytes:
        """What `jax.export.deserialize` reads; raises `InputError` without the package that jax writes it by."""
        try:
            return bytes(self.exported.serialize())
        except ImportError as error:
            raise InputError("jax.export needs the package flatbuffers: pip install flatbuffers") from error


def write_exported(trained: Trained, out: Path, licence: str = "not stated", batch: int | None = None) -> dict[str, Any]:
    """Write the file; returns its card. It appears whole or not at all.

    `batch` fixes the number of samples of a call, for networks that cannot be traced for any number. Raises `InputError`
    for a generator that cannot be exported, and `OSError` where the file cannot be written.
    """
    generator, encoder = generator_program(trained, batch), encoder_program(trained, batch)
    programs = {"generator": generator} | ({"encoder": encoder} if encoder else {})
    weights = stored(trained.variables)
    card = card_of(trained, licence, generator.inputs, generator.output, encoder.inputs if encoder else {}, PLATFORMS)
    loader = LOADER.read_text(encoding="utf-8")
    members: dict[str, bytes] = {
        CARD: (json.dumps(card, indent=2, default=json_default) + "\n").encode(),
        PAGE: as_markdown(card, loader, out.name).encode("utf-8", "backslashreplace"),
        OPENER: loader.encode(),
        **{f"{name}.jaxexport": program.content for name, program in programs.items()},
        WEIGHTS: safetensors(weights),
    }
    with whole(out) as unfinished, zipfile.ZipFile(unfinished, "w") as file:
        for name, content in members.items():
            kind = zipfile.ZIP_STORED if name == WEIGHTS else zipfile.ZIP_DEFLATED
            file.writestr(zipfile.ZipInfo(name, _DATE), content, kind)
    return card


def generator_program(trained: Trained, batch: int | None = None, platforms: tuple[str, ...] = PLATFORMS) -> Program:
    """The samples, float32, of the inputs that `Trained.render` takes, with embeddings `text` in place of captions.

    On each platform a program holds the forms of convolutions that are made for it: those of the CPU are a branch of their
    own, of a program for several platforms. Any randomness of the network's own is that of `render(seed=0)`. Raises
    `InputError` for a generator that cannot be exported.
    """
    sampler, train = trained.sampler, trained.statistics == "batch"
    inputs = jax.eval_shape(lambda: sampler.inputs(jax.random.key(0), trained.ask(1)))
    if sampler.embed is not None:
        (need,) = sampler.needs
        inputs["text"] = jax.eval_shape(sampler.embed, trained.variables, inputs.pop(need))
    seed = np.asarray(jax.random.key_data(jax.random.fold_in(jax.random.split(jax.random.key(0))[1], 0)))

    def forward(variables: PyTree, inputs: dict[str, Array]) -> Array:
        key = jax.random.wrap_key_data(jnp.asarray(seed))
        samples, _ = sampler.sample(variables, inputs, key, train)
        return samples.astype(jnp.float32)

    return _program(forward, trained.variables, inputs, batch, platforms)


def encoder_program(trained: Trained, batch: int | None = None, platforms: tuple[str, ...] = PLATFORMS) -> Program | None:
    """The embeddings (b, t) of captions (b, bytes); None of a run that has no encoder. Raises `InputError` as above."""
    embed = trained.sampler.embed
    if embed is None or trained.sampler.needs != ("caption",):
        return None
    rows = jax.eval_shape(lambda: jnp.asarray(trained.ask(1)["caption"]))

    def forward(variables: PyTree, inputs: dict[str, Array]) -> Array:
        return embed(variables, inputs["caption"])

    return _program(forward, trained.variables, {"caption": rows}, batch, platforms)


def _program(
    forward: Callable[[PyTree, dict[str, Array]], Array],
    variables: PyTree,
    rows: Mapping[str, jax.ShapeDtypeStruct],
    batch: int | None,
    platforms: tuple[str, ...],
) -> Program:
    weights, structure = stored(variables), jax.tree.structure(variables)
    types = [jnp.result_type(leaf) for leaf in jax.tree.leaves(variables)]

    def call(weights: dict[str, Array], inputs: dict[str, Array]) -> Array:
        leaves = [weights[name].astype(kind) for name, kind in zip(names, types, strict=True)]
        return forward(jax.tree.unflatten(structure, leaves), inputs)

    names, inputs = list(weights), _any_number(rows) if batch is None else _fixed(rows, batch)
    like = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in weights.items()}
    try:
        exported = export.export(jax.jit(call), platforms=platforms)(like, inputs)
    except Exception as error:  # whatever a network raises where its batch has no number
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        cure = "" if batch else "; export it for a fixed one with --batch"
        raise InputError(f"this generator cannot be exported for {batch or 'any'} number of samples: {reason}{cure}") from error
    (output,) = exported.out_avals
    return Program(exported, dict(inputs), jax.ShapeDtypeStruct(output.shape, output.dtype))


def _any_number(rows: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.ShapeDtypeStruct]:
    """With b rows of each; pictures to enlarge have any even sides, since forms of convolutions differ for odd ones."""
    scope = export.SymbolicScope()
    (b,) = export.symbolic_shape("b", scope=scope)
    sides = export.symbolic_shape("2*h, 2*w", scope=scope)
    return {
        name: jax.ShapeDtypeStruct((b, *sides, row.shape[-1]) if name == "low" else (b, *row.shape[1:]), row.dtype)
        for name, row in rows.items()
    }


def _fixed(rows: Mapping[str, jax.ShapeDtypeStruct], batch: int) -> dict[str, jax.ShapeDtypeStruct]:
    return {name: jax.ShapeDtypeStruct((batch, *row.shape[1:]), row.dtype) for name, row in rows.items()}


def stored(variables: PyTree) -> dict[str, np.ndarray]:
    """The leaves by their paths, such as params/norm/scale; types that not all readers know are widened, without loss.

    Raises `InputError` for leaves that are no numbers.
    """
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        name = "/".join(str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path)
        try:
            array = np.asarray(leaf)
        except TypeError as error:  # a random key
            raise InputError(f"{name} of the generator's variables is no array of numbers: it cannot be exported") from error
        found[name] = array.astype(_WIDER.get(array.dtype.name, array.dtype))
    return found


_WIDER = {"bool": np.uint8, "bfloat16": np.float32}


def safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name in the format of https://github.com/huggingface/safetensors: a header in JSON, then all bytes.

    Raises `InputError` for other types than numbers.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "flax"}}
    parts, at = [], 0
    for name, array in sorted(arrays.items()):
        if array.dtype.kind not in _STORED:
            raise InputError(f"{name} has the type {array.dtype}: numbers are wanted")
        content = array.astype(array.dtype.newbyteorder("<")).tobytes()
        kind = f"{_STORED[array.dtype.kind]}{8 * array.dtype.itemsize}"
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + len(content)]}
        parts.append(content)
        at += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the arrays begin at a multiple of 8 bytes
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])
