"""Samples from a run's directory alone."""

from pathlib import Path

import numpy as np
import pytest

from gan_jax.commands import sample
from gan_jax.errors import InputError


def test_sample_works_from_the_directory_alone(conditional_run, tmp_path):
    for name in ("a", "b"):
        sample.main(sample.Config(run=conditional_run, n=10, label="7", out=tmp_path / name))
    a, b = (np.load(tmp_path / name / "samples.npz") for name in ("a", "b"))
    assert a["images"].shape == (10, 16, 16, 1)
    assert a["images"].dtype == np.uint8
    assert a["z"].shape == (10, 8)
    assert set(a["label"]) == {7}
    np.testing.assert_array_equal(a["images"], b["images"])
    sample.main(
        sample.Config(run=conditional_run, n=10, label="7", seed=1, checkpoint="best", statistics="batch", out=tmp_path / "c")
    )
    assert (np.load(tmp_path / "c" / "samples.npz")["images"] != a["images"]).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "eleven"}, "its classes are 0, 1"),
        ({"checkpoint": "9"}, "it has 2, 4, last, best"),
        ({"n": 0}, "at least 1"),
    ],
)
def test_sample_says_what_it_cannot_do(conditional_run, changes, message):
    with pytest.raises(InputError, match=message):
        sample.main(sample.Config(**{"run": conditional_run, **changes}))
    with pytest.raises(InputError, match="no model.json"):
        sample.main(sample.Config(run=conditional_run / "samples"))
    with pytest.raises(InputError, match="--out is a folder for sheet.png and samples.npz, not a file such as one.png"):
        sample.main(sample.Config(run=conditional_run, out=Path("one.png")))
    for place in ("checkpoints", "samples"):
        with pytest.raises(InputError, match=f"samples.npz lies in the input .*{place}: choose another place with --out"):
            sample.main(sample.Config(run=conditional_run, n=2, out=conditional_run / place))
