"""Losses against values computed by hand, far logits, and which way each player is pushed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.losses import LOSSES, smooth_labels

REAL = np.array([2.0, -1.0, 0.5, 3.0])
FAKE = np.array([-0.5, 1.5, -2.0, 0.25])

# Written down from plain logarithms of probabilities, which the module never forms, at REAL and FAKE:
#   python -c "import numpy as np; r=np.array([2,-1,.5,3]); f=np.array([-.5,1.5,-2,.25]); s=lambda x: 1/(1+np.exp(-x));
#              print(-np.log(s(r)).mean()-np.log(1-s(f)).mean(), np.log(1-s(f)).mean(), -np.log(s(f)).mean(),
#                    -np.exp(f).mean(), -np.log(s(r-f)).mean(), -np.log(s(f-r)).mean())"
# The piecewise linear and quadratic ones by hand:
#   least squares D: ((1 + 4 + .25 + 4) / 4 + (.25 + 2.25 + 4 + .0625) / 4) / 2 = (2.3125 + 1.640625) / 2
#   least squares G: (2.25 + .25 + 9 + .5625) / 4 / 2 = 1.5078125;  means: real 1.125, fake -.1875
#   hinge D: (0 + 2 + .5 + 0) / 4 + (.5 + 2.5 + 0 + 1.25) / 4 = .625 + 1.0625
GOLDEN = {
    "minimax": (LOGISTIC, -0.7742437),
    "non_saturating": (LOGISTIC, 0.9617437),
    "maximum_likelihood": (LOGISTIC, -1.6268877),
    "least_squares": (1.9765625, 1.5078125),
    "wasserstein": (-0.1875 - 1.125, 0.1875),
    "hinge": (1.6875, 0.1875),
    "relativistic_paired": (0.0, 0.0),
}
