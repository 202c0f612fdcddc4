"""Perceiver IO (Jaegle et al. 2022): a few latent vectors read a sequence, and think by themselves.

It saves time only where the latents are many fewer than what they read.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from velodrome.nets.transformer import Attention, Style, Transformer


class Perceiver(nn.Module):
    """Reading and thinking. Whoever asks the latents a question is what the authors call the decoder."""

    def __init__(self, layers: int, width: int, heads: int, wide: int, latents: int, style: Style, *, fused: bool):
        super().__init__()
        self.latents = nn.Parameter(0.02 * torch.randn(latents, width))
        self.read = Attention(width, heads, style.dropout, fused=fused)
        self.latents_norm, self.inputs_norm, self.norm = (style.norm_of(width) for _ in range(3))
        self.wide = style.head(width, wide, width, drops=True)
        self.think = Transformer(layers, width, heads, wide, style, pre_norm=True, fused=fused)

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """The latents `[rows, latents, width]` after `x [rows, n, width]`, read where `known [rows, n]` allows it."""
        latents = self.latents.expand(x.shape[0], -1, -1)
        latents = latents + self.read(self.inputs_norm(x), known, self.latents_norm(latents))
        return self.think(latents + self.wide(self.norm(latents)))  # type: ignore[no-any-return]
