"""Captions by real image-to-text models of transformers, with few and random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    BertTokenizerFast,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    GPT2Config,
    GPT2LMHeadModel,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    OPTConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from dist_mcl.errors import UserError
from dist_mcl.scenario.captions import PART, Captioner, caption_folder
from dist_mcl.scenario.readers.files import CAPTIONS, read_captions

from .builders.test_prepare import quiet
from .readers.layouts import Made

SPECIAL = 7  # ids of no word, which random weights would choose too
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[DEC]",
    "[ENC]",
    "a",
    "dog",
    "cat",
    "on",
    "grass",
    "photo",
    "of",
]


def tokenizer() -> BertTokenizerFast:
    made = BertTokenizerFast(vocab={word: number for number, word in enumerate(WORDS)})
    made.add_special_tokens({"bos_token": "[DEC]"})
    return made


def blip(folder: Path) -> None:
    """Takes a prompt or none."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BlipConfig(
        text_config={
            **sizes,
            "vocab_size": len(WORDS),
            "encoder_hidden_size": 16,
            "bos_token_id": 5,
            "eos_token_id": 2,
            "sep_token_id": 3,
            "pad_token_id": 0,
            "max_position_embeddings": 64,
        },
        vision_config={**sizes, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    model = BlipForConditionalGeneration(config)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[:SPECIAL] = -100
    model.save_pretrained(folder)
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(image_processor=images, tokenizer=tokenizer()).save_pretrained(folder)


def encoder_decoder(folder: Path) -> None:
    """A vision transformer and GPT-2: two parts, no prompt."""
    vision = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
    )
    text = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=len(WORDS), bos_token_id=5, eos_token_id=2)
    text.add_cross_attention = True
    model = VisionEncoderDecoderModel(encoder=ViTModel(vision), decoder=GPT2LMHeadModel(text))
    model.generation_config.decoder_start_token_id, model.generation_config.pad_token_id = 5, 0
    model.generation_config.suppress_tokens = list(range(SPECIAL))
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def instruct_blip(folder: Path) -> None:
    """The paper's family: must be asked, and this one repeats what it was asked before it says "dog" for ever."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    image_token = len(WORDS)
    text = OPTConfig(
        hidden_size=16,
        word_embed_proj_dim=16,
        ffn_dim=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=len(WORDS) + 1,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    config = InstructBlipConfig(
        vision_config={**sizes, "image_size": 32, "patch_size": 16},
        qformer_config={**sizes, "vocab_size": len(WORDS), "encoder_hidden_size": 16},
        text_config=text.to_dict(),
        num_query_tokens=4,
        image_token_index=image_token,
    )
    model = InstructBlipForConditionalGeneration(config)
    decoder = model.language_model.model.decoder
    with torch.no_grad():
        decoder.final_layer_norm.bias[:] = 5
        decoder.embed_tokens.weight[WORDS.index("dog")] = 5
    model.save_pretrained(folder)
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    InstructBlipProcessor(images, tokenizer(), tokenizer(), num_query_tokens=4).save_pretrained(folder)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    for number in range(5):
        Made("dog", number, "train").save(folder / "train" / "dog" / f"{number}.jpg")
    (folder / "train" / "README.txt").write_text("no picture")
    return folder


@pytest.mark.parametrize(
    ("make", "prompt"), [(blip, ""), (blip, "a photo of"), (encoder_decoder, ""), (instruct_blip, "a photo of")]
)
def test_every_picture_gets_a_caption_of_the_models_words(
    pictures: Path, tmp_path: Path, make: Callable[[Path], None], prompt: str
) -> None:
    torch.manual_seed(0)
    (tmp_path / "model").mkdir()
    make(tmp_path / "model")
    captioner = Captioner(str(tmp_path / "model"), prompt, max_new_tokens=6)
    assert caption_folder(pictures, captioner, batch_size=2, track=quiet) == 5
    found = read_captions(pictures)
    assert set(found) == {f"train/dog/{number}.jpg" for number in range(5)}
    words = {word for (text,) in found.values() for word in text.split()}
    assert words and words <= {word.lower() for word in WORDS}
    row = json.loads((pictures / CAPTIONS).read_text().splitlines()[0])
    assert (row["model"], row["prompt"]) == (str(tmp_path / "model"), prompt)
    assert sorted(path.name for path in pictures.iterdir()) == [CAPTIONS, "train"]


def test_a_model_that_has_to_be_asked_is_asked_and_what_it_repeats_is_no_caption(
    pictures: Path, tmp_path: Path
) -> None:
    instruct_blip(tmp_path)
    with pytest.raises(UserError, match=r"has to be asked something; add --prompt 'Describe the image\.'"):
        Captioner(str(tmp_path), "", 6)
    caption_folder(pictures, Captioner(str(tmp_path), "a photo of", max_new_tokens=6), batch_size=2, track=quiet)
    assert {text for (text,) in read_captions(pictures).values()} == {"dog dog dog dog dog dog"}


class Stopping:
    """Counts its pictures, and dies after some of them."""

    def __init__(self, dies_after: int, model: str = "m") -> None:
        self.provenance = {"model": model, "prompt": "", "revision": None}
        self.seen, self._left = 0, dies_after

    def __call__(self, pictures: Sequence[Image.Image]) -> list[str]:
        if self.seen + len(pictures) > self._left:
            raise KeyboardInterrupt
        self.seen += len(pictures)
        return [f"red {picture.getpixel((0, 0))[0]}" for picture in pictures]


def test_an_interrupted_command_goes_on_and_captions_appear_at_once(pictures: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        caption_folder(pictures, Stopping(4), 2, quiet)  # type: ignore[arg-type]
    assert not (pictures / CAPTIONS).exists()
    with (pictures / PART).open("a") as part:
        part.write('{"image": "train/dog/4.jpg", "capt')  # the line that a crash cut off
    rest = Stopping(9)
    assert caption_folder(pictures, rest, 2, quiet) == rest.seen == 1  # type: ignore[arg-type]
    assert len(read_captions(pictures)) == 5 and not (pictures / PART).exists()
    assert caption_folder(pictures, Stopping(0), 2, quiet) == 0  # type: ignore[arg-type]


def test_new_pictures_are_added_and_other_models_are_not_mixed_in(pictures: Path) -> None:
    caption_folder(pictures, Stopping(9), 2, quiet)  # type: ignore[arg-type]
    before = (pictures / CAPTIONS).read_text()
    Made("cat", 7, "train").save(pictures / "train" / "cat" / "7.jpg")
    with pytest.raises(UserError, match=r"was captioned with model 'm'; .* say the same, or remove captions\.jsonl"):
        caption_folder(pictures, Stopping(9, model="other"), 2, quiet)  # type: ignore[arg-type]
    assert (pictures / CAPTIONS).read_text() == before
    assert caption_folder(pictures, Stopping(9), 2, quiet) == 1  # type: ignore[arg-type]
    assert len(read_captions(pictures)) == 6


def test_what_cannot_be_captioned_is_named(pictures: Path, tmp_path: Path) -> None:
    (pictures / "train" / "dog" / "2.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"dog/2\.jpg: the picture cannot be read"):
        caption_folder(pictures, Stopping(9), 2, quiet)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"nowhere: no pictures there"):
        caption_folder(tmp_path / "nowhere", Stopping(9), 2, quiet)  # type: ignore[arg-type]


def test_a_model_that_is_none_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--model .*nowhere: no image-to-text model can be loaded"):
        Captioner(str(tmp_path / "nowhere"), "", 5)
    GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=len(WORDS))).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no image-to-text model can be loaded"):
        Captioner(str(tmp_path), "", 5)
