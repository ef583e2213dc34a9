"""What every backbone that answers in words is: media tokens among the words of a prompt, and a causal language model.

The language model is Hugging Face's, whole. How media become tokens of its width is each backbone's own; from there on
answers are learned, ranked and generated here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple, Protocol, Self, cast

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from dist_mcl.answer_config import Generation
from dist_mcl.backbones.answer_attention import Tap, attention_layer, tapped
from dist_mcl.backbones.frozen import FrozenModel
from dist_mcl.backbones.prompts import MediaTokens, PaddedSequences, Prompter
from dist_mcl.config import AttentionScores
from dist_mcl.tokens import Batch, CellScores


def word_embeddings(model: PreTrainedModel) -> Tensor:
    """(words, width), those of a language model."""
    return cast(nn.Embedding, model.get_input_embeddings()).weight


class Paths(Protocol):
    """Tells adapters, around a call, whose tokens go through it."""

    def of(self, modality: str | None) -> AbstractContextManager[None]:
        """All tokens are of this modality; words where it is None."""

    def among_words(self, media: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Tokens are of a modality where its (B, L) bool says so; others are words."""


class OnePath:
    """No adapter asks."""

    def of(self, modality: str | None) -> AbstractContextManager[None]:
        return nullcontext()

    def among_words(self, media: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        return nullcontext()


class Answered(NamedTuple):
    """How B answers were found.

    Attributes:
        surprise, counts: (B,) each, as of `LanguageBackbone.forward`.
        logits: (n, words) fp32, at each of the n tokens of all answers, row after row.
    """

    surprise: Tensor
    counts: Tensor
    logits: Tensor


class Attended(NamedTuple):
    """What a decoder knows of B samples where their answers begin.

    Attributes:
        features: (B, width) fp32: the last layer's state at the place that predicts an answer's first token.
        scores: of each sample, by modality: how much its answer attends to the cells of its medium.
    """

    features: Tensor
    scores: list[dict[str, CellScores]]


class LanguageBackbone(FrozenModel):
    """Takes batches whose samples have questions.

    Args:
        model: a causal language model that takes `inputs_embeds`, `position_ids` and `logits_to_keep`; is frozen.
        prompter: for its tokenizer.

    Attributes:
        has_base: whether its connector was trained before; if not, the first modality that it learns trains it.
        paths: of the adapters that are attached.
    """

    has_base = False

    def __init__(self, model: PreTrainedModel, prompter: Prompter) -> None:
        super().__init__()
        self.model = model
        self.prompter = prompter
        self.paths: Paths = OnePath()
        model.requires_grad_(False)

    @property
    @abstractmethod
    def modalities(self) -> tuple[str, ...]:
        """Those that it can be shown, in the order of a prompt."""

    @property
    @abstractmethod
    def roles(self) -> dict[str, nn.Module]:
        """Parts that adapters may go on, by what they do: "connector", "decoder"."""

    @abstractmethod
    def own_modules(self, modality: str) -> list[str]:
        """Names of the modules that are one modality's alone, and train with it."""

    def base_modules(self, modality: str) -> list[str]:
        """Names of all modules that one modality's tokens go through and that are no modality's own."""
        return [name for name, _ in self.named_children()]

    def begin_as(self, modality: str, previous: str) -> None:
        """Begin a modality's own modules as those of another one are now, where the two are alike.

        Args:
            previous: the modality that was learned just before, whatever the adapters' parents are.
        """

    def prepares(self, modalities: Collection[str]) -> bool:
        """Whether samples of these modalities are prepared and kept; otherwise they are read when they are used."""
        return self.preparing is not None

    @abstractmethod
    def media(self, batch: Batch) -> dict[str, MediaTokens]:
        """The batch's media as tokens of the language model's width, in the order of a prompt."""

    def cells(self, modality: str, positions: Tensor, grid: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
        """Where one sample's media tokens lie in its medium; arguments and results as of `MediaEncoder.cells`."""
        return positions, grid

    def checkpoint_activations(self) -> None:
        self.model.gradient_checkpointing_enable({"use_reentrant": False})

    def keeps_fp32(self, name: str) -> bool:
        return not name.startswith("model.")

    def use_bf16(self) -> Self:
        if not torch.cuda.is_available():
            # Fused attention is slow backwards there: steps take 1.4 times as long (benchmarks/attention.py).
            self.model.set_attn_implementation("eager")
        return super().use_bf16()

    def forward(self, batch: Batch, answers: Sequence[str]) -> tuple[Tensor, Tensor]:
        """How surprising answers are.

        Args:
            answers: B texts.

        Returns:
            (B,) negative log-likelihood of each answer in nats, summed over its tokens and the one that ends it; and
            (B,) how many tokens these are.
        """
        found = self.answered(batch, answers)
        return found.surprise, found.counts

    def answered(self, batch: Batch, answers: Sequence[str]) -> Answered:
        """As `forward`, with what was said of every word at each token."""
        with self.autocast():
            embeddings, sequences = self._embed(batch, answers)
            with self._reading(sequences):
                logits = self.model(
                    inputs_embeds=embeddings,
                    attention_mask=sequences.mask,
                    position_ids=sequences.positions,
                    logits_to_keep=sequences.predicts,
                    use_cache=False,
                ).logits.float()
        logits = logits.view(-1, logits.shape[-1])
        each = nn.functional.cross_entropy(logits, sequences.answers, reduction="none")
        counts = sequences.predicts.sum(1)
        owners = torch.repeat_interleave(counts)
        return Answered(each.new_zeros(len(counts)).index_add(0, owners, each), counts, logits)

    @torch.no_grad()
    def attended(self, batch: Batch, answers: Sequence[str], how: AttentionScores) -> Attended:
        """What masks are made from: attention of the places that predict each token of an answer, their mean.

        Raises:
            UserError: the decoder has no such layer.
        """
        decoder = cast(nn.Module, self.model.get_decoder())
        layer = attention_layer(decoder, how.layer)
        with self.autocast():
            media = self.media(batch)
            embeddings, sequences = self._among_words(media, batch, answers)
            tap = Tap(layer, sequences.predicts, sequences.mask.bool(), how)
            with self._reading(sequences), tapped(self.model, tap):
                states = decoder(
                    inputs_embeds=embeddings,
                    attention_mask=sequences.mask,
                    position_ids=sequences.positions,
                    use_cache=False,
                ).last_hidden_state
        begins = sequences.predicts.int().argmax(1)
        scores: list[dict[str, CellScores]] = [{} for _ in tap.found]
        for name, tokens in media.items():
            for row, (grid, positions) in enumerate(zip(tokens.grids.tolist(), tokens.places(), strict=True)):
                if len(positions):
                    found = tap.found[row][sequences.media[name][row]]
                    scores[row][name] = self._scored(name, found, positions, tuple(grid))
        return Attended(states[torch.arange(len(begins)), begins].float(), scores)

    def _scored(self, modality: str, scores: Tensor, positions: Tensor, grid: tuple[int, ...]) -> CellScores:
        """What one sample's media tokens were attended to, without those that lie nowhere in the medium."""
        cells, cell_grid = self.cells(modality, positions, grid)
        there = cells >= 0
        return CellScores(scores[there].cpu().numpy(), cells[there].cpu().numpy(), cell_grid)

    @torch.no_grad()
    def rank(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        """Mean negative log-likelihood per token of each sample's candidates; the smallest one is the answer.

        The prompt is read once for all candidates of a sample.

        Args:
            candidates: for each of the B samples at least one text.
        """
        counts = torch.tensor([len(texts) for texts in candidates])
        tokens = [self.prompter.answer(text) for texts in candidates for text in texts]
        owners = torch.repeat_interleave(counts).to(self.device)
        ids, is_token = _right_padded(tokens, self.device)
        with self.autocast():
            embeddings, sequences = self._embed(batch)
            with self._reading(sequences):
                prompt = self.model(
                    inputs_embeds=embeddings,
                    attention_mask=sequences.mask,
                    position_ids=sequences.positions,
                    logits_to_keep=1,
                    use_cache=True,
                )
                cache = prompt.past_key_values
                cache.batch_select_indices(owners)
                steps = torch.arange(1, ids.shape[1], device=self.device)
                # What pads a candidate comes after it, where nothing of it looks.
                rest = self.model(
                    input_ids=ids[:, :-1],
                    attention_mask=torch.cat([sequences.mask[owners], torch.ones_like(ids[:, :-1])], 1),
                    position_ids=sequences.positions[owners, -1:] + steps,
                    past_key_values=cache,
                ).logits
        logits = torch.cat([prompt.logits[owners], rest], 1).float()
        each = nn.functional.cross_entropy(logits.transpose(1, 2), ids, reduction="none") * is_token
        return list((each.sum(1) / is_token.sum(1)).cpu().split(counts.tolist()))

    @torch.no_grad()
    def generate(self, batch: Batch, how: Generation) -> list[str]:
        """What the model says to each sample, without sampling."""
        with self.autocast():
            embeddings, sequences = self._embed(batch)
            with self._reading(sequences, how.beams):
                ids = cast(Any, self.model).generate(
                    inputs_embeds=embeddings,
                    attention_mask=sequences.mask,
                    position_ids=sequences.positions,
                    generation_config=GenerationConfig(
                        do_sample=False,
                        num_beams=how.beams,
                        max_new_tokens=how.max_tokens,
                        min_new_tokens=how.min_tokens,
                        repetition_penalty=how.repetition_penalty,
                        length_penalty=how.length_penalty,
                        eos_token_id=self.prompter.end,
                        pad_token_id=self.prompter.end,
                    ),
                )
        return self.prompter.read(ids)

    @contextmanager
    def _reading(self, sequences: PaddedSequences, beams: int = 1) -> Iterator[None]:
        """The first call of the language model inside reads these sequences, each `beams` times; later ones, words."""
        media = {name: where.repeat_interleave(beams, 0) for name, where in sequences.media.items()}
        with ExitStack() as stack:
            stack.enter_context(self.paths.among_words(media))

            def words_follow(*_: object) -> None:
                handle.remove()
                stack.enter_context(self.paths.of(None))

            handle = self.model.register_forward_hook(words_follow)
            stack.callback(handle.remove)
            yield

    def _embed(self, batch: Batch, answers: Sequence[str] | None = None) -> tuple[Tensor, PaddedSequences]:
        return self._among_words(self.media(batch), batch, answers)

    def _among_words(
        self, media: Mapping[str, MediaTokens], batch: Batch, answers: Sequence[str] | None
    ) -> tuple[Tensor, PaddedSequences]:
        sequences = self.prompter.sequences(media, [asked.question for asked in batch.questions], answers)
        words = self.model.get_input_embeddings()(sequences.ids)
        return sequences.fill(words, media), sequences


def _right_padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids (C, n) of token lists, zeros behind them, and (C, n) bool where they are."""
    lists = [torch.tensor(row) for row in rows]
    ids = nn.utils.rnn.pad_sequence(lists, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return ids.to(device), (torch.arange(ids.shape[1]) < lengths[:, None]).to(device)
