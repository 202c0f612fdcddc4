"""A side of a benchmark that trains with a script's `main` whenever it is its turn, watched or not.

Argument: `{script, arguments, observed}`. A turn's record is `{seconds, cpu_s, overhead, calls}`: of a watched one, the
share that watching is computed to take of it, and how many calls were watched.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))
from turns import Record, take_turns

from velodrome.edge.observe import Observer


def main_of(script: Path) -> Callable[[], None]:
    spec = importlib.util.spec_from_file_location("trainer", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[[], None] = module.main
    return main


def main() -> None:
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    observer = Observer(causes=False).open() if asked["observed"] else None
    train = main_of(Path(asked["script"]))
    sys.argv[1:] = asked["arguments"]

    def turn() -> Record:
        gc.collect()
        before = observer.budget() if observer is not None else None
        calls = observer.account.calls if observer is not None else 0
        began, cpu_began = time.perf_counter(), time.process_time()
        train()
        taken: Record = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu_began}
        if observer is not None and before is not None:
            overhead_s = (observer.budget() - before).overhead
            taken |= {"overhead": overhead_s / taken["seconds"], "calls": observer.account.calls - calls}
        return taken

    take_turns(turn, {"side": "observed" if asked["observed"] else "plain"})


if __name__ == "__main__":
    main()
