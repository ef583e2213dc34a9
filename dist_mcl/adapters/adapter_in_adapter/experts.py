"""Adapter-in-adapter as two matrix products: all experts of a path stacked, their gate along with them.

With D down, U up, b and c their biases, s the scale and F the in-adapter of an older expert i, arXiv 2410.20178 adds

    sum_i g_i(x) s_i (U_i (F_i (D_i x + b_i) + f_i) + c_i),    g = softmax(G x [+ noise])

to a linear layer's output. F_i D_i is one small map, and a constant 1 beside each bottleneck carries the bias c_i, so
that one product gives all bottlenecks and the gate's logits and another one gives the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST_NOISE = 0.01


@dataclass(frozen=True)
class Expert:
    """One adapter as a path sees it; r is its rank.

    Attributes:
        down, down_bias: (r, d_in) and (r,).
        up, up_bias: (d_out, r) and (d_out,).
        scale: (1,), of the adapter's output.
    """

    down: Tensor
    down_bias: Tensor
    up: Tensor
    up_bias: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Stack:
    """The m experts of one path at one site, ready for use.

    Attributes:
        into, into_bias: (m (r + 1) + gates, d_in) and (m (r + 1) + gates,): every expert's bottleneck and its constant
            1, then the gate's logits and, where there is noise, the m scales of it.
        out: (d_out, m (r + 1)).
        experts: m.
        gates: 0 without a gate, m with one, 2 m with noise.
    """

    into: Tensor
    into_bias: Tensor
    out: Tensor
    experts: int
    gates: int

    @classmethod
    def of(
        cls, experts: list[Expert], inner: tuple[Tensor, Tensor] | None, gate: Tensor | None, noise: Tensor | None
    ) -> Stack:
        """Put experts of equal rank on top of each other.

        Args:
            experts: those of the ancestors, then the path's own.
            inner: in-adapters of the ancestors: F (m - 1, r, r) and f (m - 1, r).
            gate, noise: (m, d_in).
        """
        down = torch.stack([expert.down for expert in experts])
        bias = torch.stack([expert.down_bias for expert in experts])
        if inner is not None:
            weight, shift = inner
            down = torch.cat([weight @ down[:-1], down[-1:]])
            bias = torch.cat([torch.baddbmm(shift[..., None], weight, bias[:-1, :, None])[..., 0], bias[-1:]])
        gates = [part for part in (gate, noise) if part is not None]
        into = torch.cat([F.pad(down, (0, 0, 0, 1)).flatten(0, 1), *gates])
        into_bias = F.pad(F.pad(bias, (0, 1), value=1.0).flatten(), (0, len(gates) * len(experts)))
        up = torch.cat([part for expert in experts for part in (expert.up, expert.up_bias[:, None])], 1)
        scale = torch.cat([expert.scale for expert in experts]).repeat_interleave(down.shape[1] + 1)
        return cls(into, into_bias, up * scale, len(experts), len(gates) * len(experts))

    def add_to(self, result: Tensor, x: Tensor, top_k: int | None) -> Tensor:
        """What the experts make of x (..., d_in), added to `result` (..., d_out), in x's dtype."""
        hidden = F.linear(x.flatten(0, -2), self.into, self.into_bias)
        if self.gates:
            logits = hidden[:, -self.gates :]
            hidden = hidden[:, : -self.gates].unflatten(1, (self.experts, -1))
            hidden = (hidden * self._mixture(logits, top_k).to(hidden.dtype)[..., None]).flatten(1)
        return torch.addmm(result.flatten(0, -2), hidden, self.out.T).view(result.shape)

    def _mixture(self, logits: Tensor, top_k: int | None) -> Tensor:
        """Weights (n, m) of the experts, each row's sum 1."""
        clean = logits[:, : self.experts]
        if self.gates > self.experts:
            deviation = F.softplus(logits[:, self.experts :]) + _LEAST_NOISE
            clean = clean + torch.randn_like(clean) * deviation
        if top_k is not None and top_k < self.experts:
            kept = clean.topk(top_k, dim=1).indices
            clean = torch.full_like(clean, -torch.inf).scatter(1, kept, clean.gather(1, kept))
        return clean.softmax(1)
