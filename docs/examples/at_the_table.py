"""A deal of Hearts at the table of `velodrome play`, without its page: `python docs/examples/at_the_table.py`."""

from __future__ import annotations

from velodrome.show.hearts_table import CARD_NAMES, Sitter, Table

bot = Sitter("the rule bot", "rule")
table = Table(opponents=bot, adviser=bot, seed=7)
while table.phase in ("pass", "play"):
    seen = table.seen()
    cards = seen["legal"][: seen["wanted"]]  # the first that may be played
    table.play(seen["number"], [CARD_NAMES[card] for card in cards])

review = table.review()
print("\n".join(review["says"]))
for decision in review["decisions"]:
    if not decision["same"]:
        when = "passing" if decision["passed"] else f"trick {decision['trick']}"
        print(f"{when}: {decision['yours']}, where {table.adviser.name} takes {decision['choice']}")
