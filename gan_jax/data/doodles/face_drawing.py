"""Drawing a face: a head that turns, with features at different depths in front of it, which therefore shift with the pose."""

import math

import numpy as np

from gan_jax.data.doodles.canvas import Canvas, Colour, Real, arc, ellipse, lighter, mix, smooth, tinted
from gan_jax.data.doodles.drawn import pick
from gan_jax.data.doodles.face_hair import draw_back_hair, draw_beard, draw_front_hair, draw_hat
from gan_jax.data.doodles.face_head import Head
from gan_jax.data.doodles.truths import Face

_GROUNDS: list[Colour] = [(176, 208, 226), (246, 214, 196), (198, 222, 196), (226, 208, 232), (244, 226, 178), (190, 216, 214)]
_CLOTHES: list[Colour] = [(62, 92, 132), (44, 122, 118), (150, 62, 84), (222, 152, 62), (92, 82, 132), (236, 232, 224)]
_IRISES: list[Colour] = [(74, 52, 38), (62, 104, 140), (76, 116, 76), (96, 84, 78)]
_FRAMES: list[Colour] = [(34, 32, 40), (82, 36, 42), (36, 50, 92)]
_EYES: dict[int, list[list[tuple[float, float, float]]]] = {  # x, y, size
    0: [[]],
    1: [[(0, 0, 1.1)], [(-0.18, 0, 1)], [(0.18, 0, 1)]],
    2: [[(-0.18, 0, 1), (0.18, 0, 1)]],
    3: [[(-0.24, 0, 0.85), (0, 0, 0.85), (0.24, 0, 0.85)], [(-0.18, 0.03, 0.9), (0.18, 0.03, 0.9), (0, -0.11, 0.8)]],
    4: [
        [(-0.18, -0.1, 0.76), (0.18, -0.1, 0.76), (-0.19, 0.06, 0.76), (0.19, 0.06, 0.76)],
        [(-0.26, 0, 0.64), (-0.087, 0, 0.64), (0.087, 0, 0.64), (0.26, 0, 0.64)],
    ],
    5: [
        [(-0.23, -0.1, 0.7), (0, -0.1, 0.7), (0.23, -0.1, 0.7), (-0.18, 0.06, 0.7), (0.18, 0.06, 0.7)],
        [(-0.15, -0.1, 0.7), (0.15, -0.1, 0.7), (-0.24, 0.05, 0.7), (0, 0.03, 0.7), (0.24, 0.05, 0.7)],
    ],
}
_MOUTHS: dict[int, list[tuple[float, float, float]]] = {
    0: [],
    1: [(0, 0, 1)],
    2: [(-0.15, 0, 0.8), (0.15, 0, 0.8)],
    3: [(0, -0.075, 0.68), (-0.15, 0.085, 0.68), (0.15, 0.085, 0.68)],
}
_NOSES: dict[int, list[float]] = {0: [], 1: [0.0], 2: [-0.12, 0.12]}


def draw_face(face: Face, size: tuple[int, int]) -> np.ndarray:
    """The picture of a face, uint8 (h, w, 3) for `size` (h, w), a function of the arguments alone."""
    style, head = face.style, Head(face)
    ground = tinted(pick(_GROUNDS, style.ground), style.ground_light, style.light, 14)
    canvas = Canvas(size, lighter(ground, 0.45), lighter(ground, -0.1))
    x, y, scale = 0.05 * style.x, 0.06 + 0.04 * style.y, 1.16 * (1 + 0.05 * style.scale)
    if face.long_hair:
        canvas.view(x, y, scale)
        draw_back_hair(canvas, head)
    canvas.view(x, y, scale)
    _shoulders(canvas, head)
    canvas.view(x, y, scale, math.radians(4) * style.roll)
    _skull(canvas, head)
    if face.beard:
        draw_beard(canvas, head)
    _mouths(canvas, head)
    draw_front_hair(canvas, head)
    _brows(canvas, head)
    if face.glasses and face.eyes > 2:  # frames would hide the additional eyes
        _glasses(canvas, head)
    for place in pick(_EYES[face.eyes], style.layout):
        _eye(canvas, head, *place)
    _noses(canvas, head)
    if face.glasses and face.eyes <= 2:
        _glasses(canvas, head)
    if face.hat:
        draw_hat(canvas, head)
    return canvas.pixels()


def _shoulders(canvas: Canvas, head: Head) -> None:
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


def _skull(canvas: Canvas, head: Head) -> None:
    skin, shade = head.skin, lighter(head.skin, -0.16)
    for side in (-1, 1):
        seen = side * head.width * head.cos - 0.12 * head.sin
        ear = ellipse(seen, 0.05, 0.075, 0.11)
        canvas.fill(ear, lighter(skin, -0.1))
        canvas.fill(ellipse(seen, 0.05, 0.04, 0.065), lighter(skin, -0.24))
    canvas.dome(head.outline(), shade, lighter(skin, 0.1), -0.1 + 0.2 * head.sin, -0.05, steps=6, depth=0.62)
    for cheek in (-0.25, 0.25):
        canvas.glow(*head.at(cheek, 0.17), 0.1 * head.narrow(cheek), 0.075, (232, 96, 88), 0.14 if head.face.male else 0.3, 3)


def _eye(canvas: Canvas, head: Head, x: Real, y: Real, size: Real) -> None:
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


def _brows(canvas: Canvas, head: Head) -> None:
    male, style = head.face.male, head.style
    colour = lighter(head.hair, -0.22)
    for side in (-1, 1):
        y = head.eye_y - (0.145 if male else 0.175) - 0.01 * style.brow
        inner, middle, outer = (head.at(side * at, y + low, 0.36) for at, low in ((0.08, 0.02), (0.2, -0.022), (0.31, 0.025)))
        canvas.line(arc(inner, middle, outer), 0.062 if male else 0.03, colour)


def _noses(canvas: Canvas, head: Head) -> None:
    size = (1.25 if head.face.male else 1.1) * (1 + 0.1 * head.style.nose)
    dark, light = lighter(head.skin, -0.65), lighter(head.skin, 0.5)
    depth = 0.47 if head.face.noses == 1 else 0.38  # keeps the farther one of two on the face
    for x in _NOSES[head.face.noses]:
        tip, wing = head.at(x, 0.155, depth), 0.056 * size
        bridge = head.at(x, 0.0, depth - 0.08)
        shadow = [bridge, (tip[0] + wing, tip[1] - 0.01), (tip[0] + wing * 0.7, tip[1] + 0.035), (tip[0] - wing, tip[1] + 0.02)]
        canvas.fill(np.array(shadow), lighter(head.skin, -0.24))
        canvas.fill(ellipse(*tip, wing, 0.045 * size, count=18), lighter(head.skin, -0.05))
        canvas.line(arc((tip[0] - wing, tip[1] + 0.01), (tip[0], tip[1] + 0.06), (tip[0] + wing, tip[1] + 0.01)), 0.03, dark)
        canvas.glow(tip[0] - 0.012, tip[1] - 0.015, 0.034, 0.034, light, 0.8, 2)


def _mouths(canvas: Canvas, head: Head) -> None:
    face, style = head.face, head.style
    lips = mix(head.skin, (150, 58, 58), 0.55) if face.male else mix((206, 52, 84), head.skin, 0.15)
    for x, y, size in _MOUTHS[face.mouths]:
        px, py = head.at(x, head.mouth_y + y, 0.4 if face.mouths == 1 else 0.34)
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


def _glasses(canvas: Canvas, head: Head) -> None:
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
