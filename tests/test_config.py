"""Configurations made in Python are checked and converted as a command line would."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from gan_jax.config import Count, CountOrNone, Rate, Seed, Share, Weight, checked, checked_steps, command
from gan_jax.errors import InputError


@dataclass(frozen=True)
class Config:
    image_size: str = "32"
    data: str = "digits"
    loss: Literal["hinge", "least_squares"] = "hinge"
    channels: Literal["auto", 1, 3] = "auto"
    outdir: Path | None = None
    runs: tuple[Path, ...] = ()
    pair: tuple[int, int] = (1, 2)
    steps: Count = 1
    crop: CountOrNone = 0
    seed: Seed = 0
    lr: Rate = 1e-3
    disc_lr: Rate | None = None
    r1: Weight = 0.0
    b1: Share = 0.0
    mirror: bool = False
    plain: Annotated[int, "a note"] = 0
    anything: Any = None


@pytest.mark.parametrize(
    ("field", "given", "wanted"),
    [
        ("image_size", 64, "64"),
        ("image_size", (64, 96), "64x96"),
        ("image_size", np.int64(64), "64"),
        ("data", Path("pics"), "pics"),
        ("channels", "1", 1),
        ("channels", np.int64(3), 3),
        ("outdir", "runs/a", Path("runs/a")),
        ("outdir", "~/a", Path.home() / "a"),
        ("outdir", None, None),
        ("runs", ["a", Path("b")], (Path("a"), Path("b"))),
        ("runs", "a", (Path("a"),)),
        ("pair", [3, 4.0], (3, 4)),
        ("steps", 1e4, 10_000),
        ("steps", np.int32(7), 7),
        ("steps", "12", 12),
        ("steps", 2**31 - 1, 2**31 - 1),
        ("crop", 0, 0),
        ("seed", 2**32 - 1, 2**32 - 1),
        ("lr", 1, 1.0),
        ("lr", np.float32(0.5), 0.5),
        ("disc_lr", None, None),
        ("disc_lr", "1e-3", 1e-3),
        ("r1", 0, 0.0),
        ("b1", 0.999, 0.999),
        ("mirror", np.bool_(True), True),
        ("anything", [1], [1]),
    ],
)
def test_what_a_command_line_would_read_is_converted(field, given, wanted):
    found = getattr(checked(Config(**{field: given})), field)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("field", "given", "message"),
    [
        ("loss", "lsgan", "--loss 'lsgan': choose hinge, least_squares"),
        ("loss", "least squares", "the nearest is least_squares"),
        ("channels", True, "--channels 'True': choose auto, 1, 3"),
        ("outdir", 3, "--outdir '3': a path is wanted"),
        ("outdir", "a\0b", "this can be no path"),
        ("outdir", "~nobody_has_this_name/x", "no such home folder"),
        ("pair", (1, 2, 3), "2 values are wanted"),
        ("steps", 0, "--steps '0': a number at least 1 and at most 2147483647 is wanted"),
        ("steps", 2**31, "at most 2147483647"),
        ("steps", 1.5, "a whole number is wanted"),
        ("steps", True, "a whole number is wanted"),
        ("steps", math.nan, "a whole number is wanted"),
        ("steps", math.inf, "a whole number is wanted"),
        ("steps", "many", "a whole number is wanted"),
        ("steps", "9" * 5000, "a whole number is wanted"),
        ("steps", None, "a whole number is wanted"),
        ("crop", -1, "at least 0"),
        ("seed", 2**32, "at most 4294967295"),
        ("lr", 0.0, "--lr '0.0': a number above 0 and finite is wanted"),
        ("lr", math.nan, "above 0 and finite"),
        ("lr", math.inf, "above 0 and finite"),
        ("disc_lr", -1e-3, "--disc-lr '-0.001': a number above 0 and finite is wanted"),
        ("disc_lr", "fast", "a number is wanted"),
        ("r1", -1.0, "at least 0 and finite"),
        ("b1", 1.0, "at least 0 and below 1"),
        ("mirror", "yes", "True or False is wanted"),
        ("data", True, "a text is wanted"),
    ],
)
def test_what_is_wrong_is_named(field, given, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        checked(Config(**{field: given}))
    assert len(str(error.value)) < 300


def test_a_command_gets_the_checked_configuration():
    @command
    def main(config: Config) -> Config:
        """What it does."""
        return config

    assert main(Config(image_size=64)).image_size == "64"
    assert main.__doc__ == "What it does."


def test_a_subclass_with_another_default_keeps_the_kind():
    @dataclass(frozen=True)
    class Longer(Config):
        steps: int = 100
        disc_lr: float | None = 1.0

    assert checked(Longer()) == Longer()
    for wrong in ({"steps": 0}, {"disc_lr": 0.0}):
        with pytest.raises(InputError, match="is wanted"):
            checked(Longer(**wrong))


@pytest.mark.parametrize("steps", [-1, 2**31, 2.5, "many"])
def test_numbers_of_rounds_of_functions(steps):
    assert checked_steps(2.0) == checked_steps("2") == 2
    with pytest.raises(InputError, match=f"--steps '{steps}'"):
        checked_steps(steps)
