"""DiffAugment and ADA against their definitions in NumPy, their draws, their gradients, and ADA's controller."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import ndimage

from gan_jax import augment
from gan_jax.augment import AUGMENTATIONS, ada, ada_augment, ada_update, diff_augment, diffaugment, scheduled_ada
from gan_jax.errors import InputError

KEY = jax.random.key(0)
SHAPES = [(5, 16, 24, 1), (5, 16, 24, 3), (5, 16, 16, 4)]


def pictures(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


@partial(jax.jit, static_argnames="policy")
def diff(x, policy, key=KEY):
    return diff_augment(x, key, policy)


@partial(jax.jit, static_argnames="name")
def applied(name, x, state, key=KEY):
    return AUGMENTATIONS[name].apply(x, key, state)


warp, recolour = jax.jit(augment.warp), jax.jit(augment.recolour)
draw_geometry = jax.jit(augment.draw_geometry, static_argnames=("b", "square"))
draw_colour = jax.jit(augment.draw_colour, static_argnames="b")


def color_amounts(x, y):
    """Brightness, saturation, contrast that lead from x to y, and what they leave unexplained, example by example.

    By the authors' code y = c (s (x - m) + m - M) + M + b, with m the pixel's and M the image's mean: a linear regression.
    """
    for before, after in zip(x.astype(np.float64), np.asarray(y, np.float64), strict=True):
        m, mean = before.mean(-1, keepdims=True), before.mean()
        factors = np.stack([(before - m).ravel(), np.broadcast_to(m - mean, before.shape).ravel(), np.ones(before.size)], -1)
        (cs, c, level), *_ = np.linalg.lstsq(factors, after.ravel(), rcond=None)
        yield level - mean, cs / c, c, np.abs(factors @ [cs, c, level] - after.ravel()).max()


def test_color_is_the_authors_formula_with_their_ranges():
    x = np.asarray(pictures(400, 4, 5, 3))
    amounts = np.array(list(color_amounts(x, diff(x, ("color",))))).T
    assert amounts[3].max() < 1e-5
    for drawn, (low, high) in zip(amounts, [(-0.5, 0.5), (0, 2), (0.5, 1.5)], strict=False):
        shares = np.sort((drawn - low) / (high - low))
        np.testing.assert_allclose(shares, np.linspace(0, 1, 400), atol=0.1)  # 0.1 is exceeded once in 1500 draws of 400
    assert np.abs(np.corrcoef(amounts[:3]) - np.eye(3)).max() < 0.2


def test_color_of_grey_images_is_brightness_and_contrast():
    x = np.asarray(pictures(6, 4, 5, 1))
    y = np.asarray(diff(x, ("color",)))
    for before, after in zip(x, y, strict=True):
        contrast, level = np.polyfit(before.ravel(), after.ravel(), 1)
        assert 0.5 <= contrast <= 1.5
        np.testing.assert_allclose(after, contrast * before + level, atol=1e-5)


@pytest.mark.parametrize(("h", "w"), [(16, 24), (20, 12), (11, 28)])
def test_translation_moves_whole_pixels_and_zeros_follow(h, w):
    """By the authors' int(size * 0.125 + 0.5) pixels at most: 3 of 20, 2 of 12, 1 of 11, 4 of 28."""
    down, along = int(h * 0.125 + 0.5), int(w * 0.125 + 0.5)
    x = np.asarray(pictures(500, h, w, 1))
    seen = set()
    for before, after in zip(x, np.asarray(diff(x, ("translation",))), strict=True):
        padded = np.pad(before, ((down, down), (along, along), (0, 0)))
        places = [(i, j) for i in range(2 * down + 1) for j in range(2 * along + 1)]
        fits = {(i, j) for i, j in places if np.array_equal(padded[i : i + h, j : j + w], after)}
        assert len(fits) == 1
        seen |= fits
    assert len(seen) == (2 * down + 1) * (2 * along + 1)


@pytest.mark.parametrize(("n", "size"), [(16, 8), (10, 5), (7, 4), (9, 5)])
def test_cutout_is_a_box_of_half_the_sides_around_any_pixel(n, size):
    """Centres as in the authors' code: randint(0, n + 1 - size % 2), so that even boxes may hang out half on both sides.

    Sizes too: int(n * 0.5 + 0.5).
    """
    centres = np.arange(n + 1 - size % 2)
    at = np.arange(n)
    segments = [frozenset(at[(at >= c - size // 2) & (at < c - size // 2 + size)]) for c in centres]
    holes = np.asarray(diff(jnp.ones((400, n, 12, 2)), ("cutout",))) == 0
    rows = [frozenset(np.flatnonzero(hole[..., 0].any(1))) for hole in holes]
    assert set(rows) == set(segments)
    columns = holes.any(axis=(1, 3))
    np.testing.assert_array_equal(holes, holes.any(axis=(2, 3))[:, :, None, None] & columns[:, None, :, None] & [True, True])
    assert columns.sum(1).max() == 6
    assert columns.sum(1).min() == 3
    widths = np.bincount([len(row) for row in rows]) / 400
    expected = np.bincount([len(segment) for segment in segments]) / len(segments)
    np.testing.assert_allclose(widths, expected, atol=0.1)  # four standard deviations


def test_cutout_leaves_the_rest_alone():
    x = pictures(8, 16, 16, 3)
    y = np.asarray(diff(x, ("cutout",)))
    np.testing.assert_array_equal(y, np.where(y == 0, 0, x))


def test_policy_is_a_sequence_of_known_parts():
    x = pictures(4, 16, 16, 3)
    np.testing.assert_array_equal(diff_augment(x, KEY, ()), x)
    both = diff(x, ("color", "cutout"))
    np.testing.assert_allclose(diffaugment(["color", "cutout"]).apply(x, KEY, {}), both, atol=1e-6)
    assert (np.asarray(both) == 0).any()
    assert not (np.asarray(diff(x, ("cutout", "color"))) == 0).any()  # the hole gets a colour
    with pytest.raises(InputError, match="translation, cutout, not colour"):
        diff_augment(x, KEY, ("colour", "cutout"))


def geometry(b, **amounts):
    zeros = dict.fromkeys(augment.Geometry._fields, jnp.zeros(b))
    return augment.Geometry(**zeros | {name: jnp.full(b, value, jnp.float32) for name, value in amounts.items()})


def moved(image, g):
    """One image moved by SciPy: the product of the paper's forward matrices (x, y, 1) about the centre, inverted."""
    h, w, _ = image.shape

    def turn(angle):
        return np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    def shift(x, y):
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])

    steps = [
        np.diag([1 - 2 * g.flip, 1, 1]),
        turn(np.pi / 2 * g.turn),
        shift(np.rint(w * g.shift_x), np.rint(h * g.shift_y)),
        np.diag([2**g.scale, 2**g.scale, 1]),
        turn(g.pre),
        np.diag([2**g.stretch, 2**-g.stretch, 1]),
        turn(g.post),
        shift(w * g.move_x, h * g.move_y),
    ]
    forward = shift((w - 1) / 2, (h - 1) / 2)
    for step in reversed(steps):
        forward = forward @ step
    inverse = np.linalg.inv(forward @ shift((1 - w) / 2, (1 - h) / 2))
    inverse = inverse[[1, 0, 2]][:, [1, 0, 2]]  # rows first
    return np.stack([ndimage.affine_transform(c, inverse, order=1, mode="mirror") for c in np.moveaxis(image, -1, 0)], -1)


@pytest.mark.parametrize("shape", SHAPES)
def test_warp_is_one_affine_map(shape):
    x = pictures(*shape)
    drawn = draw_geometry(jax.random.key(5), 1.0, 5, square=False)
    expected = [
        moved(image, augment.Geometry(*amounts))
        for image, *amounts in zip(
            np.asarray(x, np.float64), *(np.asarray(amount, np.float64) for amount in drawn), strict=True
        )
    ]
    np.testing.assert_allclose(warp(x, drawn), np.stack(expected), atol=1e-4)


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ({"flip": 1}, lambda x: x[:, :, ::-1]),
        ({"turn": 1}, lambda x: np.rot90(x, 1, (1, 2))),
        ({"turn": 2}, lambda x: x[:, ::-1, ::-1]),
        ({"turn": 3}, lambda x: np.rot90(x, -1, (1, 2))),
        ({"flip": 1, "turn": 1}, lambda x: np.rot90(x[:, :, ::-1], 1, (1, 2))),
        ({"shift_x": 0.125}, lambda x: np.pad(x, ((0, 0), (0, 0), (2, 0), (0, 0)), "reflect")[:, :, :16]),
        ({"shift_y": -0.11}, lambda x: np.pad(x, ((0, 0), (0, 2), (0, 0), (0, 0)), "reflect")[:, 2:]),
    ],
)
def test_whole_pixels_stay_whole(amounts, expected):
    x = pictures(3, 16, 16, 3)
    np.testing.assert_array_equal(warp(x, geometry(3, **amounts)), expected(x))


def recoloured(x, b, c, luma, hue, s):
    """The paper's 4x4 matrices on one image of three channels."""
    v = np.ones(3) / np.sqrt(3)
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    matrices = [
        np.eye(3) * 2**c,
        np.eye(3) - 2 * luma * np.outer(v, v),
        np.cos(hue) * np.eye(3) + np.sin(hue) * cross + (1 - np.cos(hue)) * np.outer(v, v),
        np.outer(v, v) + (np.eye(3) - np.outer(v, v)) * 2**s,
    ]
    total = np.eye(4)
    total[:3, 3] = b
    for matrix in matrices:
        total = np.block([[matrix, np.zeros((3, 1))], [np.zeros((1, 3)), 1]]) @ total
    return x @ total[:3, :3].T + total[:3, 3]


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_the_papers_matrices(channels):
    x = pictures(8, 4, 6, channels)
    drawn = draw_colour(KEY, 1.0, 8)
    assert set(np.asarray(drawn.luma)) == {0, 1}
    amounts = np.stack(drawn, -1).astype(np.float64)
    whole = np.broadcast_to(x, (8, 4, 6, 3)).astype(np.float64)  # grey images have three equal channels
    expected = np.stack([recoloured(image, *a) for image, a in zip(whole, amounts, strict=True)])
    np.testing.assert_allclose(recolour(x, drawn), expected[..., :channels], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_ada_at_0_is_the_identity(shape):
    x = pictures(*shape)
    np.testing.assert_array_equal(applied("ada", x, AUGMENTATIONS["ada"].init()), x)


def test_shares_at_one_half():
    """A drawn flip and a drawn turn may be none: half and three quarters of the share. Five standard deviations are 0.025."""
    b = 10_000
    drawn = draw_geometry(KEY, 0.5, b)._asdict() | draw_colour(jax.random.key(1), 0.5, b)._asdict()
    happens = {name: np.asarray(amount) != 0 for name, amount in drawn.items()}
    expected = dict.fromkeys(drawn, 0.5) | {"flip": 0.25, "luma": 0.25, "turn": 0.375}
    expected |= {"pre": 1 - np.sqrt(0.5), "post": 1 - np.sqrt(0.5)}
    for name, share in expected.items():
        assert happens[name].mean() == pytest.approx(share, abs=0.025), name
    assert (happens["pre"] | happens["post"]).mean() == pytest.approx(0.5, abs=0.025)
    for x, y in (("shift_x", "shift_y"), ("move_x", "move_y")):  # together or not at all
        np.testing.assert_array_equal(happens[x], happens.pop(y))
    assert np.abs(np.corrcoef([*happens.values()]) - np.eye(13)).max() < 0.05


def test_nothing_is_drawn_at_0():
    drawn = (*draw_geometry(KEY, 0.0, 10_000), *draw_colour(KEY, 0.0, 10_000))
    assert not np.any(drawn)


def test_amounts_at_1():
    b = 10_000
    g, c = draw_geometry(KEY, 1.0, b), draw_colour(KEY, 1.0, b)
    normals = [(g.scale, 0.2), (g.stretch, 0.2), (g.move_x, 0.125), (g.move_y, 0.125)]
    for drawn, deviation in [*normals, (c.brightness, 0.2), (c.contrast, 0.5), (c.saturation, 1)]:
        z = np.sort(drawn) / deviation
        assert z.mean() == pytest.approx(0, abs=0.05)
        assert z.std() == pytest.approx(1, abs=0.04)
        assert (np.abs(z) < 1).mean() == pytest.approx(0.683, abs=0.025)
    for drawn, most in [(g.shift_x, 1 / 8), (g.shift_y, 1 / 8), (g.pre, np.pi), (g.post, np.pi), (c.hue, np.pi)]:
        np.testing.assert_allclose(np.sort(drawn) / most, np.linspace(-1, 1, b), atol=0.05)
    np.testing.assert_allclose(np.bincount(g.turn.astype(int)) / b, [0.25] * 4, atol=0.025)
    turns = draw_geometry(KEY, 1.0, b, square=False).turn
    np.testing.assert_allclose(np.bincount(turns.astype(int)) / b, [0.5, 0, 0.5], atol=0.025)
    assert g.flip.mean() == pytest.approx(0.5, abs=0.025)
    assert c.luma.mean() == pytest.approx(0.5, abs=0.025)


def test_amounts_at_1_have_nothing_to_do_with_each_other():
    drawn = np.stack([*draw_geometry(KEY, 1.0, 10_000), *draw_colour(jax.random.key(1), 1.0, 10_000)])
    assert np.abs(np.corrcoef(drawn) - np.eye(15)).max() < 0.05


def test_the_smallest_number_drawn_is_finite(monkeypatch):
    """A normal number is made from a uniform one, which is 0 once in eight million draws."""
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, minval=0.0: jnp.full(shape, minval))
    assert np.isfinite([*augment.draw_geometry(KEY, 1.0, 1), *augment.draw_colour(KEY, 1.0, 1)]).all()


def test_an_image_of_one_row_stays_within_itself():
    x = pictures(2, 1, 5, 2)
    np.testing.assert_array_equal(warp(x, geometry(2, move_y=1e-9)), x)  # -1e-9 modulo 1 is 1 in float32


def test_turns_of_oblong_images_keep_the_edges_of_the_canvas():
    """At 90 degrees the rows of an image that is constant along each row would become columns."""
    x = jnp.broadcast_to(jnp.arange(8.0)[None, :, None, None] / 8, (64, 8, 12, 1))
    drawn = draw_geometry(KEY, 1.0, 64, square=False)
    y = np.asarray(warp(x, geometry(64)._replace(turn=drawn.turn)))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :, :1], y.shape))


@pytest.mark.parametrize("width", [16, 24])  # half turns only in the second
def test_alpha_is_moved_and_never_recoloured(width):
    x = pictures(5, 16, width, 4)
    alpha = x[..., -1:]
    drawn = draw_geometry(jax.random.split(KEY)[0], 1.0, 5, square=width == 16)
    y = np.asarray(applied("ada", x, state_of("ada")))
    np.testing.assert_allclose(y[..., -1:], warp(alpha, drawn), atol=1e-4)
    assert np.abs(y[..., :-1] - warp(x[..., :-1], drawn)).max() > 0.1
    for n in (2, 4):
        y = diff(x[..., -n:], ("color",))
        np.testing.assert_array_equal(y[..., -1:], alpha)
        assert np.abs(y - x[..., -n:])[..., :-1].max() > 0.1


def state_of(name):
    state = AUGMENTATIONS[name].init()
    return state | {"p": jnp.float32(1)} if state else state


@pytest.mark.parametrize("name", ["diffaugment", "ada"])
def test_every_example_and_every_key_draws_anew(name):
    x = jnp.broadcast_to(pictures(1, 16, 24, 3), (5, 16, 24, 3))
    y = np.asarray(applied(name, x, state_of(name)))
    assert all(np.abs(y[i] - y[j]).max() > 0.05 for i in range(5) for j in range(i))
    assert (np.abs(y - applied(name, x, state_of(name), jax.random.key(1))).max(axis=(1, 2, 3)) > 0.05).all()
    np.testing.assert_array_equal(y, applied(name, x, state_of(name)))


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("shape", [*SHAPES, (2, 1, 5, 2)])
def test_shapes_and_no_nan(name, shape):
    y = applied(name, pictures(*shape), state_of(name))
    assert y.shape == shape
    assert np.isfinite(y).all()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_type_is_kept(name):
    x = pictures(2, 8, 8, 3).astype(jnp.bfloat16)
    assert jax.eval_shape(partial(applied, name), x, state_of(name)).dtype == jnp.bfloat16


@pytest.mark.parametrize("name", ["diffaugment", "ada"])
def test_gradients_of_first_and_second_order(name):
    x, w = pictures(2, 6, 7, 3), pictures(2, 6, 7, 3, seed=1)

    @jax.jit
    def critic(x):
        return jnp.sum(jnp.tanh(w * applied(name, x, state_of(name))))

    check_grads(critic, (x,), order=2, modes=["rev"], atol=0.02, rtol=0.02, eps=1e-2)


@pytest.mark.parametrize("name", ["diffaugment", "ada"])
def test_gradient_is_the_transposed_map(name):
    """The map is A x + b: <A u, v> = <u, A^T v>, with A u by differences, exact up to rounding."""
    x, u, v = (pictures(5, 16, 24, 3, seed=seed) for seed in range(3))
    apply = partial(applied, name, state=state_of(name))
    pulled = jax.jit(lambda x, v: jax.vjp(apply, x)[1](v)[0])(x, v)
    assert jnp.vdot(u, pulled) == pytest.approx(float(jnp.vdot(apply(x + u) - apply(x), v)), rel=1e-3, abs=1e-2)


def play(update, state, logits):
    history = []
    update = jax.jit(update)
    for batch in logits:
        state = update(state, jnp.asarray(batch, jnp.float32))
        history.append({name: float(value) for name, value in state.items()})
    return history


def test_p_rises_and_falls_at_the_speed_asked_for_and_stays_in_bounds():
    """50 images a minibatch, 4 of them a step, 1000 from 0 to 1: a step is 0.2."""
    a = ada(images=1000)
    up = [x["p"] for x in play(a.update, a.init(), np.full((28, 50), 3.0))]
    np.testing.assert_allclose(up, np.minimum(np.repeat(np.arange(8), 4)[1:29] * 0.2, 1), atol=1e-6)
    down = [x["p"] for x in play(a.update, a.init() | {"p": jnp.float32(0.5)}, np.full((12, 50), -3.0))]
    np.testing.assert_allclose(down, np.repeat([0.5, 0.3, 0.1, 0.0], [3, 4, 4, 1]), atol=1e-6)


@pytest.mark.parametrize(("positive", "p"), [(41, 0.1), (39, 0.0)])  # r = 0.64 or 0.56
def test_target_is_a_mean_sign_over_all_minibatches(positive, p):
    """41 and 39 of 50 positive; as one among four minibatches each other way, only the mean over four decides."""
    a = ada(images=2000)
    logits = np.where(np.arange(50) < positive, 0.1, -100)
    assert play(a.update, a.init(), [logits] * 4)[-1]["p"] == pytest.approx(p)
    mixed = [np.ones(50), np.ones(50), np.ones(50), np.where(np.arange(50) < 4 * positive - 150, 1, -1)]
    last = play(a.update, a.init(), mixed)[-1]
    assert last == pytest.approx({"p": p, "r": 2 * positive / 50 - 1, "signs": 0, "batches": 0})


def test_controller_in_scan_and_vmap():
    logits = np.random.default_rng(3).normal(0.4, 1, (3, 40, 16)).astype(np.float32)
    p, signs, expected = np.zeros(3), [], []  # the paper's rule in NumPy
    for i in range(40):
        signs.append(np.sign(logits[:, i]).mean(-1))
        if i % 5 == 4:
            p = np.clip(p + np.sign(np.mean(signs[-5:], 0) - 0.3) * 5 * 16 / 500, 0, 1)
        expected.append(p)
    a = ada(target=0.3, images=500, every=5)

    def run(logits):
        return jax.lax.scan(lambda s, x: (a.update(s, x), a.update(s, x)["p"]), a.init(), logits)[1]

    actual = jax.jit(jax.vmap(run))(logits)
    np.testing.assert_allclose(actual, np.stack(expected, 1), atol=1e-5)
    assert len(np.unique(actual)) > 3


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_state_is_a_carry(name):
    """Structure and types stay, logits of any float type: what `scan` and a checkpoint need."""
    a, x = AUGMENTATIONS[name], pictures(4, 8, 8, 3)

    def body(state, key):
        y = a.apply(x, key, state)
        return a.update(state, jnp.mean(y, axis=(1, 2, 3)).astype(jnp.bfloat16)), y

    state, images = jax.lax.scan(body, a.init(), jax.random.split(KEY, 3))
    assert images.shape == (3, *x.shape)
    assert jax.tree.map(lambda s: (s.shape, s.dtype), state) == dict.fromkeys(a.init(), ((), jnp.float32))


def test_ada_follows_its_state():
    x, a = pictures(5, 16, 24, 3), AUGMENTATIONS["ada"]
    np.testing.assert_array_equal(applied("ada", x, a.init()), x)
    changed = [np.abs(applied("ada", x, a.init() | {"p": jnp.float32(p)}) - x).max(axis=(1, 2, 3)) > 0.01 for p in (0.05, 0.5)]
    assert changed[0].sum() < changed[1].sum() == 5
    np.testing.assert_array_equal(AUGMENTATIONS["none"].apply(x, KEY, {}), x)


def test_bad_settings():
    for settings in ({"target": 1.0}, {"target": -2.0}, {"images": 0}, {"every": 0}):
        with pytest.raises(InputError, match="ADA needs"):
            ada(**settings)
    with pytest.raises(InputError, match="1 to 4 channels, not 5"):
        ada_augment(jnp.zeros((1, 4, 4, 5)), KEY, 0.5)


def test_defaults_are_the_papers():
    a = AUGMENTATIONS["ada"]
    logits = jnp.where(jnp.arange(64) < 52, 1.0, -1.0)  # r = 0.625, just above 0.6
    last = play(a.update, a.init(), [logits] * 4)[-1]
    assert last["p"] == pytest.approx(4 * 64 / 500_000)
    assert last == pytest.approx(play(ada_update, a.init(), [logits] * 4)[-1])


def test_signs_of_half_precision_logits_are_averaged_in_full():
    a = ada(every=1)
    logits = jnp.where(jnp.arange(50) < 41, 1.0, -1.0).astype(jnp.bfloat16)
    assert a.update(a.init(), logits)["r"] == pytest.approx(0.64, abs=1e-6)  # 0.640625 in bfloat16


def test_a_schedule_of_ada():
    """Half a cosine from 0 to its end, whatever the logits are; the images are altered by the p of the state."""
    scheduled = scheduled_ada(0.6, 4)
    state, ps = scheduled.init(), []
    for sign in (1.0, -1.0, 1.0, -1.0, 1.0):
        state = scheduled.update(state, jnp.full(8, sign))
        ps.append(float(state["p"]))
    expected = [0.6 * (1 - np.cos(np.pi * t / 4)) / 2 for t in (1, 2, 3, 4, 4)]
    np.testing.assert_allclose(ps, expected, rtol=1e-5)
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 3))
    np.testing.assert_allclose(scheduled.apply(x, jax.random.key(1), scheduled.init()), x, atol=1e-5)
    np.testing.assert_array_equal(scheduled.apply(x, jax.random.key(1), state), ada_augment(x, jax.random.key(1), state["p"]))
    with pytest.raises(InputError, match="rises in 1 update or more"):
        scheduled_ada(0.5, 0)
