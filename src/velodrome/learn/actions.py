"""Actions from a net's outputs: sampled, scored and masked, for every kind of part that a game may declare.

A net gives raw numbers `[rows, n]` under each part's name (`Actions.heads` says which names and widths):

- `Choice`: logits; `Bits`: one logit a bit. What the mask forbids has probability zero.
- `Box`: a normal distribution cut off at the part's bounds, so that an action is what was scored and nothing is
  clipped. The name holds its centre before a tanh onto the bounds; `name.spread` its standard deviation before a
  sigmoid onto 1 % to 100 % of half the range. Wider ones look all alike, and then the centre would get no gradient.
  A net that chooses between several centres gives them, too, as `name.points [rows, m, n]`, and the logarithms of their
  chances as `name.logs [rows, m]`: the name then holds the one that it takes, and one is drawn before the number is.
- `Simplex`: a Dirichlet distribution; its concentrations are 1 + softplus of the raw numbers, so its density is finite.

All of it is computed in fp32, whatever the net's precision. A row whose mask allows nothing is a uniform choice that
teaches nothing: no NaN, and no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from velodrome.games.game import Bits, Box, Choice, Part, Simplex
from velodrome.learn.kernels.choice import draw_choice, score_choice
from velodrome.nets.kernels import kernels_take

FORBIDDEN = -1e9
"""The logit of what may not be done: exp of it is zero, yet zero times it is not NaN, as with minus infinity."""
_GRAINS = 2**24
_NARROWEST = 0.01
_ROOT_2 = math.sqrt(2.0)
_LOG_ROOT_2_PI = 0.5 * math.log(2.0 * math.pi)

Outputs = Mapping[str, Tensor]
Scored = tuple[Tensor, Tensor]


class Actions:
    """The action of one game as a distribution, part by part; the parts are independent given the outputs."""

    def __init__(self, parts: Sequence[Part]):
        self.parts = tuple(parts)
        self.heads: dict[str, int] = {}
        """What a net has to give: `{name: width}`."""
        self.masks = {part.mask for part in self.parts if isinstance(part, Choice | Bits) and part.mask is not None}
        """The views that say what is legal."""
        for part in self.parts:
            self.heads[part.name] = part.n
            if isinstance(part, Box):
                if not math.isfinite(part.low) or not math.isfinite(part.high):
                    raise ValueError(f"action part {part.name}: bounds {part.low}..{part.high} must be finite")
                self.heads[f"{part.name}.spread"] = part.n

    def reads(self, name: str) -> bool:
        """Whether an output of this name says how an action is drawn."""
        return any(name == part.name or name.startswith(f"{part.name}.") for part in self.parts)

    def sample(
        self, outputs: Outputs, views: Mapping[str, Tensor], generator: torch.Generator, greedy: bool = False
    ) -> tuple[dict[str, Tensor], Tensor]:
        """An action per row and its log-probability `[rows]`; `greedy` takes the likeliest (of numbers, the centre)."""
        action: dict[str, Tensor] = {}
        total: Tensor | None = None
        for part in self.parts:
            drawn, log_prob = _sample(part, outputs, views, generator, greedy)
            action[part.name] = drawn
            total = log_prob if total is None else total + log_prob
        assert total is not None
        return action, total

    def chances(self, outputs: Outputs, views: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """How likely each choice and each bit is; of shares and of numbers, the middle. Of the parts that are given."""
        return {part.name: _chances(part, outputs, views) for part in self.parts if part.name in outputs}

    def log_prob_and_entropy(
        self, outputs: Outputs, action: Mapping[str, Tensor], views: Mapping[str, Tensor]
    ) -> Scored:
        """Log-probability and entropy, both `[rows]`, of actions taken before."""
        scored = [_score(part, outputs, action[part.name], views) for part in self.parts]
        log_prob, entropy = scored[0]
        for more, extra in scored[1:]:
            log_prob, entropy = log_prob + more, entropy + extra
        return log_prob, entropy

    def divergence(self, of: Outputs, outputs: Outputs, views: Mapping[str, Tensor]) -> Tensor:
        """The Kullback-Leibler divergence `[rows]` from the distribution of `of` to that of `outputs`; for choices and
        bits."""
        total = torch.zeros(())
        for part in self.parts:
            if not isinstance(part, Choice | Bits):
                raise ValueError(f"action part {part.name}: a divergence is known for choices and bits alone")
            expected, found = masked_logits(part, of, views), masked_logits(part, outputs, views)
            if isinstance(part, Choice):
                expected, found = expected.log_softmax(-1), found.log_softmax(-1)
                away = expected.exp() * (expected - found)
            else:
                yes, no = (F.logsigmoid(sign * expected) - F.logsigmoid(sign * found) for sign in (1, -1))
                away = expected.sigmoid() * yes + (-expected).sigmoid() * no
            total = total.to(away.device) + away.sum(-1)
        return total


def _sample(
    part: Part, outputs: Outputs, views: Mapping[str, Tensor], generator: torch.Generator, greedy: bool
) -> Scored:
    if isinstance(part, Choice):
        logits = outputs[part.name].float()
        if not greedy and kernels_take(logits):
            return draw_choice(logits, _legal(part, logits, views), torch.rand(logits.shape[:-1], generator=generator))
        return _sample_choice(masked_logits(part, outputs, views), generator, greedy)
    if isinstance(part, Bits):
        logits = masked_logits(part, outputs, views)
        chance = logits.sigmoid()
        bits = chance > 0.5 if greedy else torch.rand(chance.shape, generator=generator, device=chance.device) < chance
        return bits.long(), _log_prob_of_bits(logits, bits.float())
    if isinstance(part, Box):
        box = _box(part, outputs)
        point = box.centre if greedy else box.sample(generator)
        return point, box.log_prob(point)
    concentration = _concentration(part, outputs)
    shares = concentration if greedy else torch._standard_gamma(concentration, generator=generator)
    shares = shares / shares.sum(-1, keepdim=True)
    return shares, _log_prob_of_shares(concentration, shares)


def _chances(part: Part, outputs: Outputs, views: Mapping[str, Tensor]) -> Tensor:
    if isinstance(part, Choice):
        return masked_logits(part, outputs, views).softmax(-1)
    if isinstance(part, Bits):
        return masked_logits(part, outputs, views).sigmoid()
    if isinstance(part, Box):
        return _box(part, outputs).centre
    concentration = _concentration(part, outputs)
    return concentration / concentration.sum(-1, keepdim=True)


def _score(part: Part, outputs: Outputs, action: Tensor, views: Mapping[str, Tensor]) -> Scored:
    if isinstance(part, Choice):
        logits = outputs[part.name].float()
        if kernels_take(logits):
            return score_choice(logits, _legal(part, logits, views), action)
        logits = masked_logits(part, outputs, views)
        log_probs = logits.log_softmax(-1)
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        return log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1), entropy
    if isinstance(part, Bits):
        logits = masked_logits(part, outputs, views)
        entropy = (F.softplus(logits) - logits * logits.sigmoid()).sum(-1)
        return _log_prob_of_bits(logits, action.float()), entropy
    if isinstance(part, Box):
        box = _box(part, outputs)
        return box.log_prob(action), box.entropy()
    concentration = _concentration(part, outputs)
    return _log_prob_of_shares(concentration, action), _entropy_of_shares(concentration)


def _legal(part: Choice, logits: Tensor, views: Mapping[str, Tensor]) -> Tensor:
    return torch.ones_like(logits, dtype=torch.bool) if part.mask is None else views[part.mask].bool()


def masked_logits(part: Choice | Bits, outputs: Outputs, views: Mapping[str, Tensor]) -> Tensor:
    """The part's logits in fp32, `FORBIDDEN` where its mask says so."""
    logits = outputs[part.name].float()
    return logits if part.mask is None else torch.where(views[part.mask].bool(), logits, FORBIDDEN)


def _sample_choice(logits: Tensor, generator: torch.Generator, greedy: bool) -> Scored:
    probs = logits.softmax(-1)
    if greedy:
        choice = logits.argmax(-1, keepdim=True)
    else:
        # Inverse of the cumulated distribution in whole grains: its rounding can never land on a forbidden choice,
        # as sums of floats may, and it is several times faster than torch.multinomial or Gumbel noise.
        grains = (probs.detach() * _GRAINS).to(torch.int32).cumsum(-1, dtype=torch.int32)
        top = grains[..., -1:]
        draw = torch.rand(top.shape, generator=generator, device=top.device) * top
        choice = torch.searchsorted(grains, torch.minimum(draw.to(torch.int32), top - 1), right=True)
    return choice.squeeze(-1), probs.gather(-1, choice).squeeze(-1).log()


def _log_prob_of_bits(logits: Tensor, bits: Tensor) -> Tensor:
    return -F.binary_cross_entropy_with_logits(logits, bits, reduction="none").sum(-1)


def _onto(part: Box, centre: Tensor) -> Tensor:
    """A raw centre onto the part's bounds."""
    return part.low + 0.5 * (part.high - part.low) * (1.0 + centre.float().tanh())


class _CutNormal:
    """A normal distribution whose centre lies inside the box, cut off at the bounds and made to sum to one."""

    def __init__(self, part: Box, centre: Tensor, spread: Tensor):
        half = 0.5 * (part.high - part.low)
        self.low, self.high = part.low, part.high
        self.centre = _onto(part, centre)
        self.std = half * (_NARROWEST + (1.0 - _NARROWEST) * spread.float().sigmoid())
        self.below = (self.low - self.centre) / self.std
        self.above = (self.high - self.centre) / self.std
        self.erf_below = torch.erf(self.below / _ROOT_2)
        self.mass = 0.5 * (torch.erf(self.above / _ROOT_2) - self.erf_below)

    def sample(self, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            draw = torch.rand(self.mass.shape, generator=generator, device=self.mass.device)
            deviation = torch.erfinv(self.erf_below + 2.0 * draw * self.mass)
            return (self.centre + self.std * _ROOT_2 * deviation).clamp(self.low, self.high)

    def log_prob(self, point: Tensor) -> Tensor:
        deviation = (point - self.centre) / self.std
        return (-0.5 * deviation**2 - self.std.log() - _LOG_ROOT_2_PI - self.mass.log()).sum(-1)

    def entropy(self) -> Tensor:
        edges = self.below * _density(self.below) - self.above * _density(self.above)
        return (0.5 + _LOG_ROOT_2_PI + self.std.log() + self.mass.log() + 0.5 * edges / self.mass).sum(-1)


class _Mixture:
    """One of several such distributions, all as wide."""

    def __init__(self, part: Box, outputs: Outputs):
        self.part, self.logs = part, outputs[f"{part.name}.logs"].float()
        self.points, self.spread = outputs[f"{part.name}.points"], outputs[f"{part.name}.spread"]
        self.centre = _onto(part, outputs[part.name])
        self.each = _CutNormal(part, self.points, self.spread.unsqueeze(-2))

    def sample(self, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            chances = self.logs.softmax(-1).cumsum(-1)
            draw = torch.rand(chances.shape[:-1], generator=generator, device=chances.device).unsqueeze(-1)
            which = (chances[..., :-1] <= draw).sum(-1, keepdim=True).unsqueeze(-1)
            point = self.points.gather(-2, which.expand(*which.shape[:-1], self.part.n)).squeeze(-2)
            return _CutNormal(self.part, point, self.spread).sample(generator)

    def log_prob(self, point: Tensor) -> Tensor:
        return (self.logs + self.each.log_prob(point.unsqueeze(-2))).logsumexp(-1)

    def entropy(self) -> Tensor:
        """Exact where they lie apart; nearer, it is less."""
        return (self.logs.exp() * (self.each.entropy() - self.logs)).sum(-1)


def _box(part: Box, outputs: Outputs) -> _CutNormal | _Mixture:
    if f"{part.name}.points" in outputs:
        return _Mixture(part, outputs)
    return _CutNormal(part, outputs[part.name], outputs[f"{part.name}.spread"])


def _density(deviation: Tensor) -> Tensor:
    return (-0.5 * deviation**2 - _LOG_ROOT_2_PI).exp()


def _concentration(part: Simplex, outputs: Outputs) -> Tensor:
    return 1.0 + F.softplus(outputs[part.name].float())


def _log_prob_of_shares(concentration: Tensor, shares: Tensor) -> Tensor:
    smallest: Any = torch.finfo(torch.float32).tiny
    density = ((concentration - 1.0) * shares.clamp_min(smallest).log()).sum(-1)
    return density - _log_beta(concentration)


def _entropy_of_shares(concentration: Tensor) -> Tensor:
    total = concentration.sum(-1)
    spread = (total - concentration.shape[-1]) * torch.digamma(total)
    return _log_beta(concentration) + spread - ((concentration - 1.0) * torch.digamma(concentration)).sum(-1)


def _log_beta(concentration: Tensor) -> Tensor:
    return torch.lgamma(concentration).sum(-1) - torch.lgamma(concentration.sum(-1))
