"""Features of the whole minibatch, from which a discriminator can tell that samples are too similar."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax import batch_axis
from gan_jax.errors import InputError


class MinibatchDiscrimination(nn.Module):
    """Features (b, a) with `kernels` similarities to all other examples appended: (b, a + kernels).

    o(x_i)_k = sum over j != i of exp(-||M_ik - M_jk||_1), M = f(x) T with T (a, kernels, dims) (Salimans et al. 2016,
    arXiv:1606.03498, section 3.2). As in the authors' code the example itself is left out. The sum runs over the whole
    batch, also where that is sharded over devices. At most (kernels, b, b) numbers are held at once, in either pass.

    The authors' two programs differ from the paper and from each other (github.com/openai/improved-gan):
    `scaled` (CIFAR-10, 100 x 5): each column of T has the norm exp(s_kc) with s learned, and o has a learned bias; both begin
    where, in the first minibatch, the nearest other example is at the mean distance 2 and the mean o is 0. Differs: what that
    minibatch gives is kept in the collection "minibatch", and s and the bias are learned from 0 on top of it, which are the
    same updates; so it may come after the parameters were made.
    `groups` (ImageNet, 300 x 50): the batch is [real; generated] in equal halves, and the similarities to either group are
    features of their own, (b, a + 2 kernels), divided by the number of pairs of different examples that it takes part in, b^2/2
    - b/2. Differs: no bias in M, since differences do not have it.

    Raises `InputError` for a batch of 1, with `groups` for fewer than 2 of each kind or halves that are unequal, and for
    `scaled` with `groups`.
    """

    kernels: int = 50
    dims: int = 5
    scaled: bool = False
    groups: bool = False
    stddev: float = 0.05  # of T at first

    @nn.compact
    def __call__(self, f: Float[Array, "b a"]) -> Float[Array, "b a_and_more"]:
        if self.scaled and self.groups:
            raise InputError("minibatch discrimination is scaled or has groups, not both: the authors' programs have one each")
        _require_company(len(f), 2 if self.groups else 1)
        tensor = self.param("tensor", nn.initializers.normal(self.stddev), (f.shape[-1], self.kernels * self.dims))
        if self.scaled:
            log_scale = self.param("log_scale", nn.initializers.zeros, (self.kernels, self.dims))
            tensor = tensor / jnp.linalg.norm(tensor, axis=0, keepdims=True) * jnp.exp(log_scale).reshape(1, -1)
        mine = (f.astype(jnp.float32) @ tensor).reshape(-1, self.kernels, self.dims)  # b kernels dims
        if self.groups:
            similarity = _group_similarities(mine)
        elif self.scaled:
            nearest, mean = self._measured(batch_axis.gather(mine))
            mine = mine / nearest[None, :, None]
            bias = self.param("bias", nn.initializers.zeros, (self.kernels,))
            similarity = _similarities(mine, batch_axis.gather(mine)) - 1 + (bias - mean)[None]
        else:
            similarity = _similarities(mine, batch_axis.gather(mine)) - 1  # b kernels; an example's similarity to itself is 1
        return jnp.concatenate([f, similarity.astype(f.dtype)], axis=-1)

    def _measured(self, everyone: Float[Array, "n k c"]) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
        """Half the mean distance to the nearest other example, and the mean o at that scale, of the first minibatch."""
        begun = self.has_variable("minibatch", "seen")
        seen = self.variable("minibatch", "seen", jnp.zeros, ())
        nearest = self.variable("minibatch", "nearest", jnp.ones, (self.kernels,))
        mean = self.variable("minibatch", "mean", jnp.zeros, (self.kernels,))
        kept = nearest.value, mean.value
        everyone = jax.lax.stop_gradient(everyone)  # by every device alike, so that no branch waits for another device
        found = jax.lax.cond(seen.value > 0, lambda _: kept, _nearest_and_mean, everyone)
        if begun and self.is_mutable_collection("minibatch"):
            seen.value, (nearest.value, mean.value) = jnp.ones(()), found
        return found


def _require_company(rows: int, groups: int) -> None:
    """Raises `InputError` where an example has no other of its group in the batch to be compared with."""
    n = rows * batch_axis.parts()
    if groups == 2 and rows % 2:
        raise InputError(f"{rows} examples are not [real; generated] in equal halves: show both kinds in one batch")
    if n // groups < 2:
        raise InputError(
            f"minibatch features compare the examples of a batch, and {n // groups} is judged at a time: choose a batch of at "
            "least 2 (of 2 packs where examples are packed, and of 2 in each part where gradients are accumulated)"
        )


def l1_distances(mine: Float[Array, "b k c"], others: Float[Array, "n k c"]) -> Float[Array, "k n b"]:
    """||M_ik - M_jk||_1 for every kernel k, other example j and example i.

    One of the c dimensions is added at a time, in the backward pass too, so that no (k, n, b, c) array is made.
    """

    def add(total: Array, dimension: tuple[Array, Array]) -> tuple[Array, None]:
        one, other = dimension  # k b, k n
        return total + jnp.abs(one[:, None, :] - other[:, :, None]), None

    total = jnp.zeros((mine.shape[1], others.shape[0], mine.shape[0]), mine.dtype)
    body = jax.checkpoint(add, prevent_cse=False)
    return jax.lax.scan(body, total, (mine.transpose(2, 1, 0), others.transpose(2, 1, 0)))[0]


def _similarities(mine: Float[Array, "b k c"], others: Float[Array, "n k c"]) -> Float[Array, "b k"]:
    """sum_j exp(-||M_ik - M_jk||_1)."""
    return jnp.sum(jnp.exp(-l1_distances(mine, others)), axis=1).T


def _group_similarities(mine: Float[Array, "b k c"]) -> Float[Array, "b k2"]:
    """The mean similarities to real and to generated examples, of [real; generated]."""
    half = len(mine) // 2
    n = half * batch_axis.parts()
    found = []
    for i in (0, 1):
        others = batch_axis.gather(mine[i * half : (i + 1) * half])
        own = (jnp.arange(2 * half) // half == i).astype(mine.dtype)  # the similarity of an example to itself is 1
        found.append((_similarities(mine, others) - own[:, None]) / (2 * n * n - n))
    return jnp.concatenate(found, axis=-1)


def _nearest_and_mean(everyone: Float[Array, "n k c"]) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    distances = l1_distances(everyone, everyone)  # k n n
    alone = jnp.eye(len(everyone), dtype=bool)[None]
    nearest = 0.5 * jnp.mean(jnp.min(jnp.where(alone, jnp.inf, distances), axis=1), axis=-1)
    nearest = jnp.where(nearest > 0, nearest, 1.0)  # a batch of equal examples has no scale
    similarity = jnp.sum(jnp.exp(-distances / nearest[:, None, None]), axis=1) - 1
    return nearest, jnp.mean(similarity, axis=-1)


def append_stddev(x: Float[Array, "b ... c"], epsilon: float = 1e-8) -> Float[Array, "b ... c_and_1"]:
    """The standard deviation over the batch, averaged over positions and channels, as one more channel that is constant.

    A feature map for (b, h, w, c), a number for (b, c) (Karras et al. 2017, arXiv:1710.10196, section 3). The group is the
    whole batch, also where that is sharded over devices. Raises `InputError` for a batch of 1.
    """
    _require_company(len(x), 1)
    mean = batch_axis.mean(jnp.mean(x.astype(jnp.float32), axis=0))
    variance = batch_axis.mean(jnp.mean(jnp.square(x.astype(jnp.float32) - mean[None]), axis=0))
    value = jnp.mean(jnp.sqrt(variance + epsilon)).astype(x.dtype)
    channel = jnp.broadcast_to(jax.lax.expand_dims(value, range(x.ndim)), (*x.shape[:-1], 1))
    return jnp.concatenate([x, channel], axis=-1)
