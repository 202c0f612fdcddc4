"""Takes the pictures of a run's report and of its games, with Chromium: `python docs/picture.py runs/NAME`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from velodrome.show.report import write_report
from velodrome.verbs.watch import watch

PICTURES = Path(__file__).resolve().parent / "images"
STILL = ["--force-prefers-reduced-motion", "--virtual-time-budget=5000"]
"""For pages that play: wait for the first position, and stay there."""


def main(run: Path) -> int:
    """Write the pages anew and take pictures of their first screens."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("there is no Chromium here; install the package chromium", file=sys.stderr)
        return 2
    PICTURES.mkdir(exist_ok=True)
    take(chromium, write_report(run)["html"], PICTURES / "report.png", "1100,860")
    page = Path(watch([str(run)]).document["page"])
    take(chromium, page, PICTURES / "watch.png", "1100,760", *STILL)
    return 0


def take(chromium: str, page: Path, picture: Path, size: str, *more: str) -> None:
    """Take a picture of a page."""
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        flags += [f"--window-size={size}", "--force-device-scale-factor=1.5", *more]
        subprocess.run([chromium, *flags, f"--screenshot={picture}", page.resolve().as_uri()], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/picture.py runs/NAME")
    sys.exit(main(Path(sys.argv[1])))
