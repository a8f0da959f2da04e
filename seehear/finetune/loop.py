"""Run the training loop of all stages: schedule, moving average, checkpoints, logs.

A step draws random numbers from a generator seeded with (seed, stage, step), so that a run that was
stopped continues exactly as if it had not been stopped.
"""

from __future__ import annotations

import csv
import json
import math
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from seehear.errors import UsageError
from seehear.files import AS_USUAL, replacing

StepFunction = Callable[[int, np.random.Generator], Mapping[str, Tensor]]
"""Step number and generator -> losses by name; "loss" is the one that is minimised."""
EvalCallback = Callable[[int], Mapping[str, float]]
"""Step number -> metrics on held-out data, computed with the averaged weights."""
ProgressCallback = Callable[[str, int, int], None]
"""(stage, steps done, steps in all)."""
ScalarCallback = Callable[[str, float, int], object]
"""(name, value, step), as TensorBoard's `add_scalar` takes them."""


class StepState(Protocol):
    """State of a stage's steps besides the weights."""

    def state(self) -> dict[str, Tensor]:
        """Return tensors by name, for a checkpoint."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """Length and learning rates of one stage."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.02
    warmup: float = 0.05
    """Part of each cycle over which the learning rate rises."""
    cycles: int = 1
    """How often the rate rises and falls again in these steps (SGDR, arXiv:1608.03983)."""
    average: float = 0.998
    """Decay of the exponential moving average of the weights; 0 turns it off."""
    clip: float = 5.0
    """Largest norm of the gradient."""
    eval_every: int = 0
    """Steps between two evaluations on held-out data; 0 evaluates at the end only."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """Folder for checkpoints and logs, device, seed and callbacks of a run."""

    folder: Path
    device: str = "cpu"
    seed: int = 0
    progress: ProgressCallback | None = None
    scalars: ScalarCallback | None = None
    """Gets every logged value too, besides the CSV file."""
    checkpoint_every_s: float = 120.0


def stage_rng(seed: int, stage: str, step: int) -> np.random.Generator:
    """Return the generator of one step of one stage: the same in every run."""
    return np.random.default_rng((seed, zlib.crc32(stage.encode()), step))


def autocast(device: str) -> Any:
    """Compute in mixed precision on CUDA: bfloat16 where the chip has it, else float16."""
    if not device.startswith("cuda"):
        return nullcontext()
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.autocast("cuda", dtype=dtype)


def run_stage(
    stage: str,
    module: nn.Module,
    groups: list[dict[str, Any]],
    schedule: Schedule,
    context: RunContext,
    step_function: StepFunction,
    eval_callback: EvalCallback | None = None,
    step_state: StepState | None = None,
) -> dict[str, float]:
    """Train `module` for the steps of `schedule` and leave the averaged weights in it.

    `groups` are AdamW's parameter groups; a group's "factor" scales the learning rate. `step_state`
    is what steps remember besides the weights; it goes into the checkpoints. Returns the last
    figures of `eval_callback`. Raises UsageError for a checkpoint that cannot be resumed.
    """
    context.folder.mkdir(parents=True, exist_ok=True)
    groups = [{"weight_decay": schedule.weight_decay, "factor": 1.0} | group for group in groups]
    optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.98))
    # float16 gradients underflow without scaling; bfloat16 and the CPU need none.
    scaled = context.device.startswith("cuda") and not torch.cuda.is_bf16_supported()
    scaler = torch.amp.grad_scaler.GradScaler("cuda", enabled=scaled)
    average = {name: value.detach().clone() for name, value in module.state_dict().items()}
    checkpoint = context.folder / f"{stage}.safetensors"
    begin = _resume(checkpoint, module, optimiser, average, schedule, step_state)
    saved = time.monotonic()
    figures: dict[str, float] = {}
    with closing(_Log(context, stage)) as log:
        for step in range(begin, schedule.steps):
            rate = rate_at(schedule, step)
            for group in optimiser.param_groups:
                group["lr"] = rate * group["factor"]
            module.train()
            with autocast(context.device):
                losses = step_function(step, stage_rng(context.seed, stage, step))
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(losses["loss"]).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimiser)
            torch.nn.utils.clip_grad_norm_(module.parameters(), schedule.clip)
            scaler.step(optimiser)
            scaler.update()
            # Early on the average follows closely; otherwise it would keep the random start.
            decay = min(schedule.average, (step + 1) / (step + 10)) if schedule.average else 0.0
            for name, value in module.state_dict().items():
                average[name].lerp_(value.detach().to(average[name].dtype), 1.0 - decay)
            last = step + 1 == schedule.steps
            log.losses(step, rate, losses)
            due = schedule.eval_every and (step + 1) % schedule.eval_every == 0
            if eval_callback and (last or due):
                figures = _evaluated(module, average, eval_callback, step + 1)
                log.figures(step + 1, figures)
            if last or time.monotonic() - saved > context.checkpoint_every_s:
                _save(checkpoint, module, optimiser, average, step + 1, schedule, step_state)
                saved = time.monotonic()
            if context.progress:
                context.progress(stage, step + 1, schedule.steps)
    if begin == schedule.steps and eval_callback:
        figures = _evaluated(module, average, eval_callback, begin)
    module.load_state_dict(average)
    module.eval()
    return figures


def rate_at(schedule: Schedule, step: int) -> float:
    """Return the learning rate of one step: a rise, then half a cosine down, in every cycle."""
    cycle = math.ceil(schedule.steps / schedule.cycles)
    warm = max(1, int(schedule.warmup * cycle))
    at = step % cycle
    if at < warm:
        return schedule.learning_rate * (at + 1) / warm
    done = (at - warm) / max(1, cycle - warm)
    return schedule.learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * done)))


def _evaluated(
    module: nn.Module, average: Mapping[str, Tensor], eval_callback: EvalCallback, step: int
) -> dict[str, float]:
    own = {name: value.detach().clone() for name, value in module.state_dict().items()}
    module.load_state_dict(average)
    module.eval()
    figures = dict(eval_callback(step))
    module.load_state_dict(own)
    return figures


def _save(
    path: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
    step: int,
    schedule: Schedule,
    step_state: StepState | None,
) -> None:
    """Write a checkpoint as safetensors, not as a pickle, which could run code."""
    from safetensors.torch import save_file

    tensors = {f"module/{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{name}": value for name, value in state.items()}
    if step_state:
        tensors |= {f"step_state/{name}": value for name, value in step_state.state().items()}
    note = {"step": str(step), "schedule": json.dumps([schedule.steps, schedule.batch_size])}
    with replacing(path, AS_USUAL) as partial:
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, note)


def _resume(
    path: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    schedule: Schedule,
    step_state: StepState | None,
) -> int:
    """Load the checkpoint if it exists; return the step to continue with."""
    if not path.is_file():
        return 0
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as handle:
            note = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        if json.loads(note["schedule"]) != [schedule.steps, schedule.batch_size]:
            raise UsageError(
                f"{path} belongs to another recipe; delete it or choose another folder"
            )
        device = next(module.parameters()).device
        module.load_state_dict(_below(tensors, "module/"))
        average.update({n: v.to(device) for n, v in _below(tensors, "average/").items()})
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "optimiser/").items():
            number, _, key = name.partition("/")
            states.setdefault(int(number), {})[key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
        if step_state:
            step_state.restore(_below(tensors, "step_state/"))
        return int(note["step"])
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UsageError(
            f"{path} cannot be resumed ({reason}); delete it to start again"
        ) from error


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


class _Log:
    """Write losses and metrics as CSV rows, and pass them to the context's `scalars`."""

    def __init__(self, context: RunContext, stage: str) -> None:
        self._handle = (context.folder / f"{stage}.csv").open("a", newline="", encoding="utf-8")
        self._rows = csv.writer(self._handle)
        self._stage = stage
        self._scalars = context.scalars

    def losses(self, step: int, rate: float, losses: Mapping[str, Tensor]) -> None:
        if step % 10:
            return
        values = {name: float(value.detach()) for name, value in losses.items()}
        self._write(step, {"learning_rate": rate, **values})

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        self._write(step, figures)
        self._handle.flush()

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._rows.writerow([step, name, f"{value:.6g}"])
            if self._scalars:
                self._scalars(f"{self._stage}/{name}", value, step)

    def close(self) -> None:
        self._handle.close()
