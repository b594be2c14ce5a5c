"""The training loop: any task, one or several GPUs, resumable at any time.

A task knows its network, how to draw a batch and what to minimise; the loop knows optimisation:
AdamW, warm-up and cosine decay, bfloat16, gradient clipping, an exponential moving average of the
weights, checkpoints. Several GPUs: `torchrun --nproc-per-node N -m scenelift train …`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from scenelift.errors import InputError
from scenelift.io.files import atomic_write
from scenelift.training.processes import join, leave, slowest

__all__ = ["Figures", "LoopOptions", "Task", "Trained", "train"]

Figures = Mapping[str, float]


class Task(Protocol):
    """A network to train, with its batches and its loss.

    Attributes:
        network: the module whose parameters are trained; a frozen backbone is not part of it.
    """

    network: nn.Module

    def batch(self, size: int, generator: torch.Generator) -> Any:
        """Draw a batch; all randomness comes from `generator` (of the task's device)."""
        ...

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Compute the loss of a batch, and the scalars to print.

        Args:
            network: `self.network`, perhaps wrapped for several GPUs: call this one.
        """
        ...

    def evaluate(self, network: nn.Module) -> Figures:
        """Compute figures on the held-out data; empty where there are none."""
        ...


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """Settings of the training loop.

    Attributes:
        steps: optimiser steps in all, resumed ones included; the schedule ends there.
        batch: examples a step and GPU.
        rate: peak learning rate.
        warmup: steps until it is reached.
        decay: weight decay of matrices and kernels.
        rates: factors of the rate of parameters whose names begin so.
        average: of the moving average, per step; it warms up with the number of steps.
        seed: of initial weights (the caller's) and batches.
        seconds: stop, keep a checkpoint and come back later; None for no limit. The schedule
            follows whichever of steps and seconds is further on.
        every: steps between lines of figures.
        evaluate_every: steps between evaluations, 0 for only at the end.
        save_every: seconds between checkpoints.
        bfloat16: compute losses in it, and gradients; None: on GPUs. Processors with AVX-512 BF16
            or AMX gain too, others lose.
    """

    steps: int
    batch: int = 32
    rate: float = 5e-4
    warmup: int = 300
    decay: float = 0.02
    rates: Mapping[str, float] = field(default_factory=dict)
    average: float = 0.9995
    seed: int = 0
    seconds: float | None = None
    every: int = 100
    evaluate_every: int = 0
    save_every: float = 120.0
    bfloat16: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The result of a training run.

    Attributes:
        steps: taken in all.
        network: the averaged weights, of the best evaluation where there is a score.
        figures: of their evaluation, the last one or the best.
        losses: mean loss of every `every` steps of this run.
    """

    steps: int
    network: dict[str, Tensor]
    figures: Figures
    losses: list[float]


def train(
    task: Task,
    options: LoopOptions,
    checkpoint: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    keep: Callable[[dict[str, Tensor]], None] = lambda weights: None,
    paused: Callable[[], bool] = lambda: False,
    score: Callable[[Figures], float] | None = None,
) -> Trained:
    """Train a task, going on from a checkpoint where there is one.

    Args:
        checkpoint: file to resume from and to write; None keeps nothing.
        say: receives lines for people, of the first process alone.
        keep: receives the averaged weights so far whenever a checkpoint is due; the best ones
            where there is a score and was an evaluation.
        paused: asked after each step; the first True ends this run, to be resumed, without a last
            evaluation.
        score: says how good the weights with some figures are, the higher the better; the averaged
            weights of the best evaluation are the result then, in place of the last ones. A run
            that begins to learn its examples by heart is no worse for going on.

    Raises:
        InputError: the checkpoint belongs to another network.
    """
    device = next(task.network.parameters()).device
    bfloat16 = device.type == "cuda" if options.bfloat16 is None else options.bfloat16
    rank, world = join(device)
    averaged = {k: v.detach().clone().float() for k, v in task.network.state_dict().items()}
    optimiser = torch.optim.AdamW(
        _groups(task.network, options), lr=options.rate, betas=(0.9, 0.98), fused=True
    )
    step, spent = 0, 0.0
    best: _Best | None = None
    if checkpoint is not None and checkpoint.is_file():
        step, spent, best = _resume(checkpoint, task.network, optimiser, averaged)
        say(f"resumed at step {step}")
    network: nn.Module = task.network
    if world > 1:
        ids = [device.index] if device.type == "cuda" else None
        network = DistributedDataParallel(network, device_ids=ids)
    # Each process draws other batches, and a resumed run others than before.
    generator = torch.Generator(device).manual_seed(options.seed + 1000 * step + rank)
    start = saved = time.monotonic()
    losses: list[float] = []
    sums: dict[str, Tensor] = {}
    figures: Figures = {}
    elapsed = 0.0
    stop = step >= options.steps
    while not stop:
        progress = step / options.steps
        if options.seconds is not None:
            progress = max(progress, (spent + elapsed) / options.seconds)
        share = _schedule(step, progress, options.warmup)
        for group in optimiser.param_groups:
            group["lr"] = options.rate * group.get("factor", 1.0) * share
        batch = task.batch(options.batch, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss, terms = task.loss(network, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(task.network.parameters(), 1.0)
        # One broken batch must not end a run. The optimiser is told as a gradient scaler tells it,
        # on the device: asking would wait for the step to end.
        optimiser.found_inf = (~norm.isfinite()).float()  # pyright: ignore[reportAttributeAccessIssue]
        optimiser.step()
        step += 1
        _follow(averaged, task.network, min(options.average, (1 + step) / (10 + step)))
        for name, value in {"loss": loss, **terms}.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach()

        elapsed = slowest(time.monotonic() - start, device)
        pause = slowest(float(paused()), device) > 0
        stop = step >= options.steps or (
            options.seconds is not None and spent + elapsed >= options.seconds
        )
        if step % options.every == 0 or stop or pause:
            count = (step - 1) % options.every + 1
            means = {name: float(value) / count for name, value in sums.items()}
            losses.append(means["loss"])
            sums = {}
            text = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
            say(f"step {step}  {spent + elapsed:.0f} s  {text}")
        due = options.evaluate_every and step % options.evaluate_every == 0
        if (due or stop) and rank == 0:
            figures = _evaluated(task, averaged)
            say(f"step {step}  " + "  ".join(f"{k} {v:.4f}" for k, v in figures.items()))
            if score is not None and figures:
                best = _better(best, score(figures), figures, averaged)
        late = stop or pause or time.monotonic() - saved > options.save_every
        if rank == 0 and late:
            if checkpoint is not None:
                _save(checkpoint, task.network, optimiser, averaged, step, spent + elapsed, best)
            keep(best.weights if best and score else averaged)
            saved = time.monotonic()
        if pause and not stop:
            say(f"paused at step {step}: the same command goes on")
            break
    leave(device)  # after the first one's last evaluation
    if best is not None and score is not None:
        return Trained(steps=step, network=best.weights, figures=best.figures, losses=losses)
    return Trained(steps=step, network=averaged, figures=figures, losses=losses)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Best:
    score: float
    figures: Figures
    weights: dict[str, Tensor]


def _better(
    best: _Best | None, score: float, figures: Figures, averaged: Mapping[str, Tensor]
) -> _Best | None:
    """Choose between the best weights so far and these, of which a copy is kept.

    Broken weights, whose score is not a number, are never better.
    """
    if math.isnan(score) or (best is not None and score <= best.score):
        return best
    weights = {name: value.clone() for name, value in averaged.items()}
    return _Best(score=score, figures=dict(figures), weights=weights)


def _groups(network: nn.Module, options: LoopOptions) -> list[dict[str, Any]]:
    """Group parameters by rate and decay: matrices and kernels decay, norms and biases do not."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            factors = [f for prefix, f in options.rates.items() if name.startswith(prefix)]
            key = math.prod(factors), options.decay if parameter.ndim > 1 else 0.0
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": params, "factor": factor, "weight_decay": decay}
        for (factor, decay), params in sorted(groups.items(), reverse=True)
    ]


def _schedule(step: int, progress: float, warmup: int) -> float:
    """Compute the rate over its peak: linear warm-up, then half a cosine to a hundredth."""
    rising = min(1.0, (step + 1) / max(1, warmup))
    return rising * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@torch.no_grad()
def _follow(averaged: dict[str, Tensor], network: nn.Module, keep: float) -> None:
    state = network.state_dict()
    floating = [k for k, v in averaged.items() if v.is_floating_point()]
    torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage] - no public name exists
        [averaged[k] for k in floating], [state[k].float() for k in floating], 1 - keep
    )


def _evaluated(task: Task, averaged: dict[str, Tensor]) -> Figures:
    """Evaluate the averaged weights and put the trained ones back."""
    own = {k: v.clone() for k, v in task.network.state_dict().items()}
    task.network.load_state_dict(averaged)
    task.network.eval()
    with torch.no_grad():
        figures = task.evaluate(task.network)
    task.network.load_state_dict(own)
    task.network.train()
    return figures


def _save(
    path: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    averaged: dict[str, Tensor],
    step: int,
    seconds: float,
    best: _Best | None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        torch.save(
            {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "averaged": averaged,
                "step": step,
                "seconds": seconds,
                "best": best and {**vars(best)},
            },
            file,
        )


def _resume(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, averaged: dict[str, Tensor]
) -> tuple[int, float, _Best | None]:
    # Our own file; weights_only reads tensors and plain containers and executes nothing.
    saved = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    try:
        network.load_state_dict(saved["network"])
    except (KeyError, RuntimeError) as exc:
        raise InputError(f"{path} was not written by a run of this network: {exc}") from exc
    optimiser.load_state_dict(saved["optimiser"])
    for name, value in saved["averaged"].items():
        averaged[name].copy_(value)
    best = saved.get("best")  # checkpoints of older runs have none
    if best is not None:
        device = next(iter(averaged.values())).device
        best["weights"] = {name: value.to(device) for name, value in best["weights"].items()}
    return int(saved["step"]), float(saved["seconds"]), best and _Best(**best)
