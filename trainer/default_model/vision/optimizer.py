"""Muon for the matrices of the tower's layers, AdamW for all else, as one optimiser.

Muon (Jordan et al. 2024) makes each matrix's step orthogonal. Here it knew 8.7 % of the
characters of its batch after 140 steps, AdamW 0.1 % after 160: at first nearly every cell is blank,
and the few directions that tell letters apart are small beside those that tell ink from paper.
"""

from collections.abc import Iterable
from typing import Any

import torch


class MuonAndAdamW(torch.optim.Optimizer):
    """Two optimisers behind one face, so that a trainer schedules and stores them together.

    Args:
        muon: matrices and their peak rate.
        adamw: groups as AdamW takes them, each with its own rate.
        betas: of AdamW.
    """

    def __init__(
        self,
        muon: tuple[list[torch.nn.Parameter], float],
        adamw: Iterable[dict[str, Any]],
        betas: tuple[float, float],
    ) -> None:
        matrices, rate = muon
        self._parts: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(matrices, lr=rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(list(adamw), betas=betas, weight_decay=0.0),
        )
        groups = [group for part in self._parts for group in part.param_groups]
        super().__init__(groups, {})
        # The very groups of the two: what a schedule writes into them, they read.
        self.param_groups = groups

    def step(self, closure: Any = None) -> Any:
        """Both, after the closure."""
        loss = None if closure is None else closure()
        for part in self._parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of both, Muon's first."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As `state_dict` gave them."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]
