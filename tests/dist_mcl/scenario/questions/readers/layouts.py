"""Miniature folders in exactly the layouts in which the official data sets come."""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from PIL import Image

SIDE = 32


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_film(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        for _ in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), grey, np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    path.write_bytes(file.getvalue())


def write_sound(path: Path, pitch: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * pitch * np.arange(8000) / 8000), 8000)


def write_depth(path: Path, distance: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((SIDE, SIDE), distance, np.uint16)).save(path)


def write_cloud(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, np.random.default_rng(seed).normal(size=(8192, 3)).astype(np.float32))


def films(folder: Path) -> None:
    """MSR-VTT and MSVD: https://github.com/salesforce/LAVIS."""
    for number in range(3):
        write_film(folder / "videos" / f"video{number}.mp4", grey=40 * number)
    captions = [
        {"video": f"video{number}.mp4", "caption": f"film {number} in words {words}", "image_id": f"video{number}"}
        for number in (0, 1)
        for words in ("one", "two")
    ]
    write_json(folder / "annotations" / "cap_train.json", captions)
    for split in ("val", "test"):
        shown = [{**row, "video": "video2.mp4", "image_id": "video2"} for row in captions[:2]]
        write_json(folder / "annotations" / f"cap_{split}.json", shown)
    question = {"video": "video0.mp4", "question": "what is shown?", "answer": "grey", "question_id": 0}
    write_json(folder / "annotations" / "qa_train.json", [question, {**question, "answer": "fog", "question_id": 1}])
    for split in ("val", "test"):
        write_json(folder / "annotations" / f"qa_{split}.json", [{**question, "video": "video2.mp4"}])
    write_json(folder / "annotations" / "qa_ans2label.json", {"grey": 0, "fog": 1})


def audiocaps(folder: Path) -> None:
    """https://github.com/cdjkim/audiocaps, and X-InstructBLIP's questions."""
    row = {"audiocap_id": 1, "youtube_id": "-abc_1", "start_time": 30, "caption": "A dog barks"}
    write_csv(folder / "annotations" / "train.csv", [row, {**row, "audiocap_id": 2, "caption": "Barking"}])
    asked = {**row, "question": "what barks?", "answer": "dog"}
    write_csv(folder / "annotations" / "audio_qa_final_train.csv", [asked])
    for split in ("val", "test"):
        rows = [{**row, "youtube_id": "xyz", "caption": words} for words in ("Rain", "Rain falls")]
        write_csv(folder / "annotations" / f"{split}.csv", rows)
        write_sound(folder / "audio" / split / "xyz.wav", 300)
    write_csv(folder / "annotations" / "audio_qa_final_val.csv", [{**asked, "youtube_id": "xyz", "answer": "nothing"}])
    write_sound(folder / "audio" / "train" / "-abc_1.wav", 500)


def clotho(folder: Path) -> None:
    """https://zenodo.org/records/4783391."""
    for split, pitch in (("development", 300), ("validation", 400), ("evaluation", 500)):
        captions = {f"caption_{number}": f"{split}, caption {number}" for number in range(1, 6)}
        write_csv(folder / f"clotho_captions_{split}.csv", [{"file_name": f"Distorted {split}.wav", **captions}])
        write_sound(folder / split / f"Distorted {split}.wav", pitch)


def clotho_aqa(folder: Path) -> None:
    """https://zenodo.org/records/6473207."""
    for split, answers in (("train", "yes no yes"), ("val", "no no no"), ("test", "no yes yes")):
        rows = [
            {"file_name": f"{split}.wav", "QuestionText": "Is it loud?", "answer": answer, "confidence": "yes"}
            for answer in answers.split()
        ]
        write_csv(folder / f"clotho_aqa_{split}.csv", rows)
        write_sound(folder / "audio_files" / f"{split}.wav", 400)


def esc50(folder: Path) -> None:
    """https://github.com/karolpiczak/ESC-50."""
    rows = [
        {"filename": f"{fold}-1-A-{target}.wav", "fold": fold, "target": target, "category": category}
        for fold in range(1, 6)
        for target, category in enumerate(("dog", "washing_machine"))
    ]
    write_csv(folder / "meta" / "esc50.csv", rows)
    for row in rows:
        write_sound(folder / "audio" / str(row["filename"]), 300 + 100 * int(str(row["target"])))


def fusion_depth(folder: Path) -> None:
    """PathWeave's own file, its captions of CC3M and its conversations of LLaVA."""
    turns = [
        {"from": speaker, "value": text}
        for speaker, text in (
            ("human", "<image>\nWhat is near?"),
            ("gpt", "A wall."),
            ("human", "And far?"),
            ("gpt", "The sky."),
        )
    ]
    rows: list[dict[str, Any]] = [
        {"source": "cc3m", "image_id": "a.jpg", "caption": "a street"},
        {"source": "llava", "image": "b.jpg", "conversations": turns},
    ]
    write_json(folder / "fusion_train_55w_clear.json", rows)
    write_json(
        folder / "CC3M_val_1_5k.json",
        {"annotations": [{"image_id": "c.jpg", "caption": "a door", "id": 0}], "images": []},
    )
    question = {"image_id": "d.jpg", "question": "What is it?\n<image>", "caption": "A cat.", "id": 0}
    write_json(folder / "llava_val_1_5k.json", {"annotations": [question], "images": []})
    for name in ("CC3M_Depth/train/a", "LLaVA_Depth/train/b", "CC3M_Depth/val/c", "LLaVA_Depth/val/d"):
        write_depth(folder / f"{name}.png", 1000)


def scenes(folder: Path) -> None:
    """SUN RGB-D and NYU-v2, as PathWeave's evaluation lists them."""
    write_json(
        folder / "SUN-val.json",
        [{"image_path": "kv1/a.jpg", "label": "bedroom"}, {"image_path": "kv1/b.jpg", "label": "furniture_store"}],
    )
    write_json(folder / "NYU-val.json", [{"image_path": "kv1/a.jpg", "label": "playroom"}])
    for name in ("a", "b"):
        write_depth(folder / "kv1" / f"{name}.png", 2000)


def objaverse(folder: Path) -> None:
    """https://huggingface.co/datasets/tiange/Cap3D, with the annotations of X-InstructBLIP."""
    for split, uid in (("train", "000a"), ("val", "000b")):
        caption = {"sample_id": uid, "caption": f"a {split} chair"}
        write_csv(folder / "annotations" / f"cap3d_cap_final_{split}.csv", [caption])
        write_cloud(folder / "pc_data" / f"{uid}_8192.npz", seed=len(split))
    row = {"sample_id": "000a", "question": "what is it?", "answer": "chair", "caption_no_color": "a chair"}
    write_csv(folder / "annotations" / "CAP3DQA_final.csv", [row])
    write_csv(folder / "annotations" / "CAP3DQA_final_val.csv", [{**row, "sample_id": "000b"}])


def modelnet40(folder: Path) -> None:
    """https://github.com/salesforce/ULIP, its modelnet40_normal_resampled."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modelnet40_shape_names.txt").write_text("airplane\nnight_stand\n")
    for split, labels in (("train", [0, 1, 1]), ("test", [1])):
        random = np.random.default_rng(len(labels))
        points = [random.normal(size=(64, 6)).astype(np.float32) for _ in labels]
        names = "".join(f"thing_{number:04}\n" for number in range(len(labels)))
        (folder / f"modelnet40_{split}.txt").write_text(names)
        with (folder / f"modelnet40_{split}_8192pts_fps.dat").open("wb") as file:
            pickle.dump([points, [np.array([label], np.int32) for label in labels]], file)


def manifest(folder: Path) -> None:
    """A set of one's own."""
    for split, words in (("train", "walking"), ("test", "running")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{split}.csv").write_text("1,2,3\n4,5,6\n")
        row = {
            "media": f"{split}.csv",
            "question": "What is done?",
            "answers": [words],
            "candidates": ["walking", words],
        }
        (folder / f"{split}.jsonl").write_text(json.dumps({**row, "candidates": sorted({"walking", "running"})}) + "\n")
