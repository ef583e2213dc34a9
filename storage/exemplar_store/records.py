"""The store's JSON files: their fields, and the checksum that seals each of them.

A sealed file is one JSON object without line breaks whose last member is ``"crc32c"``: eight lower-case hexadecimal
digits, the CRC-32C of every byte before the comma in front of that member.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Annotated, Any, Literal, TypeVar

import google_crc32c
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exemplar_store.codecs import Encoding
from exemplar_store.errors import Damaged, NotAStore, UnsupportedFormat, first_problem, shown

FORMAT: Literal["masked-exemplar-store"] = "masked-exemplar-store"
VERSION = (1, 1)
KNOWN_FEATURES: frozenset[str] = frozenset()
SEGMENT_ATTRIBUTE = "masked_exemplar_segment"
MAX_SIDES = 8  # of a token grid

_SEAL = re.compile(rb',"crc32c":"([0-9a-f]{8})"}')
_SEAL_BYTES = 21

Crc = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Exemplars = Annotated[int, Field(gt=0, lt=1 << 48)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
SegmentName = Annotated[str, Field(pattern=r"^[0-9]{4,}-[0-9]{3,}-[0-9a-f]{12}\.zarr$", max_length=100)]
FilePath = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)*(\.json)?$", max_length=200)]


def crc_text(data: bytes) -> str:
    """CRC-32C of ``data`` as the format writes it."""
    return f"{google_crc32c.value(data):08x}"


def file_checksum(data: bytes) -> str:
    """CRC-32 (zlib's, not CRC-32C) of a segment's file.

    Zarr's chunk files end in their own CRC-32C, and the CRC-32C of any such file is the same number whatever it holds.
    """
    return f"{zlib.crc32(data):08x}"


class Record(BaseModel):
    """Base of all JSON files. Unknown members are allowed: a later minor version may add them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class BudgetPolicy(Record):
    """How the budget is divided when not everything fits; `policy.by_policy` makes an order of it.

    Attributes:
        share: "total", best ranks of all classes first; or the bytes of payload are shared fairly among the classes, or
            among the modalities.
        weights: by class id (as a decimal string) or by modality; 1 where none is given.
    """

    share: Literal["total", "class", "modality"] = "total"
    weights: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}


class StoreInfo(Record):
    """``store.json``, written once when the store is created.

    Attributes:
        keep_generations: how many generations are kept, the head included. Only the head counts against the budget.
    """

    format: Literal["masked-exemplar-store"]
    version: tuple[int, int]
    required_features: tuple[str, ...]
    uuid: str
    run_id: str
    budget_bytes: Annotated[int, Field(gt=0, lt=1 << 63)]
    policy: BudgetPolicy = BudgetPolicy()
    keep_generations: Annotated[int, Field(ge=1, lt=1 << 31)] = 1


class SegmentRef(Record):
    """One segment of a generation.

    Attributes:
        bytes: size of all files of the segment together, segment.json included.
        crc32c: of the whole file segment.json.
    """

    name: SegmentName
    exemplars: Exemplars
    bytes: Count
    crc32c: Crc


class Generation(Record):
    """``generations/<number>.json``: one committed state of the memory.

    Attributes:
        store: uuid of the store.
        stages: every stage committed so far, in order.
        class_names: by class id, for the classes that the generation holds.
    """

    version: tuple[int, int]
    required_features: tuple[str, ...]
    store: str
    number: Count
    stages: tuple[Count, ...]
    class_names: dict[Count, str]
    segments: tuple[SegmentRef, ...]


class SegmentIndex(Record):
    """``segment.json``: size in bytes and checksum of every other file of the segment, by its path inside it."""

    exemplars: Exemplars
    files: Annotated[dict[FilePath, tuple[Count, Crc]], Field(max_length=1 << 16)]


class ModalityRecord(Record):
    """A modality of a segment and how many sides its grids have."""

    name: Name
    sides: Annotated[int, Field(ge=1, le=MAX_SIDES)]


class EncodingRecord(Record):
    """A codec and its parameters; exemplars name it by its place in the list."""

    codec: Annotated[str, Field(max_length=64)]
    params: dict[str, Any]

    @property
    def encoding(self) -> Encoding:
        return Encoding(self.codec, json.dumps(self.params, separators=(",", ":"), sort_keys=True))


class SegmentAttributes(Record):
    """The member ``masked_exemplar_segment`` of the segment group's attributes."""

    version: tuple[int, int]
    modalities: Annotated[tuple[ModalityRecord, ...], Field(min_length=1, max_length=64)]
    encodings: Annotated[tuple[EncodingRecord, ...], Field(min_length=1, max_length=1 << 12)]


AnyRecord = TypeVar("AnyRecord", bound=Record)


def seal(record: dict[str, Any]) -> bytes:
    """The bytes of a sealed JSON file."""
    body = json.dumps(record, separators=(",", ":")).encode("ascii")[:-1]
    return body + f',"crc32c":"{crc_text(body)}"}}'.encode("ascii")


def unseal(data: bytes, where: str) -> dict[str, Any]:
    """The object in a sealed JSON file; ``where`` names the file for the error message.

    Raises:
        Damaged: the checksum is missing or wrong.
    """
    match = _SEAL.fullmatch(data[-_SEAL_BYTES:])
    if match is None:
        raise Damaged(f"{where}: does not end in its checksum; the file is cut short or changed")
    body = data[:-_SEAL_BYTES]
    if match[1].decode("ascii") != crc_text(body):
        raise Damaged(f"{where}: crc32c is {crc_text(body)}, the file says {match[1].decode('ascii')}; it was changed")
    return parse_object(body + b"}", where)


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """A JSON object, or `Damaged`."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{where}: not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise Damaged(f"{where}: a JSON object is expected, not {type(parsed).__name__}")
    return parsed


def parse_record(kind: type[AnyRecord], fields: dict[str, Any], where: str) -> AnyRecord:
    """The checked record of ``fields``, its version and required features included.

    Raises:
        NotAStore: another format.
        UnsupportedFormat: another major version, or a required feature that is not known here.
        Damaged: a field is missing or has a value that the format does not allow.
    """
    if kind is StoreInfo and fields.get("format") != FORMAT:
        raise NotAStore(
            f"{where}: format is {shown(fields.get('format'))!r}, not {FORMAT!r}; this is no exemplar store"
        )
    _check_version(fields, where)
    try:
        return kind.model_validate_json(json.dumps(fields))  # JSON mode: lists become tuples, numbers stay strict
    except RecursionError as error:
        raise Damaged(f"{where}: nested too deeply") from error
    except ValidationError as error:
        raise Damaged(f"{where}: field {first_problem(error)}") from error


def _check_version(fields: dict[str, Any], where: str) -> None:
    version = fields.get("version")
    if isinstance(version, list) and version and version[0] != VERSION[0]:
        raise UnsupportedFormat(
            f"{where}: format version {shown('.'.join(map(str, version)))}; this exemplar_store reads "
            f"{VERSION[0]}.x, use the one that wrote the store"
        )
    features = fields.get("required_features")
    named = [feature for feature in features if isinstance(feature, str)] if isinstance(features, list) else []
    unknown = [feature for feature in named if feature not in KNOWN_FEATURES]
    if unknown:
        raise UnsupportedFormat(
            f"{where}: needs the feature {shown(unknown[0])!r}, which this exemplar_store does not have; "
            "use a newer one"
        )
