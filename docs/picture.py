"""Takes the README's picture of a run's report, with Chromium: `python docs/picture.py runs/NAME`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from velodrome.show.report import write_report

PICTURE = Path(__file__).resolve().parent / "images" / "report.png"


def main(run: Path) -> int:
    """Write the report anew and take a picture of its first screen."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("there is no Chromium here; install the package chromium", file=sys.stderr)
        return 2
    page = write_report(run)["html"].resolve()
    PICTURE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        size = ["--window-size=1100,860", "--force-device-scale-factor=1.5"]
        subprocess.run([chromium, *flags, *size, f"--screenshot={PICTURE}", page.as_uri()], check=True)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/picture.py runs/NAME")
    sys.exit(main(Path(sys.argv[1])))
