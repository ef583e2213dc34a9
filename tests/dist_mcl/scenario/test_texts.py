import numpy as np

from dist_mcl.scenario.texts import class_stems, hard_text, stem


def test_stems_of_class_names_leave_out_short_words() -> None:
    assert class_stems(["food-asian", "av-symbol", "flying things"]) == {"food", "asian", "symbol", "fly", "thing"}
    assert stem("Foods") == stem("food") == "food"


def test_words_that_name_any_class_are_dropped() -> None:
    banned = class_stems(["food-fruit", "animal-bird"])
    assert hard_text("Fruits, bird, green apple", banned, seed=0, sample_id=1) == "green apple"
    assert hard_text("birds fruit", banned, seed=0, sample_id=1) == ""


def test_a_window_of_neighbouring_words_is_kept() -> None:
    words = ["one", "two", "three", "four", "five", "six"]
    windows = {" ".join(words[start : start + 3]) for start in range(4)}
    seen = {hard_text(", ".join(words), frozenset(), seed=0, sample_id=sample_id) for sample_id in range(100)}
    assert seen == windows


def test_the_window_depends_on_seed_and_sample_alone() -> None:
    text = " ".join(f"w{chr(97 + i)}" for i in range(26))
    first = [hard_text(text, frozenset(), 0, sample_id) for sample_id in range(50)]
    np.random.default_rng(1).random(10)
    assert [hard_text(text, frozenset(), 0, sample_id) for sample_id in reversed(range(50))] == first[::-1]
    assert [hard_text(text, frozenset(), 1, sample_id) for sample_id in range(50)] != first
