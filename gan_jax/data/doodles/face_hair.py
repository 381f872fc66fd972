"""Drawing the hair, the beard and the hat of a face."""

import numpy as np

from gan_jax.data.doodles.canvas import Canvas, Colour, arc, ellipse, lighter, shifted, smooth, tinted
from gan_jax.data.doodles.drawn import pick
from gan_jax.data.doodles.face_head import Head

_HATS: list[Colour] = [(36, 134, 148), (62, 84, 158), (128, 76, 148), (52, 132, 88), (204, 62, 92)]


def draw_back_hair(canvas: Canvas, head: Head) -> None:
    """Draw long hair behind the head."""
    wide, shift = head.width * (1.24 + 0.07 * head.style.volume), -0.1 * head.sin
    half = [(0, -0.62), (0.72 * wide, -0.5), (wide, -0.1), (1.06 * wide, 0.4), (1.08 * wide, 0.74), (0.5 * wide, 0.8)]
    left = [(-x, y) for x, y in half[:0:-1]]
    shape = shifted(smooth(half + left), shift)
    canvas.dome(shape, lighter(head.hair, -0.3), lighter(head.hair, -0.12), shift, 0.1, steps=3)


def draw_beard(canvas: Canvas, head: Head) -> None:
    """Draw a beard from ear to ear."""
    jaw = head.outline(1.045)[9:32]  # from ear to ear by the chin
    inner = [(-0.34, 0.05), (-0.27, 0.2), (-0.13, 0.225), (0, 0.2), (0.13, 0.225), (0.27, 0.2), (0.34, 0.05)]
    edge = np.array([head.at(x, y, 0.3) for x, y in inner])
    edge[:, 0] = np.clip(edge[:, 0], jaw[:, 0].min() + 0.02, jaw[:, 0].max() - 0.02)
    canvas.fill(np.concatenate([jaw, edge]), lighter(head.hair, -0.08))
    canvas.fill(ellipse(*head.at(0, 0.5, 0.3), 0.16, 0.07), lighter(head.hair, 0.08), 0.5)


def draw_front_hair(canvas: Canvas, head: Head) -> None:
    """Draw the hair on top of the head, and long hair beside it."""
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


def draw_hat(canvas: Canvas, head: Head) -> None:
    """Draw a woollen hat, or for `style.hat` up to 0 a hat with a brim."""
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
