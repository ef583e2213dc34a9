"""ViLT against Hugging Face's own code, on checkpoints with random weights in temporary folders."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import ViltConfig, ViltForQuestionAnswering, ViltModel
from transformers.image_utils import ChannelDimension
from transformers.models.vilt.image_processing_pil_vilt import ViltImageProcessorPil, get_resize_output_image_size

from dist_mcl.backbones import ViltBackbone, ViltFolder
from dist_mcl.config import Model
from dist_mcl.errors import UserError
from dist_mcl.modalities.image import ShortSidePatches, unpatchify
from dist_mcl.modalities.tokenizers import Tokenizers, open_tokenizers
from dist_mcl.tokens import Batch, Sample

from .samples import TINY_VILT, run

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "house", "##boat", "on", "the", "lake", "sun"]
TEXTS = ["A red houseboat", "the sun on the lake", "", "a a a a the lake"]
SIZES = [(70, 64), (64, 130), (200, 90), (31, 33)]


def save_checkpoint(folder: Path, **changes: object) -> ViltForQuestionAnswering:
    """A tiny ViLT with all that a checkpoint of the hub has; position tables are random too."""
    torch.manual_seed(0)
    config = ViltConfig(**{**TINY_VILT, "vocab_size": len(WORDS), "max_position_embeddings": 12, **changes})
    model = ViltForQuestionAnswering(config).eval()
    for table in (model.vilt.embeddings.cls_token, model.vilt.embeddings.position_embeddings):
        torch.nn.init.normal_(table, std=0.2)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    preprocessing = {"size": {"shortest_edge": 64}, "size_divisor": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("vilt")
    save_checkpoint(made)
    return made


@pytest.fixture(scope="module")
def theirs(folder: Path) -> ViltModel:
    return ViltModel.from_pretrained(folder).eval()


def opened(folder: Path, max_text_tokens: int | None = None) -> tuple[Tokenizers, ViltFolder]:
    model = Model(backbone={"kind": "vilt", "path": str(folder), "max_text_tokens": max_text_tokens})
    tokenizers = open_tokenizers(model)
    return tokenizers, ViltFolder(folder, tokenizers.text, max_text_tokens)


@pytest.fixture(scope="module")
def tokenizers(folder: Path) -> Tokenizers:
    return opened(folder)[0]


@pytest.fixture(scope="module")
def backbone(folder: Path) -> ViltBackbone:
    return opened(folder)[1].pretrained()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    dice = np.random.default_rng(1)
    return [dice.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.fixture(scope="module")
def samples(tokenizers: Tokenizers, pictures: list[np.ndarray]) -> list[Sample]:
    return [
        Sample({"image": tokenizers.image.encode(picture), "text": tokenizers.text.encode(text)}, 0, number, 1)
        for number, (picture, text) in enumerate(zip(pictures, TEXTS, strict=True))
    ]


def their_inputs(pictures: list[np.ndarray], samples: list[Sample]) -> dict[str, torch.Tensor]:
    """A padded batch as Hugging Face's processor makes it."""
    seen = ViltImageProcessorPil(size={"shortest_edge": 64}, size_divisor=16)(pictures, return_tensors="pt")
    texts = [[2, *sample.tokens["text"].values.tolist(), 3] for sample in samples]
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    return {
        "input_ids": ids,
        "attention_mask": torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts]),
        "pixel_values": torch.as_tensor(seen["pixel_values"]),
        "pixel_mask": torch.as_tensor(seen["pixel_mask"]),
    }


def test_features_are_hugging_faces_own(
    theirs: ViltModel, backbone: ViltBackbone, pictures: list[np.ndarray], samples: list[Sample]
) -> None:
    with torch.no_grad():
        expected = theirs(**their_inputs(pictures, samples)).pooler_output
    torch.testing.assert_close(run(backbone, samples), expected, atol=1e-5, rtol=0)
    assert expected.std(0).min() > 1e-3


def test_pixels_are_hugging_faces_own(tokenizers: Tokenizers, pictures: list[np.ndarray]) -> None:
    for picture in pictures:
        [values] = ViltImageProcessorPil(size={"shortest_edge": 64}, size_divisor=16)(picture)["pixel_values"]
        shown = np.rint((np.asarray(values) * 0.5 + 0.5) * 255).astype(np.uint8).transpose(1, 2, 0)
        np.testing.assert_array_equal(unpatchify(tokenizers.image.encode(picture)), shown)


@settings(max_examples=300)
@given(st.integers(1, 2000), st.integers(1, 2000))
def test_sizes_are_hugging_faces_own(height: int, width: int) -> None:
    ours = ShortSidePatches(384, 32).size(height, width)
    picture, longest = np.empty((height, width, 3), np.uint8), int(1333 / 800 * 384)
    expected = get_resize_output_image_size(picture, 384, longest, 32, ChannelDimension.LAST)
    assert ours == tuple(max(side, 32) for side in expected)  # theirs can be 0 for a strip
    assert math.prod(ours) // 32**2 <= 12 * 19


def test_words_are_hugging_faces_own(folder: Path, tokenizers: Tokenizers) -> None:
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for text in (*TEXTS, "Houseboat, LAKE!"):
        assert tokenizers.text.encode(text).values.tolist() == own(text, add_special_tokens=False)["input_ids"]


def test_scores_belong_to_their_patches_though_hugging_face_shuffles_them(
    theirs: ViltModel, backbone: ViltBackbone, pictures: list[np.ndarray], samples: list[Sample]
) -> None:
    sample, inputs = samples[1], their_inputs(pictures[1:2], samples[1:2])
    [found], [again] = (backbone.token_scores(Batch.collate([sample])) for _ in range(2))
    np.testing.assert_array_equal(found.class_scores["image"], again.class_scores["image"])
    orders = []
    for seed in (0, 1):
        with torch.no_grad():
            torch.manual_seed(seed)
            _, _, (index, (_, columns)) = theirs.embeddings.visual_embed(
                inputs["pixel_values"], inputs["pixel_mask"], -1
            )
            torch.manual_seed(seed)  # so that the same shuffle comes again
            attention = theirs(**inputs, output_attentions=True).attentions[-1][0].mean(0).numpy()
        patch = (index[0, :, 0] * columns + index[0, :, 1]).numpy()
        words = len(sample.tokens["text"])
        first = 2 + words + 1  # [CLS] text [SEP], then the picture's own class token
        np.testing.assert_allclose(attention[0, first:], found.class_scores["image"][patch], atol=1e-6)
        np.testing.assert_allclose(attention[0, 1 : 1 + words], found.class_scores["text"], atol=1e-6)
        np.testing.assert_allclose(attention[first:, 1 : 1 + words], found.cross[patch], atol=1e-6)
        orders.append(patch.tolist())
    assert orders[0] != orders[1] != sorted(orders[1]), "or there was no shuffle to be seen"


def test_hugging_face_cannot_take_a_mask_with_holes_and_we_can(
    theirs: ViltModel, backbone: ViltBackbone, pictures: list[np.ndarray], samples: list[Sample]
) -> None:
    whole = samples[0].tokens["image"]
    kept = np.array([place for place in range(len(whole)) if place // whole.grid[1] and place % whole.grid[1]])
    inputs = their_inputs(pictures[:1], samples[:1])
    holes = np.zeros(whole.grid, np.int64)
    holes.flat[kept] = 1
    inputs["pixel_mask"] = torch.from_numpy(np.kron(holes, np.ones((16, 16), np.int64)))[None]
    with pytest.raises(RuntimeError), torch.no_grad():
        theirs(**inputs)
    masked = Sample({**samples[0].tokens, "image": whole.take(kept)}, 0, 0, 1)
    assert run(backbone, [masked]).isfinite().all()  # and right: see test_backbones.py


def test_longer_texts_than_the_checkpoint_knows(folder: Path, backbone: ViltBackbone) -> None:
    tokenizers, checkpoint = opened(folder, max_text_tokens=30)
    longer = checkpoint.pretrained()
    name = "vilt.embeddings.text_embeddings.position_embeddings.weight"
    ours, table = longer.state_dict()[name], backbone.state_dict()[name]
    assert ours.shape == (32, 32) and table.shape == (12, 32)
    torch.testing.assert_close(ours[[0, -1]], table[[0, -1]])
    torch.testing.assert_close(ours[1], table[0] + (1.5 * 12 / 32 - 0.5) * (table[1] - table[0]))
    text = tokenizers.text.encode("lake " * 50)
    assert len(text) == 30 and run(longer, [Sample({"text": text}, 0, 0, 1)]).isfinite().all()
    assert len(opened(folder)[0].text.encode("lake " * 50)) == 10
    shorter = opened(folder, max_text_tokens=4)[1].pretrained()
    torch.testing.assert_close(shorter.state_dict()[name], table[:6])


def test_a_checkpoint_in_torchs_format_with_its_own_tokenizer_file(folder: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    torch.save({name.removeprefix("vilt."): value for name, value in weights.items()}, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    ours, same = opened(tmp_path)[1].pretrained().state_dict(), opened(folder)[1].pretrained().state_dict()
    assert all(torch.equal(value, same[name]) for name, value in ours.items())


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("evil"),))


def test_what_is_no_vilt_gets_one_line(folder: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")

    def refuse(message: str) -> None:
        with pytest.raises(UserError, match=message) as caught:
            opened(tmp_path)[1].pretrained()
        assert "\n" not in str(caught.value)

    save_file({name: value for name, value in weights.items() if "pooler" not in name}, tmp_path / "model.safetensors")
    refuse(r"has no 'vilt.pooler.dense.weight'")
    (tmp_path / "model.safetensors").write_bytes(b"no")
    refuse("the weights cannot be read")
    (tmp_path / "model.safetensors").unlink()
    refuse("neither model.safetensors nor pytorch_model.bin")
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"vilt.x": Evil()}))
    refuse("the weights cannot be read")
    assert not Path("evil").exists()
    (tmp_path / "vocab.txt").write_text("a\n[UNK]")
    refuse("vocab.txt: not a tokenizer file")
    (tmp_path / "vocab.txt").unlink()
    refuse("cannot read the tokenizer")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    refuse("holds no ViLT")
    (tmp_path / "config.json").write_text("{")
    refuse(r"config\.json: cannot be read")


def test_a_checkpoint_that_was_not_fetched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="run `mcl models fetch dandelin/vilt-b32-mlm`"):
        open_tokenizers(Model(backbone={"kind": "vilt"}))
    with pytest.raises(UserError, match=r"^model\.backbone\.path: nowhere/at/all: no such folder"):
        open_tokenizers(Model(backbone={"kind": "vilt", "path": "nowhere/at/all"}))


def test_a_fetched_checkpoint_is_found_by_its_id(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the hub's own client lays its cache out."""
    cache = tmp_path / "models--someone--tiny-vilt"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    (cache / "snapshots").mkdir()
    (cache / "snapshots" / ("0" * 40)).symlink_to(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = Model(backbone={"kind": "vilt", "path": "someone/tiny-vilt"})
    assert open_tokenizers(model).text.encode("sun").values.tolist() == [12]
