"""The truth of a drawn picture: every attribute that it shows, as a tuple of numbers and names.

The style of a truth holds the attributes that have no name; each is a number from -1 to 1.
"""

from typing import NamedTuple

HAIRS = ("black", "brown", "blond", "red", "grey")
SKINS = ("light", "tan", "brown", "dark")

BIRD_COLOURS = ("red", "orange", "yellow", "green", "blue", "pink", "brown", "black", "white", "grey")
BIRD_PARTS = ("breast", "crown", "wings")  # the coloured parts of a bird

PETAL_COLOURS = ("white", "yellow", "orange", "red", "pink", "purple", "blue")
STAMEN_COLOURS = ("yellow", "orange", "brown", "white", "purple")
COUNTS = (4, 5, 6, 7, 8, 9)  # numbers of petals
SMALL, LARGE = (0.50, 0.58), (0.72, 0.82)  # ranges of petal lengths, in halves of the picture's shorter side


class FaceStyle(NamedTuple):
    """The unnamed attributes of a face, each from -1 to 1."""

    x: float
    y: float
    scale: float
    roll: float
    width: float
    height: float
    jaw: float
    eye_size: float
    eye_gap: float
    eye_height: float
    brow: float
    nose: float
    mouth: float
    mouth_height: float
    volume: float
    fringe: float
    light: float
    warmth: float
    ground: float
    ground_light: float
    clothes: float
    clothes_light: float
    hat: float
    hat_colour: float
    iris: float
    frame: float
    frame_size: float
    layout: float


class Face(NamedTuple):
    """All attributes of a drawn face."""

    glasses: bool
    hat: bool
    beard: bool
    smile: bool
    male: bool
    long_hair: bool
    hair: str
    skin: str
    yaw: float  # degrees, positive towards the right of the picture
    style: FaceStyle
    eyes: int = 2
    mouths: int = 1
    noses: int = 1


class BirdStyle(NamedTuple):
    """The unnamed attributes of a bird, each from -1 to 1."""

    scale: float
    pitch: float
    plump: float
    head: float
    beak: float
    beak_colour: float
    tail: float
    tail_lift: float
    wing: float
    body: float
    light: float
    warmth: float
    ground: float
    ground_light: float
    branch: float
    leaf: float
    cloud_x: float
    cloud_y: float


class Bird(NamedTuple):
    """All attributes of a drawn bird."""

    large: bool
    breast: str
    crown: str
    wings: str
    right: bool  # faces the right side of the picture
    flying: bool  # in the sky with a raised wing, or else on a branch
    x: float  # the centre of the bird, -1 (left) to 1
    y: float  # -1 (top) to 1
    style: BirdStyle


class FlowerStyle(NamedTuple):
    """The unnamed attributes of a flower, each from -1 to 1."""

    width: float
    point: float
    notch: float
    disc: float
    ring: float
    dots: float
    cup: float
    light: float
    warmth: float
    ground: float
    ground_light: float
    leaf: float
    leaf_size: float
    bend: float
    blur_x: float
    blur_y: float
    blur_size: float


class Flower(NamedTuple):
    """All attributes of a drawn flower."""

    petals: str
    stamens: str
    petal_count: int
    petal_size: float  # length of a petal, in halves of the picture's shorter side
    rotation: float  # degrees clockwise from the right to a petal, below 360 / petal_count
    tilt: float  # degrees between the flower's axis and the line of sight
    tilt_direction: float  # degrees clockwise from the right, 0 to 360: where the flower faces
    x: float  # the centre of the flower, -1 (left) to 1
    y: float  # -1 (top) to 1
    style: FlowerStyle
