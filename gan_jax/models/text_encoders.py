"""Encoders of captions: UTF-8 bytes (b, t), padded with zeros, to embeddings (b, dim) of mean square 1.

A symbol is a byte. Bytes of the `alphabet`, the characters of the captions that an encoder was trained on, are known; others
are one symbol, "unknown". Capital letters of ASCII are read as small ones.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, UInt8

PADDING, UNKNOWN = 0, 1  # symbols
_SHORTEST = 48  # bytes that three convolutions and two poolings leave a symbol of


@lru_cache
def symbols(alphabet: str) -> tuple[int, ...]:
    """The symbol of each byte."""
    small = [byte + 32 if ord("A") <= byte <= ord("Z") else byte for byte in range(256)]
    known = sorted({small[byte] for byte in alphabet.encode()} - {0})
    table = {byte: UNKNOWN + 1 + number for number, byte in enumerate(known)}
    return (PADDING, *(table.get(small[byte], UNKNOWN) for byte in range(1, 256)))


class _Symbols(nn.Module):
    """Bytes as vectors (b, t, width), padding as zeros; and which are no padding.

    With a `key` one symbol of `1 / lost` is read as unknown, which is learned so.
    """

    alphabet: str
    width: int
    lost: int = 50

    @nn.compact
    def __call__(
        self, caption: UInt8[np.ndarray | Array, "b t"], key: Array | None
    ) -> tuple[Float[Array, "b t width"], Bool[Array, "b t"]]:
        table = np.array(symbols(self.alphabet), np.int32)
        ids = jnp.asarray(table)[jnp.asarray(caption, jnp.int32)]
        there = ids != PADDING
        if key is not None:
            ids = jnp.where(there & (jax.random.randint(key, ids.shape, 0, self.lost) == 0), UNKNOWN, ids)
        found = nn.Embed(int(table.max()) + 1, self.width, embedding_init=nn.initializers.normal(1.0))(ids)
        return jnp.where(there[..., None], found, 0.0), there


class CharTransformer(nn.Module):
    """A transformer on windows of 7 bytes, every 3: small enough that a CPU reads 64 captions in milliseconds.

    Blocks normalise first. The embedding is the mean over the windows that have text.
    """

    alphabet: str
    dim: int = 128
    width: int = 96
    layers: int = 2
    heads: int = 4

    @nn.compact
    def __call__(self, caption: UInt8[np.ndarray | Array, "b t"], key: Array | None = None) -> Float[Array, "b dim"]:
        x, there = _Symbols(self.alphabet, self.width // 2)(caption, key)
        x = nn.Dense(self.width)(_windows(jnp.pad(x, ((0, 0), (2, 6), (0, 0))), 7, 3))  # b t/3 width
        there = jnp.any(_windows(jnp.pad(there, ((0, 0), (2, 6)))[..., None], 7, 3), axis=-1)
        x = x + self.param("position", nn.initializers.normal(0.02), x.shape[1:])[None]
        attended = there[:, None, None, :]
        for _ in range(self.layers):
            y = nn.LayerNorm()(x)
            x = x + nn.MultiHeadDotProductAttention(self.heads)(y, mask=attended)
            y = nn.Dense(4 * self.width)(nn.LayerNorm()(x))
            x = x + nn.Dense(self.width)(nn.gelu(y))
        count = jnp.maximum(jnp.sum(there, axis=1), 1)
        mean = jnp.sum(jnp.where(there[..., None], nn.LayerNorm()(x), 0.0), axis=1) / count[:, None]
        return scaled(nn.Dense(self.dim)(mean))


class CharCnnRnn(nn.Module):
    """char-CNN-RNN (Reed et al. 2016, arXiv:1605.05395, section 4): three convolutions over bytes, two poolings, a GRU.

    Convolutions of 4 with `width`, 4/3 and 2/3 `width` channels (the paper's program: 384, 512, 256), max pooling of 3 after
    the first two; the embedding is the mean over the states of the GRU. Differs: the paper reads 201 characters of 70 as
    one-hot vectors.
    """

    alphabet: str
    dim: int = 1024
    width: int = 384

    @nn.compact
    def __call__(self, caption: UInt8[np.ndarray | Array, "b t"], key: Array | None = None) -> Float[Array, "b dim"]:
        caption = jnp.pad(caption, ((0, 0), (0, max(_SHORTEST - caption.shape[1], 0))))
        x, _ = _Symbols(self.alphabet, 70)(caption, key)
        for features in (self.width, 4 * self.width // 3):
            x = nn.relu(nn.Dense(features, kernel_init=_he)(_windows(x, 4, 1)))
            x = jnp.max(_windows(x, 3, 3).reshape(len(x), -1, 3, features), axis=2)
        x = nn.relu(nn.Dense(2 * self.width // 3, kernel_init=_he)(_windows(x, 4, 1)))
        states: Any = nn.RNN(nn.GRUCell(x.shape[-1]))(x)
        return scaled(nn.Dense(self.dim)(jnp.mean(states, axis=1)))


_he = nn.initializers.he_normal()

ENCODERS: dict[str, Callable[..., nn.Module]] = {"transformer": CharTransformer, "char_cnn_rnn": CharCnnRnn}

if TYPE_CHECKING:
    EncoderName = str
else:  # a command line offers what the table has
    EncoderName = Literal[tuple(ENCODERS)]


def _windows(x: Float[Array, "b t c"] | Bool[Array, "b t c"] | Int[Array, "b t c"], size: int, stride: int) -> Array:
    """Windows of `size` steps at every `stride`, side by side: (b, n, size * c). A product with them is a convolution."""
    n = (x.shape[1] - size) // stride + 1
    parts = [x[:, i : i + (n - 1) * stride + 1 : stride] for i in range(size)]
    return jnp.concatenate(parts, axis=-1)


def scaled(x: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Vectors of mean square 1, as latent codes have: x sqrt(d) / |x|."""
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-12)
