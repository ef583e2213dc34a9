"""The experiment: a typed, strict configuration read from YAML, with `a.b=value` overrides on top.

Every field has a default except `name`; an unknown key or a wrong value is refused with its path, its value and
the mend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from dist_mcl import config_file, deepspeed_json
from dist_mcl.adapter_config import AdapterInAdapter, FullFineTuning, LoRAAdapter, NoAdapter
from dist_mcl.answer_config import CaptionScoring, Generation
from dist_mcl.causal_config import CausalConfig, TinyCausalConfig
from dist_mcl.data_config import Data, EmojiData, Scenario
from dist_mcl.encoder_config import CheckpointPath
from dist_mcl.errors import UserError
from dist_mcl.explain import explain
from dist_mcl.modality_rules import check_fits_scenario, with_usual_replay
from dist_mcl.qformer_config import QFormerConfig
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.retention_config import Consolidation, Distillation
from dist_mcl.section import Section, named_kind
from dist_mcl.store_config import ImageCodec, JpegCodec, StoreRules, loses_by_recoding
from stage_launchers import launcher_kinds

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_size(value: object) -> object:
    """Bytes from `"2MiB"`, `"500 kB"` or a plain number; anything else is left for the type check to refuse."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    number, unit = match.groups()
    if unit.upper() not in _UNITS:
        raise ValueError(f"unknown unit {unit!r}; write a size such as 300kB, 512KiB or 2MiB")
    return round(float(number) * _UNITS[unit.upper()])


Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0, description="bytes; accepts 300kB, 512KiB, 2MiB")]
Share = Annotated[float, Field(ge=0, le=1)]


class SSFAdapter(Section):
    """Scale and shift of features, arXiv 2210.08823."""

    kind: Literal["ssf"] = "ssf"


class SmallBackbone(Section):
    """One transformer over 96 px pictures and texts that trains on a CPU; see docs/small-backbone.md."""

    kind: Literal["small"] = "small"


class TinyBackbone(Section):
    """Random weights, learns next to nothing; for trying out a machine in seconds."""

    kind: Literal["tiny"] = "tiny"


class ViltBackbone(Section):
    """ViLT, arXiv 2102.03334, as Hugging Face stores it; see docs/vilt.md."""

    kind: Literal["vilt"] = "vilt"
    path: CheckpointPath = Field(
        "dandelin/vilt-b32-mlm", description="folder of a checkpoint, or owner/model of one that was fetched"
    )
    max_text_tokens: int | None = Field(
        None, ge=1, description="longest text; as many tokens as the checkpoint has positions for when left out"
    )


class Model(Section):
    """The frozen backbone and the adapter that is trained on it."""

    backbone: Annotated[
        SmallBackbone | TinyBackbone | ViltBackbone | CausalConfig | TinyCausalConfig | QFormerConfig,
        Field(discriminator="kind"),
        BeforeValidator(named_kind),
    ] = Field(SmallBackbone(), description="a section with its kind, or the kind alone")
    adapter: Annotated[
        SSFAdapter | LoRAAdapter | AdapterInAdapter | FullFineTuning | NoAdapter,
        Field(discriminator="kind"),
        BeforeValidator(named_kind),
    ] = Field(SSFAdapter(), description="a section with its kind, or the kind alone")
    head: Literal["linear", "cosine"] = Field(
        "linear", description="of the classifier: logits by weight and bias, or by cosine and one learned factor"
    )


class Checkpointing(Section):
    """When a stage saves what it has trained so far, to continue from there after a stop. Either limit is enough."""

    every_steps: int | None = Field(None, ge=1, description="optimiser steps between two checkpoints")
    every_seconds: float | None = Field(300, gt=0, description="seconds between two checkpoints")
    keep: int = Field(2, ge=1, description="how many of a stage's newest checkpoints stay on disk")


class Training(Section):
    """How one stage is trained. Batch sizes count fresh and replayed samples together."""

    epochs: int = Field(3, ge=1, description="passes over the fresh samples of a stage")
    batch_size: int = Field(32, ge=1, description="samples per optimiser step over all processes")
    micro_batch_size: int = Field(
        16, ge=1, description="samples per forward pass; the batch is cut into these whatever the number of processes"
    )
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    optimizer_state: Literal["reset", "keep"] = Field(
        "reset",
        description="of AdamW between two stages: begin every stage anew, or go on with the moments of what trained "
        "before; new rows and adapters begin with zeros",
    )
    warmup: Share = Field(0.1, description="share of the steps with a rising learning rate")
    gradient_clipping: float = Field(1.0, gt=0)
    matmul_precision: Literal["highest", "high", "medium"] = Field(
        "highest", description="fp32 matrix products: exact, or with bf16 factors where the processor has them"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="of the frozen backbone's matrices and its matrix products; what trains, its gradients and its "
        "optimiser are fp32 in any case",
    )
    activation_checkpointing: bool = Field(
        False, description="less memory, more time: compute activations again for the backward pass"
    )
    balanced_softmax: bool = Field(
        True, description="with a memory: even out that fresh classes come more often, arXiv 2007.10740"
    )
    distillation: Distillation = Distillation()
    consolidation: Annotated[Consolidation, BeforeValidator(named_kind)] = Consolidation()
    bias_correction: Literal["none", "weight_aligning"] = Field(
        "none",
        description="weight_aligning: after training, new classes' rows of the head are shortened, all by one factor, "
        "to the mean length of the old ones', arXiv 1911.07053; better without balanced_softmax",
    )
    gradient_sum: Literal["ordered", "deepspeed"] = Field(
        "ordered",
        description="ordered: micro-batches are summed in their order, so any number of processes trains the same "
        "weights, bit for bit when all use as many threads each; "
        "deepspeed: its own reduction, less traffic for large adapters, equal but for rounding",
    )
    zero_stage: Literal[0, 1, 2, 3] = Field(
        2, description="what DeepSpeed shards: nothing, optimiser, + gradients, + the frozen backbone"
    )
    deepspeed: Annotated[dict[str, Any], BeforeValidator(deepspeed_json.read)] = Field(
        {}, description="more of DeepSpeed's own configuration, or the path of a JSON file with it"
    )
    checkpoint: Checkpointing = Checkpointing()
    step_timeout: float = Field(
        300, gt=0, description="seconds after which a step that waits for another process fails"
    )

    @model_validator(mode="after")
    def _deepspeed_does_not_contradict(self) -> Training:
        deepspeed_json.check(
            self.deepspeed,
            {
                "train_batch_size": (self.batch_size, "training.batch_size"),
                "train_micro_batch_size_per_gpu": (self.micro_batch_size, "training.micro_batch_size"),
                "gradient_clipping": (self.gradient_clipping, "training.gradient_clipping"),
                "gradient_allreduce_op": (self.allreduce_op, "training.gradient_sum"),
                "zero_optimization.stage": (self.zero_stage, "training.zero_stage"),
            },
        )
        return self

    @model_validator(mode="after")
    def _deepspeed_offloads_what_it_shards(self) -> Training:
        deepspeed_json.check_offloading(self.deepspeed, self.zero_stage)
        return self

    @model_validator(mode="after")
    def _batch_is_whole_micro_batches(self) -> Training:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batch_size {self.micro_batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _stage_3_adds_up_by_itself(self) -> Training:
        if self.zero_stage == 3 and self.gradient_sum != "deepspeed":
            raise ValueError("zero_stage 3 sums gradients where it cuts them up; set gradient_sum: deepspeed with it")
        return self

    @property
    def allreduce_op(self) -> Literal["sum", "mean"]:
        """What DeepSpeed does with the gradients that the processes bring."""
        return "sum" if self.gradient_sum == "ordered" else "mean"

    def check_processes(self, processes: int) -> None:
        """See that there is work for every process in each step.

        Raises:
            ValueError: there is not.
        """
        slots = self.batch_size // self.micro_batch_size
        if processes > slots or (self.gradient_sum == "deepspeed" and slots % processes):
            need = "at least as many" if self.gradient_sum == "ordered" else "a multiple of that"
            raise ValueError(
                f"training.batch_size {self.batch_size} is {slots} micro-batches of training.micro_batch_size "
                f"{self.micro_batch_size}, and {processes} processes need {need}; "
                f"lower training.micro_batch_size or launcher.processes"
            )
        turns = -(-slots // processes)
        deepspeed_json.check(
            self.deepspeed, {"gradient_accumulation_steps": (turns, f"the batch and {processes} processes")}
        )


class AttentionScores(Section):
    """A token counts for as much as the class token attends to it in one layer."""

    kind: Literal["attention"] = "attention"
    layer: int = Field(-1, description="of the encoder, from 0, or negative from the end")
    heads: Literal["mean", "max"] = Field("mean", description="what becomes of the heads' weights")
    value_norms: bool = Field(
        False, description="weigh by the norms of value vectors, arXiv 2004.10102: attention sinks count for nothing"
    )


class RolloutScores(Section):
    """Attention followed through all layers, arXiv 2005.00928."""

    kind: Literal["rollout"] = "rollout"
    heads: Literal["mean", "max"] = Field("mean", description="what becomes of the heads' weights")


class GradientScores(Section):
    """Attention times its gradient for the largest logit, where positive, arXiv 2103.15679."""

    kind: Literal["gradient"] = "gradient"
    layer: int = Field(-1, description="of the encoder, from 0, or negative from the end")


Scores = AttentionScores | RolloutScores | GradientScores


class MeanMasker(Section):
    """Keep what is attended to above the mean of its sample, arXiv 2412.09549."""

    kind: Literal["mean"] = "mean"


class MeanStdMasker(Section):
    """Keep what is attended to above mean + k standard deviations of its sample."""

    kind: Literal["mean_std"] = "mean_std"
    k: float = Field(0.5, description="0 is `mean`, more keeps less")


class TopRatioMasker(Section):
    """Keep the best share of the tokens, the same in every sample."""

    kind: Literal["top_ratio"] = "top_ratio"
    image: Share = Field(0.25, description="share of the patches to keep, rounded up")
    text: Share = Field(0.5, description="share of the text's tokens to keep, rounded up")


class TopMassMasker(Section):
    """Keep the fewest tokens that together get a share of the attention."""

    kind: Literal["top_mass"] = "top_mass"
    image: Share = Field(0.8, description="share of the attention to the patches")
    text: Share = Field(0.8, description="share of the attention to the text's tokens")


class RateMasker(Section):
    """Keep the best patches that fit into so many bytes as the store codes them; texts as with `mean`."""

    kind: Literal["rate_to_bytes"] = "rate_to_bytes"
    image_bytes: Size = Field(1024, description="bytes of a coded picture; accepts 1kB, 2KiB")
    order: Literal["attention", "random"] = Field(
        "attention", description="which patches come first; random is the control at equal bytes"
    )


class RandomMasker(Section):
    """Keep patches drawn evenly, the control for attention at equal numbers; texts as with `mean`."""

    kind: Literal["random"] = "random"
    image: Share | None = Field(None, description="share of the patches; as many as `mean` keeps when left out")


class BoxMasker(Section):
    """Keep the smallest box that gets a share of the attention, and the rest at a lower resolution, as CIM does."""

    kind: Literal["box"] = "box"
    mass: Share = Field(0.6, description="share of the attention inside the box")
    shrink: int = Field(2, ge=0, description="factor by which the sides of the rest shrink; 0 drops the rest")


class LowResMasker(Section):
    """Keep the whole picture at a lower resolution; texts as with `mean`."""

    kind: Literal["low_res"] = "low_res"
    shrink: int = Field(2, ge=2, description="factor by which its sides shrink")


class FullMasker(Section):
    """Keep every patch; texts as with `mean`."""

    kind: Literal["full"] = "full"


Masker = (
    MeanMasker
    | MeanStdMasker
    | TopRatioMasker
    | TopMassMasker
    | RateMasker
    | RandomMasker
    | BoxMasker
    | LowResMasker
    | FullMasker
)


class Exemplars(Section):
    """What is remembered of the past, arXiv 2412.09549. A budget of 0 turns the memory off."""

    budget: Size = Field(512 * 1024, description="bytes of all files of the store; accepts 300kB, 512KiB, 2MiB")
    selection: Literal["herding", "random", "reservoir", "entropy", "k_center", "coverage"] = Field(
        "herding",
        description="who is remembered first: of each class those that keep its mean, any, the least certain, the "
        "farthest apart, or those most like the others; reservoir: an even draw from all that ever arrived",
    )
    scores: Annotated[Scores, Field(discriminator="kind"), BeforeValidator(named_kind)] = Field(
        AttentionScores(), description="what masks are made from; a section with its kind, or the kind alone"
    )
    masker: Annotated[Masker, Field(discriminator="kind"), BeforeValidator(named_kind)] = Field(
        MeanMasker(), description="which tokens are kept; a section with its kind, or the kind alone"
    )
    text_mask: Literal["cross_modal", "class", "full"] = Field(
        "cross_modal",
        description="text tokens kept: those of the class or of the patches that were dropped, those of the class, all",
    )
    whole_words: bool = Field(False, description="keep all pieces of a word of which one is kept")
    dropped: Literal["absent", "black"] = Field(
        "absent", description="in replay, dropped patches are not there and cost nothing, or are black"
    )
    image_codec: ImageCodec = Field(
        JpegCodec(), description="how pictures are stored; a section with its kind, or the kind alone"
    )
    store: StoreRules = StoreRules()
    remask: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of its picture's tokens that an exemplar keeps at the end of each later stage: those that "
        "get most attention then, or any where masker draws at random; makes room for more exemplars. 1: all of them",
    )
    replay_sampler: Literal["balanced", "proportional"] = Field(
        "balanced",
        description="balanced: remembered classes equally often, replay_ratio decides how often; proportional: every "
        "exemplar once per epoch, shuffled together with the fresh samples",
    )
    replay_ratio: float = Field(1.0, ge=0, description="replayed samples per fresh sample; of replay_sampler balanced")
    fresh_masking: Share = Field(
        0.5, description="chance that a fresh sample is shown masked too, lest masked comes to mean old"
    )
    fresh_coding: bool = Field(
        False,
        description="code fresh samples that are shown masked, and decode them again, lest errors of image_codec come "
        "to mean old; matters where it loses much",
    )
    swap_probability: Share = Field(0.5, description="chance that a replayed text is another one of its class")

    @property
    def is_random(self) -> bool:
        """Whether chance decides which patches are kept."""
        masker = self.masker
        return isinstance(masker, RandomMasker) or (isinstance(masker, RateMasker) and masker.order == "random")

    @model_validator(mode="after")
    def _two_resolutions_are_masked_once(self) -> Exemplars:
        masker = self.masker
        if self.remask < 1 and (isinstance(masker, LowResMasker) or (isinstance(masker, BoxMasker) and masker.shrink)):
            raise ValueError(
                f"remask {self.remask} cannot take patches from pictures that masker {masker.kind} stores at a lower "
                "resolution; remove it, or choose another masker"
            )
        return self

    @model_validator(mode="after")
    def _what_is_masked_again_is_not_coded_again(self) -> Exemplars:
        if self.remask < 1 and loses_by_recoding(self.image_codec):
            raise ValueError(
                f"remask {self.remask} would code pictures of image_codec {self.image_codec.kind} again in every "
                "stage, each time with loss; remove it, or choose jpeg or a lossless code"
            )
        return self

    @model_validator(mode="after")
    def _only_balanced_replay_has_a_ratio(self) -> Exemplars:
        if self.replay_sampler == "proportional" and self.replay_ratio != 1:
            raise ValueError(
                f"replay_ratio {self.replay_ratio} is not for replay_sampler proportional, which replays every "
                "exemplar once per epoch; remove it, or set replay_sampler: balanced"
            )
        return self


class Evaluation(Section):
    """How a trained stage is tested, on all classes seen so far."""

    classifier: Literal["head", "nearest_mean"] = Field(
        "head",
        description="who says the class: the head's highest logit, or the exemplars' nearest class mean (NME), "
        "arXiv 1611.07725",
    )
    candidates: Literal["rank", "generate"] = Field(
        "rank",
        description="of questions that have candidates: rank: the likeliest one is the answer; generate: the model "
        "answers freely, and the candidate that it names is the answer",
    )
    generation: Generation = Field(
        Generation(),
        description="of free answers, where neither a stage's data section nor the data set's papers say how",
    )
    captions: CaptionScoring = CaptionScoring()


def _launcher_kind(value: str) -> str:
    if value not in launcher_kinds():
        raise ValueError(f"choose one of {', '.join(launcher_kinds())}")
    return value


class Launcher(Section):
    """How the processes of a stage are started. Changing it does not make another run."""

    kind: Annotated[str, AfterValidator(_launcher_kind)] = Field(
        "local", description=f"what starts the processes of a stage: {', '.join(launcher_kinds())}"
    )
    nodes: int = Field(1, ge=1)
    processes: int = Field(2, ge=1, description="processes on each node")
    threads: int | None = Field(
        None, ge=1, description="CPU threads of a process; its share of the cores when left out"
    )
    retries: int = Field(1, ge=0, description="how often a stage is tried again whose processes or nodes vanished")
    options: dict[str, Any] = Field({}, description="of this kind of launcher, see docs/launchers.md")


def _classes_unless_said(value: object) -> object:
    return {"kind": "class_incremental", **value} if isinstance(value, dict) else value


class Experiment(Section):
    """One run: everything that decides its result, and how it is launched."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._=+-]{0,99}$")
    seed: int = Field(0, ge=0, lt=2**31)
    data: Data = EmojiData()
    scenario: Annotated[
        Scenario | ModalityIncremental, Field(discriminator="kind"), BeforeValidator(_classes_unless_said)
    ] = Scenario()
    model: Model = Model()
    training: Training = Training()
    exemplars: Exemplars = Exemplars()
    evaluation: Evaluation = Evaluation()
    launcher: Launcher = Launcher()

    @model_validator(mode="before")
    @classmethod
    def _augmentations_are_of_classes(cls, values: object) -> object:
        return with_usual_replay(values)

    @model_validator(mode="after")
    def _stages_of_modalities_have_their_own_data(self) -> Experiment:
        if isinstance(self.scenario, ModalityIncremental) and self.data != EmojiData():
            raise ValueError(
                "data is not for scenario.kind: modality_incremental, whose stages name their data; remove the section"
            )
        return self

    @model_validator(mode="after")
    def _sections_fit_the_scenario(self) -> Experiment:
        check_fits_scenario(self)
        return self

    @model_validator(mode="after")
    def _batch_splits_over_processes(self) -> Experiment:
        self.training.check_processes(self.launcher.nodes * self.launcher.processes)
        return self

    @model_validator(mode="after")
    def _gradients_need_a_whole_backbone(self) -> Experiment:
        if self.training.zero_stage == 3 and self.exemplars.scores.kind == "gradient":
            raise ValueError("exemplars.scores.kind gradient needs training.zero_stage 2 or less; choose attention")
        return self

    @model_validator(mode="after")
    def _what_is_asked_of_the_memory_is_there(self) -> Experiment:
        for is_asked, field in (
            (self.training.distillation.teacher == "stored", "training.distillation.teacher: stored"),
            (self.evaluation.classifier == "nearest_mean", "evaluation.classifier: nearest_mean"),
        ):
            if is_asked and not self.exemplars.budget:
                raise ValueError(f"{field} needs exemplars, but exemplars.budget is 0; choose a budget or another one")
        return self

    @model_validator(mode="after")
    def _only_lengths_are_aligned(self) -> Experiment:
        if self.training.bias_correction == "weight_aligning" and self.model.head != "linear":
            raise ValueError(
                "training.bias_correction: weight_aligning does nothing for model.head: cosine, which ignores how long "
                "its rows are; choose one of the two"
            )
        return self

    def result_fields(self) -> dict[str, Any]:
        """All fields that decide the result, as plain values: see `is_part_of_result` for the others."""
        values = self.model_dump(mode="json")
        for path in _NO_PART_OF_RESULT:
            *sections, field = path.split(".")
            section = values
            for name in sections:
                section = section[name]
            del section[field]
        return values


# How a run is called and launched, and how it goes about to survive: may be changed when it is continued.
_NO_PART_OF_RESULT = (
    "name",
    "launcher",
    "training.checkpoint",
    "training.step_timeout",
    "exemplars.store.evict_first",
)


def is_part_of_result(override: str) -> bool:
    """Whether an override such as `"exemplars.budget=2MiB"` makes another run of an experiment."""
    path = override.partition("=")[0].strip()
    return not any(path == field or path.startswith(f"{field}.") for field in _NO_PART_OF_RESULT)


def load(path: Path, overrides: Iterable[str] = (), preset: str | None = None) -> Experiment:
    """Read an experiment from YAML, lay a preset of that file over it, and apply overrides.

    Args:
        overrides: such as `"exemplars.budget=2MiB"`.

    Raises:
        UserError: no such file, not YAML, no such preset, an unknown key or a wrong value, an override that is not
            `key=value`.
    """
    raw = config_file.choose_preset(config_file.read_mapping(path), preset, str(path))
    return _experiment(raw, overrides, str(path))


def defaults(overrides: Iterable[str] = ()) -> Experiment:
    """An experiment of default values, and overrides as in `load`.

    Raises:
        UserError: an unknown key or a wrong value, an override that is not `key=value`.
    """
    return _experiment({"name": "defaults"}, overrides, "--set")


def _experiment(raw: dict[str, Any], overrides: Iterable[str], place: str) -> Experiment:
    config_file.override(raw, overrides)
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        raise UserError("\n".join(f"{place}: {line}" for line in explain(error, Experiment))) from error
