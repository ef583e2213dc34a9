from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exemplar_store import Codec, Exemplar, StoreError, Tokens, encode
from exemplar_store.errors import Damaged
from exemplar_store.exemplar import decode

Make = Callable[..., Exemplar]
Codecs = dict[str, Codec]


def test_lossless_codecs_give_the_exemplar_back(make_exemplar: Make, exact_codecs: Codecs) -> None:
    exemplar = make_exemplar(7, label=3, rank=2, stage=4)
    back = decode(encode(exemplar, exact_codecs), "here")
    assert back.tokens == exemplar.tokens
    assert back.score == np.float32(exemplar.score)
    assert replace(back, tokens={}, score=0) == replace(exemplar, tokens={}, score=0)


def test_jpeg_keeps_places_exactly_and_pixels_nearly(make_exemplar: Make, codecs: Codecs) -> None:
    exemplar = make_exemplar(7)
    back = decode(encode(exemplar, codecs), "here").tokens["image"]
    assert np.array_equal(back.positions, exemplar.tokens["image"].positions) and back.grid == (6, 6)
    error = back.values.astype(int) - exemplar.tokens["image"].values
    assert np.abs(error).mean() < 5


def test_mask_bits_run_from_the_least_significant(make_exemplar: Make, codecs: Codecs) -> None:
    tokens = Tokens(np.array([5, 6], np.int32), np.array([0, 9]), (10,))
    exemplar = replace(make_exemplar(1), tokens={"text": tokens})
    encoded = encode(exemplar, codecs)
    assert encoded.parts[0].mask == bytes([0b00000001, 0b00000010]) and encoded.parts[0].kept == 2
    assert encoded.payload == bytes([5, 0, 6, 0])


def test_encoded_exemplars_travel_between_processes(make_exemplar: Make, codecs: Codecs) -> None:
    encoded = [encode(make_exemplar(number), codecs) for number in range(20)]
    sent = pickle.dumps(encoded)
    assert pickle.loads(sent) == encoded  # noqa: S301
    payload = sum(len(one.payload) for one in encoded)
    assert len(sent) < payload + 20 * 150 + 3_000  # shared headers are sent once


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": -1}, "label is -1"),
        ({"rank": 1 << 63}, "rank is 9223372036854775808"),
        ({"score": float("nan")}, "score is nan"),
        ({"tokens": {}}, "no tokens"),
        ({"tokens": {"audio": Tokens.full(np.zeros(2), (2,))}}, "no codec for modality 'audio'"),
        ({"tokens": {"text": Tokens(np.zeros(1, np.int32), np.zeros(1, np.int64), (1 << 25,))}}, "33554432 places"),
        ({"source_hw": (-1, 3)}, "source_hw"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    make_exemplar: Make, codecs: Codecs, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(StoreError, match=message):
        encode(replace(make_exemplar(9), **change), codecs)


def test_bad_modality_names_are_refused(make_exemplar: Make, codecs: Codecs) -> None:
    tokens = {"../x": make_exemplar(9).tokens["text"]}
    with pytest.raises(StoreError, match=r"modality '\.\./x'"):
        encode(replace(make_exemplar(9), tokens=tokens), {"../x": codecs["text"]})


def test_mask_and_payload_must_agree(make_exemplar: Make, codecs: Codecs) -> None:
    encoded = encode(make_exemplar(9), codecs)
    image = encoded.parts[0]
    with pytest.raises(Damaged, match="here: 'image'"):
        decode(replace(encoded, parts=(replace(image, mask=b"\0\0\0\0\0"),)), "here")
    with pytest.raises(Damaged, match="outside its grid"):
        decode(replace(encoded, parts=(replace(image, mask=b"\xff" * 5),)), "here")
