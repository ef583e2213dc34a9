"""The experiment: a typed, strict configuration read from YAML, with `a.b=value` overrides on top.

Every field has a default except `name`; an unknown key or a wrong value is refused with its path, its value and
the mend.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from dist_mcl import deepspeed_json
from dist_mcl.errors import UserError
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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _a_switch_is_no_number(cls, values: object) -> object:
        # Python takes True for 1, and YAML takes yes and on for True.
        given = values if isinstance(values, dict) else {}
        for name, value in given.items():
            if isinstance(value, bool) and name in cls.model_fields and cls.model_fields[name].annotation is not bool:
                raise ValueError(f"{name} is no switch, write a value other than {str(value).lower()}")
        return values


class Data(_Section):
    """What is learned from."""

    dataset: Literal["emoji"] = "emoji"
    folder: Annotated[Path, AfterValidator(Path.absolute)] | None = Field(
        None, description="where the dataset lies; the copy in the package when left out"
    )
    scene: Literal["none", "photo"] = Field("photo", description="background of each picture: white, or a photograph")
    text: Literal["hard", "full"] = Field("hard", description="hard: three words, none of which names a class")
    modalities: tuple[Literal["image", "text"], ...] = Field(
        ("image", "text"), min_length=1, description="what of each sample is seen; text alone is a control"
    )
    max_per_class: int | None = Field(None, ge=1, description="training and test samples of a class, for quick trials")


class Scenario(_Section):
    """What arrives when."""

    kind: Literal["class_incremental"] = "class_incremental"
    stages: int = Field(5, ge=1)


class SSFAdapter(_Section):
    """Scale and shift of features, arXiv 2210.08823."""

    kind: Literal["ssf"] = "ssf"


class LoRAAdapter(_Section):
    """Low-rank adaptation, arXiv 2106.09685, as PEFT implements it."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(8, ge=1)
    alpha: float = Field(16, gt=0)


class SmallBackbone(_Section):
    """One transformer over 96 px pictures and texts that trains on a CPU; see docs/small-backbone.md."""

    kind: Literal["small"] = "small"


class TinyBackbone(_Section):
    """Random weights, learns next to nothing; for trying out a machine in seconds."""

    kind: Literal["tiny"] = "tiny"


def _folder_or_id(value: str) -> str:
    # A folder is meant from where the run is begun, wherever its processes run.
    return str(Path(value).expanduser().absolute()) if Path(value).expanduser().is_dir() else value


class ViltBackbone(_Section):
    """ViLT, arXiv 2102.03334, as Hugging Face stores it; see docs/vilt.md."""

    kind: Literal["vilt"] = "vilt"
    path: Annotated[str, AfterValidator(_folder_or_id)] = Field(
        "dandelin/vilt-b32-mlm", description="folder of a checkpoint, or owner/model of one that was fetched"
    )
    max_text_tokens: int | None = Field(
        None, ge=1, description="longest text; as many tokens as the checkpoint has positions for when left out"
    )


def _named_kind(value: object) -> object:
    """`{kind: mean}` for a plain `mean`."""
    return {"kind": value} if isinstance(value, str) else value


class Model(_Section):
    """The frozen backbone and the adapter that is trained on it."""

    backbone: Annotated[
        SmallBackbone | TinyBackbone | ViltBackbone, Field(discriminator="kind"), BeforeValidator(_named_kind)
    ] = Field(SmallBackbone(), description="a section with its kind, or the kind alone")
    adapter: Annotated[SSFAdapter | LoRAAdapter, Field(discriminator="kind")] = SSFAdapter()


class Checkpointing(_Section):
    """When a stage saves what it has trained so far, to continue from there after a stop. Either limit is enough."""

    every_steps: int | None = Field(None, ge=1, description="optimiser steps between two checkpoints")
    every_seconds: float | None = Field(300, gt=0, description="seconds between two checkpoints")
    keep: int = Field(2, ge=1, description="how many of a stage's newest checkpoints stay on disk")


class Training(_Section):
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


class AttentionScores(_Section):
    """A token counts for as much as the class token attends to it in one layer."""

    kind: Literal["attention"] = "attention"
    layer: int = Field(-1, description="of the encoder, from 0, or negative from the end")
    heads: Literal["mean", "max"] = Field("mean", description="what becomes of the heads' weights")
    value_norms: bool = Field(
        False, description="weigh by the norms of value vectors, arXiv 2004.10102: attention sinks count for nothing"
    )


class RolloutScores(_Section):
    """Attention followed through all layers, arXiv 2005.00928."""

    kind: Literal["rollout"] = "rollout"
    heads: Literal["mean", "max"] = Field("mean", description="what becomes of the heads' weights")


class GradientScores(_Section):
    """Attention times its gradient for the largest logit, where positive, arXiv 2103.15679."""

    kind: Literal["gradient"] = "gradient"
    layer: int = Field(-1, description="of the encoder, from 0, or negative from the end")


Scores = AttentionScores | RolloutScores | GradientScores


class MeanMasker(_Section):
    """Keep what is attended to above the mean of its sample, arXiv 2412.09549."""

    kind: Literal["mean"] = "mean"


class MeanStdMasker(_Section):
    """Keep what is attended to above mean + k standard deviations of its sample."""

    kind: Literal["mean_std"] = "mean_std"
    k: float = Field(0.5, description="0 is `mean`, more keeps less")


class TopRatioMasker(_Section):
    """Keep the best share of the tokens, the same in every sample."""

    kind: Literal["top_ratio"] = "top_ratio"
    image: Share = Field(0.25, description="share of the patches to keep, rounded up")
    text: Share = Field(0.5, description="share of the text's tokens to keep, rounded up")


class TopMassMasker(_Section):
    """Keep the fewest tokens that together get a share of the attention."""

    kind: Literal["top_mass"] = "top_mass"
    image: Share = Field(0.8, description="share of the attention to the patches")
    text: Share = Field(0.8, description="share of the attention to the text's tokens")


class RateMasker(_Section):
    """Keep the best patches that fit into so many bytes as the store codes them; texts as with `mean`."""

    kind: Literal["rate_to_bytes"] = "rate_to_bytes"
    image_bytes: Size = Field(1024, description="bytes of a coded picture; accepts 1kB, 2KiB")
    order: Literal["attention", "random"] = Field(
        "attention", description="which patches come first; random is the control at equal bytes"
    )


class RandomMasker(_Section):
    """Keep patches drawn evenly, the control for attention at equal numbers; texts as with `mean`."""

    kind: Literal["random"] = "random"
    image: Share | None = Field(None, description="share of the patches; as many as `mean` keeps when left out")


class BoxMasker(_Section):
    """Keep the smallest box that gets a share of the attention, and the rest at a lower resolution, as CIM does."""

    kind: Literal["box"] = "box"
    mass: Share = Field(0.6, description="share of the attention inside the box")
    shrink: int = Field(2, ge=0, description="factor by which the sides of the rest shrink; 0 drops the rest")


class LowResMasker(_Section):
    """Keep the whole picture at a lower resolution; texts as with `mean`."""

    kind: Literal["low_res"] = "low_res"
    shrink: int = Field(2, ge=2, description="factor by which its sides shrink")


class FullMasker(_Section):
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


class Exemplars(_Section):
    """What is remembered of the past, arXiv 2412.09549. A budget of 0 turns the memory off."""

    budget: Size = Field(512 * 1024, description="bytes of all files of the store; accepts 300kB, 512KiB, 2MiB")
    selection: Literal["herding"] = "herding"
    scores: Annotated[Scores, Field(discriminator="kind"), BeforeValidator(_named_kind)] = Field(
        AttentionScores(), description="what masks are made from; a section with its kind, or the kind alone"
    )
    masker: Annotated[Masker, Field(discriminator="kind"), BeforeValidator(_named_kind)] = Field(
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
    jpeg_quality: int = Field(90, ge=1, le=95)
    replay_ratio: float = Field(1.0, ge=0, description="replayed samples per fresh sample")
    fresh_masking: Share = Field(
        0.5, description="chance that a fresh sample is shown masked too, lest masked comes to mean old"
    )
    swap_probability: Share = Field(0.5, description="chance that a replayed text is another one of its class")


def _launcher_kind(value: str) -> str:
    if value not in launcher_kinds():
        raise ValueError(f"choose one of {', '.join(launcher_kinds())}")
    return value


class Launcher(_Section):
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


class Experiment(_Section):
    """One run: everything that decides its result, and how it is launched."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._=+-]{0,99}$")
    seed: int = Field(0, ge=0, lt=2**31)
    data: Data = Data()
    scenario: Scenario = Scenario()
    model: Model = Model()
    training: Training = Training()
    exemplars: Exemplars = Exemplars()
    launcher: Launcher = Launcher()

    @model_validator(mode="after")
    def _batch_splits_over_processes(self) -> Experiment:
        self.training.check_processes(self.launcher.nodes * self.launcher.processes)
        return self

    @model_validator(mode="after")
    def _gradients_need_a_whole_backbone(self) -> Experiment:
        if self.training.zero_stage == 3 and self.exemplars.scores.kind == "gradient":
            raise ValueError("exemplars.scores.kind gradient needs training.zero_stage 2 or less; choose attention")
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
_NO_PART_OF_RESULT = ("name", "launcher", "training.checkpoint", "training.step_timeout")


def is_part_of_result(override: str) -> bool:
    """Whether an override such as `"exemplars.budget=2MiB"` makes another run of an experiment."""
    path = override.partition("=")[0].strip()
    return not any(path == field or path.startswith(f"{field}.") for field in _NO_PART_OF_RESULT)


def load(path: Path, overrides: Iterable[str] = ()) -> Experiment:
    """Read an experiment from YAML and apply overrides such as `"exemplars.budget=2MiB"`.

    Raises:
        UserError: no such file, not YAML, an unknown key or a wrong value, an override that is not `key=value`.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot read the configuration: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path}: the configuration must be a mapping of keys to values, got {type(raw).__name__}")
    for override in overrides:
        _apply(raw, override)
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        raise UserError("\n".join(f"{path}: {line}" for line in _explain(error))) from error


def differing_fields(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The paths at which two dumped configurations differ, each as `path: ours is A, theirs is B`."""
    lines = []
    for key in sorted(set(ours) | set(theirs)):
        a, b, path = ours.get(key), theirs.get(key), f"{prefix}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differing_fields(a, b, f"{path}.")
        elif a != b:
            lines.append(f"{path} is {a!r} here and {b!r} there")
    return lines


def _apply(raw: dict[str, Any], override: str) -> None:
    path, equals, value = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {override}: write it as a.b=value, for example exemplars.budget=2MiB")
    section = raw
    for key in keys[:-1]:
        child = section.setdefault(key, {})
        if not isinstance(child, dict):
            raise UserError(f"--set {override}: {key!r} is a value, not a section")
        section = child
    try:
        section[keys[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: {value!r} is not a YAML value; quote it") from error


def _explain(error: ValidationError) -> list[str]:
    return [_explain_one(item["loc"], item["type"], item["msg"], item["input"]) for item in error.errors()]


def _explain_one(location: tuple[int | str, ...], kind: str, message: str, value: object) -> str:
    path = ".".join(str(part) for part in _path_in_file(location))
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        mend = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"{path}: unknown key; {mend}"
    if kind == "union_tag_not_found":
        return f"{path}.kind: missing; add one of {', '.join(_kinds(location))}"
    if kind == "missing":
        return f"{path}: missing; add it"
    message = message.removeprefix("Value error, ")
    return f"{path or 'experiment'}: {message}" + ("" if isinstance(value, dict | BaseModel) else f", got {value!r}")


def _path_in_file(location: tuple[int | str, ...]) -> Iterator[int | str]:
    """The location without the tags of discriminated unions, which are not in the user's file."""
    options: list[type[BaseModel]] = [Experiment]
    for part in location:
        if len(options) > 1 and part in _tags(options):
            options = [option for option in options if part in _tags([option])]
        else:
            yield part
            options = _sections(options, part)


def _sections(options: Sequence[type[BaseModel]], field: int | str) -> list[type[BaseModel]]:
    """What a field of a section may be, if it is a section."""
    annotation = next((its.model_fields[str(field)].annotation for its in options if field in its.model_fields), None)
    found = [option for option in (annotation, *get_args(annotation)) if isinstance(option, type)]
    return [option for option in found if issubclass(option, BaseModel)]


def _tags(options: Sequence[type[BaseModel]]) -> list[str]:
    fields = [option.model_fields.get("kind") for option in options]
    return [str(tag) for field in fields if field for tag in get_args(field.annotation)]


def _reached(location: tuple[int | str, ...]) -> list[type[BaseModel]]:
    options: list[type[BaseModel]] = [Experiment]
    for part in location:
        tagged = [option for option in options if part in _tags([option])]
        options = tagged if len(options) > 1 and tagged else _sections(options, part)
    return options


def _kinds(location: tuple[int | str, ...]) -> list[str]:
    return _tags(_reached(location))


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    return [name for section in _reached(location)[:1] for name in section.model_fields]
