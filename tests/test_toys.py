"""The toys do what they are there for: the game is awkward, and the trainer learns it."""

from __future__ import annotations

from playing import play_on
from toys import Meadow, meadow
from velodrome.learn.evaluate import evaluate
from velodrome.meter.clock import Clock
from velodrome.recipes import find


def test_the_meadow_has_all_that_is_awkward() -> None:
    history = play_on(Meadow(64, 0), 40)
    assert any(step["ended"].any() for step in history)
    assert any(step["cut"].any() for step in history)
    assert any((~step["acting"]).any() and not (step["ended"] | step["cut"]).all() for step in history)
    assert any((~step["usable"]).all(-1).any() for step in history), "some row has nothing legal"


def test_the_recurrent_trainer_learns_in_two_stages() -> None:
    found = find("tests/toys.py:meadow")
    trainer = meadow(found.settings(imitate=12), 0, "cpu")
    clock = Clock()
    before = evaluate(trainer, trainer.game, "random", episodes=200, seed=1)
    stages = [trainer.iterate(clock).metrics["stage"] for _ in range(18)]
    after = evaluate(trainer, trainer.game, "random", episodes=200, seed=1)
    assert stages == [0] * 12 + [1] * 6
    assert before.score < 0.65
    assert after.score > 0.8
    assert len(trainer.state()["stages"][0]["replay"]) == 12
