"""Drawing a bird: from the side, facing right, then turned and perhaps mirrored; on a branch or in the sky."""

import math
from typing import NamedTuple

import numpy as np

from gan_jax.data.doodles.canvas import Canvas, Colour, Real, arc, ellipse, lighter, smooth, tinted
from gan_jax.data.doodles.drawn import pick
from gan_jax.data.doodles.truths import Bird, BirdStyle

COLOURS: dict[str, Colour] = {
    "red": (208, 46, 50),
    "orange": (244, 136, 40),
    "yellow": (252, 218, 66),
    "green": (82, 160, 78),
    "blue": (62, 114, 212),
    "pink": (248, 150, 186),
    "brown": (122, 74, 46),
    "black": (44, 42, 52),
    "white": (252, 250, 246),
    "grey": (146, 150, 160),
}
_BODIES: list[Colour] = [(208, 188, 158), (196, 182, 164), (216, 196, 150)]
_GREENS: list[tuple[Colour, Colour]] = [
    ((222, 236, 228), (152, 196, 166)),
    ((236, 236, 208), (176, 198, 140)),
    ((208, 228, 222), (120, 168, 150)),
]
_SKIES: list[tuple[Colour, Colour]] = [
    ((118, 176, 224), (222, 238, 246)),
    ((150, 190, 232), (248, 226, 206)),
    ((110, 164, 200), (206, 230, 226)),
]
_LEAVES: list[Colour] = [(96, 160, 84), (128, 172, 72), (72, 138, 96)]
_BODY = [
    (0.34, -0.30),
    (0.47, -0.12),
    (0.46, 0.10),
    (0.30, 0.31),
    (0.02, 0.38),
    (-0.26, 0.30),
    (-0.46, 0.14),
    (-0.34, -0.04),
    (-0.02, -0.22),
    (0.14, -0.36),
]
_FOLDED = [(0.20, -0.10), (0.22, 0.06), (0.08, 0.20), (-0.2, 0.26), (-0.68, 0.27), (-0.42, 0.08), (-0.12, -0.12)]
_RAISED = [
    (0.22, -0.04),
    (0.12, 0.10),
    (-0.16, 0.08),
    (-0.36, -0.18),
    (-0.52, -0.46),
    (-0.6, -0.86),
    (-0.3, -0.70),
    (0.0, -0.42),
]


class _Coat(NamedTuple):
    body: Colour
    breast: Colour
    crown: Colour
    wings: Colour


def draw_bird(bird: Bird, size: tuple[int, int]) -> np.ndarray:
    """The picture of a bird, uint8 (h, w, 3) for `size` (h, w), a function of the arguments alone."""
    style = bird.style
    grounds = pick(_SKIES if bird.flying else _GREENS, style.ground)
    canvas = Canvas(size, *(tinted(colour, style.ground_light, style.cloud_x, 14) for colour in grounds))
    tint = {part: tinted(COLOURS[getattr(bird, part)], style.light, style.warmth, 7) for part in ("breast", "crown", "wings")}
    coat = _Coat(tinted(pick(_BODIES, style.body), style.warmth, style.light, 8), **tint)
    scale = (1.02 if bird.large else 0.72) * (1 + 0.04 * style.scale)
    if bird.flying:
        _clouds(canvas, style)
    else:
        _branch(canvas, bird, bird.y + 0.56 * scale)
    pitch = math.radians(8 * style.pitch - (14 if bird.flying else 6))
    aside = -0.1 if bird.right else 0.1
    canvas.view(bird.x - aside * scale, bird.y + (0.18 if bird.flying else 0.05) * scale, scale, pitch, mirror=not bird.right)
    _tail(canvas, bird, coat)
    _legs(canvas, bird)
    if bird.flying:
        canvas.fill(smooth(_RAISED) * (0.8, 1.0) + (0.2, -0.02), lighter(coat.wings, -0.35))
    _trunk(canvas, style, coat)
    _head(canvas, style, coat)
    _wing(canvas, bird, coat)
    return canvas.pixels()


def _clouds(canvas: Canvas, style: BirdStyle) -> None:
    for i in range(3):
        x, y = 1.1 * math.sin(3 * style.cloud_x + 2.3 * i), 0.95 * math.cos(3 * style.cloud_y + 1.9 * i)
        for dx, dy, big in ((-0.2, 0.03, 0.13), (0, -0.04, 0.19), (0.2, 0.02, 0.15), (0.06, 0.06, 0.26)):
            canvas.fill(ellipse(x + dx, y + dy, big * 1.25, big * 0.62, count=20), (255, 255, 255), 0.3)


def _branch(canvas: Canvas, bird: Bird, y: Real) -> None:
    """Draw the branch under the feet, equally thick for small and large birds."""
    style = bird.style
    for i in range(4):
        x, high, big = math.sin(3 * style.cloud_x + 2.1 * i), math.cos(3 * style.cloud_y + 1.6 * i), 0.24 + 0.05 * i
        canvas.fill(ellipse(x * 1.1, high, big, big, count=22), (255, 255, 255) if i % 2 else (96, 150, 110), 0.13)
    slope = 0.08 * style.branch
    line = arc((-3, y - 3 * slope), (bird.x, y), (3, y + 3 * slope), 13)
    canvas.line(line, 0.13, (92, 66, 50), ends=0.8)
    canvas.line(line - (0, 0.022), 0.066, (134, 98, 72), ends=0.8)
    green = tinted(pick(_LEAVES, style.leaf), style.warmth, style.light, 12)
    for at, side in ((-0.86, 1), (-0.6, -1), (0.62, 1), (0.9, -1)):
        angle = math.radians(35 * side + 15 * style.leaf) + (math.pi if at < 0 else 0)
        x, low = at + 0.08 * style.cloud_y, y + at * slope
        tip = (x + 0.13 * math.cos(angle), low + 0.13 * math.sin(angle))
        leaf = ellipse(*tip, 0.15, 0.062, angle, count=20)
        canvas.dome(leaf, lighter(green, -0.2), lighter(green, 0.1), tip[0] - 0.02, tip[1] - 0.02, steps=3)


def _tail(canvas: Canvas, bird: Bird, coat: _Coat) -> None:
    style = bird.style
    end, rise = -0.86 - 0.08 * style.tail, 0.34 - 0.08 * style.tail_lift - (0.12 if bird.flying else 0)
    for fan, shade in ((0.09, -0.32), (0.0, -0.2)):
        shape = [
            (-0.3, 0.06),
            (end, rise - 0.07 + fan),
            (end - 0.04, rise + 0.03 + fan),
            (end + 0.04, rise + 0.09 + fan),
            (-0.24, 0.26),
        ]
        canvas.fill(np.array(shape), lighter(coat.wings, shade))


def _legs(canvas: Canvas, bird: Bird) -> None:
    colour = (132, 92, 62)
    for x in (-0.02, 0.13):
        if bird.flying:
            canvas.line(np.array([(x - 0.04, 0.34), (x - 0.2, 0.43)]), 0.04, colour, ends=1)
        else:
            canvas.line(np.array([(x, 0.3), (x + 0.02, 0.53)]), 0.038, colour, ends=1)
            canvas.line(np.array([(x - 0.06, 0.535), (x + 0.09, 0.53)]), 0.045, colour, ends=0.7)


def _trunk(canvas: Canvas, style: BirdStyle, coat: _Coat) -> None:
    outline = smooth(_BODY) * (1, 1 + 0.06 * style.plump)
    canvas.dome(outline, lighter(coat.body, -0.14), lighter(coat.body, 0.08), 0.02, -0.02, steps=4)
    edge = outline[: 6 * 4 + 3]  # from the throat along the front to the belly
    inner = arc((float(edge[-1, 0]), float(edge[-1, 1])), (0.18, 0.02), (float(edge[0, 0]) - 0.12, float(edge[0, 1])), 9)
    breast = np.concatenate([edge, inner])
    canvas.dome(breast, lighter(coat.breast, -0.14), lighter(coat.breast, 0.02), 0.34, 0.06, steps=4, depth=0.6)


def _head(canvas: Canvas, style: BirdStyle, coat: _Coat) -> None:
    x, y, big = 0.32, -0.40, 0.235 * (1 + 0.05 * style.head)
    beak = pick([(236, 164, 48), (72, 66, 70), (226, 122, 64)], style.beak_colour)
    reach = 0.2 * (1 + 0.2 * style.beak)
    canvas.fill(np.array([(x + 0.17, y - 0.06), (x + big + reach, y + 0.045), (x + 0.17, y + 0.12)]), beak)
    canvas.fill(np.array([(x + 0.17, y + 0.05), (x + big + reach, y + 0.045), (x + 0.17, y + 0.12)]), lighter(beak, -0.3))
    canvas.dome(ellipse(x, y, big, big), lighter(coat.body, -0.1), lighter(coat.body, 0.12), x, y + 0.04, steps=4)
    round_head = ellipse(x, y, big * 1.04, big * 1.06, count=40)
    cap = round_head[np.arange(20, 40)]  # over the top, from the nape to the beak
    front = arc((x + big * 1.0, y - 0.02), (x + 0.05, y - 0.075), (x - big * 1.02, y + 0.06), 9)
    canvas.dome(
        np.concatenate([cap, front]), lighter(coat.crown, -0.1), lighter(coat.crown, 0.05), x, y - 0.12, steps=3, depth=0.6
    )
    canvas.fill(ellipse(x + 0.09, y + 0.005, 0.058, 0.06, count=16), lighter(coat.body, 0.7))
    canvas.fill(ellipse(x + 0.095, y + 0.005, 0.044, 0.047, count=16), (24, 20, 28))
    canvas.fill(ellipse(x + 0.082, y - 0.013, 0.014, 0.015, count=8), (255, 255, 255))


def _wing(canvas: Canvas, bird: Bird, coat: _Coat) -> None:
    grow = 1 + 0.05 * bird.style.wing
    shape = smooth(_RAISED if bird.flying else _FOLDED) * (grow, 1)
    focus = (-0.06, -0.12) if bird.flying else (0.0, 0.06)
    canvas.fill((shape - focus) * 1.07 + focus, lighter(coat.wings, -0.45))
    canvas.dome(shape, lighter(coat.wings, -0.1), lighter(coat.wings, 0.04), *focus, steps=4)
    line = lighter(coat.wings, -0.34) if sum(coat.wings) > 240 else lighter(coat.wings, 0.3)
    if bird.flying:
        for x, y in ((-0.4, -0.34), (-0.47, -0.56), (-0.44, -0.74)):
            middle = (focus[0] + 0.55 * (x - focus[0]), focus[1] + 0.5 * (y - focus[1]))
            canvas.line(arc(focus, middle, (x, y), 5), 0.026, line, 0.7)
    else:
        for low in (0.0, 0.07, 0.14):
            canvas.line(
                arc((0.06 - low, 0.04 + low), (-0.18, 0.1 + 0.8 * low), (-0.5 + low, 0.21 + 0.3 * low)), 0.026, line, 0.7
            )
