"""The Inception score, from the logits of any classifier."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.errors import InputError
from gan_jax.metrics.checks import require_features
from gan_jax.metrics.kid import Estimate


def inception_score(logits: Float[np.ndarray | Array, "n k"], splits: int = 10, seed: int = 2020) -> Estimate:
    """exp(E KL(p(y|x) || p(y))) in each of `splits` parts (Salimans et al. 2016, arXiv:1606.03498): from 1 to k.

    Mean and standard deviation over the parts; examples are shuffled as in torch-fidelity. It is higher for fewer, larger
    parts. Raises `InputError` for fewer than two examples a part, and for logits that are not finite.
    """
    require_features("the Inception score", 2, logits)
    if splits < 1 or len(logits) < 2 * splits:
        raise InputError(f"{len(logits)} examples cannot be cut into {splits} parts of at least 2")
    n, order = len(logits), np.random.RandomState(seed).permutation(len(logits))
    with jax.enable_x64(True):
        shuffled = jnp.asarray(np.asarray(logits)[order])
        scores = np.array([float(_score(shuffled[i * n // splits : (i + 1) * n // splits])) for i in range(splits)])
    return Estimate(float(scores.mean()), float(scores.std()))


@jax.jit
def _score(logits: Float[Array, "n k"]) -> Float[Array, ""]:
    log_p = jax.nn.log_softmax(logits.astype(jnp.float64))
    p = jnp.exp(log_p)
    marginal = jax.nn.logsumexp(log_p, axis=0) - jnp.log(len(p))
    return jnp.exp(jnp.mean(jnp.sum(p * (log_p - marginal[None]), axis=1)))
