"""`velodrome play`."""

from __future__ import annotations

import os
import secrets
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from velodrome.games.hearts import Hearts
from velodrome.mistake import Mistake, nearest
from velodrome.recipes.shipped import shipped
from velodrome.show.hearts_table import Sitter, Table
from velodrome.show.table_server import TableServer
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Count, Name, parse, refuse_below, subject
from velodrome.verbs.players import NOBODY, Opponent, opponent

PLAYABLE = ("hearts",)
DEVICE = "cpu"
"""One position at a time is no work for another."""
FREE_PORTS = 1024
"""Ports below belong to the system."""


@dataclass(frozen=True)
class Play:
    """Sit down to Hearts against three agents, in the browser. RUN is the folder of a run: its agent is in the other
    seats, gives hints, and reviews each deal with you; without one, the agent that ships with Velodrome. Ctrl-C ends
    the game."""

    against: Name = None
    """Who is in the other seats: a bot of the game, or the folder of another run; by default RUN, without one the agent
    that ships with Velodrome, and where none does the game's last bot."""
    port: int = 0
    """Where to listen on this machine; by default wherever is room."""
    seed: Count = None
    """The same seed deals the same cards; by default others each time."""
    browser: bool = True
    """Open the page in a browser; else its address is printed and no more."""
    json: bool = False
    """Answer with one JSON document when the game is over."""


def play(arguments: Sequence[str]) -> Answer:
    """Serve a table until Ctrl-C."""
    game, rest = subject("play", "hearts", arguments)
    if game and game not in PLAYABLE:
        raise Mistake(f"{game!r} is not played here; {nearest(game, PLAYABLE)}")
    named = rest[:1] if rest and not rest[0].startswith("-") else []
    flags = parse("play hearts [RUN]", Play, rest[len(named) :])
    refuse_below(flags, seed=0)
    torch.set_num_threads(1)
    table = table_of(named[0] if named else None, flags)
    server = listening(table, flags.port)
    print(f"velodrome: {introduction(table)}", file=sys.stderr)
    print(f"velodrome: {server.url} is the table; Ctrl-C here ends the game", file=sys.stderr, flush=True)
    serve(server, flags.browser)
    with server.turn:
        document, text = table.to_json(), table.summary()
    return Answer(document, f"{text}\nthe same cards again: --seed {table.game.seed}")


def table_of(run: str | None, flags: Play) -> Table:
    """Who sits there, and who gives hints: the agent of the run that was named, or of the run that is played against;
    else whoever is the strongest."""
    game = Hearts(1, 0)
    default = strongest(game)
    own = default if run is None else opponent(run, game, DEVICE, "play hearts")
    rivals = own if flags.against is None else opponent(flags.against, game, DEVICE)
    if rivals.player is None or own.player is None:
        raise Mistake(f"Hearts has four seats: {NOBODY} cannot sit in them")
    adviser = rivals if run is None and not isinstance(rivals.player, str) else own
    seed = secrets.randbelow(2**31) if flags.seed is None else flags.seed
    return Table(sitter(rivals, three=True), sitter(adviser), seed)


def strongest(game: Hearts) -> Opponent:
    """Who plays where no run is named: the agent that ships with the package, or the last of the bots."""
    agent = shipped(PLAYABLE[0])
    return opponent(None, game, DEVICE) if agent is None else Opponent(agent.about.recipe, agent.trainer(DEVICE))


def sitter(who: Opponent, three: bool = False) -> Sitter:
    """A player as the page names it."""
    assert who.player is not None
    if isinstance(who.player, str):
        return Sitter(f"three {who.name} bots" if three else f"the {who.name} bot", who.player)
    return Sitter(f"the agent of {who.name}{', three times' if three else ''}", who.player)


def introduction(table: Table) -> str:
    """Who is there."""
    return f"you play against {table.opponents.name}; hints and reviews are by {table.adviser.name}"


def listening(table: Table, port: int) -> TableServer:
    """The server, on a port that is free."""
    if port and not FREE_PORTS <= port < 2**16:
        raise Mistake(f"--port {port}: it takes {FREE_PORTS} to {2**16 - 1}, or 0 for any that is free")
    try:
        return TableServer(table, port)
    except OSError as error:
        why = error.strerror or error
        raise Mistake(f"--port {port}: {why}; choose another, or leave it out for any that is free") from error


def serve(server: TableServer, browser: bool) -> None:
    """Answer until Ctrl-C."""
    try:
        if browser:
            open_page(server.url)
        server.serve_forever()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the terminal has written ^C
    finally:
        server.server_close()


def open_page(url: str) -> None:
    """In a browser with a window; one inside the terminal would take it from us."""
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        return
    webbrowser.open(url)
