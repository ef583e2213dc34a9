"""SSF on the layout of ViT-B and ViLT-B/32, counted without any memory for the weights."""

import torch
from torch import nn
from transformers import ViltConfig, ViltModel

from dist_mcl.adapters import adapter_parameters, attach
from dist_mcl.config import SSFAdapter


def test_ssf_has_205824_parameters_on_twelve_layers_of_width_768() -> None:
    # Section 3.2 of arXiv 2210.08823 puts a pair after every operation: patch projection, both norms, QKV, attention
    # output, both MLP layers of each block, and the final norm: 2 * (768 + 12 * 8448 + 768).
    with torch.device("meta"):
        model = ViltModel(ViltConfig(), add_pooling_layer=False)
        patches = model.embeddings.patch_embeddings
        # As our backbones do it: the strided convolution of ViLT is a linear map of the flattened patch.
        patches.projection = nn.Linear(3 * 32 * 32, 768)
    layers = [
        name
        for name, module in model.encoder.named_modules(prefix="encoder")
        if isinstance(module, nn.Linear | nn.LayerNorm)
    ]
    assert len(layers) == 12 * 8
    attach(model, SSFAdapter(), ["embeddings.patch_embeddings.projection", *layers, "layernorm"], seed=0)
    parameters = adapter_parameters(model).values()
    assert sum(parameter.numel() for parameter in parameters) == 205_824
    assert {parameter.device.type for parameter in parameters} == {"meta"}
