"""Choosing and labelling what `exemplar-store show` draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exemplar_store.errors import shown
from exemplar_store.picture import ClassRow, Label, draw_exemplar, draw_sheet
from exemplar_store.reader import StoreReader
from exemplar_store.style import NO_BREAK_SPACE
from exemplar_store.vocabulary import Words


def contact_sheet(reader: StoreReader, indices: NDArray[np.int64], per_class: int, words: Words) -> Image.Image:
    """Classes in order of their numbers, `per_class` exemplars each in order of rank."""
    labels = reader.labels[indices]
    rows = [_class_row(reader, indices[labels == label], per_class) for label in np.unique(labels)]
    return draw_sheet(rows, *_headline(reader), words)


def single(reader: StoreReader, index: int, words: Words) -> Image.Image:
    """One exemplar with its facts."""
    exemplar = reader.read(index)
    size = int(reader.payload_bytes[index])
    facts = [
        ("exemplar", f"{index} of {len(reader)}"),
        ("sample", str(exemplar.sample_id)),
        ("stage, rank", f"{exemplar.stage}, {exemplar.rank}"),
        ("score", f"{exemplar.score:.4g}"),
        ("coded size", f"{size:,} B"),
        *(
            (f"{name} kept", f"{len(tokens)} of {int(reader.places[name][index])} tokens")
            for name, tokens in exemplar.tokens.items()
        ),
    ]
    if exemplar.baseline_bytes:
        facts.append(
            (
                "whole sample",
                f"{exemplar.baseline_bytes:,} B, {exemplar.baseline_bytes / max(size, 1):.1f} times as much",
            )
        )
    target = exemplar.target
    also = ", ".join(_name(reader, label) for label in target.further_labels)
    facts += [pair for pair in (("also", also), ("question", target.question), ("answer", target.answer)) if pair[1]]
    return draw_exemplar(exemplar, Label(_name(reader, exemplar.label), size), facts, words)


def _class_row(reader: StoreReader, members: NDArray[np.int64], per_class: int) -> ClassRow:
    drawn = members[:per_class]
    labels = [Label("", int(reader.payload_bytes[index])) for index in drawn]
    stages = sorted(set(reader.stages[members].tolist()))
    more = f"\n{len(members) - len(drawn)} not shown" if len(members) > len(drawn) else ""
    note = (
        f"{len(members)} exemplar{'s' * (len(members) != 1)}\n{int(reader.payload_bytes[members].sum()):,} B\n"
        f"stage {', '.join(map(str, stages))}{more}"
    )
    return ClassRow(
        _name(reader, int(reader.labels[members[0]])), note, list(zip(reader.read_many(drawn), labels, strict=True))
    )


def _name(reader: StoreReader, label: int) -> str:
    return reader.snapshot.generation.class_names.get(label, f"class {label}")


def _headline(reader: StoreReader) -> tuple[str, str, float]:
    """Title, facts in one line, share of the budget in use."""
    snapshot, count = reader.snapshot, len(reader)
    budget, used = snapshot.info.budget_bytes, snapshot.used_bytes
    facts = [f"{count} exemplars of {len(np.unique(reader.labels))} classes", f"{used:,} of {budget:,} B"]
    if count:
        facts.append(f"{used / count:,.0f} B per exemplar, everything counted")
    if count and (reader.baseline_bytes > 0).all():
        facts.append(f"whole sample {reader.baseline_bytes.mean():,.0f} B")
    shares = {name: 100 * kept.sum() / max(1, reader.places[name].sum()) for name, kept in reader.kept.items()}
    facts += [f"{name}: {share:.0f} % kept".replace(" ", NO_BREAK_SPACE) for name, share in shares.items()]
    stages = snapshot.generation.stages
    title = f"Memory after stage {stages[-1]}" if stages else "Memory before the first stage"
    facts.append(f"run {shown(snapshot.info.run_id)}, generation {snapshot.generation.number}")
    return title, "   ·   ".join(facts), used / budget
