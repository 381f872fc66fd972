"""What MkDocs does with the pages: README.md is one of them, and what was measured is shown from there.

A line `<!-- README: FIRST WORDS -->` is replaced by the paragraph, table, picture or item of a list in README.md that begins
with these words, so that a number stands in one place. Links that lead out of docs/ are for those who read the pages as
files; in the site they lead to the page or picture that it has in their place.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md"}  # files of the repository, and pages of the site
PICTURES = "experiments/pictures/"
INCLUDE = re.compile(r"^<!-- README: (.+) -->$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def blocks(text: str) -> Iterator[str]:
    """The paragraphs, tables and pictures of a text, and each item of its lists."""
    for block in re.split(r"\n{2,}", text):
        yield from re.split(r"\n(?=- )", block) if block.startswith("- ") else [block]


def block(text: str, beginning: str) -> str:
    """The block that begins with these words; raises `ValueError` unless there is exactly one."""
    found = [one for one in blocks(text) if one.startswith(beginning)]
    if len(found) != 1:
        raise ValueError(f"README.md has {len(found)} blocks that begin with {beginning!r}: one is wanted")
    return found[0]


def expanded(markdown: str, page: str) -> str:
    """A page with what it takes from README.md, whose links are as from the page's own folder."""
    readme = (ROOT / "README.md").read_text()
    up = posixpath.relpath(".", posixpath.dirname(f"docs/{page}"))

    def taken(match: re.Match[str]) -> str:
        return _LINK.sub(lambda link: f"]({up}/{link[1]}{link[2] or ''})", block(readme, match[1]))

    return INCLUDE.sub(taken, markdown)


def redirected(markdown: str, page: str) -> str:
    """A page whose links to files outside of docs/ lead to what the site has in their place; README.md lies at the root."""
    inverse = {site: file for file, site in PAGES.items()}
    source = inverse.get(page, f"docs/{page}")

    def moved(match: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        if place in PAGES:
            place = f"docs/{PAGES[place]}"
        elif place.startswith(PICTURES):
            place = f"docs/pictures/{place.removeprefix(PICTURES)}"
        return f"]({posixpath.relpath(place, posixpath.dirname(f'docs/{page}'))}{match[2] or ''})"

    return _LINK.sub(moved, markdown)


def on_files(files: Any, config: Any) -> Any:
    """The pages and pictures that lie outside of docs/."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    for name in sorted(os.listdir(ROOT / PICTURES)):
        files.append(File.generated(config, f"pictures/{name}", abs_src_path=str(ROOT / PICTURES / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page as the site has it."""
    return redirected(expanded(markdown, page.file.src_uri), page.file.src_uri)
