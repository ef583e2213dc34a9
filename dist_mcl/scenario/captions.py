"""Captions for pictures that have none, by a Hugging Face image-to-text model: how MM-ImageNet-R came by its texts.

arXiv 2412.09549 used InstructBLIP and has released neither captions nor prompt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
from transformers.processing_utils import ProcessorMixin

from dist_mcl.errors import UserError
from dist_mcl.files import write_text
from dist_mcl.scenario.builders.progress import Track
from dist_mcl.scenario.pictures import Item, in_file, read_picture
from dist_mcl.scenario.readers.files import CAPTIONS, PICTURE_SUFFIXES, read_captions, read_jsonl

PART = "captions.jsonl.part"
_PROVENANCE = ("model", "prompt", "revision")


class Captioner:
    """A pretrained image-to-text model and its processor, on the GPU where there is one.

    Captions are greedy: the same pictures in the same batches get the same words.

    Args:
        model: id on the Hugging Face hub, or a folder.
        prompt: what is asked of models that take a text beside the picture.
        max_new_tokens: longest caption.

    Raises:
        UserError: there is no such model, it is of another kind, or it needs a prompt.
    """

    def __init__(self, model: str, prompt: str, max_new_tokens: int) -> None:
        self._prompt, self._limit = prompt, max_new_tokens
        try:
            self._processor = _processor(model)
            self._model = AutoModelForImageTextToText.from_pretrained(model, dtype="auto").eval()
        except (OSError, ValueError) as error:
            raise UserError(f"--model {model}: no image-to-text model can be loaded: {_one_line(error)}") from error
        if not prompt and (hasattr(self._processor, "qformer_tokenizer") or self._chats):
            raise UserError(f"--model {model}: has to be asked something; add --prompt 'Describe the image.'")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.to(self._device)
        revision = getattr(self._model.config, "_commit_hash", None)
        self.provenance = dict(zip(_PROVENANCE, (model, prompt, revision), strict=True))

    @torch.no_grad()
    def __call__(self, pictures: Sequence[Image.Image]) -> list[str]:
        """A caption for each picture, in their order."""
        given = self._inputs(pictures).to(self._device, self._model.dtype)
        output = self._model.generate(**given, max_new_tokens=self._limit, do_sample=False)
        asked = given.get("input_ids")
        # Some models repeat what they were asked, token by token; others answer only.
        if asked is not None and torch.equal(output[:, : asked.shape[1]], asked):
            output = output[:, asked.shape[1] :]
        decoded = self._processor.tokenizer.batch_decode(output, skip_special_tokens=True)
        return [" ".join(text.split()) for text in decoded]

    @property
    def _chats(self) -> bool:
        return getattr(self._processor, "chat_template", None) is not None

    def _inputs(self, pictures: Sequence[Image.Image]) -> Any:
        if not self._prompt:
            return self._processor.image_processor(images=list(pictures), return_tensors="pt")
        prompt = self._prompt
        if self._chats:
            content = [{"type": "image"}, {"type": "text", "text": prompt}]
            prompt = self._processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
        self._processor.tokenizer.padding_side = "left"
        prompts = [prompt] * len(pictures)
        return self._processor(images=list(pictures), text=prompts, padding=True, return_tensors="pt")


def caption_folder(folder: Path, captioner: Captioner, batch_size: int, track: Track) -> int:
    """Caption each picture below a folder that has no line in its captions.jsonl.

    What is done is kept in captions.jsonl.part, batch by batch, and becomes captions.jsonl at the end and at once.

    Returns:
        how many captions were written.

    Raises:
        UserError: there are no pictures, one cannot be read, or another model or prompt captioned some of them.
    """
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not pictures:
        raise UserError(f"{folder}: no pictures there")
    part = folder / PART
    done = {**_lines(folder / CAPTIONS), **_lines(_without_torn_line(part))}
    _check_provenance(folder, done, captioner.provenance)
    names = {path: path.relative_to(folder).as_posix() for path in pictures}
    left = [path for path in pictures if names[path] not in done]
    batches = [left[start : start + batch_size] for start in range(0, len(left), batch_size)]
    with part.open("a", encoding="utf-8") as file:
        for batch in track(batches, f"captioning, {batch_size} pictures at once"):
            texts = captioner([read_picture(Item(None, "", str(path), in_file(path))) for path in batch])
            for path, text in zip(batch, texts, strict=True):
                done[names[path]] = {"image": names[path], "captions": [text], **captioner.provenance}
                file.write(_line(done[names[path]]))
            file.flush()
            os.fsync(file.fileno())
    write_text(folder / CAPTIONS, "".join(_line(done[name]) for name in sorted(done)))
    part.unlink()
    read_captions(folder)
    return len(left)


def _processor(model: str) -> Any:
    processor = AutoProcessor.from_pretrained(model)
    if isinstance(processor, ProcessorMixin):
        return processor
    # A vision encoder with a language model as decoder has two parts that nobody has joined.
    return _Parts(AutoImageProcessor.from_pretrained(model), AutoTokenizer.from_pretrained(model))


class _Parts:
    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor, self.tokenizer = image_processor, tokenizer

    def __call__(self, *, text: Sequence[str], **_: object) -> Any:
        raise UserError(f"--prompt {text[0]!r}: this model takes no text; leave the prompt out")


def _lines(path: Path) -> dict[str, dict[str, Any]]:
    return {str(row.get("image")): row for _, row in read_jsonl(path)} if path.exists() else {}


def _without_torn_line(part: Path) -> Path:
    """The file, without the line that a crash cut off."""
    if part.exists():
        content = part.read_bytes()
        part.write_bytes(content[: content.rfind(b"\n") + 1])
    return part


def _check_provenance(folder: Path, done: dict[str, dict[str, Any]], provenance: dict[str, Any]) -> None:
    for name, row in done.items():
        theirs = {key: row.get(key) for key in _PROVENANCE}
        if theirs != provenance:
            said = ", ".join(f"{key} {theirs[key]!r}" for key in _PROVENANCE if theirs[key] != provenance[key])
            raise UserError(
                f"{folder}: {name} was captioned with {said}; captions of one set should come from one model: say the "
                f"same, or remove {CAPTIONS} and {PART}"
            )


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
