"""A user's mistake gets one clear line and exit code 2, and changes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dist_mcl.scenario.tables import shipped_folder

from .conftest import mcl, run_command

pytestmark = pytest.mark.xdist_group("runs")


def refused(command: list[str], env: dict[str, str] | None = None) -> str:
    """The one line of a refusal."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"exemplars.budgte": "1MiB"}, "exemplars.budgte: unknown key; did you mean 'budget'?"),
        ({"scenario.stages": "38"}, "scenario.stages: 38 stages cannot share 37 classes; choose a number from 1 to 37"),
        ({"exemplars.budget": "1kB"}, "exemplars.budget: 1000 bytes cannot hold one exemplar"),
    ],
)
def test_a_configuration_that_cannot_run(tmp_path: Path, overrides: dict[str, str], message: str) -> None:
    assert message in refused(run_command(tmp_path / "run", **overrides))
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_another_configuration(finished_run: Path) -> None:
    before = digest(finished_run)
    line = refused(run_command(finished_run, seed="7"))
    assert "holds a run of another configuration: seed is 7 here and 0 there" in line
    assert digest(finished_run) == before


def test_the_store_of_another_run(finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished_run, folder)
    plan = folder / "plan.json"
    run_id = plan.read_text().split('"run_id": "')[1][:32]
    plan.write_text(plan.read_text().replace(run_id, "0" * 32))
    before = digest(folder)
    assert f"belongs to run '{run_id}'" in refused(run_command(folder))
    assert digest(folder) == before


def test_a_store_that_vanished_is_not_replaced_by_an_empty_one(finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished_run, folder)
    shutil.rmtree(folder / "exemplars")
    assert "is missing, but stages [1, 2, 3] are in this run's memory" in refused(run_command(folder))
    assert not (folder / "exemplars").exists()


def test_a_result_that_was_changed_is_not_sealed_again(finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished_run, folder)
    (folder / "stages" / "02" / "metrics.json").write_text("{}")
    done = subprocess.run(run_command(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "metrics.json changed since the stage was done" in done.stderr
    status = subprocess.run(mcl("status", folder, "--json"), capture_output=True, text=True, check=True)
    assert [row["status"] for row in json.loads(status.stdout)] == ["done", "damaged", "done"]


@pytest.mark.parametrize("text", ["{", "{}", '{"run_id": 1}'])
def test_a_plan_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    assert "plan.json: is damaged" in refused(mcl("status", tmp_path))
    assert "holds no run" in refused(mcl("status", tmp_path / "plan.json"))


def test_a_folder_with_something_else_in_it(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    assert "is not empty and holds no run; choose another folder" in refused(run_command(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_models_that_were_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "empty"))
    assert "run `mcl models fetch all-minilm-l6-v2`" in refused(run_command(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_missing_data(tmp_path: Path) -> None:
    missing = tmp_path / "mine"
    line = refused(run_command(tmp_path / "run", data__folder=str(missing)))
    assert f"{missing / 'objects.parquet'}: no such data file" in line
    assert f"make it with `mcl data prepare NAME --output {missing}`" in line
    assert not (tmp_path / "run").exists()


def test_an_unreadable_picture(tmp_path: Path) -> None:
    damaged = tmp_path / "emoji"
    shutil.copytree(shipped_folder("emoji"), damaged)
    table = pq.read_table(damaged / "objects.parquet")
    pictures = table["picture"].to_pylist()
    pictures[17] = pictures[17][:40]
    column = table.schema.get_field_index("picture")
    table = table.set_column(column, table.schema.field(column), pa.array(pictures, pa.binary()))
    pq.write_table(table, damaged / "objects.parquet")
    line = refused(run_command(tmp_path / "run", data__folder=str(damaged)))
    assert "objects.parquet: row 17: the picture cannot be read" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["status", "report"])
def test_a_folder_without_a_run(tmp_path: Path, command: str) -> None:
    assert "holds no run" in refused(mcl(command, tmp_path))


def test_a_missing_configuration(tmp_path: Path) -> None:
    line = refused(mcl("run", tmp_path / "nowhere.yaml"))
    assert "nowhere.yaml: cannot read the configuration: No such file or directory" in line
