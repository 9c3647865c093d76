"""Your own training loop in torch: which optimizer, which learning rate?

    python examples/optimize_torch.py

tuner makes the search space (`tuner.space.optimizers`), builds the optimizer and the schedule
that a trial has chosen, stops bad trials early, and keeps checkpoints to resume from.
"""

import math

import torch

import tuner
from tuner.training import build_optimizer, build_scheduler

EPOCHS = 9
BATCHES = 20


def objective(trial) -> None:
    # Threads of one trial; with several workers on one machine each gets its share.
    torch.set_num_threads(1)
    data = torch.Generator().manual_seed(0)
    x = torch.randn(BATCHES, 32, 8, generator=data)
    y = x.pow(2).mean(dim=2, keepdim=True)

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    optimizer = build_optimizer(model, trial.params)
    scheduler = build_scheduler(optimizer, trial.params, total_steps=EPOCHS * BATCHES)

    first = 1
    state = trial.load_checkpoint()  # not None when an earlier attempt was preempted or lost
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        first = state["epoch"] + 1

    for epoch in range(first, EPOCHS + 1):
        total = 0.0
        for inputs, target in zip(x, y, strict=True):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(inputs), target)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item()
        trial.report(epoch, loss=total / BATCHES)
        if not math.isfinite(total):
            return  # diverged: the trial is complete, and the sampler learns from it
        if trial.should_stop():
            break
        if epoch % 3 == 0:
            trial.save_checkpoint(
                {
                    "epoch": epoch,
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "scheduler": scheduler.state_dict(),
                },
                step=epoch,
            )


def main() -> None:
    with tuner.Client() as client:
        study = client.create_study(
            "torch-loop",
            space=tuner.space.optimizers("momentum", "adam")
            | {"schedule": tuner.Categorical(["constant", "cosine"])},
            objective={"metric": "loss", "from": "best"},
            sampler={"name": "gp", "seed": 1},
            pruner={"name": "asha", "min_step": 3, "max_step": EPOCHS, "reduction_factor": 3},
            exist_ok=True,
        )
        study.optimize(objective, trials=14)
        counts = study.counts
        print(f"{counts['complete']} complete, {counts['pruned']} pruned, {counts['fail']} failed")
        best = study.best
        assert best is not None
        print(f"best: trial {best['number']}, loss {best['values']['loss']:.4f}")
        for name, value in best["params"].items():
            print(f"  {name} = {value}")


if __name__ == "__main__":
    main()
