"""What MkDocs does with the pages: README.md, CHANGELOG.md and CONTRIBUTING.md are three of them.

Links that lead out of docs/ are for those who read the pages as files; in the site they lead to the page or picture that it
has in their place.
"""

import os
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = {  # files of the repository, and pages of the site
    "README.md": "readme.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
}
PICTURES = "experiments/pictures/"
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


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
    return redirected(markdown, page.file.src_uri)
