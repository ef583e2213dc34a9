"""The tuner that puts adapter-in-adapter layers into a model, a modality at a time."""

from __future__ import annotations

from typing import cast

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from torch import nn

from dist_mcl.adapters.adapter_in_adapter.config import AdapterInAdapterConfig
from dist_mcl.adapters.adapter_in_adapter.layer import AdapterInAdapterLayer
from dist_mcl.adapters.adapter_in_adapter.path import Switch


class AdapterInAdapterModel(BaseTuner):
    """PEFT's tuner interface; an adapter's name is its modality, the active adapter is the path of calls that say none.

    `set_adapter` makes one modality's adapters trainable, and the modules that are its alone, and freezes all others'.
    """

    prefix = "ana_"
    tuner_layer_cls = AdapterInAdapterLayer
    target_module_mapping = {}  # noqa: RUF012  no targets by architecture: the caller names them

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        self._switch = Switch(self)

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
        config = cast(AdapterInAdapterConfig, peft_config)
        layer = target
        if isinstance(target, nn.Linear):
            layer = AdapterInAdapterLayer(target, self._switch).train(target.training)
        if not isinstance(layer, AdapterInAdapterLayer):
            raise ValueError(f"adapter-in-adapter wraps nn.Linear; {current_key} is {target}")
        nearest = config.parents[-1] if config.parents else None
        layer.update_layer(adapter_name, config.form_of(current_key), config.ancestors, nearest)
        if layer is not target:
            self._replace_module(parent, target_name, layer, target)

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        super().set_adapter(adapter_name, inference_mode)
        for modality, config in self.peft_config.items():
            for name in cast(AdapterInAdapterConfig, config).own_modules:
                is_active = modality in self.active_adapters and not inference_mode
                self.model.get_submodule(name).requires_grad_(is_active)

    def delete_adapter(self, adapter_name: str) -> None:
        """As PEFT's. Raises ValueError, before anything is deleted, where another modality builds on this one."""
        for modality, config in self.peft_config.items():
            if adapter_name in cast(AdapterInAdapterConfig, config).ancestors:
                raise ValueError(f"{modality} builds on {adapter_name}: delete {modality} first")
        super().delete_adapter(adapter_name)

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        """As PEFT's. Raises ValueError, before anything is merged, where `AdapterInAdapterLayer.merge` would."""
        self._check_merge(safe_merge, adapter_names)
        super().merge_adapter(adapter_names, safe_merge)

    def merge_and_unload(
        self, progressbar: bool = False, safe_merge: bool = False, adapter_names: list[str] | None = None
    ) -> nn.Module:
        """As PEFT's. Raises ValueError, before anything is merged, where `AdapterInAdapterLayer.merge` would."""
        self._check_merge(safe_merge, adapter_names)
        return super().merge_and_unload(progressbar, safe_merge, adapter_names)

    def _check_merge(self, safe_merge: bool, adapter_names: list[str] | None) -> None:
        # PEFT merges layer after layer: one that refuses would leave those before it merged.
        for layer in self.model.modules():
            if isinstance(layer, AdapterInAdapterLayer):
                layer.check_merge(safe_merge, adapter_names)
