"""What a report tells of a run and no file does yet: its nets' cards, where they look, and how far they can be trusted.
Found once, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from velodrome.mistake import Mistake
from velodrome.recipes.restore import restore
from velodrome.runs.files import plain, write_durably
from velodrome.runs.run import Run
from velodrome.show.cards import cards_of
from velodrome.show.looks import looks_of
from velodrome.show.trust import trust_of


def keep_facts(folder: Path) -> None:
    """Write cards.json, looks.json and trust.json into the folder of a run that has a checkpoint. What cannot be
    restored here gets none."""
    if (folder / "cards.json").is_file() or not Run(folder).checkpoints.found():
        return
    try:
        restored = restore(folder)
    except Mistake:
        return
    trainer, device = restored.trainer, restored.config.device
    looks = {name: [one.to_json() for one in own] for name, own in looks_of(trainer, device).items()}
    cards = cards_of(trainer, device)
    if looks:
        _write(folder / "looks.json", {"nets": looks})
    if trust := trust_of(trainer, device):
        _write(folder / "trust.json", {"trust": [one.to_json() for one in trust]})
    _write(
        folder / "cards.json", {"models": [one.to_json() for one in cards], "batch": cards[0].batch if cards else None}
    )


def _write(path: Path, document: dict[str, Any]) -> None:
    write_durably(path, json.dumps(plain(document), indent=1).encode())
