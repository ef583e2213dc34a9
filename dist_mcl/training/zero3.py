"""ZeRO stage 3: the frozen backbone cut up among the ranks, from the moment that it is read.

DeepSpeed's engine brings the pieces together while it trains. Around it, where nothing is trained, `callable_in_parts`
does, one module at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import deepspeed
from accelerate import init_empty_weights
from deepspeed.runtime.zero.utils import is_zero_param
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dist_mcl.backbones import Backbone
from dist_mcl.errors import UserError
from dist_mcl.tokens import Sample
from dist_mcl.training.classifier import Classifier

_TRAINED = "pooler"  # of the backbone; whoever trains it shards it


def shard_while_loading(
    build: Callable[[], Backbone], read: Callable[[str], Tensor], config: Mapping[str, Any]
) -> Backbone:
    """A backbone of which each rank holds its share; no rank holds more of it at a time than one module's weights.

    Args:
        build: makes the backbone; its weights are thrown away one by one as they are made.
        read: a weight or buffer by its name in the backbone, whole.
        config: DeepSpeed's, with ZeRO stage 3.

    Raises:
        RuntimeError: the weights are of another model.
    """
    with init_empty_weights(include_buffers=False):
        backbone = build()
    # Children before parents: `Init` takes everything inside a module that is not sharded yet.
    for place, module in reversed(list(backbone.named_modules())):
        _fill(module, f"{place}." if place else "", read)
        if _own(module) and place != _TRAINED:
            deepspeed.zero.Init(module=module, config_dict_or_path=dict(config))
    return backbone


def _fill(module: nn.Module, prefix: str, read: Callable[[str], Tensor]) -> None:
    for name, made in list(module.named_parameters(recurse=False)):
        value = read(prefix + name).to(made.dtype, copy=True)
        if value.shape != made.shape:
            raise RuntimeError(f"size mismatch for {prefix}{name}: {tuple(value.shape)}, not {tuple(made.shape)}")
        setattr(module, name, nn.Parameter(value, requires_grad=False))
    for name, buffer in module.named_buffers(recurse=False):
        if name not in module._non_persistent_buffers_set:
            buffer.copy_(read(prefix + name))


def check_same_modalities(samples: Iterable[Sample]) -> None:
    """See that every micro-batch, however they are cut, calls the same modules of the backbone on all ranks.

    A rank whose samples have no picture would not call what embeds pictures, and the others would wait there for its
    share of the weights for ever.

    Raises:
        UserError: some samples have other modalities than the first one.
    """
    found = {tuple(sorted(sample.tokens)): sample.id for sample in samples}
    if len(found) > 1:
        (one, first), (other, second), *_ = sorted(found.items())
        raise UserError(
            f"training.zero_stage: 3 needs the same modalities in all samples, but sample {first} has "
            f"{' and '.join(one) or 'none'} and sample {second} {' and '.join(other) or 'none'}; choose 2 or less"
        )


def is_sharded(model: nn.Module) -> bool:
    """Whether each rank holds only a share of some of the model's parameters."""
    return any(is_zero_param(parameter) for parameter in model.parameters())


@contextmanager
def callable_in_parts(model: Classifier) -> Iterator[None]:
    """Inside, a sharded model and its modules can be called without gradients; what is not sharded always can.

    All ranks must make the same calls in the same order. Not so for what prepares samples, which is called once for
    each picture: it is small, and stays whole inside, and so does what trains.
    """
    preparing = model.backbone.preparing
    always = [*model.trainable(), *(preparing.parameters() if preparing else ())]
    kept = set(map(id, always))
    with ExitStack() as stack:
        if is_sharded(model):
            stack.enter_context(deepspeed.zero.GatheredParameters(always))
            for module in model.modules():
                own = [parameter for parameter in _own(module) if id(parameter) not in kept]
                for handle in _gather_when_called(module, own) if own else ():
                    stack.callback(handle.remove)
        yield


def _gather_when_called(module: nn.Module, parameters: Sequence[nn.Parameter]) -> list[RemovableHandle]:
    gathering = deepspeed.zero.GatheredParameters(parameters)

    def before(module: nn.Module, arguments: object) -> None:
        gathering.__enter__()

    def after(module: nn.Module, arguments: object, output: object) -> None:
        gathering.__exit__(None, None, None)

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def _own(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))
