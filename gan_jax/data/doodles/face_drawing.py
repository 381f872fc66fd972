"""How a face is drawn: a head that turns, with features in front of it at their own depths (so they shift with the pose)."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gan_jax.data.doodles.canvas import Canvas, Colour, Points, Real, arc, ellipse, lighter, mix, shifted, smooth, tinted
from gan_jax.data.doodles.drawn import pick

if TYPE_CHECKING:
    from gan_jax.data.doodles.faces import Face

HAIR: dict[str, Colour] = {
    "black": (40, 36, 44),
    "brown": (96, 58, 38),
    "blond": (236, 198, 112),
    "red": (196, 84, 40),
    "grey": (178, 178, 184),
}
SKIN: dict[str, Colour] = {"light": (250, 216, 194), "tan": (226, 172, 128), "brown": (172, 114, 78), "dark": (112, 72, 54)}
_GROUNDS: list[Colour] = [(176, 208, 226), (246, 214, 196), (198, 222, 196), (226, 208, 232), (244, 226, 178), (190, 216, 214)]
_CLOTHES: list[Colour] = [(62, 92, 132), (44, 122, 118), (150, 62, 84), (222, 152, 62), (92, 82, 132), (236, 232, 224)]
_HATS: list[Colour] = [(36, 134, 148), (62, 84, 158), (128, 76, 148), (52, 132, 88), (204, 62, 92)]
_IRISES: list[Colour] = [(74, 52, 38), (62, 104, 140), (76, 116, 76), (96, 84, 78)]
_FRAMES: list[Colour] = [(34, 32, 40), (82, 36, 42), (36, 50, 92)]
_EYES: dict[int, list[list[tuple[float, float, float]]]] = {  # x, y, size
    0: [[]],
    1: [[(0, 0, 1.1)], [(-0.18, 0, 1)], [(0.18, 0, 1)]],
    2: [[(-0.18, 0, 1), (0.18, 0, 1)]],
    3: [[(-0.24, 0, 0.85), (0, 0, 0.85), (0.24, 0, 0.85)], [(-0.18, 0.03, 0.9), (0.18, 0.03, 0.9), (0, -0.11, 0.8)]],
    4: [
        [(-0.18, -0.06, 0.8), (0.18, -0.06, 0.8), (-0.19, 0.11, 0.8), (0.19, 0.11, 0.8)],
        [(-0.28, 0, 0.68), (-0.095, 0, 0.68), (0.095, 0, 0.68), (0.28, 0, 0.68)],
    ],
    5: [
        [(-0.24, -0.06, 0.72), (0, -0.06, 0.72), (0.24, -0.06, 0.72), (-0.17, 0.11, 0.72), (0.17, 0.11, 0.72)],
        [(-0.18, -0.07, 0.72), (0.18, -0.07, 0.72), (-0.26, 0.1, 0.72), (0, 0.06, 0.72), (0.26, 0.1, 0.72)],
    ],
}
_MOUTHS: dict[int, list[tuple[float, float, float]]] = {
    0: [],
    1: [(0, 0, 1)],
    2: [(-0.14, 0, 0.72), (0.14, 0, 0.72)],
    3: [(0, -0.07, 0.6), (-0.14, 0.07, 0.6), (0.14, 0.07, 0.6)],
}
_NOSES: dict[int, list[float]] = {0: [], 1: [0.0], 2: [-0.1, 0.1]}


class FaceStyle(NamedTuple):
    """What differs between faces without a name, each from -1 to 1."""

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


class _Head:
    """Measures and colours of one face; the head's middle is (0, 0)."""

    def __init__(self, face: "Face") -> None:
        style = face.style
        self.face, self.style = face, style
        self.cos, self.sin = math.cos(math.radians(face.yaw)), math.sin(math.radians(face.yaw))
        self.width = (0.425 if face.male else 0.4) * (1 + 0.05 * style.width)
        self.height = 0.54 * (1 + 0.04 * style.height)
        self.skin = tinted(SKIN[face.skin], style.light, style.warmth)
        self.hair = tinted(HAIR[face.hair], style.warmth, style.light, 12)
        self.eye_y = -0.03 + 0.02 * style.eye_height
        self.mouth_y = 0.31 + 0.015 * style.mouth_height

    def at(self, x: Real, y: Real, depth: Real = 0.34) -> tuple[Real, Real]:
        """Where a point of the face is seen, `depth` in front of the axis about which the head turns."""
        return x * self.cos + depth * self.sin, y

    def narrow(self, x: Real) -> Real:
        """How much of its width a feature at x keeps after the turn."""
        angle = math.asin(max(-0.9, min(0.9, x / 0.42)))
        return min(1.1, max(0.45, math.cos(angle + math.asin(self.sin)) / math.cos(angle)))

    def outline(self, grow: Real = 1.0) -> Points:
        """The head, from its top clockwise; the jaw of a man is broader."""
        turn = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        y, x = -np.cos(turn), np.sin(turn)
        below = np.maximum(y, 0)
        if self.face.male:
            x = np.sign(x) * np.abs(x) ** (1 - 0.34 * below) * (1 - (0.15 - 0.04 * self.style.jaw) * below**1.5)
        else:
            x = x * (1 - (0.26 - 0.05 * self.style.jaw) * below**1.3)
        shift = self.sin * (0.12 * below - 0.06 * np.maximum(-y, 0))
        return np.stack([x * self.width * grow + shift, y * self.height * grow], axis=1)


def draw_face(face: "Face", size: tuple[int, int]) -> np.ndarray:
    """The face as a picture of `size` (h, w): (h, w, 3) uint8; a function of the arguments alone."""
    style, head = face.style, _Head(face)
    ground = tinted(pick(_GROUNDS, style.ground), style.ground_light, style.light, 14)
    canvas = Canvas(size, lighter(ground, 0.45), lighter(ground, -0.1))
    x, y, scale = 0.05 * style.x, 0.06 + 0.04 * style.y, 1.16 * (1 + 0.05 * style.scale)
    if face.long_hair:
        canvas.view(x, y, scale)
        _back_hair(canvas, head)
    canvas.view(x, y, scale)
    _shoulders(canvas, head)
    canvas.view(x, y, scale, math.radians(4) * style.roll)
    _skull(canvas, head)
    if face.beard:
        _beard(canvas, head)
    _noses(canvas, head)
    _mouths(canvas, head)
    _front_hair(canvas, head)
    _brows(canvas, head)
    if face.glasses and face.eyes > 2:  # frames would hide the eyes that are too many
        _glasses(canvas, head)
    for place in pick(_EYES[face.eyes], style.layout):
        _eye(canvas, head, *place)
    if face.glasses and face.eyes <= 2:
        _glasses(canvas, head)
    if face.hat:
        _hat(canvas, head)
    return canvas.pixels()


def _back_hair(canvas: Canvas, head: _Head) -> None:
    wide, shift = head.width * (1.24 + 0.07 * head.style.volume), -0.1 * head.sin
    half = [(0, -0.62), (0.72 * wide, -0.5), (wide, -0.1), (1.06 * wide, 0.4), (1.08 * wide, 0.74), (0.5 * wide, 0.8)]
    left = [(-x, y) for x, y in half[:0:-1]]
    shape = shifted(smooth(half + left), shift)
    canvas.dome(shape, lighter(head.hair, -0.3), lighter(head.hair, -0.12), shift, 0.1, steps=3)


def _shoulders(canvas: Canvas, head: _Head) -> None:
    male, style = head.face.male, head.style
    cloth = tinted(pick(_CLOTHES, style.clothes), style.clothes_light, style.warmth, 12)
    wide, neck = (0.84, 0.235) if male else (0.7, 0.17)
    dark = lighter(head.skin, -0.25)
    side = [(0.2, 0.56), (0.62 * wide, 0.66), (wide, 0.84), (1.08 * wide, 1.3)]
    body = smooth([*side, *[(-x, y) for x, y in side[::-1]]])
    canvas.dome(body, lighter(cloth, -0.12), lighter(cloth, 0.08), -0.1, 0.85, steps=4)
    low = 0.72 if male else 0.78
    canvas.fill(smooth([(neck, 0.3), (neck, 0.57), (0.0, low), (-neck, 0.57), (-neck, 0.3)]), head.skin)
    canvas.fill(smooth([(neck, 0.3), (neck, 0.5), (0.06, 0.62), (-neck, 0.5), (-neck, 0.3)]), dark)


def _skull(canvas: Canvas, head: _Head) -> None:
    skin, shade = head.skin, lighter(head.skin, -0.16)
    for side in (-1, 1):
        seen = side * head.width * head.cos - 0.12 * head.sin
        ear = ellipse(seen, 0.05, 0.075, 0.11)
        canvas.fill(ear, lighter(skin, -0.1))
        canvas.fill(ellipse(seen, 0.05, 0.04, 0.065), lighter(skin, -0.24))
    canvas.dome(head.outline(), shade, lighter(skin, 0.1), -0.1 + 0.2 * head.sin, -0.05, steps=6, depth=0.62)
    for side in (-0.25, 0.25):
        canvas.glow(*head.at(side, 0.17), 0.1 * head.narrow(side), 0.075, (232, 96, 88), 0.14 if head.face.male else 0.3, 3)


def _eye(canvas: Canvas, head: _Head, x: Real, y: Real, size: Real) -> None:
    style, male = head.style, head.face.male
    x *= 1 + 0.06 * style.eye_gap
    px, py = head.at(x, head.eye_y + y)
    big = size * (1 + 0.07 * style.eye_size) * (0.92 if male else 1.06)
    wide, high = 0.108 * big * head.narrow(x), 0.078 * big
    canvas.fill(ellipse(px, py, wide * 1.12, high * 1.14), lighter(head.skin, -0.3))
    canvas.fill(ellipse(px, py, wide, high), (252, 252, 250))
    look = px + 0.025 * head.sin
    canvas.fill(ellipse(look, py, 0.068 * big * min(1.0, head.narrow(x)), 0.072 * big, count=20), pick(_IRISES, style.iris))
    canvas.fill(ellipse(look, py, 0.036 * big, 0.042 * big, count=14), (22, 18, 26))
    canvas.fill(ellipse(look - 0.026 * big, py - 0.03 * big, 0.019 * big, 0.021 * big, count=10), (255, 255, 255))
    lid = arc((px - wide * 1.15, py), (px, py - high * 1.12), (px + wide * 1.15, py))
    canvas.line(lid, (0.022 if male else 0.046) * size, (40, 28, 34))
    if not male:
        out = math.copysign(1.0, x) if x else 1.0
        for reach in (1.0, 0.7):
            start = (px + out * wide * reach, py - high * (1.15 - reach * 0.95))
            end = (start[0] + out * 0.055 * size, start[1] - 0.06 * size)
            canvas.line(np.array([start, end]), 0.034 * size, (40, 28, 34))


def _brows(canvas: Canvas, head: _Head) -> None:
    male, style = head.face.male, head.style
    colour = lighter(head.hair, -0.22)
    for side in (-1, 1):
        y = head.eye_y - (0.145 if male else 0.175) - 0.01 * style.brow
        inner, middle, outer = (head.at(side * at, y + low, 0.36) for at, low in ((0.08, 0.02), (0.2, -0.022), (0.31, 0.025)))
        canvas.line(arc(inner, middle, outer), 0.062 if male else 0.03, colour)


def _noses(canvas: Canvas, head: _Head) -> None:
    size = (1.1 if head.face.male else 0.92) * (1 + 0.1 * head.style.nose)
    dark, light = lighter(head.skin, -0.32), lighter(head.skin, 0.35)
    for x in _NOSES[head.face.noses]:
        tip, wing = head.at(x, 0.155, 0.47), 0.058 * size
        bridge = head.at(x, -0.02, 0.39)
        shadow = [bridge, (tip[0] + wing, tip[1] - 0.01), (tip[0] + wing * 0.7, tip[1] + 0.035), (tip[0] - wing, tip[1] + 0.02)]
        canvas.fill(np.array(shadow), lighter(head.skin, -0.14))
        canvas.fill(ellipse(*tip, wing, 0.045 * size, count=18), lighter(head.skin, -0.05))
        canvas.line(arc((tip[0] - wing, tip[1] + 0.01), (tip[0], tip[1] + 0.06), (tip[0] + wing, tip[1] + 0.01)), 0.03, dark)
        canvas.glow(tip[0] - 0.012, tip[1] - 0.015, 0.028, 0.028, light, 0.7, 2)


def _mouths(canvas: Canvas, head: _Head) -> None:
    face, style = head.face, head.style
    lips = mix(head.skin, (150, 58, 58), 0.55) if face.male else mix((206, 52, 84), head.skin, 0.15)
    for x, y, size in _MOUTHS[face.mouths]:
        px, py = head.at(x, head.mouth_y + y, 0.4)
        wide = (0.15 + 0.012 * style.mouth) * size * max(0.7, head.narrow(x))
        thick = 0.03 if face.male else 0.052
        if face.smile:
            corner, low = py - 0.035 * size, py + 0.095 * size
            bow = arc((px - wide, corner), (px, py + 0.01 * size), (px + wide, corner))
            open_mouth = np.concatenate([bow, arc((px + wide, corner), (px, low), (px - wide, corner))])
            canvas.fill(open_mouth, (122, 34, 46))
            teeth = arc((px + wide * 0.85, corner + 0.01), (px, py + 0.058 * size), (px - wide * 0.85, corner + 0.01))
            canvas.fill(np.concatenate([bow, teeth]), (255, 253, 248))
            canvas.line(arc((px - wide, corner), (px, low), (px + wide, corner)), thick * size, lips, ends=0.2)
            canvas.line(bow, thick * 0.7 * size, lips, ends=0.3)
        else:
            wide *= 0.78
            middle = arc((px - wide, py + 0.012), (px, py - 0.004), (px + wide, py + 0.012))
            canvas.fill(ellipse(px, py + 0.012 * size, wide * 0.8, thick * size, count=16), lips)
            canvas.line(middle, 0.026 * size, lighter(lips, -0.5))


def _beard(canvas: Canvas, head: _Head) -> None:
    jaw = head.outline(1.045)[9:32]  # from ear to ear by the chin
    inner = [(-0.34, 0.05), (-0.27, 0.2), (-0.13, 0.225), (0, 0.2), (0.13, 0.225), (0.27, 0.2), (0.34, 0.05)]
    edge = np.array([head.at(x, y, 0.3) for x, y in inner])
    edge[:, 0] = np.clip(edge[:, 0], jaw[:, 0].min() + 0.02, jaw[:, 0].max() - 0.02)
    canvas.fill(np.concatenate([jaw, edge]), lighter(head.hair, -0.08))
    canvas.fill(ellipse(*head.at(0, 0.5, 0.3), 0.16, 0.07), lighter(head.hair, 0.08), 0.5)


def _front_hair(canvas: Canvas, head: _Head) -> None:
    style, male = head.style, head.face.male
    grow = 1.1 + 0.03 * style.volume + (0.0 if male else 0.03)
    skull = shifted(head.outline(grow), -0.05 * head.sin, -0.02)
    over = np.concatenate([skull[29:], skull[:12]])  # from ear to ear over the top
    drop = 0.03 * style.fringe
    if male:
        line = [(0.35, 0.0), (0.31, -0.2), (0.17, -0.29 + drop), (-0.08, -0.32 - drop), (-0.3, -0.22), (-0.35, 0.0)]
    else:
        part = 0.16 if style.fringe > 0 else -0.16
        line = [
            (0.365, 0.04),
            (0.33, -0.16),
            (part + 0.1, -0.25),
            (part, -0.36),
            (part - 0.1, -0.25),
            (-0.33, -0.16),
            (-0.365, 0.04),
        ]
    inner = np.array([head.at(x, y, 0.22) for x, y in line])
    edge = smooth(np.concatenate([inner, [[0, -0.9]]]), 4)[: 4 * (len(line) - 1) + 1]
    canvas.fill(np.concatenate([over, edge]), head.hair)
    if head.face.long_hair:
        for side in (-1, 1):
            root = side * head.width * 1.04 - 0.05 * head.sin
            lock = [(root, -0.3), (root + side * 0.07, 0.1), (root + side * 0.07, 0.62), (root - side * 0.06, 0.7)]
            lock += [(root - side * 0.03, 0.3), (root - side * 0.07, -0.02)]
            canvas.fill(smooth(lock, 4), lighter(head.hair, -0.05))
    shine = shifted(arc((-0.27, -0.4), (-0.12, -0.53), (0.1, -0.55)), 0.15 * head.sin)
    canvas.line(shine, 0.05, lighter(head.hair, 0.5), 0.45, 0.1)


def _glasses(canvas: Canvas, head: _Head) -> None:
    style = head.style
    colour, size = pick(_FRAMES, style.frame), 1 + 0.06 * style.frame_size
    for side in (-1, 1):
        x, y = head.at(side * 0.19, head.eye_y, 0.4)
        wide, high = 0.155 * size * min(1.0, head.narrow(side * 0.19)), 0.132 * size
        hinge, ear = x + side * wide, side * head.width * head.cos - 0.12 * head.sin
        if side * (ear - hinge) > 0:
            canvas.line(np.array([(hinge, y - 0.03), (ear, y - 0.02)]), 0.034, colour, ends=1)
        lens = ellipse(x, y, wide, high)
        canvas.fill(lens, (214, 236, 250), 0.22)
        canvas.fill(
            np.concatenate([lens, lens[:1], ellipse(x, y, wide - 0.034, high - 0.034)[[0, *range(27, -1, -1)]]]), colour
        )
    inner = [head.at(side * 0.055, head.eye_y - 0.02, 0.44) for side in (-1, 1)]
    canvas.line(arc(inner[0], head.at(0, head.eye_y - 0.05, 0.46), inner[1]), 0.036, colour, ends=1)


def _hat(canvas: Canvas, head: _Head) -> None:
    style, wide = head.style, head.width * 1.14
    colour = tinted(pick(_HATS, style.hat_colour), style.warmth, style.light, 12)
    lean = -0.04 * head.sin
    top = [
        (wide, -0.3),
        (0.96 * wide, -0.58),
        (0.55 * wide, -0.79),
        (-0.55 * wide, -0.79),
        (-0.96 * wide, -0.58),
        (-wide, -0.3),
    ]
    if style.hat > 0:
        canvas.dome(shifted(smooth(top), lean), lighter(colour, -0.18), lighter(colour, 0.12), lean - 0.12, -0.55, steps=4)
        band = [(wide * 1.06, -0.36), (wide * 1.06, -0.25), (0, -0.3), (-wide * 1.06, -0.25), (-wide * 1.06, -0.36), (0, -0.47)]
        canvas.fill(shifted(smooth(band), lean), lighter(colour, -0.3))
        canvas.glow(lean, -0.84, 0.1, 0.1, lighter(colour, 0.5), 0.97, 3)
    else:
        crown = [(0.86 * wide, -0.34), (0.78 * wide, -0.72), (0.3 * wide, -0.82), (0, -0.77), (-0.3 * wide, -0.82)]
        crown += [(-0.78 * wide, -0.72), (-0.86 * wide, -0.34)]
        canvas.dome(shifted(smooth(crown), lean), lighter(colour, -0.16), lighter(colour, 0.14), lean - 0.1, -0.58, steps=4)
        ribbon = [(0.86 * wide, -0.38), (0.85 * wide, -0.5), (-0.85 * wide, -0.5), (-0.86 * wide, -0.38)]
        canvas.fill(shifted(np.array(ribbon), lean), lighter(colour, -0.5))
        canvas.fill(ellipse(lean + 0.06 * head.sin, -0.34, wide * 1.42, 0.095), lighter(colour, -0.12))
        canvas.fill(ellipse(lean + 0.06 * head.sin, -0.355, wide * 1.3, 0.06), lighter(colour, 0.06))
