"""Models of sequences, shape (n, steps, features), made of parts that can be differentiated twice.

torch's fused recurrent layers and attention cannot, and Newton-CG and AdaHessian need it.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import nn

CELLS: Final[dict[str, type[nn.RNNCellBase]]] = {
    "rnn": nn.RNNCell,
    "gru": nn.GRUCell,
    "lstm": nn.LSTMCell,
}


class Recurrent(nn.Module):
    """Layers of cells, from (n, steps, features) to the last state, (n, size).

    Args:
        cell: Class of the cells.
        features: Length of the input at one step.
        size: Length of the state.
        depth: Number of layers.
        dropout: Share of each layer's output that is dropped in training.
    """

    def __init__(
        self, cell: type[nn.RNNCellBase], features: int, size: int, depth: int, dropout: float
    ) -> None:
        super().__init__()
        sizes = [features] + [size] * (depth - 1)
        self.cells = nn.ModuleList(cell(n, size) for n in sizes)  # type: ignore[call-arg]
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The last layer's state after the last step."""
        steps = list(x.unbind(1))
        for cell in self.cells:
            steps = [self.dropout(state) for state in _states(cell, steps)]
        return steps[-1]


def _states(cell: nn.Module, steps: list[torch.Tensor]) -> list[torch.Tensor]:
    states = []
    kept = None
    for step in steps:
        kept = cell(step, kept)
        states.append(kept[0] if isinstance(kept, tuple) else kept)
    return states


class Encoder(nn.Module):
    """Transformer encoder from (n, steps, size) to the mean over the steps, (n, size).

    Vaswani et al. 2017 (arXiv:1706.03762) with norms first and learned positions.

    Args:
        shape: Steps and size.
        heads: Heads of attention, each of size / heads units, rounded up.
        depth: Number of blocks.
        activation: Class of the activation.
        dropout: Share dropped of what each part of a block adds, in training.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        heads: int,
        depth: int,
        activation: type[nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        steps, size = shape
        self.positions = nn.Parameter(0.02 * torch.randn(steps, size))
        self.blocks = nn.ModuleList(_Block(size, heads, activation, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of the encoded steps."""
        x = x + self.positions
        for block in self.blocks:
            x = block(x)
        encoded: torch.Tensor = self.norm(x)
        return encoded.mean(1)


class _Block(nn.Module):
    def __init__(self, size: int, heads: int, activation: type[nn.Module], dropout: float) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(size), _Attention(size, heads))
        self.mlp = nn.Sequential(
            nn.LayerNorm(size), nn.Linear(size, 4 * size), activation(), nn.Linear(4 * size, size)
        )
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self.attention(x))
        added: torch.Tensor = x + self.dropout(self.mlp(x))
        return added


class _Attention(nn.Module):
    """Every step looks at all steps."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * math.ceil(size / heads)
        self.query, self.key, self.value = (nn.Linear(size, inner) for _ in range(3))
        self.out = nn.Linear(inner, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        shares = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
        mixed: torch.Tensor = self.out((shares @ v).transpose(1, 2).flatten(2))
        return mixed
