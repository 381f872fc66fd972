"""The benchmark of feeds: equal work, a row for every way of feeding."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.benchmarks import benchmark_data

FEEDS = benchmark_data.Config(data="digits", sizes=(16,), n=200, batch=16, width=4, seconds=0.05, turns=1)


def test_feeds_of_the_benchmark_do_the_same_work():
    """Ours bring the same pictures to the bit, NumPy's as many: shifted by reflection, mirrored, in [-1, 1]."""
    images = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3)).astype(np.uint8)
    resident = benchmark_data.resident_feed(images, FEEDS)
    mapped = benchmark_data.mapped_feed({"image": images}, FEEDS)
    plain = benchmark_data.numpy_feed(images, FEEDS)
    seen = []
    for _ in range(3):
        one, other, third = (np.asarray(next(feed)) for feed in (resident, mapped, plain))
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert one.shape == third.shape == (16, 16, 16, 3)
        assert one.dtype == third.dtype == np.float32
        assert np.abs(third).max() <= 1
        seen.append(one)
    assert not np.array_equal(seen[0], seen[1])


@pytest.mark.slow
def test_benchmark_of_feeds(tmp_path):
    """Every way of feeding has its row, and every rate stands beside the step's."""
    benchmark_data.main(replace(FEEDS, out=tmp_path / "table.json"))
    table = json.loads((tmp_path / "table.json").read_text())
    rows = table["sizes"]["16"]
    ways = {"NumPy in memory", "ours, on the device", "ours, memory-mapped, sent ahead"}
    assert ways | {f"grain over tfds.data_source, {n} workers" for n in (0, 2)} <= rows["feeds"].keys()
    assert rows["cost"].keys() == {"on the device", "memory-mapped, sent ahead"}
    assert all(np.isfinite([*rows["feeds"].values(), rows["appetite"], *rows["cost"].values()]))
    assert min(rows["cost"].values()) > -1
