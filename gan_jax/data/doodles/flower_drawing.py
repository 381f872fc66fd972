"""Drawing a flower: petals and stamens in one plane, which is turned, tilted and moved."""

import math
from functools import lru_cache

import numpy as np

from gan_jax.data.doodles.canvas import Canvas, Colour, Points, Real, arc, ellipse, lighter, mix, smooth, tinted
from gan_jax.data.doodles.drawn import pick
from gan_jax.data.doodles.truths import Flower, FlowerStyle

PETALS: dict[str, Colour] = {
    "white": (250, 247, 240),
    "yellow": (252, 216, 62),
    "orange": (244, 138, 44),
    "red": (214, 44, 52),
    "pink": (246, 150, 184),
    "purple": (136, 76, 178),
    "blue": (76, 126, 220),
}
STAMENS: dict[str, Colour] = {
    "yellow": (252, 206, 44),
    "orange": (238, 124, 30),
    "brown": (108, 64, 36),
    "white": (250, 246, 234),
    "purple": (110, 52, 152),
}
_GROUNDS: list[tuple[Colour, Colour]] = [
    ((196, 222, 206), (108, 160, 122)),
    ((206, 226, 232), (134, 178, 146)),
    ((70, 110, 92), (38, 72, 62)),
    ((150, 186, 130), (82, 130, 84)),
    ((88, 124, 128), (44, 80, 78)),
]
_LEAVES: list[Colour] = [(74, 142, 76), (58, 120, 84), (106, 156, 66)]


class _Plane:
    """The projection of the flower's plane."""

    def __init__(self, flower: Flower) -> None:
        direction, tilt = math.radians(flower.tilt_direction), math.radians(flower.tilt)
        axis = np.array([math.cos(direction), math.sin(direction)])
        self.matrix = np.eye(2) - (1 - math.cos(tilt)) * np.outer(axis, axis)
        self.rise = axis * math.sin(tilt)  # the projection of a unit of height above the plane
        self.place = np.array([flower.x, flower.y])

    def seen(self, points: Points, height: Real | Points = 0.0) -> Points:
        return points @ self.matrix + self.place + height * self.rise


def draw_flower(flower: Flower, size: tuple[int, int]) -> np.ndarray:
    """The picture of a flower, uint8 (h, w, 3) for `size` (h, w), a function of the arguments alone."""
    style, plane = flower.style, _Plane(flower)
    top, bottom = pick(_GROUNDS, style.ground)
    canvas = Canvas(size, *(tinted(colour, style.ground_light, style.blur_x, 16) for colour in (top, bottom)))
    _blurs(canvas, style, mix(top, bottom, 0.35))
    _stem(canvas, flower)
    colour = tinted(PETALS[flower.petals], style.light, style.warmth, 7)
    reach = flower.petal_size
    canvas.glow(flower.x + 0.03, flower.y + 0.06, reach * 1.02, reach * 1.02, (22, 40, 38), 0.4, 5)
    turn = 2 * math.pi / flower.petal_count
    for i in range(flower.petal_count):
        _petal(canvas, plane, flower, colour, math.radians(flower.rotation) + i * turn)
    _stamens(canvas, plane, flower)
    return canvas.pixels()


def _blurs(canvas: Canvas, style: FlowerStyle, colour: Colour) -> None:
    """Draw an out-of-focus background."""
    for i in range(5):
        x = math.sin(3 * style.blur_x + 2.4 * i) * 1.1
        y = math.cos(3 * style.blur_y + 1.7 * i) * 1.0
        big = 0.26 + 0.12 * math.sin(3 * style.blur_size + 1.3 * i)
        canvas.fill(ellipse(x, y, big, big, count=24), lighter(colour, 0.35 if i % 2 else -0.25), 0.16)


def _stem(canvas: Canvas, flower: Flower) -> None:
    style = flower.style
    green = tinted(pick(_LEAVES, style.leaf), style.ground_light, style.warmth, 12)
    foot = (flower.x + 0.35 * style.bend, 2.2)
    line = arc((flower.x, flower.y), (flower.x + 0.3 * style.bend, (flower.y + 2.2) / 2), foot, 12)
    canvas.line(line, 0.085, lighter(green, -0.25), ends=0.8)
    canvas.line(line - (0.012, 0), 0.05, green, ends=0.8)
    for side in (-1, 1):
        start = line[4 if side * style.bend > 0 else 5]
        leaf = _leaf(0.5 + 0.1 * style.leaf_size) * (side, 1) + start
        x, y = leaf.mean(axis=0).tolist()
        canvas.dome(leaf, lighter(green, -0.15), lighter(green, 0.12), x, y, steps=3)
        canvas.line(np.stack([start, start + np.array([side * 0.42, -0.2])]), 0.02, lighter(green, 0.35), ends=1)


def _leaf(size: Real) -> Points:
    return smooth([(0, 0), (0.4, -0.34), (1, -0.5), (0.75, -0.1), (0.35, 0.06)], 5) * size


@lru_cache(256)
def _outline(point: int, notch: int) -> Points:
    """A petal of length and half width 1 along x: rounder or more pointed, with or without a notch at its tip."""
    tip = 1 - 0.07 * notch
    half = [(0.10, 0.10), (0.36, 0.60 - 0.04 * point), (0.68, 1.0), (0.9, 0.72 - 0.08 * point), (0.98, 0.26)]
    return smooth([*half, (tip, 0.0), *[(x, -y) for x, y in half[::-1]]], 4)


def _petal(canvas: Canvas, plane: _Plane, flower: Flower, colour: Colour, angle: Real) -> None:
    style, size = flower.style, flower.petal_size
    wide = size * min(0.40, 0.66 * math.tan(math.pi / flower.petal_count) * (0.98 + 0.05 * style.width))
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    shape = _outline(round(2 * style.point), int(style.notch > 0.2))

    def seen(grow: Real, start: Real = 0.0) -> Points:
        flat = (shape * (1 - start, 1) + (start, 0)) * (size, wide * grow)
        return plane.seen(flat @ turn, (0.1 + 0.06 * style.cup) * flat[:, :1] ** 2)

    away = 0.5 - 0.5 * (sin * 0.7 + cos * 0.5)  # the light comes from the upper left
    body = lighter(colour, -0.04 - 0.12 * (1 - away))
    canvas.fill(seen(1.0), lighter(colour, -0.42))
    canvas.fill(seen(0.86, 0.02), body)
    inner = seen(0.56, 0.06)
    canvas.fill(inner, mix(body, lighter(colour, 0.3), 0.5))
    canvas.fill(seen(0.30, 0.1), lighter(colour, 0.32))
    vein = plane.seen(np.array([[0.2, 0.0], [0.5, 0.0], [0.74, 0.0]]) * size @ turn)
    canvas.line(vein, 0.018, lighter(colour, -0.28), 0.6)


def _stamens(canvas: Canvas, plane: _Plane, flower: Flower) -> None:
    style = flower.style
    colour = tinted(STAMENS[flower.stamens], style.warmth, style.light, 7)
    radius = 0.145 + 0.012 * style.disc + 0.05 * (flower.petal_size - 0.5)
    lift = 0.09
    disc = plane.seen(ellipse(0, 0, radius, radius), lift)
    canvas.fill(plane.seen(ellipse(0, 0, radius * 1.18, radius * 1.18), lift * 0.6), lighter(colour, -0.5))
    middle = disc.mean(axis=0)
    canvas.dome(disc, lighter(colour, -0.1), lighter(colour, 0.06), middle[0] - 0.03, middle[1] - 0.04, steps=4)
    count = 11 + round(2 * style.dots)
    ring = ellipse(0, 0, radius * (1.16 + 0.05 * style.ring), radius * (1.16 + 0.05 * style.ring), style.dots, count)
    for x, y in plane.seen(ring, lift * 1.2):
        canvas.fill(ellipse(x, y, 0.034, 0.034, count=8), lighter(colour, -0.3))
        canvas.fill(ellipse(x - 0.005, y - 0.007, 0.026, 0.026, count=8), lighter(colour, 0.12))
