"""Networks that read several attributes of a picture at once: of the whole, of a part, round or near a place."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax.images.sample import bilinear
from gan_jax.layers.conv import Conv

_conv = partial(Conv, kernel_init=nn.initializers.he_normal())


class Reader(nn.Module):
    """Images (b, h, w, c), sides multiples of 16, to (b, outputs).

    Squares of 4x4 pixels become channels, which spares a CPU most of the work; then convolutions, strided and residual.
    """

    outputs: int
    width: int = 48

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b outputs"]:
        x = nn.relu(_conv(self.width, kernel_size=3, stride=1)(_squares(x, 4)))  # b h/4 w/4 c
        for widen in (2, 3):
            x = nn.relu(_conv(self.width * widen, kernel_size=4)(x))  # b h/8 w/8 c, then b h/16 w/16 c
            x = x + nn.relu(_conv(self.width * widen, kernel_size=3, stride=1)(x))
        x = nn.relu(nn.Dense(256)(x.reshape(len(x), -1)))
        return nn.Dense(self.outputs)(x).astype(jnp.float32)


class CloseReader(nn.Module):
    """Images (b, h, w, c) to (b, outputs), of a part of them in finer detail; it counts what is there.

    `part` is the top, bottom, left and right of what is read, as shares of the image's sides. The mean over all positions of
    what the convolutions find grows with the number of things there, wherever they are.
    """

    outputs: int
    part: tuple[float, float, float, float]
    width: int = 48

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b outputs"]:
        top, bottom, left, right = (
            4 * round(at * side / 4) for at, side in zip(self.part, (x.shape[1],) * 2 + (x.shape[2],) * 2, strict=True)
        )
        x = _squares(x[:, top:bottom, left:right], 2)  # b h/2 w/2 c
        for features in (self.width // 2, self.width, self.width):
            x = nn.relu(_conv(features, kernel_size=3, stride=1)(x))
        found = jnp.mean(x, axis=(1, 2))
        x = nn.relu(_conv(self.width, kernel_size=4)(x))  # b h/4 w/4 c
        x = nn.relu(nn.Dense(256)(jnp.concatenate([x.reshape(len(x), -1), found], axis=-1)))
        return nn.Dense(self.outputs)(x) + nn.Dense(self.outputs)(found)


def _squares(x: Float[Array, "b h w c"], side: int) -> Float[Array, "b i j k"]:
    """Squares of side * side pixels as channels."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // side, side, w // side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // side, w // side, side * side * c)


class RoundReader(nn.Module):
    """Images (b, h, w, c) with a round thing at `places` (b, 3), its x, y and radius, to (b, outputs).

    The neighbourhood is unrolled to polar coordinates, so that turning the thing shifts it along the angle; what repeats k
    times around the middle is then a Fourier coefficient of the features: its size says that it does, its phase where.
    Places are in halves of the shorter side, from the middle of the image.
    """

    outputs: int
    width: int = 48
    angles: int = 96
    waves: int = 13

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], places: Float[Array, "b 3"]) -> Float[Array, "b outputs"]:
        x = unrolled(x, places, self.angles, 12)  # b angles radii c
        x = x.reshape(*x.shape[:2], -1)
        for size in (5, 5):
            x = jnp.concatenate([jnp.roll(x, shift, axis=1) for shift in range(-(size // 2), size // 2 + 1)], axis=-1)
            x = nn.relu(nn.Dense(self.width)(x))
        waves = jnp.fft.rfft(nn.Dense(16)(x), axis=1)[:, : self.waves] / self.angles  # b waves 16
        parts = jnp.concatenate([waves.real, waves.imag, jnp.abs(waves + 1e-6)], axis=-1).reshape(len(x), -1)
        x = nn.relu(nn.Dense(256)(nn.LayerNorm()(parts)))
        return nn.Dense(self.outputs)(x) + nn.Dense(self.outputs)(parts)


def unrolled(x: Float[Array, "b h w c"], places: Float[Array, "b 3"], angles: int, radii: int) -> Float[Array, "b t r c"]:
    """Samples around `places` (x, y, radius): clockwise from the right, and outwards from 0.15 to 1.15 radii."""
    turn = jnp.arange(angles)[:, None] * (2 * jnp.pi / angles)
    reach = jnp.linspace(0.15, 1.15, radii)[None, :]
    around = jnp.stack([jnp.cos(turn) * reach, jnp.sin(turn) * reach], axis=-1).reshape(1, -1, 2)
    return _sampled(x, places[:, None, :2] + places[:, None, 2:] * around).reshape(len(x), angles, radii, -1)


class NearReader(nn.Module):
    """Images (b, h, w, c) with a thing at `places` (b, 3), its x, y and half its width, to (b, outputs).

    A square around the thing is brought to 32x32 pixels, and mirrored where half the width is negative; a `Reader` reads it.
    """

    outputs: int
    width: int = 48

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], places: Float[Array, "b 3"]) -> Float[Array, "b outputs"]:
        across = (jnp.arange(32) + 0.5) / 16 - 1
        grid = jnp.stack(jnp.meshgrid(across, across), axis=-1).reshape(1, -1, 2)  # rows from the top, each from the left
        half = jnp.stack([places[:, 2], jnp.abs(places[:, 2])], axis=-1)[:, None]
        window = _sampled(x, places[:, None, :2] + half * grid).reshape(len(x), 32, 32, -1)
        return Reader(self.outputs, self.width)(window)


def _sampled(x: Float[Array, "b h w c"], at: Float[Array, "b n 2"]) -> Float[Array, "b n c"]:
    """Bilinear samples at x and y in halves of the shorter side from the middle; outside it is as at the edge."""
    _, h, w, _ = x.shape
    middle = jnp.array([w / 2 - 0.5, h / 2 - 0.5])[None, None]
    at = middle + at * (min(h, w) / 2)  # column, row
    return jax.vmap(bilinear)(x, at[..., 1], at[..., 0])
