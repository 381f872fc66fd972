"""Whether a classifier's confidence is the share of its answers that are right, and how to make it so."""

import math

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

_BOUNDS = 0.05, 20.0  # of temperatures


def temperature(logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, " n"]) -> float:
    """T > 0 that minimises -E log softmax(logits / T)_y: temperature scaling (Guo et al. 2017, arXiv:1706.04599, section 4.2).

    From 0.05 to 20. For pictures that the classifier was not trained on.
    """

    def cost(log_t: float) -> float:
        scores = log_softmax(logits.astype(np.float64) / math.exp(log_t), axis=1)
        return float(-np.mean(scores[np.arange(len(labels)), labels]))

    found = minimize_scalar(cost, bounds=tuple(map(math.log, _BOUNDS)), method="bounded")
    return math.exp(float(found.x))


def confidence(logits: Float[np.ndarray, "n k"], temperature: float = 1.0) -> Float[np.ndarray, " n"]:
    """The probability of the most probable class, max_k softmax(logits / T)_k."""
    highest: np.ndarray = softmax(logits.astype(np.float64) / temperature, axis=1).max(axis=1)
    return highest


def calibration_error(confidence: Float[np.ndarray, " n"], right: np.ndarray, bins: int = 15) -> float:
    """sum_b n_b / n |share right in b - mean confidence in b| over `bins` equal intervals (Guo et al. 2017, eq. 3)."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(float(np.sum(right[which == b]) - np.sum(confidence[which == b]))) for b in range(bins)]
    return sum(gaps) / len(confidence)
