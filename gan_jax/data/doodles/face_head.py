"""The head of a drawn face: its dimensions and colours, and the projection of its points when it turns."""

import math

import numpy as np

from gan_jax.data.doodles.canvas import Colour, Points, Real, tinted
from gan_jax.data.doodles.truths import Face

HAIR: dict[str, Colour] = {
    "black": (40, 36, 44),
    "brown": (96, 58, 38),
    "blond": (236, 198, 112),
    "red": (196, 84, 40),
    "grey": (178, 178, 184),
}
SKIN: dict[str, Colour] = {"light": (250, 216, 194), "tan": (226, 172, 128), "brown": (172, 114, 78), "dark": (112, 72, 54)}


class Head:
    """Dimensions and colours of one face; the centre of the head is (0, 0)."""

    def __init__(self, face: Face) -> None:
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
        """The projection of a point of the face, `depth` in front of the axis about which the head turns."""
        return x * self.cos + depth * self.sin, y

    def narrow(self, x: Real) -> Real:
        """The share of its width that a feature at x keeps after the turn."""
        angle = math.asin(max(-0.9, min(0.9, x / 0.42)))
        return min(1.1, max(0.45, math.cos(angle + math.asin(self.sin)) / math.cos(angle)))

    def outline(self, grow: Real = 1.0) -> Points:
        """The outline of the head, clockwise from the top; the jaw of a man is broader."""
        turn = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        y, x = -np.cos(turn), np.sin(turn)
        below = np.maximum(y, 0)
        if self.face.male:
            x = np.sign(x) * np.abs(x) ** (1 - 0.34 * below) * (1 - (0.15 - 0.04 * self.style.jaw) * below**1.5)
        else:
            x = x * (1 - (0.26 - 0.05 * self.style.jaw) * below**1.3)
        shift = self.sin * (0.12 * below - 0.06 * np.maximum(-y, 0))
        return np.stack([x * self.width * grow + shift, y * self.height * grow], axis=1)
