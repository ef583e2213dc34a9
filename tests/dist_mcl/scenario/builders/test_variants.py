from dist_mcl.scenario.builders.variants import Drawn, choose_test_groups, group_variants


def drawn(thing: str, name: str, text: str = "", pixels: str = "", label: str = "role") -> Drawn:
    return Drawn(thing, label, name, text or f"keyword{thing}", pixels or f"pixels of {thing}")


def test_gender_direction_and_equal_pixels_make_one_group() -> None:
    groups = group_variants(
        [
            drawn("1", "man cook"),
            drawn("2", "woman cook"),
            drawn("3", "singer"),
            drawn("4", "person running"),
            drawn("5", "person running facing right"),
            drawn("6", "tram", pixels="same"),
            drawn("7", "bus", pixels="same"),
        ]
    )
    assert groups["1"] == groups["2"] and groups["4"] == groups["5"] and groups["6"] == groups["7"]
    assert len(set(groups.values())) == 4


def test_nearly_equal_keywords_make_one_group() -> None:
    keywords = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda"
    groups = group_variants(
        [
            drawn("1", "first", keywords),
            drawn("2", "second", f"{keywords} mu"),
            drawn("3", "third", "alpha omega psi chi"),
        ]
    )
    assert groups["1"] == groups["2"] != groups["3"]


def test_equal_names_in_two_classes_stay_apart() -> None:
    groups = group_variants([drawn("1", "man cook"), drawn("2", "woman cook", label="food")])
    assert groups["1"] != groups["2"]


def test_whole_groups_are_drawn_until_a_quarter_is_for_testing() -> None:
    # 40 things: a family of 10 that is too large to be tested, 15 pairs.
    things = [drawn(f"f{n}", "elder", text=f"elderly{n}") for n in range(10)]
    things += [
        drawn(f"p{n}{side}", f"{side} kind{'abcdefghijklmno'[n]}") for n in range(15) for side in ("man", "woman")
    ]
    groups = group_variants(things)
    test = choose_test_groups(things, groups, ["role"])
    tested = [thing for thing in things if groups[thing.thing] in test]
    assert len(tested) == 10
    assert not any(thing.name == "elder" for thing in tested)
