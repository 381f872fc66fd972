"""Drawn pictures show what their truths say, in every size, and are functions of the seed and the number alone."""

import numpy as np
import pytest
from scipy import ndimage

from gan_jax.data.doodles import KINDS, birds, doodle_birds, doodle_faces, doodle_flowers, faces, flowers
from gan_jax.data.doodles.bird_drawing import COLOURS, draw_bird
from gan_jax.data.doodles.drawn import generator_of, truth_of
from gan_jax.data.doodles.face_drawing import draw_face
from gan_jax.data.doodles.face_head import HAIR, SKIN
from gan_jax.data.doodles.flower_drawing import PETALS, STAMENS, draw_flower
from gan_jax.data.doodles.truths import BIRD_COLOURS, BIRD_PARTS, COUNTS, HAIRS, PETAL_COLOURS, SKINS, STAMEN_COLOURS
from gan_jax.errors import InputError

SOURCES = {"faces": doodle_faces, "birds": doodle_birds, "flowers": doodle_flowers}
PARSERS = {"faces": faces.parse_caption, "birds": birds.parse_caption, "flowers": flowers.parse_caption}
every_kind = pytest.mark.parametrize("kind", KINDS)


def truths(kind, n, split="train"):
    return [truth_of(KINDS[kind], 0, split, i) for i in range(n)]


def changed(a, b, by=24):
    """Which pixels of two pictures differ by more than `by` levels."""
    return np.abs(a.astype(int) - b.astype(int)).max(axis=-1) > by


@every_kind
def test_a_picture_is_a_function_of_seed_split_and_number(kind):
    def pictures(order, split="train", **options):
        source = SOURCES[kind](n=9, held_out=9, size=(32, 32), **options)
        return {i: source.splits[split].read(i) for i in order}

    one, other_order = pictures(range(9)), pictures([8, 3, 0])
    for i in other_order:
        np.testing.assert_array_equal(one[i].image, other_order[i].image)
        assert one[i][1:] == other_order[i][1:]
    elsewhere = pictures(range(9), seed=1), pictures(range(9), split="held_out")
    images = [example.image.tobytes() for examples in (one, *elsewhere) for example in examples.values()]
    assert len(set(images)) == 27


@every_kind
def test_a_source_names_what_it_gives(kind):
    source = SOURCES[kind](n=5, held_out=2)
    assert {name: split.size for name, split in source.splits.items()} == {"train": 5, "held_out": 2}
    example = source.splits["train"].read(4)
    assert example.image.shape == (64, 64, 3)
    assert len(example.attributes) == len(source.attribute_names) == len(set(source.attribute_names))
    assert example.captions
    assert source.captioned
    with pytest.raises(IndexError, match="no picture 5"):
        source.splits["train"].read(5)
    assert set(SOURCES[kind](n=5, held_out=0).splits) == {"train"}


@pytest.mark.parametrize(
    ("drawn", "named"),
    [(HAIR, HAIRS), (SKIN, SKINS), (COLOURS, BIRD_COLOURS), (PETALS, PETAL_COLOURS), (STAMENS, STAMEN_COLOURS)],
)
def test_every_named_colour_can_be_drawn(drawn, named):
    assert tuple(drawn) == named


@every_kind
def test_identity_tells_sources_apart(kind):
    options = [{}, {"seed": 1}, {"n": 7}, {"held_out": 3}, {"size": (32, 64)}]
    assert len({SOURCES[kind](**each).identity for each in options}) == len(options)


@every_kind
@pytest.mark.parametrize("options", [{"n": 0}, {"held_out": -1}, {"seed": -1}, {"size": (8, 64)}])
def test_impossible_numbers(kind, options):
    with pytest.raises(InputError, match=f"doodle_{kind}"):
        SOURCES[kind](**options)


@every_kind
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (128, 128), (64, 96), (96, 64), (50, 70)])
def test_every_size(kind, size):
    image = KINDS[kind].draw(truths(kind, 1)[0], size)
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8
    assert image.std() > 20


@every_kind
def test_sizes_show_the_same_undistorted(kind):
    for truth in truths(kind, 5):
        small, large, wide = (KINDS[kind].draw(truth, size).astype(float) for size in ((64, 64), (128, 128), (64, 96)))
        halved = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        assert np.abs(small - halved).mean() < 4
        assert np.abs(small - wide[:, 16:80]).mean() < 4
        stretched = wide.reshape(64, 32, 3, 3).mean(axis=2).repeat(2, axis=1)
        assert np.abs(small - stretched).mean() > 6


@every_kind
def test_edges_are_smooth(kind):
    """At the boundary of two flat colours an anti-aliased picture has levels between them."""
    image = KINDS[kind].draw(truths(kind, 1)[0], (128, 128)).astype(int)
    steps = np.abs(np.diff(image, axis=1)).max(axis=-1)
    assert np.mean((steps > 8) & (steps < 60)) > 2 * np.mean(steps > 120)


@every_kind
def test_the_style_alone_changes_the_picture(kind):
    """No two drawings are equal, though all that has a name is: every number of the style shows."""
    shown = {"faces": {"glasses": True, "hat": True, "eyes": 3}, "birds": {"flying": False}, "flowers": {"petal_count": 8}}
    truth = truths(kind, 1)[0]._replace(**shown[kind])
    for field in truth.style._fields:
        low, high = (truth._replace(style=truth.style._replace(**{field: end})) for end in (-1.0, 1.0))
        assert np.any(KINDS[kind].draw(low, (64, 64)) != KINDS[kind].draw(high, (64, 64))), field


@every_kind
def test_one_hot_attributes_and_numbers_are_the_truth(kind):
    for truth in truths(kind, 50):
        values = KINDS[kind].attributes(truth)
        for name, value in truth._asdict().items():
            if name == "style":
                continue
            if isinstance(value, str):
                chosen = {key: on for key, on in values.items() if key.startswith(f"{name}_") and key.split("_")[1] != "count"}
                chosen = {key: on for key, on in chosen.items() if key not in truth._fields}
                assert [key for key, on in chosen.items() if on == 1] == [f"{name}_{value}"]
                assert sum(chosen.values()) == 1
            else:
                assert values[name] == pytest.approx(float(value))


@every_kind
def test_captions_round_trip(kind):
    longest = {"faces": 3, "birds": 4, "flowers": 4}[kind]
    for truth in truths(kind, 2000):
        captions = KINDS[kind].captions(truth)
        assert 2 <= len(set(captions)) <= 4 or kind == "faces"
        said = [PARSERS[kind](caption) for caption in captions]
        for words in said:
            assert words == {name: told(truth, name) for name in words}
        assert max(len(words) for words in said) >= longest


def told(truth, name):
    if name != "size":
        return getattr(truth, name)
    large = truth.large if hasattr(truth, "large") else truth.petal_size > 0.6
    return "large" if large else "small"


def test_captions_as_in_the_talk():
    bird = truths("birds", 1)[0]._replace(large=False, breast="pink", crown="pink", wings="black")
    assert birds.caption_bird(bird)[0] == "a small bird with a pink breast and crown and black wings"
    flower = truths("flowers", 1)[0]._replace(petals="white", stamens="yellow")
    assert flowers.caption_flower(flower)[0] == "white petals and yellow stamens"
    assert flowers.parse_caption("a flower with petals") == {}
    assert birds.parse_caption("an orange bird") == {}


def test_everything_occurs_and_beards_are_mens():
    drawn = {kind: truths(kind, 1500) for kind in KINDS}
    assert {(face.male, face.beard) for face in drawn["faces"]} == {(True, True), (True, False), (False, False)}
    assert {(face.eyes, face.noses, face.mouths) for face in drawn["faces"]} == {(2, 1, 1)}
    for kind, switches in (("faces", ("glasses", "hat", "smile", "long_hair")), ("birds", ("large", "right", "flying"))):
        for name in switches:
            assert {getattr(truth, name) for truth in drawn[kind]} == {False, True}, name
    assert {face.hair for face in drawn["faces"]} == set(HAIRS)
    assert {face.skin for face in drawn["faces"]} == set(SKINS)
    assert {flower.petal_count for flower in drawn["flowers"]} == set(COUNTS)
    assert all(flower.petals != flower.stamens for flower in drawn["flowers"])
    assert all(0 <= flower.rotation < 360 / flower.petal_count for flower in drawn["flowers"])
    for part in BIRD_PARTS:
        assert {getattr(bird, part) for bird in drawn["birds"]} == set(BIRD_COLOURS)
    yaws = np.array([face.yaw for face in drawn["faces"]])
    assert yaws.min() == pytest.approx(-30, abs=0.5)
    assert yaws.max() == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize("name", ["glasses", "hat", "beard", "smile", "male", "long_hair"])
def test_every_switch_of_a_face_shows_at_32_pixels(name):
    for face in truths("faces", 10):
        bare = face._replace(beard=False) if name == "male" else face
        off, on = (draw_face(bare._replace(**{name: value}), (32, 32)) for value in (False, True))
        assert changed(off, on).sum() >= 4, name


def test_glasses_change_the_eyes_only():
    for face in truths("faces", 20):
        off, on = (draw_face(face._replace(glasses=value), (128, 128)) for value in (False, True))
        rows = np.flatnonzero(changed(off, on, 6).any(axis=1))
        assert rows.size > 15
        assert rows.min() > 40
        assert rows.max() < 92


def test_the_head_turns():
    """The middle of the glasses moves to the right with the yaw, by the parallax of what stands in front of the axis."""
    for face in truths("faces", 10):
        places = []
        for yaw in (-30, -15, 0, 15, 30):
            off, on = (draw_face(face._replace(yaw=yaw, glasses=value), (128, 128)) for value in (False, True))
            places.append(ndimage.center_of_mass(changed(off, on))[1])
        assert np.all(np.diff(places) > 3)


@pytest.mark.parametrize("eyes", range(6))
@pytest.mark.parametrize("layout", [-0.9, 0.0, 0.9])
def test_the_number_of_eyes(eyes, layout):
    """Pupils are the only spots so dark on a bald-shaven red-haired man."""
    for face in truths("faces", 3):
        plain = face._replace(male=True, beard=False, glasses=False, hat=False, hair="red", skin="light", yaw=0.0, eyes=eyes)
        image = draw_face(plain._replace(style=face.style._replace(layout=layout)), (256, 256))
        spots, count = ndimage.label(image.max(axis=-1) < 32)
        large = [area for area in np.bincount(spots.ravel())[1:] if area > 8]
        assert len(large) == eyes, count


@pytest.mark.parametrize(("name", "most"), [("mouths", 3), ("noses", 2)])
def test_the_number_of_mouths_and_noses(name, most):
    for face in truths("faces", 5):
        none = draw_face(face._replace(**{name: 0}, yaw=0.0, beard=False), (256, 256))
        for count in range(1, most + 1):
            image = draw_face(face._replace(**{name: count}, yaw=0.0, beard=False), (256, 256))
            assert ndimage.label(changed(none, image, 12))[1] >= count
            spots, _ = ndimage.label(ndimage.binary_dilation(changed(none, image, 12), iterations=3))
            assert spots.max() == count


def test_miscounted_faces_have_every_number():
    wrong = [faces.miscounted_face(face, generator_of(0, "train", i)) for i, face in enumerate(truths("faces", 300))]
    for name, numbers in (("eyes", range(6)), ("mouths", range(4)), ("noses", range(3))):
        assert {getattr(face, name) for face in wrong} == set(numbers)


def test_petals_have_the_named_colour_and_place():
    """A patch of a petal of a flower seen from above is nearest to the named colour."""
    palette, right = np.array(list(PETALS.values())), 0
    for flower in truths("flowers", 100):
        image = draw_flower(flower._replace(tilt=0.0), (128, 128)).astype(float)
        angle, reach = np.radians(flower.rotation), 0.5 * flower.petal_size
        column, row = (
            round(64 + 64 * (at + reach * turn)) for at, turn in ((flower.x, np.cos(angle)), (flower.y, np.sin(angle)))
        )
        patch = image[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3).mean(axis=0)
        right += PETAL_COLOURS[np.abs(palette - patch).sum(axis=1).argmin()] == flower.petals
    assert right >= 95


def test_a_flower_turned_by_a_petal_is_the_same():
    for flower in truths("flowers", 10):
        first, period = flower._replace(tilt=0.0, rotation=0.0), 360 / flower.petal_count
        still, whole, half = (draw_flower(first._replace(rotation=at), (64, 64)) for at in (0.0, period, period / 2))
        assert changed(still, whole).sum() < 0.2 * changed(still, half).sum()


def test_a_tilt_shortens_a_flower():
    flower = truths("flowers", 1)[0]._replace(petal_count=8, tilt_direction=0.0, x=0.0, y=0.0, petals="red", stamens="white")
    for size in (0.5, 0.8):
        flower = flower._replace(petal_size=size)
        widths = []
        for tilt in (0.0, 40.0):
            image = draw_flower(flower._replace(tilt=tilt), (128, 128)).astype(int)
            widths.append(np.ptp(np.flatnonzero((image[..., 0] - image[..., 1] > 60).any(axis=0))))
        assert widths[1] < 0.92 * widths[0]
        assert widths[0] == pytest.approx(2 * 64 * size, rel=0.12)


def test_a_bird_that_faces_the_other_way_is_mirrored():
    for bird in truths("birds", 10):
        masks = []
        for right in (False, True):
            red, blue = (draw_bird(bird._replace(x=0.0, right=right, wings=wings), (64, 64)) for wings in ("red", "blue"))
            masks.append(changed(red, blue))
        left, right = masks
        assert (left[:, ::-1] & right).sum() > 0.8 * (left[:, ::-1] | right).sum()
        assert (left & right).sum() < 0.7 * (left | right).sum()


def test_large_birds_are_larger():
    for bird in truths("birds", 10):
        areas = []
        for large in (False, True):
            bird = bird._replace(large=large, x=0.0, y=0.0)
            others = [draw_bird(bird._replace(breast=a, wings=a, crown=a), (64, 64)) for a in ("red", "blue")]
            areas.append(changed(*others).sum())
        assert areas[1] > 1.5 * areas[0]


@pytest.mark.parametrize("part", BIRD_PARTS)
def test_every_part_of_a_bird_has_its_colour(part):
    """What changes with the name of a part has the colour of that name, in most of its pixels."""
    palette = np.array(list(COLOURS.values()))
    for bird in truths("birds", 20):
        other = "green" if getattr(bird, part) != "green" else "pink"
        image, changed_image = (draw_bird(bird._replace(**{part: name}), (64, 64)) for name in (getattr(bird, part), other))
        seen = image[changed(image, changed_image, 60)].astype(int)
        nearest = np.abs(seen[:, None] - palette).sum(axis=-1).argmin(axis=1)
        assert np.mean(nearest == BIRD_COLOURS.index(getattr(bird, part))) > 0.5
        assert len(seen) > 15
