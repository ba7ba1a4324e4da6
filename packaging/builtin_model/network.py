"""A small Llama: RMSNorm, rotary positions, SwiGLU, grouped-query attention, tied embeddings.

Rotary pairs are (i, i + head_size / 2) here; llama.cpp pairs neighbours, so `export.py` permutes
the rows of the query and key matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the network; all that export needs beside the weights."""

    vocabulary: int
    width: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    hidden: int = 704
    context: int = 1024
    rope_base: float = 10000.0
    epsilon: float = 1e-5
    dropout: float = 0.0

    @property
    def head_size(self) -> int:
        return self.width // self.heads


class Norm(nn.Module):
    """Root mean square normalisation (Zhang and Sennrich, 2019)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.epsilon

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


class Block(nn.Module):
    """One layer: attention, then the gated feed-forward part, each on a residual path."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, size = shape.width, shape.head_size
        self.attention_norm, self.feed_norm = Norm(shape), Norm(shape)
        self.query = nn.Linear(width, shape.heads * size, bias=False)
        self.key = nn.Linear(width, shape.kv_heads * size, bias=False)
        self.value = nn.Linear(width, shape.kv_heads * size, bias=False)
        self.output = nn.Linear(shape.heads * size, width, bias=False)
        self.gate = nn.Linear(width, shape.hidden, bias=False)
        self.up = nn.Linear(width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, width, bias=False)
        self.drop = _dropout(shape)

    def attend(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """x: (batch, time, width); cos, sin: (time, head_size / 2); mask: true where visible."""
        batch, time, _ = x.shape
        shape, size = self.shape, self.shape.head_size
        h = self.attention_norm(x)
        q = _rotate(self.query(h).view(batch, time, shape.heads, size).transpose(1, 2), cos, sin)
        k = _rotate(self.key(h).view(batch, time, shape.kv_heads, size).transpose(1, 2), cos, sin)
        v = self.value(h).view(batch, time, shape.kv_heads, size).transpose(1, 2)
        groups = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return x + self.drop(self.output(y.transpose(1, 2).reshape(batch, time, -1)))

    def feed(self, x: Tensor) -> Tensor:
        """The part that looks at each position alone; x: (..., width)."""
        h = self.feed_norm(x)
        return x + self.drop(self.down(F.silu(self.gate(h)) * self.up(h)))


class Network(nn.Module):
    """Token ids in, hidden states out; `logits` turns hidden states into scores of tokens."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)
        self.drop = _dropout(shape)
        half = torch.arange(0, shape.head_size, 2).float() / shape.head_size
        angles = torch.outer(torch.arange(shape.context).float(), shape.rope_base**-half)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=_initial_deviation(name, weight, shape.layers))

    def forward(self, ids: Tensor, mask: Tensor | None = None, chosen: Tensor | None = None) -> Tensor:
        """ids: (batch, time); mask: (batch, 1, time, time), true where a token may look.

        Returns (batch, time, width), or with `chosen`, indices into the flattened batch, only those rows:
        the last feed-forward part, a fifth of all work, is then done for them alone.
        """
        time = ids.shape[1]
        x = self.drop(self.embedding(ids))
        cos, sin = self.cos[:time], self.sin[:time]
        for block in self.blocks[:-1]:
            x = block.feed(block.attend(x, cos, sin, mask))
        last = self.blocks[-1]
        x = last.attend(x, cos, sin, mask)
        if chosen is not None:
            x = x.flatten(0, 1)[chosen]
        return self.norm(last.feed(x))

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embedding.weight)


def _dropout(shape: Shape) -> nn.Module:
    return nn.Dropout(shape.dropout) if shape.dropout else nn.Identity()


def _initial_deviation(name: str, weight: Tensor, layers: int) -> float:
    if name.startswith("embedding"):
        return 0.02
    deviation = 1.0 / math.sqrt(weight.shape[1])
    if name.endswith(("output.weight", "down.weight")):  # what is added to the residual path
        deviation /= math.sqrt(2 * layers)
    return deviation


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)
