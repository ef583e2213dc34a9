"""Where a run lies when nobody says, and the store that it begins with."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from dist_mcl import config
from dist_mcl.coordinator.requirements import check_models
from dist_mcl.coordinator.start import default_folder, open_or_begin, open_or_plan
from dist_mcl.doctor.models import models
from dist_mcl.errors import UserError
from dist_mcl.evaluation import captions
from exemplar_store import BudgetPolicy, Webp
from exemplar_store.generations import read_snapshot

from ..scenario.readers import layouts


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "small"),
        (["seed=1"], "small-seed=1"),
        (["seed=1", "model.adapter.kind=lora"], "small-model.adapter.kind=lora-seed=1"),
        (["launcher.processes=1", "name=other"], "other"),
        (["training.checkpoint={every_steps: 2}", "training.checkpoint.keep=1", "training.step_timeout=9"], "small"),
        (["exemplars.store.evict_first=true"], "small"),
        (["model.adapter={kind: lora, rank: 4}"], "small-model.adapter=_kind__lora__rank__4_"),
    ],
)
def test_overrides_are_part_of_the_name_unless_they_do_not_change_the_result(
    tmp_path: Path, overrides: list[str], name: str
) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text("name: small\n")
    assert default_folder(config.load(file, overrides), overrides) == Path("runs") / name


def test_a_layout_without_weights_is_no_run_and_nothing_is_written(tmp_path: Path) -> None:
    experiment = config.load(Path(__file__).parents[3] / "configs" / "pathweave_instructblip.yaml")
    with pytest.raises(UserError, match=r"model\.backbone\.path: missing, .* name a checkpoint"):
        open_or_plan(tmp_path / "run", experiment)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("backbone", ["causal-tiny", "{kind: qformer, layout: tiny}"])
def test_an_encoder_that_was_not_fetched_is_missed_before_the_run(tmp_path: Path, backbone: str) -> None:
    stage = "{modality: image, encoder: {kind: huggingface, path: nobody/nothing}, data: {dataset: shapes}}"
    overrides = [f"scenario.stages=[{stage}]", f"model.backbone={backbone}"]
    experiment = config.load(Path(__file__).parents[3] / "configs" / "mcl_five_modalities.yaml", overrides)
    assert "run `mcl models fetch nobody/nothing`" in [one.todo for one in models(experiment)]
    with pytest.raises(
        UserError, match=r"^scenario\.stages\.0\.encoder\.path: nobody/nothing: .* run `mcl models fetch nobo"
    ):
        open_or_plan(tmp_path / "run", experiment)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("smolm2", r"^model\.backbone\.path: smolm2: no such folder or model; did you mean 'smollm2-135m-instruct'\?"),
        ("vicuna", r"^model\.backbone\.path: vicuna: no such folder; name a folder, or a checkpoint of the hub"),
        ("nobody/smollm2", r"^model\.backbone\.path: nobody/smollm2: no such folder, and no fetched checkpoint; run"),
    ],
)
def test_a_model_that_is_none_is_named_with_its_field(path: str, complaint: str) -> None:
    five = Path(__file__).parents[3] / "configs" / "mcl_five_modalities.yaml"
    with pytest.raises(UserError, match=complaint):
        check_models(config.load(five, [f"model.backbone.path={path}"]))


@pytest.mark.parametrize(
    ("model_type", "modality", "wanted"),
    [
        ("llava", "image", []),
        ("llava", "depth", ["efficientnet-lite0"]),
        ("llama", "image", ["efficientnet-lite0"]),
    ],
)
def test_a_model_that_reads_pictures_itself_asks_for_no_encoder_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_type: str, modality: str, wanted: list[str]
) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "empty"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    overrides = [
        f"scenario.stages=[{{modality: {modality}, data: {{dataset: shapes}}}}]",
        f"model.backbone={{kind: causal, path: {tmp_path}}}",
    ]
    experiment = config.load(Path(__file__).parents[3] / "configs" / "mcl_five_modalities.yaml", overrides)
    assert [one.todo for one in models(experiment) if one.state == "missing"] == [
        f"run `mcl models fetch {name}`" for name in wanted
    ]
    with pytest.raises(UserError, match=wanted[0]) if wanted else nullcontext():
        check_models(experiment)


@pytest.mark.parametrize(
    ("task", "overrides", "complaint"),
    [
        ("caption", [], r"captions are scored by pycocoevalcap, which is missing; pip install 'dist-mcl\[captions\]'"),
        ("caption", ["evaluation.captions.meteor=true"], r"evaluation\.captions\.meteor: true: needs Java, but there"),
        ("name", ["evaluation.captions.meteor=true"], None),
    ],
)
def test_what_scores_captions_is_missed_before_a_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, overrides: list[str], complaint: str | None
) -> None:
    for split in ("train", "test"):
        row = {"media": "1.csv", "question": "a short description.", "answer": "a walk", "task": task}
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row))
    (tmp_path / "1.csv").write_text("1,2\n")
    stage = (
        "{modality: imu, tokens: features, encoder: {kind: vectors, features: 2}, data: {dataset: manifest, folder: "
    )
    experiment = config.defaults(
        [
            f"scenario={{kind: modality_incremental, stages: [{stage}{tmp_path}}}}}]}}",
            *("model.backbone=causal-tiny", "model.adapter={kind: full}", "exemplars.budget=0", *overrides),
        ]
    )
    if overrides:
        monkeypatch.setattr(captions.shutil, "which", lambda name: None)
    else:
        monkeypatch.setattr(captions, "find_spec", lambda name: None)
    with nullcontext() if complaint is None else pytest.raises(UserError, match=complaint):
        open_or_plan(tmp_path / "run", experiment)
    assert not (tmp_path / "run").exists()


def test_vectors_have_the_width_that_is_said_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "1.csv").write_text("1,2,3,4,5,6\n")
    line = '{"media": "1.csv", "question": "What?", "answers": ["a walk"]}\n'
    (tmp_path / "train.jsonl").write_text(line + line.replace("1.csv", "2.csv"))
    (tmp_path / "test.jsonl").write_text(line)
    data = f"{{dataset: manifest, folder: {tmp_path}, missing_media: skip}}"
    imu = f"{{modality: imu, tokens: features, encoder: {{kind: vectors, features: WIDTH}}, data: {data}}}"

    def plan(width: int) -> None:
        overrides = [f"scenario.stages=[{imu.replace('WIDTH', str(width))}]", "model.backbone=causal-tiny"]
        five = Path(__file__).parents[3] / "configs" / "mcl_five_modalities.yaml"
        open_or_plan(tmp_path / "run", config.load(five, overrides))

    plan(6)
    said = "mcl: stage 1, imu, train: 1 question is left out, since its media file is not there\n"
    assert capsys.readouterr().err == said
    with pytest.raises(UserError, match=r"stages\.0\.encoder\.features: 4, .*1\.csv are vectors of width 6; set that"):
        plan(4)


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Path]:
    """Begins a run on miniature photographs with fields of `exemplars`; its folder."""
    layouts.food101_json(tmp_path / "set")
    file = tmp_path / "experiment.yaml"
    file.write_text(
        f"name: small\nmodel: {{backbone: tiny}}\nscenario: {{stages: 2}}\n"
        f"data: {{dataset: food101, folder: {tmp_path / 'set'}}}\n"
    )

    def open_run(*exemplars: str) -> Path:
        return open_or_begin(tmp_path / "run", config.load(file, [f"exemplars.{one}" for one in exemplars])).path

    return open_run


@pytest.mark.parametrize(
    ("fields", "policy", "keep"),
    [
        ((), BudgetPolicy(), 1),
        (
            ("store={share: class, weights: {tacos: 2, apple_pie: 0.5}, keep_generations: 3}",),
            BudgetPolicy(share="class", weights={"1": 2.0, "2": 0.5}),
            3,
        ),
        (
            ("store={share: modality, weights: {text: 0.1}}", "image_codec=webp"),
            BudgetPolicy(share="modality", weights={"text": 0.1}),
            1,
        ),
    ],
)
def test_the_store_is_made_with_the_rules_of_the_experiment(
    begin: Callable[..., Path], fields: tuple[str, ...], policy: BudgetPolicy, keep: int
) -> None:
    info = read_snapshot(begin(*fields) / "exemplars").info
    assert (info.policy, info.keep_generations) == (policy, keep)


def test_a_class_that_is_none_has_no_weight(begin: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"exemplars.store.weights: no class is called 'taco'; did you mean 'tacos'\?"):
        begin("store={share: class, weights: {taco: 2}}")
    assert not (tmp_path / "run").exists()


def test_a_budget_has_to_hold_what_the_store_says_of_itself(begin: Callable[..., Path], tmp_path: Path) -> None:
    classes = "tacos: 1.234567890123, apple_pie: 1.234567890123, frozen_yogurt: 1.234567890123"
    sizes = []
    for rules in ("{}", f"{{share: class, weights: {{{classes}}}}}"):
        with pytest.raises(UserError, match=r"takes up to \d+ bytes; choose more") as caught:
            begin("budget=900", f"store={rules}")
        sizes.append(int(str(caught.value).split(" bytes; choose more")[0].split()[-1]))
    assert sizes[1] - sizes[0] > 40
    assert begin(f"budget={sizes[0] + 9}") == tmp_path / "run"  # which has more digits


def test_a_codec_that_cannot_hold_the_picture_is_refused_before_the_run(
    begin: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Webp, "max_width", 100)
    with pytest.raises(UserError, match=r"exemplars.image_codec: codec webp: 36 patches of 16 px make a strip wider"):
        begin("image_codec=webp")
    assert not (tmp_path / "run").exists()
