"""Drawn faces: sampling their truths (glasses, hat, beard, smile, hair, skin, sex, pose), attributes and captions."""

from typing import Any

import numpy as np

from gan_jax.data.doodles.drawn import Kind, drawn_source, one_hot
from gan_jax.data.doodles.face_drawing import draw_face
from gan_jax.data.doodles.truths import HAIRS, SKINS, Face, FaceStyle
from gan_jax.data.source import Source


def sample_face(generator: np.random.Generator) -> Face:
    """A face with two eyes, one nose and one mouth; only men have beards, mostly women have long hair."""
    chance = generator.random(6)
    male = bool(chance[0] < 0.5)
    return Face(
        glasses=bool(chance[1] < 0.4),
        hat=bool(chance[2] < 0.35),
        beard=male and bool(chance[3] < 0.5),
        smile=bool(chance[4] < 0.55),
        male=male,
        long_hair=bool(chance[5] < (0.15 if male else 0.75)),
        hair=HAIRS[generator.integers(len(HAIRS))],
        skin=SKINS[generator.integers(len(SKINS))],
        yaw=float(generator.uniform(-30, 30)),
        style=FaceStyle(*generator.uniform(-1, 1, len(FaceStyle._fields)).tolist()),
    )


def miscounted_face(face: Face, generator: np.random.Generator) -> Face:
    """The face with 0 to 5 eyes, 0 to 3 mouths and 0 to 2 noses, each number equally likely."""
    return face._replace(eyes=int(generator.integers(6)), mouths=int(generator.integers(4)), noses=int(generator.integers(3)))


def face_attributes(face: Face) -> dict[str, float]:
    """The truth as numbers: 0 or 1, counts, and `yaw` in degrees."""
    switches = {name: float(getattr(face, name)) for name in ("male", "glasses", "hat", "beard", "smile", "long_hair")}
    counts = {name: float(getattr(face, name)) for name in ("eyes", "mouths", "noses")}
    return switches | one_hot("hair", HAIRS, face.hair) | one_hot("skin", SKINS, face.skin) | counts | {"yaw": face.yaw}


def caption_face(face: Face) -> tuple[str, ...]:
    """Two captions: all named attributes, and the sex with beard, glasses and hat, or else with the hair."""
    who = "man" if face.male else "woman"
    parts = [f"{'long' if face.long_hair else 'short'} {face.hair} hair"]
    parts += ["a beard"] * face.beard + ["glasses"] * face.glasses + ["a hat"] * face.hat
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return (f"a {'smiling ' if face.smile else ''}{who} with {listed}", f"a {who} with {' and '.join(parts[1:]) or parts[0]}")


def parse_caption(text: str) -> dict[str, Any]:
    """The attributes in a caption of `caption_face`: `male`, and those that it names.

    These are `hair` and `long_hair`, or `beard`, `glasses`, `hat`, `smile` as True.
    """
    words = text.lower().replace(",", " ").split()
    said: dict[str, Any] = {"male": "man" in words}
    said |= {name: True for name in ("beard", "glasses", "hat") if name in words}
    if "smiling" in words:
        said["smile"] = True
    if "hair" in words:
        place = words.index("hair")
        said |= {"hair": words[place - 1], "long_hair": words[place - 2] == "long"}
    return said


FACES = Kind("doodle_faces", "1", sample_face, draw_face, face_attributes, caption_face, miscounted_face)


def doodle_faces(n: int = 20_000, held_out: int = 2_000, seed: int = 0, size: tuple[int, int] = (64, 64)) -> Source:
    """Drawn faces of `size` (h, w); picture i is a function of the seed and i. See `drawn_source` for errors."""
    return drawn_source(FACES, n, held_out, seed, size)
