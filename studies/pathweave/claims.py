"""What the study was made to find out, each as one sentence with its figures, whichever way they turned out."""

from __future__ import annotations

from collections.abc import Mapping

from studies.pathweave.all_tests import gain, questions
from studies.pathweave.summary import Group, by_method
from studies.spread import beside, does

_SHARE = 2  # % of full fine-tuning's parameters that adapter-in-adapter may train

_PAIRS = {
    ("ana", "independent"): "`independent`, whose adapters build on none and which is the same but for that,",
    ("ana", "independent_wider"): "`independent_wider`, which trains as many parameters,",
    ("ana", "lora"): "sequential `lora`",
    ("ana", "full"): "sequential `full` fine-tuning",
    ("ana", "ana_ungated"): "`ana_ungated`, which adds older adapters to the new one and weighs none,",
    ("ana", "ana_plain"): "`ana_plain`, which leaves older adapters as they are,",
    ("ana", "ana_official"): "`ana_official`, which begins as the authors' code does,",
    ("ana_connector", "independent_connector"): "`independent_connector`, both in the connector alone,",
    ("lora_replay", "lora"): "`lora` without a memory",
    ("lora_replay", "ana"): "`ana`",
}


def claims(found: list[Group]) -> list[str]:
    """One sentence each; about what has not run yet there is none."""
    usual, few, reverse = by_method(found), by_method(found, "few"), by_method(found, "reversed")
    lines = _compared(usual)
    lines += [f"With few questions about later modalities: {line}" for line in _compared(few)]
    lines += [f"With the modalities in reverse order: {line}" for line in _compared(reverse)]
    if "ana" in usual:
        lines += [_forgets(usual["ana"]), _trains(usual["ana"])]
    return lines + _remembers_best(usual)


def _compared(these: Mapping[str, Group]) -> list[str]:
    return [
        _beside(said, these[ours], these[theirs])
        for (ours, theirs), said in _PAIRS.items()
        if ours in these and theirs in these
    ]


def _beside(said: str, ours: Group, theirs: Group) -> str:
    if ours.has_all_tests and theirs.has_all_tests:
        return _on_all_tests(said, ours, theirs)
    return beside(f"`{ours.method}`", said, ours.mean_score, theirs.mean_score)


def _on_all_tests(said: str, ours: Group, theirs: Group) -> str:
    base, first, *later = ours.order
    found = gain(ours.results, theirs.results, ours.order)
    where = gain(ours.results, theirs.results, later)
    relation = "more" if found.is_sure else "**no** more"
    sentence = (
        f"`{ours.method}` {does(found.by_seed)} than {said} by **{abs(found.by_seed.mean):.1f} ± "
        f"{found.by_seed.deviation:.1f} points** on all {questions(ours.results[0]):,} test questions. Seeds and what "
        f"is asked about give that a standard error of {found.error:.1f}, so it is {relation} than twice its error."
    )
    if theirs.method != "independent":
        return sentence
    return (
        f"{sentence} Of {', '.join(later)} alone it is {where.by_seed.mean:+.1f} ± "
        f"{where.by_seed.deviation:.1f}, error {where.error:.1f}: {base} is the base and {first} has no older adapters "
        "to build on, so on these both are the same."
    )


def _forgets(ana: Group) -> str:
    lost = ana.forgetting
    assert lost is not None  # modalities arrive one by one
    exactly = "F is exactly 0" if set(lost.values) == {0.0} else f"F is {lost.mean:.2f} ± {lost.deviation:.2f} points"
    same = "the same to the last bit" if ana.is_unchanged else "**not** the same to the last bit"
    return f"`ana`: {exactly}; what it answers about earlier modalities is {same} after every later stage."


def _trains(ana: Group) -> str:
    share = ana.trained_share.mean
    relation = "within" if share <= _SHARE else "**not** within"
    return (
        f"`ana` trains {share:.1f} % of the parameters that full fine-tuning trains, {relation} the {_SHARE} % that it "
        "is meant to need."
    )


def _remembers_best(these: Mapping[str, Group]) -> list[str]:
    shared = [group for name, group in these.items() if name.startswith("lora") and group.forgetting]
    if len(shared) < 2:
        return []
    best = max(shared, key=lambda group: group.mean_score.mean)
    assert best.forgetting is not None
    return [
        f"Of all that train one LoRA in turn, `{best.method}` ends with the highest mean score, "
        f"{best.mean_score.mean:.1f} %, and F {best.forgetting.mean:.1f}."
    ]
