"""The linear layer of the transformers' blocks."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Linear"]


class Linear(nn.Linear):
    """A linear layer that computes in the type of its weights, whatever comes in.

    So half-precision matrices may stand beside float32 norms and a float32 residual stream without
    a precision context around them: which types a network computes in is written in its weights.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.to(self.weight.dtype))
