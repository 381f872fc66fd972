"""Two classifiers on real digits, on noise, and on half of each."""

import numpy as np
import pytest

from gan_jax.data.digits import digits
from gan_jax.evaluation import recogniser
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.judge import train_judge
from gan_jax.evaluation.recogniser import Recogniser, long_judge
from gan_jax.evaluation.seen import Seen


def test_digits_are_recognised_and_blobs_are_not(tmp_path, monkeypatch):
    """The second opinion is on random projections of the pixels."""
    dataset = digits(16)
    monkeypatch.setattr(recogniser, "train_judge", lambda dataset, **flags: train_judge(dataset, **{**flags, "steps": 150}))
    matrix = np.random.default_rng(0).standard_normal((256, 60)).astype(np.float32) / 16
    network = Network(
        {"features": "projections"}, lambda images: Seen(images.reshape(len(images), -1) / np.float32(255) @ matrix)
    )
    found = Recogniser(dataset, network, tmp_path)
    assert 0.5 < found.agreement < 1
    assert f"projections's features (kappa {found.agreement:.2f})" in str(found)
    images, generator = dataset.train["image"][:300], np.random.default_rng(1)
    noise = generator.integers(0, 256, images.shape, dtype=np.uint8)
    assert found.share(images).share > 0.9
    assert found.share(noise).share < 0.2
    half = np.concatenate([images[:150], noise[:150]])
    assert found.share(half).share == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(("n", "steps"), [(1437, 600), (20_000, 3750), (50_000, 9375), (3_000_000, 10_000)])
def test_the_judge_is_taught_for_twelve_epochs(monkeypatch, n, steps):
    asked = []
    monkeypatch.setattr(recogniser, "train_judge", lambda dataset, **flags: asked.append(flags["steps"]))
    long_judge(range(n))
    assert asked == [steps]
