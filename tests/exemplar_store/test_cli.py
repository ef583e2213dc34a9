"""The command `exemplar-store`: what it prints, its exit codes, one line for every error, and an instant start."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exemplar_store import Codec, Exemplar, ExemplarStore, StoreError, StoreReader, Tokens, encode
from exemplar_store.cli import main
from exemplar_store.style import HATCH_INK, HATCH_PAPER
from exemplar_store.vocabulary import Piece, Words, read_vocabulary, read_words

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def run_json(capsys: Capture, *arguments: object) -> Any:
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_info_says_where_every_byte_is(
    capsys: Capture, small_store: ExemplarStore, bytes_on_disk: Callable[[Path], int]
) -> None:
    facts = run_json(capsys, "info", small_store.path)
    reader = StoreReader(small_store.path)
    assert facts["used_bytes"] == bytes_on_disk(small_store.path) <= facts["budget_bytes"] == 14_000
    assert facts["payload_bytes"] + facts["metadata_bytes"] == facts["used_bytes"]
    assert facts["exemplars"] == len(reader) and facts["classes"] == 3
    for key in ("by_modality", "by_codec", "by_stage", "by_class"):
        assert sum(group["payload_bytes"] for group in facts[key]) == facts["payload_bytes"]
    image = facts["by_modality"][0]
    assert (image["name"], image["codecs"], image["keep_ratio"]) == ("image", ["jpeg"], round(10 / 36, 4))
    assert image["keep_ratio_histogram"] == [0, 0, len(reader), 0, 0, 0, 0, 0, 0, 0]
    assert [(one["codec"], one["exemplars"]) for one in facts["by_codec"]] == [
        ("jpeg", len(reader)),
        ("token-ids", len(reader)),
    ]
    assert facts["baseline_bytes_per_exemplar"] == round(float(reader.baseline_bytes.mean()), 1)
    assert facts["by_class"][0]["name"] == "heart"


def test_info_for_people(capsys: Capture, small_store: ExemplarStore) -> None:
    code, out, err = run(capsys, "info", small_store.path)
    assert (code, err) == (0, "")
    for piece in (f"{small_store.used_bytes:,} of 14,000 bytes", "run run-a", "jpeg", "heart", "whole", "28 %"):
        assert piece in out


def test_an_empty_store_has_no_averages(capsys: Capture, tmp_path: Path) -> None:
    ExemplarStore.create(tmp_path / "store", budget_bytes=1_000, run_id="run")
    assert run_json(capsys, "info", tmp_path / "store")["bytes_per_exemplar"] is None
    for command in (["info"], ["ls"], ["verify", "--full"]):
        assert run(capsys, *command, tmp_path / "store")[0] == 0
    assert run(capsys, "show", tmp_path / "store", "--grid", "-o", tmp_path / "x.png")[0] == 0


def test_ls_filters_by_class_stage_and_number(capsys: Capture, small_store: ExemplarStore) -> None:
    everything = run_json(capsys, "ls", small_store.path)
    assert [one["index"] for one in everything] == list(range(len(everything)))
    assert everything[0]["kept"] == {"image": [10, 36], "text": [3, 5]} and everything[0]["class"] == "heart"
    tools = run_json(capsys, "ls", small_store.path, "--label", "tool")
    assert tools == run_json(capsys, "ls", small_store.path, "--label", "1") and {one["label"] for one in tools} == {1}
    assert {one["stage"] for one in run_json(capsys, "ls", small_store.path, "--stage", 2)} == {2}
    assert run_json(capsys, "ls", small_store.path, "--limit", 2) == everything[:2]
    assert run_json(capsys, "ls", small_store.path, "--offset", 1, "--limit", 2) == everything[1:3]
    assert run_json(capsys, "ls", small_store.path, "--offset", 99) == []
    assert run_json(capsys, "ls", small_store.path, "--codec", "jpeg") == everything
    assert run_json(capsys, "ls", small_store.path, "--codec", "raw") == []
    assert everything[0]["codecs"] == {"image": "jpeg", "text": "token-ids"}


def test_ls_says_how_to_go_on(capsys: Capture, small_store: ExemplarStore) -> None:
    count = len(StoreReader(small_store.path))
    assert f"{count - 3} more: --offset 3" in run(capsys, "ls", small_store.path, "--offset", 1, "--limit", 2)[1]
    assert "more" not in run(capsys, "ls", small_store.path, "--offset", 1)[1]


def test_names_in_a_store_are_no_markup_and_no_control_sequences(
    capsys: Capture, tmp_path: Path, encode_class: Callable[..., Any]
) -> None:
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=100_000, run_id="[/bold]\x1b[31m")
    store.commit(store.plan(1, encode_class([0], 1), {0: "[/red] two\nlines\x07"}))
    for command in ("info", "ls"):
        code, out, err = run(capsys, command, store.path)
        assert (code, err) == (0, "") and not {"\x1b", "\x07"} & set(out)
        assert "[/red] two\N{REPLACEMENT CHARACTER}lines" in out
    assert run_json(capsys, "ls", store.path)[0]["class"] == "[/red] two\nlines\x07"
    assert run(capsys, "ls", store.path, "--label", "blue")[2].count("\n") == 1


def test_bench_reads_and_writes_nothing(capsys: Capture, small_store: ExemplarStore) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_store.path.rglob("*")}
    facts = run_json(capsys, "bench", small_store.path, "--threads", 2, "--seconds", 0.1)
    count = len(StoreReader(small_store.path))
    assert (facts["exemplars"], facts["threads"], facts["batch"]) == (count, 2, count)
    assert facts["open_ms"] > 0 and 0 < facts["read_p50_ms"] <= facts["read_p95_ms"]
    assert facts["batch_per_s"] == pytest.approx(count / facts["batch_ms"] * 1e3, rel=0.01)
    code, out, _ = run(capsys, "bench", small_store.path, "--seconds", 0.1)
    assert code == 0 and "exemplars/s" in out
    assert {path: path.stat().st_mtime_ns for path in small_store.path.rglob("*")} == before
    code, out, _ = run(capsys, "ls", small_store.path, "--label", "drink")
    assert code == 0 and "image 10/36  text 3/5" in out and "heart" not in out


def test_show_draws_kept_patches_in_place_and_hatches_the_rest(
    capsys: Capture, tmp_path: Path, small_store: ExemplarStore
) -> None:
    target = tmp_path / "one.png"
    assert run(capsys, "show", small_store.path, 0, "-o", target) == (0, f"{target}\n", "")
    drawn = np.asarray(Image.open(target).convert("RGB"))
    tokens = StoreReader(small_store.path).read(0).tokens["image"]
    side, margin = 72, 28
    hatch = {tuple(bytes.fromhex(colour[1:])) for colour in (HATCH_PAPER, HATCH_INK)}
    for place in range(36):
        row, column = divmod(place, 6)
        patch = drawn[margin + row * side : margin + (row + 1) * side, margin + column * side :][:, :side]
        kept = np.flatnonzero(tokens.positions == place)
        if kept.size:
            assert np.abs(patch.mean((0, 1)) - tokens.values[kept[0]].mean((0, 1))).max() < 2
        else:
            assert {tuple(colour) for colour in np.unique(patch.reshape(-1, 3), axis=0).tolist()} == hatch


def test_show_grid_has_a_row_per_class(capsys: Capture, tmp_path: Path, small_store: ExemplarStore) -> None:
    sizes = {}
    for name, options in {"all": [], "one": ["--label", "heart"], "few": ["--limit", 1]}.items():
        target = tmp_path / f"{name}.png"
        assert run(capsys, "show", small_store.path, "--grid", "-o", target, *options)[0] == 0
        sizes[name] = Image.open(target).size
    assert sizes["all"][1] > sizes["one"][1] and sizes["all"] != sizes["few"]


def test_pictures_without_pictures(
    capsys: Capture, tmp_path: Path, make_exemplar: Callable[..., Exemplar], codecs: dict[str, Codec]
) -> None:
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=20_000, run_id="run")
    store.commit(store.plan(1, [encode(make_exemplar(1, with_image=False), codecs)]))
    for options in (["0"], ["--grid"]):
        assert run(capsys, "show", store.path, *options, "-o", tmp_path / "x.png")[0] == 0


def test_verify_exits_with_1_only_for_damage(capsys: Capture, small_store: ExemplarStore) -> None:
    for full in ([], ["--full"]):
        code, out, err = run(capsys, "verify", small_store.path, *full)
        assert (code, err) == (0, "") and out.endswith("the store is whole\n")
    payload = next(small_store.path.rglob("payload/c/0"))
    data = bytearray(payload.read_bytes())
    data[100] ^= 4
    payload.write_bytes(data)
    assert run(capsys, "verify", small_store.path)[0] == 0  # quick: sizes only, for the payload
    code, out, err = run(capsys, "verify", small_store.path, "--full")
    assert code == 1 and str(payload) in err and out.endswith("1 problems\n")
    code = main(["verify", str(small_store.path), "--full", "--json"])
    assert code == 1 and len(json.loads(capsys.readouterr()[0])["problems"]) == 1
    code, out, err = run(capsys, "show", small_store.path, "--grid", "-o", small_store.path.parent / "x.png")
    assert code == 1 and err.count("\n") == 1 and not (small_store.path.parent / "x.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "{tmp}/none"], "does not exist"),
        (["info", "{tmp}"], "has no store.json"),
        (["info"], "Missing argument"),
        (["info", "{store}", "--wrong"], "No such option"),
        (["fly", "{store}"], "No such command 'fly'"),
        (["ls", "{store}", "--label", "hart"], "no class is called 'hart'; classes: heart, tool, drink"),
        (["ls", "{store}", "--limit", "0"], "--limit"),
        (["ls", "{store}", "--stage", "x"], "unable to parse string as an integer; got 'x'"),
        (["ls", "{store}", "--offset", "-1"], "greater than or equal to 0; got '-1'"),
        (["export", "{store}", "{tmp}/x"], "Missing option '--format'. Choose from: npz, webdataset, arrow"),
        (["bench", "{tmp}/none"], "does not exist"),
        (["bench", "{store}", "--threads", "0"], "--threads"),
        (["info", "{tmp}/" + 300 * "x"], "File name too long"),
        (["show", "{store}"], "either the number of an exemplar or --grid"),
        (["show", "{store}", "1", "--grid"], "either the number of an exemplar or --grid"),
        (["show", "{store}", "99"], "there is no exemplar 99"),
        (["show", "{store}", "0", "-o", "{tmp}/none/x.png"], "give another file with -o"),
        (["show", "{store}", "0", "-o", "{tmp}/x.jpg"], "x.jpg is drawn as PNG; give a name that ends in .png"),
        (["show", "{store}", "0", "--tokenizer", "{tmp}"], "no tokenizer.json or vocab.txt"),
    ],
)
def test_mistakes_get_one_line_and_exit_code_2(
    capsys: Capture, tmp_path: Path, small_store: ExemplarStore, arguments: list[str], message: str
) -> None:
    filled = [argument.format(tmp=tmp_path, store=small_store.path) for argument in arguments]
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(capsys, *filled)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_starts_without_numpy_zarr_or_torch() -> None:
    code = (
        "import sys; from exemplar_store.cli import main; main(['--help']); "
        "sys.exit(bool({'numpy', 'zarr', 'torch', 'PIL'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "exemplar-store" in done.stdout


def cpu_seconds(*arguments: str) -> float:
    """Processor time of a command, the least of five: other load on the machine does not count."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


def test_help_takes_at_most_a_third_of_a_second_longer_than_python_itself() -> None:
    assert cpu_seconds("-m", "exemplar_store.cli", "--help") - cpu_seconds("-c", "pass") < 0.3


def test_output_that_nobody_reads_to_its_end_is_no_error(small_store: ExemplarStore) -> None:
    command = [sys.executable, "-m", "exemplar_store.cli", "ls", "--json", str(small_store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 0


def test_an_empty_store_cannot_be_timed(capsys: Capture, tmp_path: Path) -> None:
    ExemplarStore.create(tmp_path / "store", budget_bytes=1_000, run_id="run")
    code, out, err = run(capsys, "bench", tmp_path / "store")
    assert (code, out) == (2, "") and "holds no exemplars" in err


def test_no_command_loads_torch_or_the_zarr_library(small_store: ExemplarStore, tmp_path: Path) -> None:
    code = (
        "import sys; from exemplar_store.cli import main\n"
        "png = sys.argv[2]\n"
        "show, export = ['show', '--grid', '-o', png], ['export', png + '.npz', '--format', 'npz']\n"
        "for command in (['info'], ['ls'], ['verify', '--full'], ['bench', '--seconds', '0.1'], show, export):\n"
        "    assert main([command[0], sys.argv[1], *command[1:]]) == 0\n"
        "sys.exit(bool({'zarr', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code, small_store.path, tmp_path / "x.png"], check=False)
    assert done.returncode == 0


def test_words_show_where_tokens_were_dropped(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("red\napple\n##s\nfruit\n", "utf-8")
    words = Words(read_vocabulary(tmp_path))
    tokens = Tokens(np.array([0, 1, 2, 3], np.int32), np.array([1, 2, 3, 6]), (7,))
    gaps = Piece("", 1), Piece("", 2)
    assert words.pieces(tokens, 0) == [gaps[0], Piece("red"), Piece("apples"), gaps[1], Piece("fruit")]
    assert Words().pieces(tokens, 0) == [gaps[0], Piece("#0"), Piece("#1"), Piece("#2"), gaps[1], Piece("#3")]
    assert words.pieces(tokens.take(np.array([2])), 0) == [Piece("", 3), Piece("s"), Piece("", 3)]
    assert words.pieces(Tokens.full(np.array([3, 99], np.int32), (2,)), 0) == [Piece("fruit"), Piece("#99")]


def test_the_rest_of_a_word_stands_next_to_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("re\n##per\n##cussion\n", "utf-8")
    words = Words(read_vocabulary(tmp_path), {1: ["re", "##per", "##cussion"]})
    whole = Tokens.full(np.arange(3, dtype=np.int32), (3,))
    assert words.pieces(whole.take(np.array([0, 1])), 1) == [Piece("reper"), Piece("cussion", 1, goes_on=True)]
    assert words.pieces(whole.take(np.array([1])), 1) == [
        Piece("re", 1),
        Piece("per", goes_on=True),
        Piece("cussion", 1, goes_on=True),
    ]


def test_dropped_words_are_named_where_the_whole_text_is_known(tmp_path: Path, tokenizer_file: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "no"}\n{"sample_id": 5, "text": "a red square"}\n', "utf-8")
    words = read_words(tokenizer_file, tmp_path / "texts.jsonl")
    tokens = Tokens(np.array([3], np.int32), np.array([2]), (3,))
    assert words.pieces(tokens, 5) == [Piece("a", 1), Piece("red", 1), Piece("square")]
    assert words.pieces(tokens, 6) == [Piece("", 2), Piece("square")]
    with pytest.raises(StoreError, match="sample 0: its text has 1 tokens, in the store it has 3"):
        words.pieces(tokens, 0)


def test_show_strikes_dropped_words_through(
    capsys: Capture, tmp_path: Path, small_store: ExemplarStore, tokenizer_file: Path
) -> None:
    reader = StoreReader(small_store.path)
    lines = [{"sample_id": int(number), "text": "a red square a red"} for number in reader.sample_ids]
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    drawn = []
    for options in ([], ["--texts", texts]):
        target = tmp_path / f"{len(options)}.png"
        arguments = ["show", small_store.path, 0, "--tokenizer", tokenizer_file, "-o", target, *options]
        assert run(capsys, *arguments)[0] == 0
        drawn.append(np.asarray(Image.open(target)))
    assert drawn[0].shape != drawn[1].shape or not np.array_equal(*drawn)
    texts.write_text("[]\n", "utf-8")
    code, _, err = run(capsys, "show", small_store.path, 0, "--tokenizer", tokenizer_file, "--texts", texts)
    assert code == 2 and "needs lines such as" in err and err.count("\n") == 1
    assert "needs --tokenizer" in run(capsys, "show", small_store.path, 0, "--texts", texts)[2]


@pytest.mark.parametrize("vocab", [{"a": 0, "Ġb": 1}, [["a", -1.0], ["▁b", -2.0]]])
def test_tokenizer_json_of_either_kind(tmp_path: Path, vocab: Any) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocab}}), "utf-8")
    text = Tokens.full(np.array([0, 1], np.int32), (2,))
    assert Words(read_vocabulary(tmp_path)).pieces(text, 0) == [Piece("a"), Piece("b")]
