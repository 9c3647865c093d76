"""Several optimizers, each with its own weights, as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tuner.errors import Invalid
from tuner.training.stepping import Needs, needs


class Mixed(torch.optim.Optimizer):
    """Optimizers that step together; its groups are theirs, so schedules reach them all.

    Args:
        members: Optimizers of different weights, none of which evaluates the loss by itself.
    """

    def __init__(self, members: Sequence[torch.optim.Optimizer]) -> None:
        self.members = list(members)
        super().__init__([group for member in members for group in member.param_groups], {})
        self.needs = Needs(graph=any(needs(member).graph for member in members))

    @property
    def products(self) -> int:
        """Hessian-vector products of the last step."""
        return sum(int(getattr(member, "products", 0)) for member in self.members)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step with every member; a closure, if given, is evaluated once, before."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for member in self.members:
            member.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The members' states, in their order."""
        return {"members": [member.state_dict() for member in self.members]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for member, state in zip(self.members, state_dict["members"], strict=True):
            member.load_state_dict(state)
        # The members have new groups now; schedules find groups through this list.
        self.param_groups[:] = [g for member in self.members for g in member.param_groups]


def combine(parts: Sequence[tuple[str, torch.optim.Optimizer]]) -> torch.optim.Optimizer:
    """One optimizer of several: groups of one where the classes agree, else `Mixed`.

    Args:
        parts: Names in the registry and optimizers, the one that leads first.

    Raises:
        Invalid: If one works on the whole model, or evaluates the loss by itself among others.
    """
    merged: dict[type, torch.optim.Optimizer] = {}
    for name, part in parts:
        if len(parts) > 1 and getattr(part, "whole_model", False):
            raise Invalid.at(
                "groups",
                f"{name} works on the whole model at once, so it takes no groups, no layer_decay "
                "and no decay_on.",
                found=name,
            )
        into = merged.setdefault(type(part), part)
        if into is not part:
            for group in part.param_groups:
                into.add_param_group(group)
            # Adagrad makes its state at once, not at the first step.
            into.state.update(part.state)
    members = list(merged.values())
    if len(members) == 1:
        return members[0]
    for name, part in parts:
        if needs(part).closure:
            raise Invalid.at(
                "groups",
                f"{name} evaluates the loss by itself, so it cannot be mixed with other "
                "optimizers.",
                found=name,
            )
    return Mixed(members)
