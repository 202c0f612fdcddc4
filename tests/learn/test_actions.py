"""Actions against torch.distributions, SciPy and finite differences."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, distributions

from velodrome.games.game import Bits, Box, Choice, Part, Simplex
from velodrome.learn.actions import Actions

ROWS = 64
PARTS: tuple[Part, ...] = (
    Choice("card", 7, mask="legal"),
    Bits("keys", 4, mask="usable"),
    Box("aim", 2, low=-1.0, high=3.0),
    Simplex("trust", 3),
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def an_example(
    rows: int = ROWS, parts: tuple[Part, ...] = PARTS
) -> tuple[Actions, dict[str, Tensor], dict[str, Tensor]]:
    actions, random = Actions(parts), generator(1)
    outputs = {name: torch.randn(rows, width, generator=random) for name, width in actions.heads.items()}
    views = {
        "legal": torch.rand(rows, 7, generator=random) < 0.5,
        "usable": torch.rand(rows, 4, generator=random) < 0.5,
    }
    views["legal"][:, 2] = True
    return actions, outputs, views


def reference(part: Part, outputs: dict[str, Tensor], views: dict[str, Tensor]) -> distributions.Distribution:
    if isinstance(part, Choice):
        return distributions.Categorical(logits=outputs["card"].masked_fill(~views["legal"], -torch.inf))
    if isinstance(part, Bits):
        probs = outputs["keys"].sigmoid() * views["usable"]
        return distributions.Independent(distributions.Bernoulli(probs=probs), 1)
    assert isinstance(part, Simplex)
    return distributions.Dirichlet(1 + torch.nn.functional.softplus(outputs["trust"]))


@pytest.mark.parametrize("part", [PARTS[0], PARTS[1], PARTS[3]], ids=lambda part: type(part).__name__)
def test_equals_torch_distributions(part: Part) -> None:
    actions, outputs, views = an_example(parts=(part,))
    action, log_prob = actions.sample(outputs, views, generator())
    again, entropy = actions.log_prob_and_entropy(outputs, action, views)
    oracle = reference(part, outputs, views)
    torch.testing.assert_close(log_prob, again, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(log_prob, oracle.log_prob(action[part.name].float()), rtol=1e-4, atol=1e-4)
    if isinstance(part, Choice):  # torch's own entropy is NaN under a mask of minus infinity
        probs = oracle.probs
        torch.testing.assert_close(entropy, -torch.special.xlogy(probs, probs).sum(-1), rtol=1e-4, atol=1e-5)
    else:
        torch.testing.assert_close(entropy, oracle.entropy(), rtol=1e-4, atol=1e-4)


def test_chances_are_those_of_the_distributions() -> None:
    actions, outputs, views = an_example()
    chances = actions.chances(outputs, views)
    card, keys, trust = (reference(part, outputs, views) for part in (PARTS[0], PARTS[1], PARTS[3]))
    torch.testing.assert_close(chances["card"], card.probs)
    torch.testing.assert_close(chances["keys"], keys.mean)
    torch.testing.assert_close(chances["trust"], trust.mean)
    torch.testing.assert_close(chances["aim"], actions.sample(outputs, views, generator(), greedy=True)[0]["aim"])
    assert set(actions.chances({"card": outputs["card"]}, views)) == {"card"}


def test_divergence_equals_torchs() -> None:
    actions, outputs, views = an_example(parts=PARTS[:2])
    other = {name: output + 0.5 * torch.randn(output.shape, generator=generator(3)) for name, output in outputs.items()}
    one, two = ([reference(part, each, views) for part in PARTS[:2]] for each in (outputs, other))
    p, q = one[0].probs, two[0].probs  # torch's own is NaN under a mask of minus infinity
    of_choice = torch.where(p > 0, p * (p.log() - q.log()), 0.0).sum(-1)
    p, q = (each[1].base_dist.probs for each in (one, two))
    of_bits = (torch.special.xlogy(p, p / q.clamp_min(1e-30)) + torch.special.xlogy(1 - p, (1 - p) / (1 - q))).sum(-1)
    found = actions.divergence(outputs, other, views)
    torch.testing.assert_close(found, of_choice + of_bits, rtol=1e-4, atol=1e-5)
    assert (found > -1e-6).all()
    assert found.mean() > 0.05
    torch.testing.assert_close(actions.divergence(outputs, outputs, views), torch.zeros(ROWS))
    with pytest.raises(ValueError, match="aim"):
        Actions(PARTS).divergence(*([an_example()[1]] * 2), views)


def test_box_equals_scipys_cut_normal() -> None:
    actions, outputs, views = an_example(parts=(PARTS[2],))
    action, log_prob = actions.sample(outputs, views, generator())
    again, entropy = actions.log_prob_and_entropy(outputs, action, views)
    centre = 1 + 2 * np.tanh(outputs["aim"].double().numpy())
    std = 2 * (0.01 + 0.99 * outputs["aim.spread"].double().sigmoid().numpy())
    oracle = stats.truncnorm((-1 - centre) / std, (3 - centre) / std, centre, std)
    np.testing.assert_allclose(log_prob, oracle.logpdf(action["aim"].numpy()).sum(-1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(again, log_prob, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(entropy, oracle.entropy().sum(-1), rtol=1e-4, atol=1e-4)


CHANCES = [0.3, 0.6, 0.1]


def three_centres(rows: int, apart: float) -> tuple[Actions, dict[str, Tensor]]:
    steps = apart * torch.tensor([[-0.5, -1.0], [0.0, 0.0], [1.0, 0.5]])
    points = 0.1 + steps.expand(rows, -1, -1)
    logs = torch.tensor(CHANCES).log().expand(rows, -1).clone().requires_grad_()
    outputs = {"aim": points[:, 1], "aim.points": points, "aim.logs": logs}
    return Actions((PARTS[2],)), outputs | {"aim.spread": torch.full((rows, 2), -3.0)}


@pytest.mark.parametrize("apart", [1.0, 0.02])
def test_of_several_centres_one_is_drawn_and_all_are_scored(apart: float) -> None:
    rows = 40_000
    actions, outputs = three_centres(rows, apart)
    action, log_prob = actions.sample(outputs, {}, generator())
    again, entropy = actions.log_prob_and_entropy(outputs, action, {})
    std = 2 * (0.01 + 0.99 / (1 + np.exp(3.0)))
    centres = 1 + 2 * np.tanh(outputs["aim.points"][0].numpy())
    density = np.stack(
        [
            stats.truncnorm((-1 - centre) / std, (3 - centre) / std, centre, std).pdf(action["aim"].numpy()).prod(-1)
            for centre in centres
        ]
    )
    np.testing.assert_allclose(log_prob.detach(), np.log(CHANCES @ density), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(again.detach(), log_prob.detach(), rtol=1e-5, atol=1e-5)
    found, told = -float(log_prob.detach().mean()), float(entropy[0].detach())
    if apart > 0.5:
        drawn = np.bincount(density.argmax(0), minlength=3)
        assert stats.chisquare(drawn, rows * np.array(CHANCES)).pvalue > 1e-4
        assert told == pytest.approx(found, abs=0.02)
    else:
        assert told > found + 0.1
    greedy, _ = actions.sample(outputs, {}, generator(), greedy=True)
    np.testing.assert_allclose(greedy["aim"][0], centres[1], rtol=1e-5)
    again.sum().backward()
    assert outputs["aim.logs"].grad is not None
    assert (outputs["aim.logs"].grad > 0).any(0).all(), "what it earns can teach it which to take"


def test_frequencies_are_the_probabilities() -> None:
    rows = 40_000
    actions, outputs, views = an_example(rows=1)
    many = {name: value.expand(rows, -1) for name, value in outputs.items()}
    seen, _ = actions.sample(many, {name: view.expand(rows, -1) for name, view in views.items()}, generator())
    probs = reference(PARTS[0], outputs, views).probs[0]
    counts = torch.bincount(seen["card"], minlength=7)
    legal = probs > 0
    assert counts[~legal].sum() == 0
    assert stats.chisquare(counts[legal].numpy(), (probs[legal] / probs[legal].sum() * rows).numpy()).pvalue > 1e-4
    for name in ("keys", "trust"):
        part = next(part for part in PARTS if part.name == name)
        mean = reference(part, outputs, views).mean[0]
        torch.testing.assert_close(seen[name].float().mean(0), mean, rtol=0, atol=0.02)
    centre, std = 1 + 2 * outputs["aim"][0].tanh(), 2 * (0.01 + 0.99 * outputs["aim.spread"][0].sigmoid())
    for n in range(2):
        oracle = stats.truncnorm((-1 - centre[n]) / std[n], (3 - centre[n]) / std[n], centre[n], std[n])
        assert stats.kstest(seen["aim"][:, n].numpy(), oracle.cdf).pvalue > 1e-4


def test_gradients_equal_finite_differences() -> None:
    """In fp32, since that is what the sums are computed in: a directional derivative at a step that suits it."""
    actions, outputs, views = an_example(rows=8)
    action, _ = actions.sample(outputs, views, generator())
    for name in outputs:
        direction = torch.randn(outputs[name].shape, generator=generator(2))

        def along(step: float, name: str = name, direction: Tensor = direction) -> Tensor:
            moved = outputs | {name: outputs[name] + step * direction}
            log_prob, entropy = actions.log_prob_and_entropy(moved, action, views)
            return (log_prob + 0.5 * entropy).double().sum()

        leaf = outputs[name].clone().requires_grad_()
        log_prob, entropy = actions.log_prob_and_entropy(outputs | {name: leaf}, action, views)
        (slope,) = torch.autograd.grad((log_prob + 0.5 * entropy).sum(), leaf)
        torch.testing.assert_close(
            (slope * direction).double().sum(), (along(1e-2) - along(-1e-2)) / 2e-2, rtol=2e-3, atol=2e-3
        )


@pytest.mark.parametrize("compiled", [False, True])
def test_a_row_with_nothing_legal_gives_no_nan(compiled: bool) -> None:
    actions, outputs, views = an_example()
    views["legal"][::2], views["usable"][::2] = False, False
    leaves = {name: value.clone().requires_grad_() for name, value in outputs.items()}
    score = (
        torch.compile(actions.log_prob_and_entropy, backend="aot_eager") if compiled else actions.log_prob_and_entropy
    )
    for greedy in (False, True):
        action, log_prob = actions.sample(outputs, views, generator(), greedy)
        assert log_prob.isfinite().all()
        assert ((action["card"] >= 0) & (action["card"] < 7)).all()
        assert not action["keys"][::2].any()
        again, entropy = score(leaves, action, views)
        assert again.isfinite().all()
        assert entropy.isfinite().all()
        slopes = torch.autograd.grad((again + entropy).sum(), list(leaves.values()))
        assert all(slope.isfinite().all() for slope in slopes)
        assert not slopes[0][::2].any()


def test_extreme_outputs_stay_finite() -> None:
    actions, outputs, views = an_example()
    for scale in (30.0, 1e4):
        leaves = {name: (value * scale).requires_grad_() for name, value in outputs.items()}
        action, log_prob = actions.sample({name: leaf.detach() for name, leaf in leaves.items()}, views, generator())
        again, entropy = actions.log_prob_and_entropy(leaves, action, views)
        assert log_prob.isfinite().all()
        assert again.isfinite().all()
        assert entropy.isfinite().all()
        for slope in torch.autograd.grad((again + entropy).sum(), list(leaves.values())):
            assert slope.isfinite().all()


def test_actions_stay_within_what_is_allowed() -> None:
    actions, outputs, views = an_example(rows=5_000)
    outputs = {name: 8 * value for name, value in outputs.items()}
    for greedy in (False, True):
        action, _ = actions.sample(outputs, views, generator(), greedy)
        assert views["legal"].gather(1, action["card"][:, None]).all()
        assert not (action["keys"].bool() & ~views["usable"]).any()
        assert ((action["aim"] >= -1) & (action["aim"] <= 3)).all()
        assert (action["trust"] >= 0).all()
        torch.testing.assert_close(action["trust"].sum(-1), torch.ones(5_000))


def test_half_precision_outputs_are_scored_in_fp32() -> None:
    actions, outputs, views = an_example()
    action, log_prob = actions.sample({name: value.bfloat16() for name, value in outputs.items()}, views, generator())
    assert log_prob.dtype == torch.float32
    assert views["legal"].gather(1, action["card"][:, None]).all()


def test_the_generator_alone_decides() -> None:
    actions, outputs, views = an_example()
    first, again, other = (actions.sample(outputs, views, generator(seed))[0] for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_refuses_endless_bounds() -> None:
    with pytest.raises(ValueError, match="action part push: bounds"):
        Actions([Box("push", 1, high=float("inf"))])
