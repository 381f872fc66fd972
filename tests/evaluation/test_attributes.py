"""Attributes by name: how they are asked for, who reads them, which pictures have them."""

import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.evaluation import attributes
from gan_jax.evaluation.attributes import AttributeReader, Reading, Wanted, parse_wanted
from gan_jax.evaluation.judge import Judge
from gan_jax.evaluation.readers import READERS, Reader
from gan_jax.evaluation.seen import Seen


def reading(values, confidence=None) -> Reading:
    values = np.array(values)
    return Reading(values, np.ones(len(values)) if confidence is None else np.array(confidence))


READINGS = {
    "glasses": reading([True, True, False, True], [0.9, 0.99, 0.9, 0.6]),
    "male": reading([False, True, False, False], [0.5, 0.9, 0.9, 0.9]),
    "hair": reading(["red", "grey", "red", "red"]),
    "eyes": reading([2, 2, 3, 2]),
}


def test_conditions_are_parsed():
    assert parse_wanted("glasses, !male,hair=blond") == (
        Wanted("glasses"),
        Wanted("male", negated=True),
        Wanted("hair", "blond"),
    )
    assert [str(each) for each in parse_wanted("!hair=red,glasses")] == ["!hair=red", "glasses"]
    for wrong in ("a,,b", "!", "=red"):
        with pytest.raises(InputError, match="name attributes as in"):
            parse_wanted(wrong)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("glasses,!male", [3, 0]),  # 0.54 before 0.45
        ("glasses", [1, 0]),  # two of three
        ("hair=red,eyes=2", [0, 3]),
        ("!hair=red,eyes=2", [1]),
        ("!glasses,male", []),
    ],
)
def test_the_most_confident_come_first(text, chosen):
    assert attributes.most_confident(parse_wanted(text), READINGS, 2).tolist() == chosen


def test_a_value_must_be_said():
    with pytest.raises(InputError, match="hair is no yes or no: say which value, as in hair=grey and 1 more"):
        attributes.all_hold(parse_wanted("hair"), READINGS)


def test_values_that_no_picture_can_have():
    assert attributes.all_hold(parse_wanted("glasses=false"), READINGS).tolist() == [False, False, True, False]
    with pytest.raises(InputError, match="glasses is a yes or no: ask for glasses or !glasses, not !glasses=yes"):
        attributes.all_hold(parse_wanted("!glasses=yes"), READINGS)
    for word in ("yaw", "yaw=0.5"):
        with pytest.raises(InputError, match="yaw is measured, -20 to 31: no two pictures have it alike"):
            attributes.all_hold(parse_wanted(word), {"yaw": reading([0.5, -20.0, 31.0])})
    assert attributes.values_of(parse_wanted("male,hair=blond,!hair=grey"), READINGS) == ["hair=grey", "hair=red"]


def test_what_nothing_reads_is_told_with_what_can_be():
    reader = AttributeReader("the reader of faces", ("glasses", "male"), lambda images: {})
    assert reader.understood(parse_wanted("male,!glasses")) == parse_wanted("male,!glasses")
    with pytest.raises(InputError, match="nothing reads 'wings' .* the reader of faces reads glasses, male"):
        reader.understood(parse_wanted("male,wings"))


def test_names_of_classes():
    reader = AttributeReader("it", ("class",), lambda images: {}, ("cat", "7"))
    assert reader.understood(parse_wanted("cat,!class=7")) == (Wanted("class", "cat"), Wanted("class", "7", True))
    with pytest.raises(InputError, match="no class 'dog': there are cat, 7"):
        reader.understood(parse_wanted("class=dog"))
    with pytest.raises(InputError, match="nothing reads 'dog' .* it reads class=cat, class=7. Files"):
        reader.understood(parse_wanted("dog"))


def judge(logits, names, exclusive) -> Judge:
    seen = Seen(np.zeros((len(logits), 1), np.float32), np.array(logits, np.float32))
    return Judge(lambda images: seen, names, exclusive, 0.9, "", lambda params, images: (images, images), {})


def test_what_a_classifier_reads():
    images = np.zeros((2, 4, 4, 1), np.uint8)
    classes = attributes.of_judge(judge([[0, np.log(6), 0], [np.log(3), 0, -20]], ("a", "b", "c"), True)).read(images)["class"]
    assert classes.values.tolist() == ["b", "a"]
    np.testing.assert_allclose(classes.confidence, [0.75, 0.75], rtol=1e-6)
    switches = attributes.of_judge(judge([[np.log(3), -np.log(4)]], ("hat", "male"), False)).read(images[:1])
    assert (switches["hat"].values.tolist(), switches["male"].values.tolist()) == ([True], [False])
    np.testing.assert_allclose([switches[name].confidence[0] for name in ("hat", "male")], [0.75, 0.8], rtol=1e-6)


def test_known_truth(monkeypatch):
    monkeypatch.setitem(
        READERS, "drawn", Reader(("red", "n"), lambda size: lambda x: {"red": x > 1, "n": x, "n_confidence": x / 4})
    )
    found = attributes.of_known_truth("drawn", (4, 4)).read(np.array([1, 2]))
    assert found["red"].values.tolist() == [False, True]
    assert found["red"].confidence.tolist() == [1, 1]
    assert found["n"].confidence.tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("a", "b", "c", "wanted"),
    [
        ("glasses,male", "!glasses,male", "!glasses,!male", "glasses,!male"),
        ("glasses,male", "male", "!male", "glasses,!male"),
        ("hat", "!hat", "smile", "hat,smile"),
    ],
)
def test_what_arithmetic_should_show(a, b, c, wanted):
    found = attributes.transferred(*map(parse_wanted, (a, b, c)))
    assert set(found) == set(parse_wanted(wanted))


def test_valid_pictures_have_right_counts_and_sure_readings():
    reader = AttributeReader("", ("glasses", "eyes"), lambda images: READINGS, counts={"eyes": 2})
    readings = {name: READINGS[name] for name in ("glasses", "eyes")}
    np.testing.assert_array_equal(reader.valid(readings), [True, True, False, False])  # three eyes; glasses read at 0.6
    assert AttributeReader("", (), lambda images: {}).valid(readings) is None


def test_the_reader_of_faces_knows_what_a_face_must_show(monkeypatch):
    monkeypatch.setitem(READERS, "doodle_faces", READERS["doodle_faces"]._replace(open=lambda size: lambda images: {}))
    assert attributes.of_known_truth("doodle_faces", (64, 64)).counts == {"eyes": 2, "mouths": 1, "noses": 1}
    assert not READERS["doodle_birds"].counts
