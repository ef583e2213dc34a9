"""What a store holds, as plain numbers: for `exemplar-store info` and for reports."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exemplar_store.reader import StoreReader

BINS = 10


def summarise(reader: StoreReader) -> dict[str, Any]:
    """Facts about a store that go into JSON.

    ``used_bytes`` counts every file; payloads (coded tokens) are listed by modality, codec, stage and class, and what
    is left, ``metadata_bytes``, is shared by all. ``bytes_per_exemplar`` is ``used_bytes`` by the number of exemplars;
    ``baseline_bytes_per_exemplar`` is the mean size of the whole samples coded plainly, null if any is unknown.
    """
    snapshot, count = reader.snapshot, len(reader)
    used, payload = snapshot.used_bytes, int(reader.payload_bytes.sum())
    known = count > 0 and bool((reader.baseline_bytes > 0).all())
    return {
        "path": str(snapshot.root),
        "format": ".".join(map(str, snapshot.info.version)),
        "run_id": snapshot.info.run_id,
        "generation": snapshot.generation.number,
        "stages": list(snapshot.generation.stages),
        "budget_bytes": snapshot.info.budget_bytes,
        "used_bytes": used,
        "payload_bytes": payload,
        "metadata_bytes": used - payload,
        "exemplars": count,
        "classes": len(np.unique(reader.labels)),
        "bytes_per_exemplar": round(used / count, 1) if count else None,
        "baseline_bytes_per_exemplar": round(float(reader.baseline_bytes.mean()), 1) if known else None,
        "by_modality": [_modality(reader, name) for name in reader.modality_bytes],
        "by_codec": [group for name in reader.modality_bytes for group in _codecs(reader, name)],
        "by_stage": _groups(reader, reader.stages, "stage"),
        "by_class": [
            {**group, "name": snapshot.generation.class_names.get(group["label"])}
            for group in _groups(reader, reader.labels, "label")
        ],
    }


def _modality(reader: StoreReader, name: str) -> dict[str, Any]:
    present = reader.places[name] > 0
    kept, places = reader.kept[name][present], reader.places[name][present]
    ratios = kept / places
    histogram = np.histogram(ratios, BINS, (0, 1))[0]
    return {
        "name": name,
        "codecs": [group["codec"] for group in _codecs(reader, name)],
        "exemplars": int(present.sum()),
        "payload_bytes": int(reader.modality_bytes[name].sum()),
        "tokens_kept": int(kept.sum()),
        "tokens_in_full": int(places.sum()),
        "keep_ratio": round(float(kept.sum() / places.sum()), 4) if places.sum() else None,
        "keep_ratio_histogram": histogram.tolist(),
    }


def _codecs(reader: StoreReader, name: str) -> list[dict[str, Any]]:
    codecs = reader.codecs(name)
    return [
        {
            "modality": name,
            "codec": str(codec),
            "exemplars": int((codecs == codec).sum()),
            "payload_bytes": int(reader.modality_bytes[name][codecs == codec].sum()),
        }
        for codec in np.unique(codecs)
        if codec
    ]


def _groups(reader: StoreReader, key: NDArray[np.int64], name: str) -> list[dict[str, int]]:
    values, place = np.unique(key, return_inverse=True)
    payload = np.bincount(place, weights=reader.payload_bytes, minlength=len(values))
    return [
        {name: int(value), "exemplars": int(number), "payload_bytes": int(size)}
        for value, number, size in zip(values, np.bincount(place, minlength=len(values)), payload, strict=True)
    ]


def listing(reader: StoreReader, indices: NDArray[np.int64]) -> list[dict[str, Any]]:
    """One plain record per exemplar, for `exemplar-store ls`."""
    names = reader.snapshot.generation.class_names
    codecs = {name: reader.codecs(name) for name in reader.kept}
    return [
        {
            "index": int(i),
            "sample_id": int(reader.sample_ids[i]),
            "label": int(reader.labels[i]),
            "class": names.get(int(reader.labels[i])),
            "further_classes": [names.get(label, str(label)) for label in reader.target(int(i)).further_labels],
            "stage": int(reader.stages[i]),
            "rank": int(reader.ranks[i]),
            "score": round(float(reader.scores[i]), 6),
            "payload_bytes": int(reader.payload_bytes[i]),
            "baseline_bytes": int(reader.baseline_bytes[i]),
            "codecs": {name: str(of[i]) for name, of in codecs.items() if of[i]},
            "kept": {
                name: [int(reader.kept[name][i]), int(reader.places[name][i])]
                for name in reader.kept
                if codecs[name][i]
            },
        }
        for i in indices
    ]
