"""The present folder, which may be anybody's run, is left out of the search for modules before a program imports any.

Only modules that are built into Python are imported here: any other might be found in that folder.
"""

import posix
import sys

_left_out: list[str] = []


def program() -> str:
    """The module that Python was started with by -m (also as in -um NAME, -mNAME) or by the command gan_jax, if it is ours."""
    words = iter(sys.orig_argv[1:])
    for word in words:
        if word.startswith("--") and word != "--":
            if word == "--check-hash-based-pycs":
                next(words, "")
            continue
        letter, value = _valued(word)
        if letter == "m":
            name = value or next(words, "")
            return name if name.split(".")[0] in ("gan_jax", "experiments") else ""
        if letter not in ("W", "X", ""):  # what follows is for a script
            return "gan_jax" if letter == "-" and word.endswith("/gan_jax") else ""
        if letter and not value:
            next(words, "")
    return ""


def _valued(word: str) -> tuple[str, str]:
    """The first option with a value in a word of joined options, and that value in so far as it is joined too.

    ("", "") if there is none; "-" for a letter if the word is no option.
    """
    if not word.startswith("-") or word in ("-", "--"):
        return "-", ""
    for i, letter in enumerate(word):
        if letter in "cmWX":
            return letter, word[i + 1 :]
    return "", ""


def leave_out_present_folder() -> None:
    """Search no modules in the present folder, unless gan_jax itself lies there."""
    try:
        here = posix.getcwd()
        home = posix.stat(__file__.rpartition("/")[0] + "/..")
        at_home = (home.st_dev, home.st_ino) == (posix.stat(here).st_dev, posix.stat(here).st_ino)
    except OSError:  # a folder that was removed: nothing is found there
        return
    if sys.path and sys.path[0] in ("", here) and not at_home:
        _left_out.append(sys.path.pop(0))


def search_present_folder() -> None:
    """Search it after all, once its author is trusted."""
    sys.path.extend(_left_out)
    _left_out.clear()


if program().split(".")[0] == "gan_jax":
    leave_out_present_folder()
