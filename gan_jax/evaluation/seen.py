"""What a feature network gives for a set of pictures."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from gan_jax.errors import InputError

LogitsOf = Literal["classes", "attributes", "imagenet"]  # of the data, or of a network trained on ImageNet


class Seen(NamedTuple):
    """Features (n, d) of n pictures and, if the network is a classifier, logits (n, k), float32."""

    features: np.ndarray
    logits: np.ndarray | None = None

    def known_logits(self) -> np.ndarray:
        """The logits (n, k); raises `InputError` if the network is no classifier."""
        if self.logits is None:
            raise InputError("these features have no logits: a classifier is needed")
        return self.logits

    def scaled(self, factor: float) -> "Seen":
        """Features times `factor`, the same logits."""
        return self if factor == 1 else Seen(self.features * np.float32(factor), self.logits)

    def rows(self, chosen: slice | np.ndarray) -> "Seen":
        """Features and logits of some of the pictures."""
        return Seen(self.features[chosen], None if self.logits is None else self.logits[chosen])


def joined(parts: Sequence[Seen]) -> Seen:
    """One after the other; either all parts have logits or none has."""
    logits = [part.logits for part in parts if part.logits is not None]
    return Seen(np.concatenate([part.features for part in parts]), np.concatenate(logits) if logits else None)
