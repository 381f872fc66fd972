"""A page in a real browser, without a window."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")


def browser() -> str:
    """The program; without one the test is skipped, in CI it fails."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs a browser: install one of {', '.join(NAMES)}")
    return found


def document(page: Path, profile: Path, milliseconds: int = 5000) -> str:
    """The document as it is so long after the page was opened, its scripts run."""
    return _open(page, profile, "--dump-dom", f"--virtual-time-budget={milliseconds}")


def screenshot(page: Path, profile: Path, out: Path, width: int = 1200, height: int = 2400) -> Path:
    """A picture of the upper part of the page."""
    _open(page, profile, f"--screenshot={out}", f"--window-size={width},{height}")
    return out


def _open(page: Path, profile: Path, *flags: str) -> str:
    command = [browser(), *FLAGS, f"--user-data-dir={profile}", *flags, page.resolve().as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
