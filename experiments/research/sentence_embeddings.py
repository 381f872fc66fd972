"""Embeddings of captions by any encoder of sentences, as a file for `--text-embeddings`.

python -m experiments.research.sentence_embeddings --data birds.zip --out birds.npz    # needs sentence-transformers
python -m experiments.text_to_image --data birds.zip --text-embeddings birds.npz
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_jax import cli
from gan_jax.data import captions
from gan_jax.errors import InputError
from gan_jax.evaluation.captioned import CaptionFlags
from gan_jax.files import check_apart, place, whole


@dataclass(frozen=True, kw_only=True)
class Config(CaptionFlags):
    out: Path
    """The .npz to write."""
    model: str = "all-MiniLM-L6-v2"
    """A model of sentence-transformers, by its name or folder."""


def main(config: Config, encode: Callable[[Sequence[str]], np.ndarray] | None = None) -> Path:
    """Write every caption of the data and its embedding (d,); returns the file."""
    check_apart(config.out, [config.data])
    encode = encode or sentence_transformer(config.model)
    dataset = config.load_captioned()
    rows = [arrays["caption"] for arrays in (dataset.train, dataset.held_out) if arrays]
    length = max(each.shape[-1] for each in rows)
    flat = np.concatenate([captions.padded(np.asarray(each), length).reshape(-1, length) for each in rows])
    texts = [captions.decode(row) for row in np.unique(flat, axis=0)]
    with whole(place(config.out)) as unfinished, unfinished.open("wb") as file:
        np.savez(file, caption=np.array(texts), text=np.asarray(encode(texts), np.float32))
    print(f"{len(texts):,} captions: {config.out}")
    return config.out


def sentence_transformer(name: str) -> Callable[[Sequence[str]], np.ndarray]:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InputError("install the encoder first: pip install sentence-transformers") from error
    model = SentenceTransformer(name)
    return lambda texts: model.encode(list(texts), show_progress_bar=True)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
