"""Muon and AdamW as one: scheduled together, stored, and the same after a new start."""

from copy import deepcopy

import torch

from trainer.default_model.vision.optimizer import MuonAndAdamW


def parts(seed: int) -> tuple[torch.nn.Linear, MuonAndAdamW]:
    torch.manual_seed(seed)
    layer = torch.nn.Linear(4, 4)
    adamw = [{"params": [layer.bias], "lr": 1e-2}]
    return layer, MuonAndAdamW(([layer.weight], 5e-2), adamw, (0.9, 0.98))


def learn(layer: torch.nn.Linear, optimizer: MuonAndAdamW, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        loss = (layer(torch.eye(4)) - torch.eye(4)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_both_learn() -> None:
    layer, optimizer = parts(1)
    before = [layer.weight.clone(), layer.bias.clone()]
    losses = learn(layer, optimizer, 40)
    assert losses[-1] < losses[0] / 2
    assert not any(torch.equal(*pair) for pair in zip(before, layer.parameters(), strict=True))


def test_a_new_start_goes_on_alike() -> None:
    layer, optimizer = parts(1)
    learn(layer, optimizer, 5)
    fresh, again = parts(2)
    fresh.load_state_dict(layer.state_dict())
    again.load_state_dict(deepcopy(optimizer.state_dict()))  # as from a file
    assert learn(fresh, again, 3) == learn(layer, optimizer, 3)


def test_a_schedule_reaches_both_behind_a_new_start() -> None:
    layer, optimizer = parts(1)
    optimizer.load_state_dict(optimizer.state_dict())
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.0)
    before = [weight.clone() for weight in layer.parameters()]
    learn(layer, optimizer, 2)
    assert all(torch.equal(*pair) for pair in zip(before, layer.parameters(), strict=True))
