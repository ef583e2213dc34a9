"""Backbone `causal` of parts: encoders, a connector, and a frozen decoder-only language model; no Q-Former."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from transformers import PreTrainedModel

from dist_mcl.backbones.connecting import ConnectingBackbone
from dist_mcl.backbones.language import word_embeddings
from dist_mcl.backbones.media_encoders import MediaEncoder
from dist_mcl.backbones.prompts import Prompter


class Connector(nn.Module):
    """LLaVA's two linear maps (arXiv 2310.03744); what it gives is about as large as the language model's embeddings.

    Args:
        width, inner, hidden_size: of what comes in, of the layer between, and of the language model.
        scale: standard deviation of the language model's embeddings.
    """

    def __init__(self, width: int, inner: int, hidden_size: int, scale: float) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, inner)
        self.linear_2 = nn.Linear(inner, hidden_size)
        self._scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """(n, width) to (n, hidden_size)."""
        return self.linear_2(nn.functional.gelu(self.linear_1(features))) * self._scale


class CausalBackbone(ConnectingBackbone):
    """Everything but the language model and the pretrained encoders may train; who attaches adapters says what does.

    Args:
        model: the language model.
        prompter: for its tokenizer.
        encoders: by modality, in the order of a prompt. The entries bring all features to the width of the first one's.
        inner: width of the connector's inner layer.
    """

    def __init__(
        self, model: PreTrainedModel, prompter: Prompter, encoders: Mapping[str, MediaEncoder], inner: int
    ) -> None:
        width = next(iter(encoders.values())).features
        super().__init__(model, prompter, encoders, width)
        words = word_embeddings(model)
        # Without values, on the meta device, they have no deviation.
        scale = 1.0 if words.is_meta else float(words.detach().float().std())
        self.connector = Connector(width, inner, words.shape[1], scale)

    @property
    def roles(self) -> dict[str, nn.Module]:
        return {"connector": self.connector, "decoder": self.model.get_decoder()}
