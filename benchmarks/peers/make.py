"""Makes the environments of the peers: `python benchmarks/peers/make.py [NAME ...]`, all without a name.

Each peer gets `benchmarks/peers/NAME/.venv` with the versions pinned in its requirements.txt, and Velodrome itself
without its dependencies, so that the peer decides on those that it shares with us.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = ("rllib", "sb3", "pufferlib", "torchrl", "jaxmarl", "vmas", "benchmarl")


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment."""
    return HERE / peer / ".venv" / "bin" / "python"


def make(peer: str) -> None:
    venv.create(HERE / peer / ".venv", with_pip=True)
    install(peer, "-r", str(HERE / peer / "requirements.txt"))
    if peer == "pufferlib":
        make_pufferlib()
    install(peer, "--no-deps", "-e", str(HERE.parents[1]))


def make_pufferlib() -> None:
    """Its trainer and its compiled advantages without its games, whose build downloads graphics libraries.

    Its own switch for that, NO_OCEAN, fails in 3.0.0 for want of one variable, which is supplied here. A CUDA compiler
    is hidden from the build, since this torch has no CUDA.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text("import builtins\nbuiltins.c_extension_paths = []\n")
        folders = [each for each in os.environ["PATH"].split(os.pathsep) if not Path(each, "nvcc").exists()]
        install(
            "pufferlib", "--no-build-isolation", "--no-deps", "pufferlib==3.0.0",
            NO_OCEAN="1", PYTHONPATH=folder, PATH=os.pathsep.join(folders),
        )  # fmt: skip


def install(peer: str, *what: str, **environment: str) -> None:
    command = [str(python_of(peer)), "-m", "pip", "install", "--quiet", *what]
    subprocess.run(command, check=True, env=os.environ | environment)


def main() -> int:
    wanted = sys.argv[1:] or list(PEERS)
    for peer in wanted:
        if peer not in PEERS:
            print(f"no peer is called {peer!r}; there are {', '.join(PEERS)}", file=sys.stderr)
            return 2
    for peer in wanted:
        print(f"making {peer} ...", flush=True)
        make(peer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
