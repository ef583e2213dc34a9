from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from dist_mcl.errors import UserError
from dist_mcl.modalities.text import TextTokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer that pads, cuts and adds special tokens, as the files of sentence encoders do."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "house", "##boat", "sun"]
    tokenizer = Tokenizer(WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_padding(length=8, pad_id=0)
    tokenizer.enable_truncation(max_length=3)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_ids_come_whole_and_without_special_tokens(folder: Path) -> None:
    tokens = TextTokenizer(folder).encode("red houseboat sun sun")
    assert tokens.values.tolist() == [4, 5, 6, 7, 7] and tokens.values.dtype == np.int32
    assert tokens.positions.tolist() == [0, 1, 2, 3, 4]
    assert tokens.grid == (5,)


def test_an_empty_text_has_no_tokens(folder: Path) -> None:
    tokens = TextTokenizer(folder).encode("")
    assert len(tokens) == 0 and tokens.grid == (0,) and tokens.values.dtype == np.int32


def test_pieces_name_what_a_mask_kept(folder: Path) -> None:
    tokenizer = TextTokenizer(folder)
    kept = tokenizer.encode("red houseboat sun").take(np.array([0, 2]))
    assert tokenizer.pieces(kept) == ["red", "##boat"]
    assert tokenizer.decode([4, 7]) == "red sun"


def test_a_longer_text_keeps_its_first_tokens(folder: Path) -> None:
    tokens = TextTokenizer(folder, longest=2).encode("red houseboat sun sun")
    assert tokens.values.tolist() == [4, 5] and tokens.grid == (2,)


def test_which_tokens_continue_a_word(folder: Path) -> None:
    tokenizer = TextTokenizer(folder)
    assert tokenizer.continues.tolist() == [False] * 6 + [True, False]
    assert tokenizer.id_of("[SEP]") == 3
    with pytest.raises(UserError, match="has no 'moon'"):
        tokenizer.id_of("moon")


def test_a_vocabulary_alone_will_do(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["[UNK]", "[CLS]", "[SEP]", "red", "Red", "house", "##boat"]))
    assert TextTokenizer(tmp_path).encode("Red houseboat").values.tolist() == [3, 5, 6]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert TextTokenizer(tmp_path).encode("Red houseboat").values.tolist() == [4, 5, 6]


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer\.json: cannot read the tokenizer.*mcl models fetch"):
        TextTokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer\.json: not a tokenizer file"):
        TextTokenizer(tmp_path)
