"""The tuner that puts SSF layers into a model."""

from __future__ import annotations

from typing import TypeGuard

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from torch import nn

from dist_mcl.adapters.ssf.layer import SSFLayer


class SSFModel(BaseTuner):
    """PEFT's tuner interface for SSF: targets by name, switches, merging, several adapters by name."""

    prefix = "ssf_"
    tuner_layer_cls = SSFLayer
    target_module_mapping = {}  # noqa: RUF012  no targets by architecture: the caller names them

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, SSFLayer):
            target.update_layer(adapter_name, inference_mode=bool(peft_config.inference_mode))
            return
        if not (isinstance(target, nn.Linear) or _is_channel_norm(target)):
            raise ValueError(
                f"SSF wraps nn.Linear, and nn.LayerNorm over one axis with a weight of its own; "
                f"{current_key} is {target}"
            )
        layer = SSFLayer(target, adapter_name)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)


def _is_channel_norm(module: nn.Module) -> TypeGuard[nn.LayerNorm]:
    return isinstance(module, nn.LayerNorm) and module.elementwise_affine and len(module.normalized_shape) == 1
