"""What the backbone `causal` is made of, on disk: a language model with its tokenizer, and pretrained encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dist_mcl.backbones.causal import CausalBackbone
from dist_mcl.backbones.causal_hub import IMAGE, HubCausalBackbone
from dist_mcl.backbones.encoders import EncoderSource
from dist_mcl.backbones.frozen import remove_dropout
from dist_mcl.backbones.media_encoders import MediaEncoder
from dist_mcl.backbones.prompts import Prompter
from dist_mcl.causal_config import CausalConfig
from dist_mcl.encoder_config import Medium, PictureFeatures
from dist_mcl.errors import UserError
from dist_mcl.packages.hub import WEIGHT_ERRORS, check_whole, read_preprocessing, why_unreadable


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a language model.

    Raises:
        UserError: there is none, it is damaged, or it has no token that ends an answer.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{folder}: the tokenizer cannot be read ({reason}); get the checkpoint again") from error
    if tokenizer.eos_token_id is None:
        raise UserError(f"{folder}: the tokenizer has no token that ends an answer; choose another language model")
    return cast(PreTrainedTokenizerBase, tokenizer)


def open_language_model(folder: Path, layers: int | None, with_weights: bool = True) -> PreTrainedModel:
    """A decoder-only language model, in fp32, frozen, without dropout.

    Args:
        layers: how many of its first layers to take; all when left out.
        with_weights: False for random ones of its sizes; inside `torch.device("meta")` for none at all.

    Raises:
        UserError: the folder holds none, it has fewer layers, or weights are missing.
    """
    try:
        config = AutoConfig.from_pretrained(folder)
        available = config.num_hidden_layers
        if layers is not None and layers > available:
            raise UserError(
                f"model.backbone.layers: {layers}, but this language model has {available}; say at most {available}, "
                "or leave it out for all"
            )
        config.num_hidden_layers = layers or available
        if not with_weights:
            return remove_dropout(AutoModelForCausalLM.from_config(config)).eval()
        kind = _kind_without_layers(config, range(config.num_hidden_layers, available))
        model, told = kind.from_pretrained(folder, config=config, dtype=torch.float32, output_loading_info=True)
    except WEIGHT_ERRORS as error:
        reason = why_unreadable(error)
        raise UserError(f"{folder}: holds no language model that can be read ({reason}); get it again") from error
    check_whole(folder, told["missing_keys"])
    return cast(PreTrainedModel, remove_dropout(model).eval())


def _kind_without_layers(config: PretrainedConfig, left_out: range) -> Any:
    """What reads a language model of this configuration without complaint of weights that are left out on purpose.

    Args:
        left_out: numbers of layers that the checkpoint has and the configuration has not.
    """
    if not left_out:
        return AutoModelForCausalLM
    with torch.device("meta"):
        kind: Any = type(AutoModelForCausalLM.from_config(config))
    # A layer's number is the first one in the names of its weights: others count experts and the like.
    ignored = {rf"^\D*\.({'|'.join(map(str, left_out))})\.", *(kind._keys_to_ignore_on_load_unexpected or ())}
    names = {"__module__": kind.__module__, "_keys_to_ignore_on_load_unexpected": ignored}
    return type(kind.__name__, (kind,), names)


def open_multimodal_model(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    config: CausalConfig,
    media: Mapping[str, Medium],
    files: Mapping[str, Path],
    seed: int,
    with_weights: bool = True,
) -> HubCausalBackbone:
    """A model that reads pictures itself, in fp32, frozen, without dropout.

    Entries of other modalities begin as the seed says.

    Args:
        files: as of `EncoderSource`.
        with_weights: as in `open_language_model`.

    Raises:
        UserError: the folder holds none that can be read, or one that is not like LLaVA or lacks weights; or the
            configuration asks for another encoder of `image`, or for some of its layers; or as `EncoderSource.open`.
    """
    if IMAGE in media and media[IMAGE].encoder != PictureFeatures():
        raise UserError(f"{media[IMAGE].place}.encoder: {folder} reads pictures itself; leave the encoder out")
    if config.layers is not None:
        raise UserError(f"model.backbone.layers: {folder} reads pictures itself and is taken whole; leave layers out")
    preprocessing = read_preprocessing(folder)
    prompter = prompter_of(tokenizer, config.prompt, media)
    with _seeded(seed):
        encoders = _encoders({name: medium for name, medium in media.items() if name != IMAGE}, files)
        try:
            model = _image_text_model(folder, with_weights)
            side = int(model.config.vision_config.image_size)
            mean, deviation = (tuple(preprocessing.get(f"image_{name}", (0.5,) * 3)) for name in ("mean", "std"))
            return HubCausalBackbone(model, prompter, tuple(media), encoders, side, mean, deviation).eval()
        except (AttributeError, TypeError, *WEIGHT_ERRORS) as error:
            reason = f"holds no model like LLaVA that can be read ({why_unreadable(error)})"
            raise UserError(f"{folder}: {reason}; choose another") from error


def _image_text_model(folder: Path, with_weights: bool) -> PreTrainedModel:
    kind: Any = AutoModelForImageTextToText
    if not with_weights:
        return cast(PreTrainedModel, remove_dropout(kind.from_config(AutoConfig.from_pretrained(folder))))
    model, told = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    check_whole(folder, told["missing_keys"])
    return cast(PreTrainedModel, remove_dropout(model))


def assemble(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    media: Mapping[str, Medium],
    prompt: str | None,
    connector_width: int,
    files: Mapping[str, Path],
    seed: int,
    is_tiny: bool = False,
) -> CausalBackbone:
    """The backbone; what trains in it, its entries, connector and trained encoders, begins as the seed says.

    Args:
        files, is_tiny: as of `EncoderSource`.

    Raises:
        UserError: as `EncoderSource.open`.
    """
    with _seeded(seed):
        encoders = _encoders(media, files, is_tiny)
        return CausalBackbone(model, prompter_of(tokenizer, prompt, media), encoders, connector_width).eval()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _encoders(media: Mapping[str, Medium], files: Mapping[str, Path], is_tiny: bool = False) -> dict[str, MediaEncoder]:
    source = EncoderSource(files, is_tiny)
    return {name: source.open(medium) for name, medium in media.items()}


def prompter_of(tokenizer: PreTrainedTokenizerBase, prompt: str | None, media: Mapping[str, Medium]) -> Prompter:
    """Raises UserError if the prompt lacks a place, or there is none and the tokenizer has no chat template."""
    return Prompter(tokenizer, prompt, {name: medium.cue for name, medium in media.items()})
