"""How the table is drawn."""

from __future__ import annotations

from dataclasses import replace

from velodrome.games.game import Array
from velodrome.games.hearts.rules import CARDS, HAND, NO_PASS, PASSED, RANKS, SEATS, SUITS, Rules, points_of
from velodrome.games.hearts.text import PASS_NAMES, card_name, cards_in, phase
from velodrome.games.scene import EVERYONE, FAINTEST, Bars, Box, Card, Mind, Scene, Shape, Text

BOUNDS = (0.0, 0.0, 100.0, 74.0)
MIDDLE = (50.0, 37.0)
TO_HAND = (27.5, 41.0, 27.5, 41.0)
"""How far from the middle each seat's hand lies."""
SPACING = (3.9, 3.3, 3.9, 3.3)
"""From card to card."""
TO_TRICK, TO_GIVEN = 6.6, 15.5
"""How far from the middle a card on the table lies, and one that is passed on."""
TO_NAME = (34.0, 29.0, 34.0, 29.0)
TO_TAKEN = ((16.5, 22.0), (29.5, 13.0), (16.5, 22.0), (29.5, 13.0))
"""How far to the left of its hand a seat's name stands; and its tricks, ahead of the middle and to the right."""
WIDTH, TAKEN_WIDTH = 5.6, 4.2
ORDER = sorted(range(CARDS), key=lambda card: ("CDSH".index(SUITS[card % 4]), card))
"""In which cards are held, and laid over each other."""


def scene_of(game: Array, rules: Rules, mind: Mind) -> Scene:
    """Every card where it lies, whose turn it is, and how likely the net is to choose which."""
    shapes: dict[str, Shape] = {"table": Box(50, 37, 100, 74, "felt", layer="ground")}
    turn, over = int(game["turn"]), game["plays"] == CARDS
    for seat in range(SEATS):
        if seat == turn and not over:
            shapes[f"turn {seat}"] = _place_of_hand(seat)
        shapes |= _name(game, rules, seat, seat == turn and not over)
    cards = _cards(game)
    wish = None if over else mind.wish("card", 0)
    for card in ORDER:
        lies = cards[card]
        if wish is not None and (wish[card] >= FAINTEST / 4 or card == int(mind.action["card"][0])):
            lies = replace(lies, chance=float(wish[card]), chosen=int(card == int(mind.action["card"][0])))
        shapes[card_name(card)] = lies
    bars = [] if over else _bars(mind, turn)
    seats = [f"seat {seat}" for seat in range(SEATS)]
    says = f"{PASS_NAMES[game['direction']]}; {phase(game)}"
    return Scene(BOUNDS, shapes, says, bars, seats, pace=1.25, glide=0.45)


def _bars(mind: Mind, turn: int) -> list[Bars]:
    wish = mind.wish("card", 0)
    if wish is None:
        return []
    does = int(mind.action["card"][0])
    cards = {card_name(card): float(wish[card]) for card in ORDER if wish[card] >= FAINTEST or card == does}
    bars = [Bars(mind.title(f"seat {turn} chooses"), cards, [card_name(does)], turn)]
    if "moments" in mind.looks:
        moments = mind.looks["moments"][0][::-1].tolist()
        names = ["now", "its last decision", *(f"{n} decisions ago" for n in range(2, len(moments)))]
        shares = {name: share for name, share in zip(names, moments, strict=True) if share >= FAINTEST}
        bars.append(Bars("Looks at what it saw", shares, of=turn, colours=("wish",)))
    return bars


# -- places: each seat's own right and ahead, the player at the bottom being the first ---------------------------------


def _at(seat: int, ahead: float, right: float) -> tuple[float, float]:
    """A point in front of a seat's side of the middle, and to the player's right."""
    x, y = right, ahead
    for _ in range(seat):  # a quarter turn clockwise for each seat
        x, y = -y, x
    return MIDDLE[0] + x, MIDDLE[1] + y


def _place_of_hand(seat: int) -> Box:
    x, y = _at(seat, TO_HAND[seat], 0)
    return Box(x, y, HAND * SPACING[seat] + 5, 10.5, "felt-light", 90 * seat, 2, layer="ground")


def _name(game: Array, rules: Rules, seat: int, acts: bool) -> dict[str, Shape]:
    """Aside of the hand, to the left: who sits there, and the points taken."""
    x, y = _at(seat, TO_HAND[seat], -TO_NAME[seat])
    points = int(points_of(game["taken"][seat], rules))
    return {
        f"name {seat}": Text(x, y - 1.8, 2.1, f"seat {seat}", "on-felt", bold=int(acts)),
        f"points {seat}": Text(x, y + 1.6, 3.0, f"{points}", "on-felt", bold=1),
    }


def _cards(game: Array) -> dict[int, Card]:
    """Where every card lies."""
    found: dict[int, Card] = {}
    passing = game["direction"] != NO_PASS and game["passes"] < SEATS * PASSED
    for seat in range(SEATS):
        held = set(cards_in(int(game["hand"][seat])))
        row = [card for card in ORDER if card in held]
        for i, card in enumerate(row):
            place = _at(seat, TO_HAND[seat], (i - (len(row) - 1) / 2) * SPACING[seat])
            found[card] = _card(card, place, seat, of=seat)
        for i, card in enumerate(cards_in(int(game["given"][seat])) if passing else []):
            found[card] = _card(card, _at(seat, TO_GIVEN, (i - 1) * WIDTH), seat, of=seat)
    return found | _played(game)


def _played(game: Array) -> dict[int, Card]:
    """The last trick lies in the middle, those before beside whoever won them."""
    found: dict[int, Card] = {}
    plays = int(game["plays"])
    last = (plays - 1) // SEATS
    for n, card in enumerate(game["play_order"][:plays].tolist()):
        trick, leader = n // SEATS, int(game["leader"][n // SEATS])
        seat = (leader + n % SEATS) % SEATS
        if trick == last:
            found[card] = _card(card, _at(seat, TO_TRICK, 0), seat)
        else:
            winner = int(game["leader"][trick + 1])
            ahead, right = TO_TAKEN[winner]
            place = _at(winner, ahead, right + 0.25 * trick)
            found[card] = replace(_card(card, place, winner), width=TAKEN_WIDTH, face=0)
    return found


def _card(card: int, place: tuple[float, float], seat: int, of: int = EVERYONE) -> Card:
    rank = RANKS[card // 4].replace("T", "10")
    return Card(*place, WIDTH, 90.0 * seat, rank, SUITS[card % 4], of=of)
