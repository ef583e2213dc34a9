"""DeepSpeed around what trains: what is sharded, how it is optimised, and its state as plain tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from deepspeed.utils import (
    lazy_init_hp_params_optimizer_state,
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_optimizer_state,
    safe_set_local_optimizer_state,
)
from torch import Tensor, nn

from dist_mcl.config import Training
from dist_mcl.training.gradients import GivenGradient
from dist_mcl.training.optimizer_state import MOMENTS
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.trainable import TrainableModel

# With DeepSpeed's own limits of 1e9 parameters a smaller model would be whole on every rank within each step.
_ZERO_3_MEMORY = {"stage3_max_live_parameters": 10**8, "stage3_max_reuse_distance": 0}


@dataclass(frozen=True)
class Engine:
    """A DeepSpeed engine and what it trains.

    Attributes:
        deepspeed: the engine; around `GivenGradient` when gradients are summed in order, else around the model.
        model: its trainable parameters are trained.
        optimizer: the AdamW inside the engine; DeepSpeed may have put flat shards in the place of the parameters.
    """

    deepspeed: DeepSpeedEngine
    model: TrainableModel
    optimizer: torch.optim.AdamW

    def state(self) -> dict[str, Tensor]:
        """Everything that training changes, whole, on the CPU: "parameter.NAME", "exp_avg.NAME", "exp_avg_sq.NAME".

        All ranks must call this, after at least one step. The result does not depend on how the state is sharded.
        """
        self._link_shards()
        tensors: dict[str, Tensor] = {}
        for name, parameter in self._trainable():
            tensors[f"parameter.{name}"] = safe_get_full_fp32_param(parameter) if self._is_stage_3 else parameter
            for moment in MOMENTS:
                tensors[f"{moment}.{name}"] = self._moment(parameter, moment)
        return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}

    def restore(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Take up the moments of a state that `state` returned. All ranks must call this, before the first step.

        Args:
            step: how many steps AdamW had made then, over all stages whose moments went into these.

        The parameters themselves must have been in the model when the engine was made: see `load_parameters`.
        """
        for shard in self._shards():
            moments = {moment: torch.zeros_like(shard) for moment in MOMENTS}
            self.optimizer.state[shard] = {"step": torch.tensor(float(step)), **moments}
        self._link_shards()
        for name, parameter in self._trainable():
            for moment in MOMENTS:
                value = tensors[f"{moment}.{name}"].to(parameter.device)
                if self._is_stage_3:
                    safe_set_local_optimizer_state(parameter, _own_share(value, parameter), moment)
                elif self._is_sharded():
                    safe_set_full_optimizer_state(parameter, value, moment)
                else:
                    self.optimizer.state[parameter][moment].copy_(value)

    def _link_shards(self) -> None:
        # DeepSpeed does this by itself after the first step, but too early for any parameter group except the first.
        if self._is_sharded() and not self._is_stage_3:
            zero = self.deepspeed.optimizer
            for parameters, shard in zip(zero.bit16_groups, zero.single_partition_of_fp32_groups, strict=True):
                lazy_init_hp_params_optimizer_state(parameters, shard, self.optimizer.state)

    def _moment(self, parameter: nn.Parameter, name: str) -> Tensor:
        if self._is_sharded():
            return safe_get_full_optimizer_state(parameter, name)
        return self.optimizer.state[parameter][name]

    def _shards(self) -> list[Tensor]:
        if self._is_stage_3:  # whose parameter groups are empty but while they step
            return list(self.deepspeed.optimizer.fp32_partitioned_groups_flat)
        return [shard for group in self.optimizer.param_groups for shard in group["params"]]

    @property
    def _is_stage_3(self) -> bool:
        return bool(self.deepspeed.zero_optimization_stage() == 3)

    def _is_sharded(self) -> bool:
        return self.deepspeed.optimizer is not self.optimizer

    def _trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, value) for name, value in self.model.named_parameters() if value.requires_grad)


def _own_share(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """This rank's piece of a tensor, filled up with zeros as ZeRO stage 3 does it."""
    # `safe_set_full_optimizer_state` would cut it up, too, but fails where the pieces are not all full.
    size = parameter.ds_tensor.numel()  # type: ignore[attr-defined]  # set by DeepSpeed
    filled = nn.functional.pad(value.flatten(), (0, size * dist.get_world_size() - value.numel()))
    return filled.narrow(0, size * dist.get_rank(), size)


def load_parameters(model: TrainableModel, tensors: Mapping[str, Tensor]) -> None:
    """Put the parameters of an `Engine.state` into the model."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(tensors[f"parameter.{name}"])


def start_engine(model: TrainableModel, config: Training, steps: int, begun: int, group: ProcessGroup) -> Engine:
    """A DeepSpeed engine that trains the model's trainable parameters with AdamW.

    The learning rate rises linearly over the warm-up share of the steps and then falls along a half cosine to 0.

    Args:
        steps: optimiser steps of the whole stage.
        begun: how many of them were done before.
    """
    trainable = model.trainable()
    matrices = [parameter for parameter in trainable if parameter.ndim > 1]
    vectors = [parameter for parameter in trainable if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    # DeepSpeed would take an empty group out, of which the scheduler knows: LoRA alone trains no vectors.
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate)
    factor = learning_rate_factor(config, steps)
    if config.zero_stage == 3:
        _announce_uncalled_parameters(model)
    engine, *_ = deepspeed.initialize(
        model=GivenGradient(model) if config.gradient_sum == "ordered" else model,
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(begun + step)),
        config=deepspeed_config(config, group.world_size),
    )
    return Engine(engine, model, optimizer)


def _announce_uncalled_parameters(model: nn.Module) -> None:
    # DeepSpeed gathers a module's own parameters when it is called; a `ParameterDict` never is, whoever reads it is.
    for module in model.modules():
        for child in module.children():
            if isinstance(child, nn.ParameterDict):
                for parameter in child.parameters():
                    deepspeed.zero.register_external_parameter(module, parameter)


def learning_rate_factor(config: Training, steps: int) -> Callable[[int], float]:
    """What the learning rate is multiplied by in a step, counted from 0, of a stage of so many steps."""
    warmup = max(1, round(config.warmup * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor


def deepspeed_config(config: Training, world_size: int) -> dict[str, object]:
    """The whole configuration that DeepSpeed gets: the user's, completed."""
    slots = config.batch_size // config.micro_batch_size
    # Progress goes to the run folder; DeepSpeed's own lines every few steps would only fill the logs.
    merged: dict[str, Any] = {"steps_per_print": 2**31, **config.deepspeed}
    zero = {**_ZERO_3_MEMORY, **merged.get("zero_optimization", {}), "stage": config.zero_stage}
    if "offload_optimizer" in zero:
        merged.setdefault("zero_force_ds_cpu_optimizer", False)  # torch's AdamW runs on the CPU, too
    # Summed in order, DeepSpeed sees one finished gradient per step, from rank 0: the other ranks bring zeros. Sums of
    # one number and zeros are exact in any order; clipping was done before.
    is_ordered = config.gradient_sum == "ordered"
    turns = 1 if is_ordered else slots // world_size
    return {
        **merged,
        "train_batch_size": config.micro_batch_size * turns * world_size,
        "train_micro_batch_size_per_gpu": config.micro_batch_size,
        "gradient_accumulation_steps": turns,
        "gradient_clipping": 0.0 if is_ordered else config.gradient_clipping,
        "gradient_allreduce_op": config.allreduce_op,
        "zero_optimization": zero,
    }
