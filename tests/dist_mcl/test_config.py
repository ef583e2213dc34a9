"""What a configuration accepts, and how it says no."""

from pathlib import Path

import pytest
import yaml

from dist_mcl import config
from dist_mcl.adapter_config import LoRAAdapter
from dist_mcl.data_config import EmojiData
from dist_mcl.errors import UserError

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text("name: small\nexemplars: {budget: 2MiB}\n")
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("300kB", 300_000), ("512KiB", 524_288), ("1.5 MiB", 1_572_864), ("2GB", 2_000_000_000), ("77", 77)],
)
def test_sizes(file: Path, text: str, expected: int) -> None:
    assert config.load(file, [f"exemplars.budget={text}"]).exemplars.budget == expected


def test_overrides_reach_nested_fields_and_keep_the_rest(file: Path) -> None:
    experiment = config.load(file, ["model.adapter.kind=lora", "model.adapter.rank=4", "seed=3"])
    assert experiment.model.adapter == LoRAAdapter(rank=4)
    assert experiment.seed == 3
    assert experiment.exemplars.budget == 2 * 2**20


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("exemplars.budgt=3", "exemplars.budgt: unknown key; did you mean 'budget'?"),
        ("zzz=1", "zzz: unknown key; known keys: name, seed, data,"),
        ("model.adapter.rnk=2", "model.adapter.kind: missing; add one of ssf, lora"),
        ("model.adapter={kind: lora, rnk: 2}", "model.adapter.rnk: unknown key; did you mean 'rank'?"),
        (
            "model.backbone=smal",
            "model.backbone.kind: choose one of small, tiny, vilt, causal, causal-tiny, qformer, got",
        ),
        ("model.backbone={path: x}", "model.backbone.kind: missing; add one of small, tiny, vilt"),
        ("model.backbone={kind: vilt, pth: x}", "model.backbone.pth: unknown key; did you mean 'path'?"),
        (
            "exemplars.masker.kind=best",
            "exemplars.masker.kind: choose one of mean, mean_std, top_ratio, top_mass, rate",
        ),
        ("exemplars.masker={kind: top_ratio, imge: 0.1}", "exemplars.masker.imge: unknown key; did you mean 'image'?"),
        ("exemplars.masker={kind: top_ratio, image: 2}", "exemplars.masker.image: Input should be less than or equal"),
        ("exemplars.scores={layer: 2}", "exemplars.scores.kind: missing; add one of attention, rollout, gradient"),
        (
            "training={zero_stage: 3, gradient_sum: deepspeed}\nexemplars.scores=gradient",
            "exemplars.scores.kind gradient needs training.zero_stage 2 or less; choose attention",
        ),
        (
            "exemplars.image_codec=png",
            "exemplars.image_codec.kind: choose one of jpeg, webp, avif, jxl, webp-lossless, predicted, got 'png'",
        ),
        (
            "exemplars.image_codec={kind: jpeg, quality: 96}",
            "exemplars.image_codec.quality: Input should be less than or equal to 95, got 96",
        ),
        ("exemplars.store.share=best", "exemplars.store.share: Input should be 'total', 'class' or 'modality', got"),
        (
            "exemplars.store.weights={heart: 2}",
            "exemplars.store: weights need share class or modality; with total there",
        ),
        (
            "exemplars.store={share: modality, weights: {words: 2}}",
            "exemplars.store: weights: 'words' is no modality of exemplars; choose from image, text, surround, logits",
        ),
        (
            "exemplars.store={share: class, weights: {heart: 0}}",
            "exemplars.store.weights.heart: Input should be greater than 0",
        ),
        ("exemplars.store.keep_generations=0", "exemplars.store.keep_generations: Input should be greater than or eq"),
        (
            "model.adapter.kind=foo",
            "model.adapter.kind: choose one of ssf, lora, adapter_in_adapter, full, none, got 'foo'",
        ),
        (
            "data.dataset=letters",
            "data.dataset: choose one of emoji, cdda, food101, imagenet_r, image_folder, mm_imdb,",
        ),
        ("data.sceen=none", "data.sceen: unknown key; did you mean 'scene'?"),
        ("data={dataset: food101}", "data.folder: missing; add it"),
        ("data={dataset: food101, folder: f, scene: none}", "data.scene: unknown key; known keys: modalities, max_per"),
        (
            "data={dataset: mm_imdb, folder: f}",
            "data: a film has several genres and is to get one class; say data.genr",
        ),
        ("data=emoji", "data: Input should be a valid dictionary or object to extract fields from, got 'emoji'"),
        ("scenario={stages: 3, increment: 10}", "scenario: say either stages or increment: stages for equal ones"),
        ("scenario.stages=null", "scenario: say either stages or increment: stages for equal ones"),
        ("scenario.base=11", "scenario: base 11 needs increment, the classes of every later stage"),
        ("training.epochs=three", "training.epochs: Input should be a valid integer"),
        ("training.epochs=0", "training.epochs: Input should be greater than or equal to 1, got 0"),
        ("training.epochs=true", "training: epochs is no switch, write a value other than true"),
        ("exemplars.budget=no", "exemplars: budget is no switch, write a value other than false"),
        ("training.learning_rate=.inf", "training.learning_rate: Input should be a finite number, got inf"),
        ("exemplars.budget=3XB", "exemplars.budget: unknown unit 'XB'; write a size such as"),
        ("exemplars.budget=-3", "exemplars.budget: Input should be greater than or equal to 0, got -3"),
        ("training.batch_size=33", "batch_size 33 is not a multiple of micro_batch_size 16"),
        ("launcher.processes=3", "is 2 micro-batches of training.micro_batch_size 16, and 3 processes need at least"),
        (
            "training={gradient_sum: deepspeed, batch_size: 48}",
            "is 3 micro-batches of training.micro_batch_size 16, and 2 pro",
        ),
        ("training.zero_stage=3", "zero_stage 3 sums gradients where it cuts them up; set gradient_sum: deepspeed"),
        (
            "exemplars.selection=best",
            "exemplars.selection: Input should be 'herding', 'random', 'reservoir', 'entropy',",
        ),
        (
            "exemplars={replay_sampler: proportional, replay_ratio: 2}",
            "exemplars: replay_ratio 2.0 is not for replay_sampler proportional",
        ),
        (
            "training.distillation.tmperature=3",
            "training.distillation.tmperature: unknown key; did you mean 'temperature'?",
        ),
        (
            "model.head=[cosine]",
            "model.head: Input should be 'linear' or 'cosine', got ['cosine']",
        ),
        ("name=../elsewhere", "name: String should match pattern"),
        ("nonsense", "--set nonsense: write it as a.b=value"),
        ("seed.x=3", "seed: Input should be a valid integer"),
    ],
)
def test_mistakes_get_one_line_that_names_the_field(file: Path, override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        config.load(file, override.split("\n"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_kind_alone_stands_for_its_section(file: Path) -> None:
    experiment = config.load(file, ["model.backbone=tiny", "exemplars.masker=random", "exemplars.scores=rollout"])
    assert experiment.model.backbone == config.TinyBackbone()
    assert experiment.exemplars.masker == config.RandomMasker()
    assert experiment.exemplars.scores == config.RolloutScores()
    assert config.load(file).model.backbone == config.SmallBackbone()


def test_a_folder_is_meant_from_where_the_run_is_begun(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vilt").mkdir()
    monkeypatch.chdir(tmp_path)
    for path, meant in (("vilt", str(tmp_path / "vilt")), ("dandelin/vilt-b32-mlm", "dandelin/vilt-b32-mlm")):
        backbone = config.load(file, [f"model.backbone={{kind: vilt, path: {path}}}"]).model.backbone
        assert isinstance(backbone, config.ViltBackbone) and backbone.path == meant


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["training.distillation.teacher=stored", "exemplars.budget=0"],
            "training.distillation.teacher: stored needs exemplars, but exemplars.budget is 0",
        ),
        (
            ["evaluation.classifier=nearest_mean", "exemplars.budget=0"],
            "evaluation.classifier: nearest_mean needs exemplars, but exemplars.budget is 0",
        ),
        (
            ["training.bias_correction=weight_aligning", "model.head=cosine"],
            "training.bias_correction: weight_aligning does nothing for model.head: cosine",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(file: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        config.load(file, overrides)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: [unclosed", "not valid YAML"),
        ("- a\n- b\n", "must be a mapping"),
        ("seed: 1\n", "name: missing; add it"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        config.load(path)


@pytest.mark.parametrize("data", ["{}", "{max_per_class: 2}", "{dataset: emoji, scene: none}"])
def test_emoji_are_the_data_unless_it_is_said(file: Path, data: str) -> None:
    assert isinstance(config.load(file, [f"data={data}"]).data, EmojiData)


def test_increments_leave_the_number_of_stages_open(file: Path) -> None:
    scenario = config.load(file, ["scenario.increment=10", "scenario.base=11"]).scenario
    assert (scenario.stages, scenario.base, scenario.increment) == (None, 11, 10)
    assert config.Scenario.model_validate(scenario.model_dump()) == scenario


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: cannot read the configuration: No such file"):
        config.load(tmp_path / "nowhere.yaml")


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    experiment = config.load(QUICKSTART)
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(experiment.model_dump(mode="json")))
    assert config.load(again) == experiment


def test_launcher_name_and_checkpoints_do_not_decide_the_result(file: Path) -> None:
    one = config.load(file, ["launcher.processes=1", "name=a", "training.step_timeout=7"]).result_fields()
    changes = [
        "launcher.processes=2",
        "name=b",
        "training.checkpoint.every_steps=2",
        "exemplars.store.evict_first=true",
    ]
    two = config.load(file, changes).result_fields()
    assert one == two
    other = config.load(file, ["training.learning_rate=0.5"]).result_fields()
    assert one != other


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "{train_batch_size: 64}",
            "deepspeed.train_batch_size is 64, but 32 follows from training.batch_size; remove it",
        ),
        ("{gradient_clipping: 2}", "deepspeed.gradient_clipping is 2, but 1.0 follows from training.gradient_clipping"),
        (
            "{zero_optimization: {stage: 1}}",
            "deepspeed.zero_optimization.stage is 1, but 2 follows from training.zero_s",
        ),
        (
            "{gradient_accumulation_steps: 4}",
            "gradient_accumulation_steps is 4, but 1 follows from the batch and 2 proc",
        ),
        (
            "{gradient_allreduce_op: mean}",
            "gradient_allreduce_op is 'mean', but 'sum' follows from training.gradient_sum",
        ),
        ("{optimizer: {type: Lion}}", "deepspeed.optimizer: it is AdamW by training.learning_rate and"),
        ("{fp16: {enabled: true}}", "deepspeed.fp16: it is training.precision that decides; remove it"),
        (
            "{zero_optimization: {offload_param: {device: cpu}}}",
            "deepspeed.zero_optimization.offload_param does nothing with training.zero_stage 2; remove it, or choose 3",
        ),
        (
            "{zero_optimization: {offload_optimizer: {device: cpu}}}\ntraining.zero_stage=0",
            "offload_optimizer does nothing with training.zero_stage 0; remove it, or choose 1 or 2 or 3",
        ),
        ("nowhere.json", "training.deepspeed: nowhere.json: cannot read the DeepSpeed configuration: No such file"),
        ("3", "training.deepspeed: Input should be a valid dictionary, got 3"),
    ],
)
def test_deepspeed_must_not_contradict_the_experiment(file: Path, given: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        config.load(file, f"training.deepspeed={given}".split("\n"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train_batch_size": 64}', "training: deepspeed.train_batch_size is 64, but 32 follows from"),
        ('{"train_batch_size": 64', "zero.json: not JSON: Expecting ',' delimiter: line 1 column 24"),
        ("[64]", "training.deepspeed: Input should be a valid dictionary, got [64]"),
    ],
)
def test_a_file_for_deepspeed_is_no_better_than_its_content(
    file: Path, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "zero.json").write_text(content)
    with pytest.raises(UserError) as caught:
        config.load(file, [f"training.deepspeed={tmp_path / 'zero.json'}"])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_deepspeed_from_a_file_becomes_part_of_the_experiment(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "zero.json"
    path.write_text('{"train_batch_size": "auto", "zero_optimization": {"reduce_bucket_size": 1000000}}')
    training = config.load(file, [f"training.deepspeed={path}"]).training
    assert training.deepspeed["zero_optimization"] == {"reduce_bucket_size": 1000000}
    assert training == config.load(file, [f"training.deepspeed={training.deepspeed}"]).training
