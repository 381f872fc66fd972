"""Anti-aliased drawing of shaded shapes, in coordinates independent of the number of pixels.

x and y from -1 to 1, y downwards, span the shorter side of a picture; a longer side shows more of the scene.
"""

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Real = float | int
Points = np.ndarray  # (n, 2): x, y


def mix(a: Colour, b: Colour, share: Real) -> Colour:
    """The colour at `share` of the way from a to b."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def lighter(colour: Colour, share: Real) -> Colour:
    """The colour mixed with a warm white, or for a negative share with a dark blue, as in shade."""
    return mix(colour, (255, 250, 240), share) if share >= 0 else mix(colour, (36, 26, 52), -share)


def tinted(colour: Colour, light: Real, warmth: Real, amount: Real = 9.0) -> Colour:
    """The colour moved by up to `amount` levels, for `light` and `warmth` from -1 to 1."""
    red, green, blue = colour
    levels = (red + amount * (light + warmth) / 2, green + amount * light / 2, blue + amount * (light - warmth) / 2)
    return (_level(levels[0]), _level(levels[1]), _level(levels[2]))


def _level(value: Real) -> int:
    return min(255, max(0, round(value)))


@lru_cache
def _circle(count: int) -> np.ndarray:
    angles = np.arange(count) * (2 * math.pi / count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def shifted(points: Points, x: Real, y: Real = 0.0) -> Points:
    """The points moved by (x, y)."""
    return points + np.array([x, y])


def ellipse(x: Real, y: Real, width: Real, height: Real, angle: Real = 0.0, count: int = 28) -> Points:
    """The outline of an ellipse around (x, y) with half axes `width` and `height`, turned by `angle` radians."""
    points = _circle(count) * (width, height)
    if angle:
        cos, sin = math.cos(angle), math.sin(angle)
        points = points @ np.array([[cos, sin], [-sin, cos]])
    return shifted(points, x, y)


@lru_cache
def _weights(per: int) -> np.ndarray:
    """Catmull-Rom weights (per, 4) of four neighbouring points."""
    t = np.arange(per)[:, None] / per
    return np.concatenate([-(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2], axis=1) / 2


def smooth(corners: list[tuple[Real, Real]] | Points, per: int = 6) -> Points:
    """The closed curve through `corners`, with `per` points from one to the next."""
    points = np.asarray(corners, np.float64)
    index = (np.arange(len(points))[:, None] + np.arange(-1, 3)) % len(points)
    return np.einsum("pk,nkd->npd", _weights(per), points[index]).reshape(-1, 2)


@lru_cache
def _parabola(count: int) -> np.ndarray:
    """Weights (count, 3) of the start, the middle and the end."""
    t = np.linspace(0, 1, count)
    return np.stack([(1 - t) * (1 - 2 * t), 4 * t * (1 - t), t * (2 * t - 1)], axis=1)


def arc(start: tuple[Real, Real], middle: tuple[Real, Real], end: tuple[Real, Real], count: int = 9) -> Points:
    """A parabola that is at `middle` half-way from `start` to `end`."""
    return _parabola(count) @ np.array([start, middle, end], np.float64)


@lru_cache
def _swell(count: int) -> np.ndarray:
    return np.sin(np.linspace(0, math.pi, count))[:, None]


def ribbon(points: Points, width: Real, ends: Real = 0.4) -> Points:
    """The outline of a line of full `width` that narrows to the share `ends` of it at both ends."""
    steps = points[1:] - points[:-1]
    ahead = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    ahead *= (width / 2 * (ends + (1 - ends) * _swell(len(points)))) / (np.hypot(ahead[:, :1], ahead[:, 1:]) + 1e-9)
    side = ahead[:, ::-1] * (-1, 1)
    return np.concatenate([points + side, (points - side)[::-1]])


class Canvas:
    """A picture (h, w, 3) drawn at 4 or 8 times its size and averaged; the background fades from `top` to `bottom`."""

    def __init__(self, size: tuple[int, int], top: Colour, bottom: Colour) -> None:
        self.size = size
        self._over = 4 if min(size) >= 64 else 8
        height, width = size[0] * self._over, size[1] * self._over
        fade = np.linspace(0, 1, height)[:, None]
        column = np.rint(np.array(top) * (1 - fade) + np.array(bottom) * fade).astype(np.uint8)
        self._picture = Image.fromarray(column[:, None]).resize((width, height), Image.Resampling.NEAREST)
        self._solid = ImageDraw.Draw(self._picture)
        self._clear = ImageDraw.Draw(self._picture, "RGBA")
        self._unit = min(height, width) / 2
        self._middle = np.array([width / 2, height / 2])
        self.view()

    def view(self, x: Real = 0.0, y: Real = 0.0, scale: Real = 1.0, angle: Real = 0.0, mirror: bool = False) -> None:
        """Set the view of what is drawn next: scaled by `scale`, turned by `angle` radians, mirrored, then moved to (x, y)."""
        cos, sin = math.cos(angle) * scale * self._unit, math.sin(angle) * scale * self._unit
        self._matrix = np.array([[cos, sin], [-sin, cos]]) * ((-1, 1) if mirror else (1, 1))
        self._offset = self._middle + np.array([x, y]) * self._unit

    def fill(self, points: Points, colour: Colour, opacity: Real = 1.0) -> None:
        """Fill a closed outline."""
        place = (points @ self._matrix + self._offset).ravel().tolist()
        if opacity >= 1:
            self._solid.polygon(place, fill=colour)
        else:
            self._clear.polygon(place, fill=(*colour, round(255 * opacity)))

    def dome(self, points: Points, edge: Colour, top: Colour, x: Real, y: Real, steps: int = 5, depth: Real = 0.75) -> None:
        """Fill an outline, shaded from `edge` to `top` at (x, y), from which all of the outline must be visible."""
        centre = np.array([x, y])
        for step in range(steps):
            share = step / max(steps - 1, 1)
            self.fill(centre + (points - centre) * (1 - depth * share), mix(edge, top, share))

    def glow(self, x: Real, y: Real, width: Real, height: Real, colour: Colour, strength: Real, steps: int = 4) -> None:
        """A soft spot: `steps` concentric translucent ellipses with a total opacity of `strength` at (x, y)."""
        opacity = 1 - (1 - strength) ** (1 / steps)
        for step in range(steps):
            shrink = 1 - step / steps
            self.fill(ellipse(x, y, width * shrink, height * shrink, count=20), colour, opacity)

    def line(self, points: Points, width: Real, colour: Colour, opacity: Real = 1.0, ends: Real = 0.4) -> None:
        """Draw a line of full `width` with narrowing ends."""
        self.fill(ribbon(points, width, ends), colour, opacity)

    def pixels(self, light: Real = 0.10) -> np.ndarray:
        """The picture (h, w, 3) uint8, brighter by the share `light` at the upper left and darker at the lower right."""
        small = np.asarray(self._picture.reduce(self._over), np.float32)
        down, right = (np.linspace(1, -1, side, dtype=np.float32) for side in self.size)
        lit = small * (1 + light * (0.6 * down[:, None] + 0.4 * right[None, :]))[..., None]
        return np.clip(np.rint(lit), 0, 255).astype(np.uint8)
