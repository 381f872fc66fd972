"""Scores of sets of pictures whose quality is known, with floors, protocols, and what is refused."""

import math
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from gan_jax.commands import compare, evaluate
from gan_jax.data.dataset import Dataset, fingerprint
from gan_jax.data.digits import digits
from gan_jax.errors import InputError
from gan_jax.evaluation import features
from gan_jax.evaluation.evaluator import COMPARABLE, Evaluator, best_by, parse_metrics
from gan_jax.evaluation.features import Network, open_network
from gan_jax.evaluation.judge import Judge, Reliability
from gan_jax.evaluation.pictures import Pictures
from gan_jax.evaluation.scores import BETTER, METRICS
from gan_jax.evaluation.seen import Seen


@pytest.fixture(scope="module")
def dataset():
    return digits(16)


@pytest.fixture(scope="module")
def network(dataset):
    """Random projections of the pixels, and logits that count ink: quick, and enough to tell digits from noise.

    Of fixed scale, so that features of a reference are those that it gives.
    """
    matrix = np.random.default_rng(0).standard_normal((256, 24)).astype(np.float32) / 16

    def see(images):
        x = images.reshape(len(images), -1) / np.float32(255)
        return Seen(x @ matrix, 10 * (x @ matrix[:, :10]))

    return Network({"features": "projections", "weights": "0"}, see, "classes", fixed_scale=True)


def evaluator(dataset, network, tmp_path, *metrics, **kwargs):
    return Evaluator(
        dataset,
        network,
        metrics
        or tuple(name for name in METRICS if name not in ("counting", "attributes", "stacked", "match_birds", "match_flowers")),
        **kwargs,
        cache=tmp_path,
    )


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, 16, 16, 1), dtype=np.uint8)


def test_real_pictures_score_like_the_floor_and_noise_far_worse(dataset, network, tmp_path):
    judge = evaluator(dataset, network, tmp_path)
    real, bad = judge.score(dataset.held_out["image"]), judge.score(noise(360))
    assert real.keys() == bad.keys() == judge.floor.keys() | {"support", "duplicates"}
    for name in ("is", "recognised", "diversity", "memorised"):
        assert real[name] == pytest.approx(judge.floor[name], rel=0.1, abs=0.05), name
    for name in ("fid", "kid"):
        assert abs(judge.floor[name]) < 0.2 * bad[name]
    assert bad["fid"] > 20 * real["fid"]
    assert bad["kid"] > 20 * abs(real["kid"])
    assert bad["precision"] < 0.1 < 0.6 < real["precision"]
    assert bad["coverage"] < 0.1 < 0.5 < real["coverage"]  # 0.66: 360 cannot reach all of 1,437
    copies = judge.score(dataset.train["image"][:360])
    assert copies["memorised"] == 1
    assert real["memorised"] == pytest.approx(0.05, abs=0.01)
    collapsed = judge.score(np.repeat(dataset.train["image"][:1], 360, axis=0))
    assert collapsed["diversity"] < 0.01
    assert collapsed["support"] == pytest.approx(1)
    assert collapsed["recall"] < 0.1


def test_a_row_has_means_spreads_floors_and_the_whole_protocol(dataset, network, tmp_path):
    judge = evaluator(dataset, network, tmp_path, "fid", "kid")
    row = judge.row([{"fid": 1.0, "kid": 3.0}, {"fid": 2.0, "kid": 3.0}], 360, seed=5)
    assert (row["fid"], row["kid"], row["kid_std"]) == (1.5, 3.0, 0.0)
    assert row["fid_std"] == pytest.approx(np.sqrt(0.5))
    assert row["kid_floor"] == judge.floor["kid"]
    assert row["fid_floor"] == pytest.approx(judge.floor["fid"] * (1 / 360 + 1 / 1437) / (1 / 718 + 1 / 719))
    assert set(COMPARABLE) - {"resize", "scale", "generator_weights", "statistics"} <= row["protocol"].keys()
    assert row["protocol"] | {"generated": 360, "repeats": 2, "seed": 5} == row["protocol"]
    assert row["protocol"]["fingerprint"] == dataset.fingerprint
    assert row["protocol"]["floor"] == "718 against 719, 180 held-out"
    assert "fid_std" not in judge.row([{"fid": 1.0, "kid": 3.0}], 360)


def test_the_floor_of_two_sets_is_that_of_two_halves(dataset, network, tmp_path):
    """Sorted by class, the data's first and second half would be far apart."""
    order = np.argsort(dataset.train["label"], kind="stable")
    ordered = replace(dataset, train={name: array[order] for name, array in dataset.train.items()})
    judge = evaluator(ordered, network, tmp_path, "fid", "recognised")
    assert judge.floor["fid"] < 0.3 * judge.score(dataset.train["image"][dataset.train["label"] < 5])["fid"]
    few = replace(dataset, held_out={name: array[:20] for name, array in dataset.held_out.items()}, stored_fingerprint="few")
    assert evaluator(few, network, tmp_path, "recognised").floor["recognised"] != judge.floor["recognised"]


def test_kid_does_not_depend_on_the_scale_of_a_networks_features(dataset, network, tmp_path):
    """Features are brought to a mean square of 1 on the reference, the samples' and held-out ones by the same factor."""
    scores = {}
    for times in (1, 80):
        grown = replace(network, see=lambda x, t=times: Seen(t * network.see(x).features), logits_of=None, fixed_scale=False)
        free = evaluator(dataset, replace(grown, identity={"features": f"times {times}"}), tmp_path, "kid", "fid", "memorised")
        scores[times] = free.score(dataset.held_out["image"][:100]) | free.floor
        assert np.mean(np.square(free.reference.train.features)) == pytest.approx(1, rel=1e-5)
        raw = [
            np.mean(np.square(grown.see(dataset.held_out["image"]).features)),
            np.mean(np.square(free.reference.held_out.features)),
        ]
        factor = np.mean(np.square(grown.see(dataset.train["image"]).features))
        assert raw[1] == pytest.approx(raw[0] / factor, rel=1e-4)
        assert free.protocol["scale"] == "mean square 1 on the reference"
    assert scores[80] == pytest.approx(scores[1], rel=1e-3)
    assert "scale" not in evaluator(dataset, network, tmp_path, "kid").protocol


def test_features_that_are_all_0_stay_so(dataset, tmp_path):
    blank = evaluator(
        dataset, Network({"features": "none"}, lambda x: Seen(np.zeros((len(x), 3), np.float32))), tmp_path, "kid"
    )
    assert blank.reference.train.features.max() == 0  # no division by 0


def test_features_of_the_reference_are_kept(dataset, network, tmp_path):
    seen = []
    counting = replace(network, see=lambda images: seen.append(len(images)) or network.see(images))
    first = evaluator(dataset, counting, tmp_path, "kid").score(noise(50))
    looked = len(seen)
    again = evaluator(dataset, counting, tmp_path, "kid").score(noise(50))
    assert again == first
    assert len(seen) == looked + 1  # only at the samples
    kept = next((tmp_path / "features").glob("*train*"))
    for damaged in (b"torn", kept.read_bytes()[:-30], b""):
        kept.write_bytes(damaged)
        assert evaluator(dataset, counting, tmp_path, "kid").score(noise(50)) == first


def test_other_held_out_pictures_are_looked_at_anew(dataset, network, tmp_path):
    first = evaluator(dataset, network, tmp_path, "memorised")
    fewer = replace(dataset, held_out={name: array[100:] for name, array in dataset.held_out.items()})
    assert fewer.fingerprint == dataset.fingerprint
    assert len(first.reference.held_out.features) == 360
    assert len(evaluator(fewer, network, tmp_path, "memorised").reference.held_out.features) == 260


def test_conditional_samples_are_held_to_their_labels(dataset, tmp_path):
    """A network that reads the class in the first pixel; three quarters of the samples are what was asked for."""

    def see(images):
        return Seen(images[:, 0, :3, 0] / np.float32(255), 20 * np.eye(256, dtype=np.float32)[images[:, 0, 0, 0], :10])

    judge = evaluator(dataset, Network({"features": "label"}, see, "classes"), tmp_path, "recognised", labelled=True)
    images, labels = noise(100), np.arange(100) % 10
    images[:, 0, 0, 0] = np.where(np.arange(100) < 75, labels, (labels + 1) % 10)
    assert judge.score(images, {"label": labels})["label_accuracy"] == 0.75
    assert "label_accuracy" not in judge.score(images)


@pytest.mark.parametrize(
    ("metrics", "n", "changes", "message"),
    [
        (("fid",), 24, {}, r"fid on 24 features needs more than 24 .* are 24 samples.* ask for more than 24 samples"),
        (("memorised",), 50, {"held_out": {}}, "needs 50 held-out pictures or more"),
        (("counting",), 50, {}, "counting reads eyes, mouths, noses in pictures, which .* those of doodle_faces only"),
        (("counting",), 50, {"name": "doodle_birds"}, "those of doodle_faces only"),
        (("attributes",), 50, {}, "attributes needs a classifier: data with attributes"),
        (("kid", "memorised", "counting"), 50, {"held_out": {}}, "memorised needs.*; counting reads"),
    ],
)
def test_says_what_cannot_be_scored_before_samples_are_drawn(dataset, network, tmp_path, metrics, n, changes, message):
    judge = evaluator(replace(dataset, **changes, stored_fingerprint=""), network, tmp_path, *metrics)
    with pytest.raises(InputError, match=message):
        judge.require(n)
    with pytest.raises(InputError, match=message):
        judge.score(noise(n))
    left_out = judge.drop_lacking(n)
    assert len(left_out) == len([name for name in metrics if name != "kid"])
    assert judge.metrics == tuple(name for name in metrics if name == "kid")


def test_more_samples_do_not_help_where_real_pictures_are_few(dataset, network, tmp_path):
    few = replace(dataset, train={name: array[:20] for name, array in dataset.train.items()}, stored_fingerprint="")
    with pytest.raises(InputError, match="20 real pictures") as told:
        evaluator(few, network, tmp_path, "fid").require(500)
    assert "ask for more" not in str(told.value)


@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 16, 3)])
def test_samples_of_another_form_are_refused_before_a_network_sees_them(dataset, network, tmp_path, shape):
    wanted = "x".join(map(str, shape))
    with pytest.raises(InputError, match=f"the samples are {wanted} and the reference 16x16x1"):
        evaluator(dataset, network, tmp_path, "kid").score(np.zeros((50, *shape), np.uint8))


def test_what_checkpoints_can_be_best_by():
    assert best_by(("kid", "recognised")) == ("kid", "min")
    assert best_by(("recognised",)) == ("recognised", "max")
    assert best_by(()) == (None, "max")
    with pytest.raises(InputError, match="no checkpoint is best by memorised"):
        best_by(("memorised", "kid"))


class Watched(np.ndarray):
    """An array that notes which rows are read of it."""

    def __getitem__(self, rows):
        reads.append(np.arange(len(self))[rows])
        return np.asarray(self)[rows]


reads: list[np.ndarray] = []


def test_a_large_reference_is_represented_by_a_fixed_random_choice(dataset, network, tmp_path):
    order = np.random.Generator(np.random.Philox(key=0)).permutation(1437)
    wanted, reads[:] = np.sort(order[:200]), []
    arrays = dataset.train | {"image": dataset.train["image"].view(Watched)}
    watched = replace(dataset, train=arrays, stored_fingerprint=dataset.fingerprint)
    capped = evaluator(watched, network, tmp_path, "kid", labelled=True, most=200)
    real = capped.reference.train
    np.testing.assert_array_equal(np.unique(np.concatenate(reads)), wanted)
    np.testing.assert_array_equal(real.images[:], dataset.train["image"][wanted])
    np.testing.assert_array_equal(real.features, network.see(dataset.train["image"][wanted]).features)
    np.testing.assert_array_equal(real.asked["label"], dataset.train["label"][wanted])
    assert len(capped.reference.held_out) == 200
    protocol = capped.protocol
    assert (protocol["real"], protocol["held_out"], protocol["floor"]) == (200, 200, "100 against 100, 100 held-out")
    assert capped.score(noise(50)) != evaluator(dataset, network, tmp_path, "kid").score(noise(50))


def test_whole_and_chosen_references_are_kept_apart(dataset, network, tmp_path):
    """Under the names that whole ones had before they could be chosen from."""
    held_out = fingerprint({"image": dataset.held_out["image"]})
    whole = {f"1-train-{dataset.fingerprint}-projections-0.npz", f"1-held_out-{held_out}-projections-0.npz"}
    for most in (None, 1437, 50_000):
        assert len(evaluator(dataset, network, tmp_path, "kid", most=most).reference.train) == 1437
        assert {path.name for path in (tmp_path / "features").iterdir()} == whole
    for i, most in enumerate((100, 200), 1):
        capped = evaluator(dataset, network, tmp_path, "kid", most=most).reference
        assert (len(capped.train), len(capped.held_out)) == (most, most)
        assert len(list((tmp_path / "features").iterdir())) == 2 + 2 * i
    with pytest.raises(InputError, match="a reference of 1 pictures"):
        evaluator(dataset, network, tmp_path, "kid", most=1)


def test_other_chosen_held_out_pictures_are_looked_at_anew(dataset, network, tmp_path):
    other = replace(dataset, held_out={name: array[::-1] for name, array in dataset.held_out.items()})
    for data in (dataset, other):
        held_out = evaluator(data, network, tmp_path, "kid", most=200).reference.held_out
        np.testing.assert_array_equal(held_out.features, network.see(held_out.images[:]).features)


def test_pictures_keep_what_they_were_asked_for(dataset, network, tmp_path):
    """Rows of a subset belong together, whatever was asked for; the reference has labels where the samples have them."""
    n = np.arange(20)
    images, features = np.zeros((20, 2, 2, 1), np.uint8) + n[:, None, None, None].astype(np.uint8), n[:, None] * np.ones((1, 3))
    asked = {"label": n, "caption": np.stack([n, n], axis=1)[:, None].astype(np.uint8), "low": images[:, :1, :1]}
    some = Pictures(images, Seen(features, features), asked)[np.array([7, 3, 11])][1:]
    for array in (some.images[:], np.asarray(some.images), some.features, some.seen.known_logits(), *some.asked.values()):
        np.testing.assert_array_equal(array.reshape(2, -1)[:, 0], [3, 11])
    assert some.asked.keys() == asked.keys()
    assert some.images.shape == (2, 2, 2, 1)
    with pytest.raises(InputError, match="20 pictures have 19 rows of low"):
        Pictures(images, Seen(features), {"low": images[1:]})
    with pytest.raises(InputError, match="no logits"):
        Pictures(images, Seen(features)).seen.known_logits()
    for labelled in (True, False):
        reference = evaluator(dataset, network, tmp_path, "kid", labelled=labelled).reference
        for pictures, arrays in ((reference.train, dataset.train), (reference.held_out, dataset.held_out)):
            assert pictures.asked.keys() == ({"label"} if labelled else set())
            np.testing.assert_array_equal(pictures.asked.get("label", arrays["label"]), arrays["label"])


def test_variety_is_measured_within_what_was_asked_for(dataset, network, tmp_path):
    """Two pictures, each a hundred times: within classes all are equal, among all they are not."""
    images = dataset.train["image"][np.arange(200) % 2]
    judge = evaluator(dataset, network, tmp_path, "ms_ssim")
    assert judge.score(images, {"label": np.arange(200) % 2})["ms_ssim"] == pytest.approx(1, abs=1e-5)
    assert judge.score(images)["ms_ssim"] < 0.9


def test_features_that_are_not_finite_are_told(dataset, network, tmp_path):
    judge = evaluator(dataset, network, tmp_path, "kid")
    assert judge.reference
    judge.network = replace(network, see=lambda images: Seen(np.full((len(images), 24), np.nan, np.float32)))
    with pytest.raises(InputError, match="50 of 50 examples have features that are not finite"):
        judge.score(noise(50))


def test_metrics_are_parsed():
    assert parse_metrics(" fid, kid,") == ("fid", "kid")
    assert parse_metrics("none") == ()
    with pytest.raises(InputError, match="no metric fidd: choose of fid, kid"):
        parse_metrics("fidd,kid")


def test_every_number_says_which_way_is_better(dataset, network, tmp_path):
    judge = evaluator(dataset, network, tmp_path)
    assert judge.floor.keys() <= BETTER.keys()


def test_networks_by_name(dataset):
    pixels = open_network("pixels", dataset).see(dataset.train["image"][:3])
    np.testing.assert_allclose(pixels.features, dataset.train["image"][:3].reshape(3, -1) / 255, atol=1e-3)
    unlabelled = replace(dataset, class_names=())
    assert open_network("auto", unlabelled).identity["features"] == "pixels"
    assert not open_network("pixels", dataset).fixed_scale
    with pytest.raises(InputError, match=r"inception needs its weights\. Download https"):
        open_network("inception", dataset)
    with pytest.raises(InputError, match="nothing can judge"):
        open_network("judge", unlabelled)


@pytest.mark.parametrize(("name", "fixed"), [("inception", True), ("squeezenet", False), ("squeezenet_torchvision", False)])
def test_only_inception_keeps_its_own_scale(dataset, monkeypatch, name, fixed):
    monkeypatch.setattr(features, "read_weights", lambda weights, name: ({}, "digest"))
    assert open_network(name, dataset, Path("weights.npz")).fixed_scale == fixed


def test_features_for_a_loss_are_those_for_scores(dataset, monkeypatch):
    """Of grey pictures as bytes, and of the same ones in [-1, 1]: the network is given the same values."""

    def forward(layout, variables, images, how):
        assert (layout, how) == ("caffe", "clean")
        return (images.reshape(len(images), -1),)

    monkeypatch.setattr(features, "read_weights", lambda weights, name: ({}, "digest"))
    monkeypatch.setattr(features, "_squeezenet", forward)
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 1)).astype(np.uint8)
    x = jnp.asarray(images, jnp.float32) / 127.5 - 1
    function = features.feature_function("squeezenet", weights=Path("weights.npz"))
    expected = open_network("squeezenet", dataset, Path("weights.npz")).see(images).features
    np.testing.assert_allclose(function(x), expected, atol=1e-3)
    np.testing.assert_allclose(jax.grad(lambda x: jnp.sum(function(x)))(x), np.full(x.shape, 3 * 127.5))
    monkeypatch.undo()
    with pytest.raises(InputError, match="squeezenet needs its weights"):
        features.feature_function("squeezenet")
    with pytest.raises(InputError, match="trained on data"):
        features.feature_function("judge")


def test_features_of_a_judge_for_a_loss(dataset, monkeypatch):
    def network(params, images):
        return params * images.mean(axis=(1, 2)), images

    known = Judge(lambda images: None, ("a",), True, 1.0, "", network, 3.0)
    monkeypatch.setattr(features, "train_judge", lambda data: known)
    assert features.feature_function("judge", dataset)(jnp.ones((2, 4, 4, 1))).tolist() == [[3.0], [3.0]]


def test_compare_keeps_columns_apart_and_leaves_the_untrained_out_of_curves(tmp_path, monkeypatch):
    row = {"kid": -0.0002131, "kid_std": 0.00049, "kid_floor": 0.01139, "protocol": {"repeats": 3}}
    curves = {run: [row | {"step": step, "kid": row["kid"] + 2 * (step == 0)} for step in (0, 10, 20)] for run in "ab"}
    line = compare.table({run: rows[-1] for run, rows in curves.items()}).splitlines()[2]
    assert "0.01139  lower is better" in line
    assert line.count("-0.0002131 ± 0.00049*") == 2
    assert "*-" not in line
    shown = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **options: shown.append(figure))
    compare.draw(curves, tmp_path / "compare.png")
    assert [len(line.get_xdata()) for line in shown[0].axes[0].lines[:2]] == [2, 2]


def test_the_protocol_of_attributes_says_how_well_each_is_recognised(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    data = Dataset("faces", {"image": images}, {"image": images[:20]}, attribute_names=("glasses", "hat"))

    def see(pictures):
        return Seen(pictures.reshape(len(pictures), -1) / np.float32(255), np.ones((len(pictures), 2), np.float32))

    reliability = {"glasses": Reliability(0.8, 0.9, 12), "hat": Reliability(math.nan, 0.0, 0)}
    network = Network({"features": "pixels"}, see, "attributes", reliability=reliability)
    scored = Evaluator(data, network, ("attributes",), cache=tmp_path)
    row = scored.row([scored.score(images)], 40)
    assert row["protocol"]["reliability"] == {
        "glasses": {"recall": 0.8, "precision": 0.9, "shown": 12},
        "hat": {"recall": None, "precision": 0.0, "shown": 0},
    }
    lines = evaluate.table(row).splitlines()
    assert ["glasses", "0.8", "0.9", "12"] in [line.split() for line in lines]
    assert ["hat", "-", "0", "0"] in [line.split() for line in lines]
    assert "reliability" not in lines[-1]
    assert "reliability" not in Evaluator(data, network, ("kid",), cache=tmp_path).protocol
