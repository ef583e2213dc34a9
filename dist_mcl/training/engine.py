"""DeepSpeed around a classifier: what is sharded, how it is optimised."""

from __future__ import annotations

import math

import deepspeed
import torch

from dist_mcl.config import Training
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.process_group import ProcessGroup


def start_engine(model: Classifier, config: Training, steps: int, group: ProcessGroup) -> deepspeed.DeepSpeedEngine:
    """A DeepSpeed engine that trains the classifier's trainable parameters with AdamW for `steps` optimiser steps.

    The learning rate rises linearly over the warm-up share of the steps and then falls along a half cosine to 0.
    """
    trainable = model.trainable()
    matrices = [parameter for parameter in trainable if parameter.ndim > 1]
    vectors = [parameter for parameter in trainable if parameter.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=config.learning_rate,
    )
    warmup = max(1, round(config.warmup * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, factor),
        config=_deepspeed_config(config, group.world_size),
    )
    return engine


def _deepspeed_config(config: Training, world_size: int) -> dict[str, object]:
    return {
        "train_batch_size": config.batch_size,
        "train_micro_batch_size_per_gpu": config.micro_batch_size,
        "gradient_accumulation_steps": config.batch_size // (config.micro_batch_size * world_size),
        "gradient_clipping": config.gradient_clipping,
        "zero_optimization": {"stage": config.zero_stage},
        # Progress goes to the run folder; DeepSpeed's own lines every few steps would only fill the logs.
        "steps_per_print": 2**31,
    }
