"""Features of a discriminator: pooled maps of all layers, a linear classifier on few labels, beside two controls."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import dcgan, features
from gan_jax.data import digits
from gan_jax.errors import InputError
from gan_jax.models.dcgan import Discriminator

SMALL = {"image_size": "16", "width": 2, "batch": 16, "latent_dim": 4, "steps": 2, "eval_metrics": "none", "devices": 1}
ASKED = {"labels": 100, "draws": 2, "tested": 200}


@pytest.fixture(scope="module")
def dataset():
    return digits(16)


def test_maps_of_all_layers_are_pooled_to_a_grid() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)
    wanted = maps.reshape(3, 4, 2, 4, 2, 2).max(axis=(2, 4))
    np.testing.assert_array_equal(features.pooled(jnp.asarray(maps)), wanted)
    odd = np.arange(49, dtype=np.float32).reshape(1, 7, 7, 1)  # cells of rows 0-1, 1-3, 3-5, 5-6: the last of each
    np.testing.assert_array_equal(
        features.pooled(jnp.asarray(odd))[0, :, :, 0], 7 * np.array([[1], [3], [5], [6]]) + [1, 3, 5, 6]
    )
    small = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(features.pooled(jnp.asarray(small))[0, 0, :, 0], [0, 0, 1, 1])


def test_the_discriminator_sows_its_maps_and_has_the_same_parameters(dataset) -> None:
    discriminator = Discriminator(width=2, norm="none")
    images = dataset.train["image"][:300]
    variables = discriminator.init(jax.random.key(0), jnp.zeros((1, 16, 16, 1)), train=False)
    assert variables["params"].keys() == {"Conv_0", "Conv_1", "Dense_0"}
    found = features.pooled_features(discriminator, variables, images)
    assert found.shape == (300, 4 * 4 * (2 + 4))
    x = jnp.asarray(images[:5] / 127.5 - 1, jnp.float32)
    conv = partial(
        jax.lax.conv_general_dilated, window_strides=(2, 2), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    layer = variables["params"]["Conv_0"]
    first = jax.nn.leaky_relu(conv(x, layer["kernel"]) + layer["bias"][None, None, None], 0.2)
    pooled = np.asarray(first).reshape(5, 4, 2, 4, 2, 2).max(axis=(2, 4)).reshape(5, -1)
    np.testing.assert_allclose(found[:5, :32], pooled, rtol=1e-4, atol=1e-6)


def test_labelled_pictures_are_as_many_of_each_class() -> None:
    y = np.repeat(np.arange(3), [100, 40, 8])
    rows = features.labelled(y, 60, [0, 0])
    assert np.bincount(y[rows]).tolist() == [26, 26, 8]
    assert rows.tolist() == sorted(set(rows.tolist())) == features.labelled(y, 60, [0, 0]).tolist()
    assert rows.tolist() != features.labelled(y, 60, [0, 1]).tolist()
    assert len(features.labelled(y, 0, [0, 0])) == 148
    for wrong, count in ((y, 12), (np.zeros(50, int), 20)):
        with pytest.raises(InputError, match="too few: a cross-validation needs 5 of each"):
            features.labelled(wrong, count, [0, 0])


def test_the_weight_of_the_penalty_is_chosen_without_held_out_pictures() -> None:
    """Two of 60 numbers tell three classes apart; noise needs a strong penalty."""
    generator = np.random.default_rng(0)
    y = np.arange(900) % 3
    x = generator.normal(size=(900, 60))
    x[:, :2] += 4 * np.stack([np.cos(2 * np.pi * y / 3), np.sin(2 * np.pi * y / 3)], axis=1)
    predict, weight = features.linear_classifier(x[:300] * 1e4 + 7, y[:300])
    assert np.mean(predict(x[300:] * 1e4 + 7) == y[300:]) > 0.97
    unscaled, same = features.linear_classifier(x[:300], y[:300])
    assert same == weight == min(features.WEIGHTS)  # 58 of 60 numbers are noise
    np.testing.assert_array_equal(unscaled(x), predict(x * 1e4 + 7))
    wide = np.concatenate([x, np.zeros((900, 300))], axis=1)  # more features than pictures, and nothing more in them
    predict_wide, same = features.linear_classifier(wide[:300], y[:300])
    assert same == weight
    np.testing.assert_array_equal(predict_wide(wide), unscaled(x))
    noise, _ = features.linear_classifier(x[:300, 2:], y[:300])
    assert np.mean(noise(x[300:, 2:]) == y[300:]) < 0.45


def test_values_are_tried_until_the_score_has_fallen_twice() -> None:
    for scores, best, tried in (([1, 3, 2, 1, 9], 1, 4), ([1, 2, 1, 2, 3], 4, 5), ([3, 2, 2, 1, 0], 0, 5)):
        seen: list[float] = []

        def score(value: float, scores: list[int] = scores, seen: list[float] = seen) -> float:
            seen.append(value)
            return scores[int(value)]

        assert features.first_best(range(5), score) == best
        assert len(seen) == tried


def test_kinds_of_features_are_compared_on_the_same_pictures(dataset) -> None:
    def raw(images):
        seen.append(images)
        return images.reshape(len(images), -1) / np.float32(255)

    def blind(images):
        return np.random.default_rng(len(images)).normal(size=(len(images), 9))

    seen: list[np.ndarray] = []
    found = features.compare({"raw": raw, "again": raw, "blind": blind}, dataset, 100, 2, 200, seed=3)
    rows = {row["features"]: row for row in found["rows"]}
    assert (found["labelled"], found["draws"], found["tested"]) == (100, 2, 200)
    assert rows["raw"]["accuracy"] > 0.8 > 0.3 > rows["blind"]["accuracy"]
    assert rows["raw"]["accuracy"] == np.mean(rows["raw"]["accuracies"])
    assert rows["raw"]["deviation"] == pytest.approx(np.std(rows["raw"]["accuracies"], ddof=1))
    assert len(set(rows["raw"]["accuracies"])) == 2  # the draws differ
    assert rows["again"] == rows["raw"] | {"features": "again"}
    assert [len(each) for each in seen] == [200, 100, 100] * 2
    assert "100 labelled pictures, 2 draws, tested on 200" in features.table(found)


@pytest.mark.slow
def test_a_run_is_trained_and_examined_and_opened_again(tmp_path, capsys) -> None:
    config = features.Config(**SMALL, **ASKED, outdir=tmp_path / "run")
    found = features.main(config)
    names = [row["features"] for row in found["rows"]]
    assert names == ["trained discriminator", "untrained discriminator", "raw pixels"]
    assert [row["dimensions"] for row in found["rows"]] == [96, 96, 256]
    assert found["rows"][0]["accuracies"] != found["rows"][1]["accuracies"]
    assert json.loads((tmp_path / "run" / "features.json").read_text()) == found
    assert features.table(found) in capsys.readouterr().out
    again = features.main(features.Config(run=tmp_path / "run", **ASKED))
    assert again == found
    dcgan.main(dcgan.Config(**SMALL, outdir=tmp_path / "run"))  # it is a run of the other script
    with pytest.raises(InputError, match="DCGAN's own, of single pictures and without labels"):
        features.main(features.Config(**SMALL | {"pack": 2}, outdir=tmp_path / "other"))
    with pytest.raises(InputError, match="is no run: it has no config.json"):
        features.main(features.Config(run=tmp_path))
