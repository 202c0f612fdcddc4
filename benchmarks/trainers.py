"""Five trainers as people write them, each watched in its own environment: results/trainers.json.

None of the scripts in benchmarks/trainers knows of Velodrome; each runs under `velodrome profile`.

    python benchmarks/trainers.py [--scale 1.0]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from typing import Any

from common import keep
from observe_overhead import HERE, Trainer

LIBRARIES = ("torch", "gymnasium", "stable-baselines3", "ray", "torchrl", "tensordict")
VERSIONS = (
    "import json, sys\nfrom importlib.metadata import PackageNotFoundError, version\nfound = {}\n"
    "for name in sys.argv[1:]:\n    try: found[name] = version(name)\n    except PackageNotFoundError: pass\n"
    "print(json.dumps(found))"
)


def trainers(scale: float) -> list[Trainer]:
    """The five, each for a number of steps that lasts some seconds, times `scale`."""

    def times(number: int) -> str:
        return str(max(round(number * scale), 1))

    return [
        Trainer("plain torch loop", "loop.py", ("--steps", times(8000))),
        Trainer("PPO in one file", "single_file_ppo.py", ("--updates", times(60))),
        Trainer("Stable-Baselines3 PPO", "sb3.py", ("--steps", times(15_000)), "sb3"),
        Trainer("RLlib PPO, new stack", "rllib.py", ("--iterations", times(8)), "rllib"),
        Trainer("TorchRL PPO", "torchrl_ppo.py", ("--batches", times(20)), "torchrl"),
    ]


def watched(trainer: Trainer) -> dict[str, Any]:
    """What `velodrome profile` says of it."""
    script = str(HERE / "trainers" / trainer.script)
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [trainer.python, "-m", "velodrome", "profile", "--json", script, *trainer.arguments],
            check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    document: dict[str, Any] = json.loads(ran.stdout.replace(f"{HERE.parent}{os.sep}", ""))
    document["script"] = trainer.script
    return document


def versions(trainer: Trainer) -> dict[str, str]:
    """Of the libraries in its environment."""
    asked = [trainer.python, "-c", VERSIONS, *LIBRARIES]
    found: dict[str, str] = json.loads(subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return found


def figure(trainer: Trainer, document: dict[str, Any]) -> dict[str, Any]:
    """One row: shares are of the time from the first call that was seen to the last, what was recorded left out."""
    seconds = {row["name"]: row["seconds"] for row in [*document["parents"], *document["phases"]]}
    trained_s = document["wall_s"] - sum(seconds.get(name, 0.0) for name in ("start", "end", "causes"))
    accounted_s = sum(row["seconds"] for row in document["phases"]) + document["unaccounted_s"]
    return {
        "trainer": trainer.name,
        "trained_s": trained_s,
        "collect": seconds.get("collect", 0.0) / trained_s,
        "learn": seconds.get("learn", 0.0) / trained_s,
        "unaccounted": document["unaccounted_s"] / trained_s,
        "overhead": document["overhead_s"] / trained_s,
        "closes_within": abs(accounted_s - document["wall_s"]) / document["wall_s"],
        **document["counts"],
        "parameters": sum(card["parameters"] for card in document["cards"]),
        "dearest_cause": document["causes"][0]["name"] if document["causes"] else None,
        "causes": len(document["causes"]),
    }


def main() -> None:
    """Watch all and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    figures, documents = [], {}
    for trainer in trainers(options.scale):
        document = watched(trainer)
        figures.append(figure(trainer, document))
        documents[trainer.name] = document | {"versions": versions(trainer)}
        print(figures[-1], flush=True)
    keep("trainers", figures, documents=documents)


if __name__ == "__main__":
    main()
