"""Share an exported generator by the Hugging Face hub: `hub push FILE OWNER/NAME`, `hub pull OWNER/NAME`."""

import contextlib
import json
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from gan_jax.config import command
from gan_jax.errors import InputError
from gan_jax.files import DAMAGED, check_apart, place, whole
from gan_jax.runs.card import as_markdown
from gan_jax.runs.export import CARD, OPENER, PAGE, WEIGHTS

FILE = "generator.zip"  # the name of the exported file in a repository
_LARGEST = 2**24  # bytes of a page


@dataclass(frozen=True)
class Config:
    """The flags of `hub`."""

    action: Annotated[Literal["push", "pull"], tyro.conf.Positional]
    """push: an exported file and its card, to a repository of your own, which is made. pull: the file of a repository."""
    source: Annotated[str, tyro.conf.Positional]
    """Push: the file that `export` wrote. Pull: the repository, OWNER/NAME."""
    repository: Annotated[str | None, tyro.conf.Positional] = None
    """Push: the repository, OWNER/NAME."""
    private: bool = False
    """Push: a repository that only its owner sees, where it is made."""
    revision: str | None = None
    """Pull: a branch, tag or commit; default the newest."""
    out: Path | None = None
    """Pull: the file to write; default NAME.zip."""


@command
def main(config: Config) -> str | Path:
    """Push or pull; returns the address of the repository, or the file. Nothing of a pulled file is run.

    Raises `InputError` without the extra `hub`, without a network, a token or the repository, and for other files than
    exported ones.
    """
    if config.action == "push":
        return push(place(config.source), config.repository, config.private)
    if config.repository is not None:
        raise InputError(f"hub pull takes one repository, not {config.repository[:80]!r} too: name the file with --out")
    return pull(config.source, config.out, config.revision)


def push(file: Path, repository: str | None, private: bool = False) -> str:
    """Put an exported file and its page into a repository; returns its address. Raises `InputError` as `main`."""
    if repository is None:
        raise InputError(f"say where to: hub push {file} OWNER/NAME")
    members = _members(file)
    try:
        page = as_markdown(json.loads(members[CARD]), members[OPENER].decode("utf-8"), FILE).encode("utf-8")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"the card of {file} is damaged: export the run again") from error
    hub = _hub()
    with _told(f"cannot push to {repository}"):
        address = str(hub.create_repo(repository, private=private, exist_ok=True))
        for name, content in ((PAGE, page), (OPENER, members[OPENER]), (FILE, str(file))):
            hub.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=repository)
    print(f"pushed: {address}")
    return address


def pull(repository: str, out: Path | None = None, revision: str | None = None) -> Path:
    """Get the exported file of a repository; returns its path. Raises `InputError` as `main`."""
    out = place(out or f"{repository.rpartition('/')[2]}.zip")
    hub = _hub()
    with _told(f"cannot pull {repository}"):
        found = Path(hub.hf_hub_download(repository, FILE, revision=revision))
    _members(found)
    check_apart(out, [found])
    try:
        with whole(out) as unfinished:
            unfinished.write_bytes(found.read_bytes())
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    print(f"pulled: {out}; the page of the repository says how to open it with load.py, which is in the file")
    return out


def _members(file: Path) -> dict[str, bytes]:
    """Card, page and loader of an exported file; raises `InputError` for any other file."""
    try:
        with zipfile.ZipFile(file) as opened:
            lacks = {CARD, PAGE, OPENER, WEIGHTS} - set(opened.namelist())
            large = [name for name in (CARD, PAGE, OPENER) if not lacks and opened.getinfo(name).file_size > _LARGEST]
            if large:
                raise ValueError(f"its {large[0]} has {opened.getinfo(large[0]).file_size / 1e6:,.0f} MB")
            if not lacks:
                return {name: opened.read(name) for name in (CARD, PAGE, OPENER)}
    except DAMAGED as error:
        raise InputError(f"{file} is no file that `python -m gan_jax export` wrote: {str(error)[:100]}") from error
    raise InputError(f"{file} is no file that `python -m gan_jax export` wrote: it lacks {', '.join(sorted(lacks))}")


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError("the hub needs the package huggingface_hub: pip install huggingface_hub") from error
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # each of its retries is a warning
    return huggingface_hub


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever the hub's package raises, as one line."""
    try:
        yield
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise InputError(f"{what}: {lines[0][:200]} (a token: `hf auth login`, or HF_TOKEN)") from error
