"""Torch modules, by name, and the compiled kernels that they need.

A net takes the views it names in `wants`, rows first, and returns a dict: the raw parameters of each action part under
the part's name and, if it estimates one, the `value` of each row.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import nn

from velodrome.mistake import nearest

NETS = {
    "hearts/attention": "velodrome.nets.hearts:attention",
    "hearts/attention-reduced": "velodrome.nets.hearts:attention_reduced",
    "hearts/attention-minimal": "velodrome.nets.hearts:attention_minimal",
    "hearts/mlp": "velodrome.nets.hearts:mlp",
    "hearts/compact": "velodrome.nets.hearts:compact",
    "arena/strategist": "velodrome.nets.arena:strategist",
    "arena/tactician": "velodrome.nets.arena:tactician",
    "arena/executor-mamba": "velodrome.nets.arena:executor_mamba",
    "arena/executor-lstm": "velodrome.nets.arena:executor_lstm",
    "skirmish/madt": "velodrome.nets.decision:madt",
    "skirmish/eva": "velodrome.nets.decision:eva",
    "territory/attention": "velodrome.nets.territory:attention",
    "territory/attention-steady": "velodrome.nets.territory:attention_steady",
    "territory/cross": "velodrome.nets.territory:cross",
    "territory/flatten": "velodrome.nets.territory:flatten",
}
"""Each function returns the net and example inputs for it."""


def make_net(name: str) -> tuple[nn.Module, tuple[Any, ...]]:
    """The net of that name and example inputs."""
    if name not in NETS:
        raise ValueError(f"no net is called {name!r}; {nearest(name, NETS)}")
    module, function = NETS[name].split(":")
    made: tuple[nn.Module, tuple[Any, ...]] = getattr(import_module(module), function)()
    return made
