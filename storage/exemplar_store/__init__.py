"""Masked-exemplar store: a memory of kept tokens under a budget in true bytes. FORMAT.md describes the files.

Names are loaded when they are first used, so that the command-line tool starts without numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exemplar_store.admission import Admission, minimum_bytes
    from exemplar_store.codecs import (
        CODECS,
        Avif,
        Bfloat16,
        Codec,
        Int8,
        Jpeg,
        Jxl,
        Predicted,
        Raw,
        Shuffled,
        TokenIds,
        Webp,
        WebpLossless,
    )
    from exemplar_store.codecs.jpeg import whole_image_bytes
    from exemplar_store.communicator import Communicator, MpiCommunicator
    from exemplar_store.errors import (
        BudgetTooSmall,
        CommitConflict,
        Damaged,
        GroupBroken,
        NotAStore,
        StoreBusy,
        StoreError,
        UnsupportedFormat,
        WrongRun,
    )
    from exemplar_store.exemplar import EncodedExemplar, Exemplar, encode, shrunk
    from exemplar_store.reader import StoreReader
    from exemplar_store.records import BudgetPolicy, Generation
    from exemplar_store.store import ExemplarStore
    from exemplar_store.targets import Target
    from exemplar_store.tokens import Tokens
    from exemplar_store.verification import verify

_HOME = {
    "admission": ("Admission", "minimum_bytes"),
    "codecs": (
        "CODECS",
        "Avif",
        "Bfloat16",
        "Codec",
        "Int8",
        "Jpeg",
        "Jxl",
        "Predicted",
        "Raw",
        "Shuffled",
        "TokenIds",
        "Webp",
        "WebpLossless",
    ),
    "codecs.jpeg": ("whole_image_bytes",),
    "communicator": ("Communicator", "MpiCommunicator"),
    "errors": (
        "BudgetTooSmall",
        "CommitConflict",
        "Damaged",
        "GroupBroken",
        "NotAStore",
        "StoreBusy",
        "StoreError",
        "UnsupportedFormat",
        "WrongRun",
    ),
    "exemplar": ("EncodedExemplar", "Exemplar", "encode", "shrunk"),
    "reader": ("StoreReader",),
    "records": ("BudgetPolicy", "Generation"),
    "store": ("ExemplarStore",),
    "targets": ("Target",),
    "tokens": ("Tokens",),
    "verification": ("verify",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "CODECS",
    "Admission",
    "Avif",
    "Bfloat16",
    "BudgetPolicy",
    "BudgetTooSmall",
    "Codec",
    "CommitConflict",
    "Communicator",
    "Damaged",
    "EncodedExemplar",
    "Exemplar",
    "ExemplarStore",
    "Generation",
    "GroupBroken",
    "Int8",
    "Jpeg",
    "Jxl",
    "MpiCommunicator",
    "NotAStore",
    "Predicted",
    "Raw",
    "Shuffled",
    "StoreBusy",
    "StoreError",
    "StoreReader",
    "Target",
    "TokenIds",
    "Tokens",
    "UnsupportedFormat",
    "Webp",
    "WebpLossless",
    "WrongRun",
    "encode",
    "minimum_bytes",
    "shrunk",
    "verify",
    "whole_image_bytes",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
