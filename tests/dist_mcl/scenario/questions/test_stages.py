from pathlib import Path

import numpy as np
import pytest

from dist_mcl import config
from dist_mcl.errors import UserError
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.scenario.questions.stages import check_data, left_out, modality_stages
from dist_mcl.tokens import Tokens

from .readers import layouts

WRITERS = {
    "films": layouts.films,
    "clotho": layouts.clotho,
    "esc50": layouts.esc50,
    "fusion": layouts.fusion_depth,
    "scenes": layouts.scenes,
    "clouds": layouts.objaverse,
    "own": layouts.manifest,
}
STAGES = """
name: modalities
exemplars: {budget: 0}
model:
  backbone: causal-tiny
  adapter: {kind: adapter_in_adapter}
scenario:
  kind: modality_incremental
  stages:
    - modality: video
      tokens: {kind: video, frames: 4, side: 32}
      data: [{dataset: msrvtt, folder: films}, {dataset: msrvtt, folder: films, tasks: [qa]}]
      test_only: {dataset: msvd, folder: films}
    - modality: audio
      data: {dataset: clotho, folder: clotho}
      test_only: [{dataset: esc50, folder: esc50}]
    - modality: depth
      data: {dataset: fusion_depth, folder: fusion}
      test_only: [{dataset: sun_rgbd, folder: scenes}, {dataset: nyu_v2, folder: scenes}]
    - modality: point_cloud
      tokens: {kind: point_cloud, groups: 8, group: 4}
      data: {dataset: objaverse, folder: clouds}
    - modality: imu
      tokens: features
      encoder: {kind: vectors, features: 3}
      data: {dataset: manifest, folder: own}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, write in WRITERS.items():
        write(tmp_path / name)
    path = tmp_path / "experiment.yaml"
    path.write_text(STAGES)
    return path


def scenario_of(file: Path, **replaced: str) -> ModalityIncremental:
    text = file.read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    scenario = config.load(file).scenario
    assert isinstance(scenario, ModalityIncremental)
    return scenario


def test_modalities_arrive_in_the_order_of_the_list(file: Path) -> None:
    scenario = scenario_of(file)
    stages = modality_stages(scenario)
    check_data(scenario.stages, stages)
    assert [(stage.number, stage.modality) for stage in stages] == [
        (1, "video"),
        (2, "audio"),
        (3, "depth"),
        (4, "point_cloud"),
        (5, "imu"),
    ]
    assert [list(stage.tests) for stage in stages] == [
        ["msrvtt", "msrvtt#2", "msvd"],
        ["clotho", "esc50"],
        ["fusion_depth", "sun_rgbd", "nyu_v2"],
        ["objaverse"],
        ["manifest"],
    ]
    assert len(stages[0].train) == 6 + 2 and len(stages[0].tests["msrvtt#2"]) == 1


def test_any_order_brings_the_same_samples(file: Path) -> None:
    scenario = scenario_of(file)
    turned = scenario.model_copy(update={"stages": scenario.stages[::-1]})
    stages, reversed_stages = modality_stages(scenario), modality_stages(turned)
    for one, other in zip(stages, reversed_stages[::-1], strict=True):
        assert one.train.questions == other.train.questions
        assert one.train.sample(0, 1).tokens == other.train.sample(0, 1).tokens


def test_sample_numbers_are_unique_over_all_stages(file: Path) -> None:
    stages = modality_stages(scenario_of(file))
    ids = np.concatenate([questions.ids for stage in stages for questions in (stage.train, *stage.tests.values())])
    assert ids.tolist() == list(range(len(ids)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("modality: imu\n      tokens: features", "modality: imu", r"stages\.4: modality 'imu' is new: say how its"),
        ("modality: imu", "modality: audio", "modality audio arrives twice"),
        ("modality: imu", "modality: IMU", r"stages\.4\.modality: String should match pattern"),
        ("kind: point_cloud, groups: 8", "kind: points, groups: 8", r"stages\.3\.tokens.*choose"),
        ("frames: 4", "frames: 3", r"stages\.0\.tokens: frames 3 is no multiple of tubelet 2"),
        ("frames: 4", "frame: 4", r"stages\.0\.tokens\.frame: unknown key; did you mean 'frames'\?"),
        ("dataset: objaverse", "dataset: esc50", r"stages\.3: dataset esc50 has audio, but no point_cloud"),
        ("dataset: objaverse", "dataset: cap3d", r"stages\.3\.data\.0.*dataset"),
        ("dataset: clotho, folder: clotho", "dataset: clotho", r"stages\.1\.data\.0\.folder: missing; add it"),
        ("dataset: fusion_depth, folder: fusion", "dataset: sun_rgbd, folder: scenes", "has nothing to learn from"),
        ("name: modalities", "name: modalities\ndata: {dataset: cdda}", "data is not for scenario.kind"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(file: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        scenario_of(file, **{old: new})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("folder: clouds", "folder: nowhere", r"nowhere.*no such file.*docs/data\.md"),
        ("tasks: [qa]", "tasks: [colour]", r"^scenario\.stages\.0\.data\.1\.tasks: .* has no task 'colour'"),
        (
            "dataset: nyu_v2",
            "tasks: [depth], dataset: nyu_v2",
            r"^scenario\.stages\.2\.test_only\.1\.tasks: .* 'depth'",
        ),
        (
            "dataset: clotho,",
            "dataset: clotho, generation: {qa: {}},",
            r"^scenario\.stages\.1\.data\.generation: .* 'qa'",
        ),
        (
            "tokens: features",
            "tokens: {kind: custom, path: 'imu.py:Windows'}",
            r"^scenario\.stages\.4\.tokens\.path .*imu\.py:Windows: cannot be imported",
        ),
    ],
)
def test_a_mistake_that_shows_in_the_data_is_one_line(file: Path, old: str, new: str, message: str) -> None:
    scenario = scenario_of(file, **{old: new})
    with pytest.raises(UserError, match=message) as refused:
        modality_stages(scenario)
    assert "\n" not in str(refused.value)


def test_a_split_without_questions_is_refused(file: Path) -> None:
    (file.parent / "own" / "test.jsonl").write_text("")
    with pytest.raises(UserError, match=r"^scenario\.stages\.4\.data: has no questions about imu to test on; see"):
        modality_stages(scenario_of(file))


def test_a_missing_file_is_found_before_a_run_begins(file: Path) -> None:
    scenario = scenario_of(file)
    (file.parent / "own" / "test.csv").unlink()
    with pytest.raises(UserError, match=r"own/test\.csv: no such .* scenario\.stages\.4\.data\.missing_media: skip"):
        check_data(scenario.stages, modality_stages(scenario))


def skipping(file: Path) -> ModalityIncremental:
    return scenario_of(file, **{"folder: films}, {": "folder: films, missing_media: skip}, {"})


def test_what_is_left_out_is_counted_for_each_split(file: Path) -> None:
    scenario = skipping(file)
    assert left_out(modality_stages(scenario)) == []
    (file.parent / "films" / "videos" / "video0.mp4").rename(file.parent / "elsewhere.mp4")
    stages = modality_stages(scenario.model_copy(update={"stages": scenario.stages[:1]}))
    (line,) = left_out(stages)  # of two captions and two answers; the other set refuses what is missing
    assert line == "stage 1, video, train: 4 questions are left out, since their media files are not there"
    assert len(stages[0].train) == 2 + 2


def test_where_nothing_is_there_it_is_said_where_it_was_looked_for(file: Path) -> None:
    scenario = skipping(file)
    (file.parent / "films" / "videos" / "video2.mp4").unlink()
    complaint = (
        r"^scenario\.stages\.0\.data\.0: of all 2 questions about video to test on the media files are not there, "
        r"such as .*films/videos/video2\.mp4; bring them"
    )
    with pytest.raises(UserError, match=complaint):
        modality_stages(scenario)


def test_tasks_of_missing_media_are_known(file: Path) -> None:
    scenario = scenario_of(file, **{"tasks: [qa]": "tasks: [qa], missing_media: skip"})
    (file.parent / "films" / "videos" / "video0.mp4").unlink()  # the one that is asked about
    (line,) = left_out(modality_stages(scenario))
    assert line.startswith("stage 1, video, train: 2 questions")


def test_media_without_tokens_are_refused_by_who_learns_from_them(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = modality_stages(scenario_of(file))[4].train
    monkeypatch.setattr(type(train.tokenizer), "encode", lambda self, media: Tokens.full(media[:0], (0,)))
    with pytest.raises(UserError, match=r"own/train\.csv: has no tokens; bring a whole file"):
        train.sample(0, stage=5)
