"""Code of the user's own: what is wrong with it is told from what is wrong with its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dist_mcl.errors import UserError
from dist_mcl.imports import load_object, make_object


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("import math\n\nclass Mine:\n    size = math.nothing\n", "AttributeError: module 'math' has .*, line 4"),
        ("\nclass Mine(Nothing): ...\n", "NameError: name 'Nothing' is not defined, line 2"),
        ("raise RuntimeError('two\\nlines')\n", "RuntimeError: two lines, line 1"),
        ("def", "SyntaxError: "),
    ],
)
def test_a_file_that_fails_is_not_a_missing_name(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UserError, match=rf"^here\.path .*mine\.py:Mine: cannot be imported \({reason}") as refused:
        load_object("here", f"{tmp_path / 'mine.py'}:Mine")
    assert "\n" not in str(refused.value)


def test_a_missing_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mine: ...\n")
    with pytest.raises(UserError, match=r"^here\.path .* has no 'Other'; mend the name"):
        load_object("here", f"{tmp_path / 'mine.py'}:Other")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("options['size']", "KeyError: 'size', line 3"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines, line 3"),
        ("assert options", "AssertionError: , line 3"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name', line 3"),
    ],
)
def test_whatever_a_users_class_raises_is_one_line(tmp_path: Path, body: str, reason: str) -> None:
    (tmp_path / "mine.py").write_text(f"class Mine:\n  def __init__(self, **options):\n    {body}\n")
    with pytest.raises(
        UserError, match=rf"^here\.path .*mine\.py:Mine: cannot be made with options {{}} \({reason}\); mend"
    ) as refused:
        make_object("here", f"{tmp_path / 'mine.py'}:Mine", {})
    assert "\n" not in str(refused.value)


def test_options_that_do_not_fit_are_named_with_their_field(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def make(checkpoint): return open(checkpoint)\n")
    for options, reason in (({"size": 1}, "unexpected keyword"), ({"checkpoint": "none.pt"}, "No such file")):
        with pytest.raises(UserError, match=rf"here\.path .*: cannot be made with options .*{reason}"):
            make_object("here", f"{tmp_path / 'mine.py'}:make", options)
