"""Decision transformers and their mixers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.decision import A_STEP, Attention, Block, DecisionNet, Evolving, Tokens
from velodrome.nets.evolution import Search

SEEN, ORDERS, CONTEXT = 64, 9, 5


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters() -> None:
    assert count(Attention(32, 2)) == 4224
    assert count(Evolving(32)) == 4706
    assert count(Block(32, Attention(32, 2))) == 8544
    assert count(Block(32, Evolving(32))) == 9026
    trunk = 401 * 32 + 4 * 32 + 64
    for mixer, block in (("mhsa", 8544), ("evae", 9026)):
        net = DecisionNet("seen", SEEN, "order", ORDERS, mixer=mixer)  # type: ignore[arg-type]
        assert count(net) == trunk + 2 * block + 32 * SEEN + 32 + 32 * ORDERS


def views(tokens: Tokens, rows: int = 6, context: int | None = CONTEXT) -> dict[str, Tensor]:
    shape = (rows,) if context is None else (rows, context)
    return {
        "seen": torch.randn(*shape, SEEN),
        "time": torch.randint(0, 60, shape),
        "before": torch.randint(0, ORDERS, shape),
        "earned": 20 * torch.rand(shape),
    }


def net(tokens: Tokens = "state_only", context: int = CONTEXT, **options: Any) -> DecisionNet:
    torch.manual_seed(0)
    made = DecisionNet("seen", SEEN, "order", ORDERS, orders=ORDERS, tokens=tokens, context=context, **options)
    for parameter in made.parameters():  # so that positions count, too
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made


@pytest.mark.parametrize("tokens", A_STEP)
def test_what_comes_later_changes_nothing(tokens: Tokens) -> None:
    actor, seen = net(tokens).eval(), views(tokens)
    before = actor(seen)["order"]
    assert before.shape == (6, CONTEXT, ORDERS)
    for view in seen.values():
        view[:, 3:] = view[:, 3:].flip(0)
    after = actor(seen)["order"]
    torch.testing.assert_close(after[:, :3], before[:, :3])
    assert (after[:, 3:] - before[:, 3:]).abs().max() > 1e-3


@pytest.mark.parametrize("tokens", A_STEP)
def test_what_came_earlier_counts(tokens: Tokens) -> None:
    actor, seen = net(tokens).eval(), views(tokens)
    before = actor(seen)["order"]
    for name in actor.wants:
        changed = seen | {name: seen[name].clone()}
        changed[name][:, 1] = changed[name][:, 1].flip(0)
        after = actor(changed)["order"]
        if name != "time":
            assert (after[:, 4] - before[:, 4]).abs().max() > 1e-5, name


def test_attention_is_that_of_the_formula() -> None:
    torch.manual_seed(1)
    mixer = Attention(32, 2).double()
    x = torch.randn(3, 7, 32, dtype=torch.float64)
    q, k, v = (part(x).view(3, 7, 2, 16).transpose(1, 2) for part in (mixer.query, mixer.key, mixer.value))
    scores = (q @ k.transpose(-1, -2)) / 4 + torch.full((7, 7), -torch.inf).triu(1)
    wanted = mixer.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(3, 7, 32))
    torch.testing.assert_close(mixer(x), wanted)


def test_attention_over_one_token_is_a_linear_map() -> None:
    mixer = Attention(32, 2).double()
    x = torch.randn(5, 1, 32, dtype=torch.float64)
    both = torch.cat([x, torch.randn_like(x)], 1)  # the first of two tokens sees itself alone
    torch.testing.assert_close(mixer(x), mixer(both)[:, :1])


def test_one_step_is_the_first_of_many() -> None:
    for tokens in A_STEP:
        actor = net(tokens, context=1).eval()  # type: ignore[arg-type]
        seen = views(tokens, context=1)  # type: ignore[arg-type]
        alone = {name: view.squeeze(1) for name, view in seen.items()}
        torch.testing.assert_close(actor(alone)["order"], actor(seen)["order"].squeeze(1))


@pytest.mark.parametrize("tokens", A_STEP)
@pytest.mark.parametrize("mixer", ["mhsa", "evae"])
def test_step_by_step_it_sees_what_it_would_in_a_sequence(tokens: Tokens, mixer: Any) -> None:
    """Once as many steps are remembered as it looks at; before that, as if nothing were there."""
    actor, seen = net(tokens, mixer=mixer, mixing=mixer == "evae").eval(), views(tokens, context=9)
    memory = actor.start(6)
    for step in range(9):
        now = {name: view[:, step] for name, view in seen.items()} | memory
        found, memory = actor(now)["order"], actor.remember(now)
        if step >= CONTEXT - 1:
            window = {name: view[:, step - CONTEXT + 1 : step + 1] for name, view in seen.items()}
            torch.testing.assert_close(found, actor(window)["order"][:, -1])
        else:
            assert memory["past.known"].sum(1).tolist() == [min(step + 1, CONTEXT - 1)] * 6
            noise = {
                name: torch.where(memory["past.known"].view(6, CONTEXT - 1, *[1] * (part.dim() - 2)), part, part + 1)
                for name, part in memory.items()
                if name != "past.known"
            }
            later = {name: view[:, step + 1] for name, view in seen.items()}
            torch.testing.assert_close(actor(later | memory | noise)["order"], actor(later | memory)["order"])


def test_a_critic_gives_one_number() -> None:
    critic = DecisionNet("state", 81, "value", 1)
    seen = {"state": torch.randn(6, 81), "time": torch.zeros(6)}
    assert critic(seen)["value"].shape == (6,)


# -- the evolving mixer -----------------------------------------------------------------------------------------------


def test_evaluation_knows_no_search() -> None:
    """It is the same to the bit whatever the settings, and whenever."""
    torch.manual_seed(0)
    mixer, x = Evolving(32).eval(), torch.randn(4, 3, 32)
    wanted = mixer(x)
    for search in (
        Search(population=7, elites=0.5, generations=1),
        Search(stop_gain=0.1),
        Search(every=5),
        Search(layers=(0,)),
        Search(precision="bfloat16"),
    ):
        mixer.search = search
        assert torch.equal(mixer(x), wanted)


def test_it_mixes_no_tokens() -> None:
    mixer, x = Evolving(32).eval(), torch.randn(4, 6, 32)
    order = torch.randperm(6)
    torch.testing.assert_close(mixer(x)[:, order], mixer(x[:, order]))
    with pytest.raises(ValueError, match="blind to what is seen"):
        net("state_action", mixer="evae")


def test_mended_it_mixes_tokens_and_begins_as_published() -> None:
    mixed, published = (Evolving(32, mixing=mixing).eval() for mixing in (7, 0))
    published.load_state_dict({name: part for name, part in mixed.state_dict().items() if name != "blend"})
    x = torch.randn(4, 6, 32)
    torch.testing.assert_close(mixed(x), published(x))
    assert mixed.blend is not None
    mixed.blend.data += 0.1 * torch.randn(7, 7)
    before, changed = mixed(x), x.clone()
    changed[:, 3] = torch.randn(4, 32)
    after = mixed(changed)
    assert torch.equal(after[:, :3], before[:, :3]), "what comes later changes nothing"
    assert (after[:, 4:] - before[:, 4:]).abs().max() > 1e-4
    sighted = net("state_action", mixer="evae", mixing=True).eval()
    seen = views("state_action")
    before = sighted(seen)["order"]
    seen["seen"] = torch.randn_like(seen["seen"])
    assert (sighted(seen)["order"] - before).abs().max() > 1e-4


def test_a_taught_fitness_net_comes_to_tell_how_it_went() -> None:
    torch.manual_seed(0)
    mixer, x = Evolving(32, taught=True), torch.randn(256, 1, 32)
    went = (x[:, 0, 0] > 0).float()
    mixer(x)
    wide = mixer.wide.weight.grad
    optimizer = torch.optim.Adam(mixer.parameters(), 1e-2)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        mixer(x)
        loss = mixer.lesson(went)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.6
    assert losses[-1] < 0.3
    assert mixer.wide.weight.grad is wide is None, "the lesson is the fitness net's alone"


def test_the_mixer_is_that_of_the_formula() -> None:
    mixer, x = Evolving(32).double().eval(), torch.randn(2, 3, 32, dtype=torch.float64)
    h = F.layer_norm(x, (32,), mixer.layer_norm.weight, mixer.layer_norm.bias)
    z = mixer.mean(F.gelu(mixer.norm(mixer.wide(h))))
    decoded = mixer.judge.out(F.gelu(mixer.judge.norm(mixer.judge.wide(z))))
    torch.testing.assert_close(mixer(x), x + 0.1 * decoded)


def test_what_learns_and_what_does_not() -> None:
    mixer = Evolving(32)
    mixer(torch.randn(8, 1, 32)).square().sum().backward()
    for name, parameter in mixer.named_parameters():
        still = name.startswith(("judge.fitness", "judge.verdict"))
        assert (parameter.grad is None) == still, name
        assert still or parameter.grad.abs().sum() > 0, name


def test_only_every_third_update_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(
        "velodrome.nets.decision.searched", lambda *given: calls.append(1) or torch.zeros_like(given[1])
    )
    mixer = Evolving(32, Search(every=3))
    for _ in range(7):
        mixer(torch.randn(2, 1, 32))
    assert len(calls) == 3
    again = Evolving(32, Search(every=3))
    again.load_state_dict(mixer.state_dict())
    again(torch.randn(2, 1, 32))
    again(torch.randn(2, 1, 32))
    assert len(calls) == 3, "a copy goes on counting where the first stood"


def test_chosen_layers_search() -> None:
    some = net(context=1, mixer="evae", search=Search(layers=(1,)))
    assert [block.mixer.search.population for block in some.blocks] == [1, 20]
    everywhere = net(context=1, mixer="evae")
    assert [block.mixer.search for block in everywhere.blocks] == [Search(), Search()]
    assert replace(Search(), layers=()) == Search()
