"""What the study was made to find out, each as one sentence with its figures, whichever way they turned out."""

from __future__ import annotations

from studies.exemplar_masking.grid import PHASES, middle
from studies.exemplar_masking.summary import Group, better_jpeg, saving
from studies.spread import beside, does

NAMES = {"photo": "photograph scenes", "cdda": "Cataclysm-DDA", "plain": "plain emoji"}


def claims(found: list[Group]) -> list[str]:
    """One sentence each; about what has not run yet there is none."""
    lines = []
    for data, name in NAMES.items():
        these = {
            group.method: group
            for group in found
            if (group.data, group.phases, group.budget) == (data, PHASES, middle(data))
        }
        whole = better_jpeg(list(these.values()))
        if whole and "compact" in these:
            lines.append(f"{name}, {middle(data)} KiB: {_against_whole(these['compact'], whole)}")
        if {"compact", "random"} <= set(these):
            lines.append(f"{name}, {middle(data)} KiB: {_against_random(these['compact'], these['random'])}")
            if whole:
                lines.append(
                    f"{name}, {middle(data)} KiB: {_share_of_random(these['compact'], these['random'], whole)}"
                )
    return lines + _bytes_saved(found)


def _against_whole(ours: Group, whole: Group) -> str:
    gain = ours.average.minus(whole.average)
    return (
        f"`compact` {does(gain)} than whole pictures as `{whole.method}`, the better of both qualities, by "
        f"**{abs(gain.mean):.1f} ± {gain.deviation:.1f} points** of average accuracy "
        f"({ours.average.mean:.1f} and {whole.average.mean:.1f} %)."
    )


def _against_random(ours: Group, drawn: Group) -> str:
    return beside("`compact`", "`random` at the same bytes", ours.average, drawn.average)


def _share_of_random(ours: Group, drawn: Group, whole: Group) -> str:
    """How much of the gain is that of many small exemplars, and how much that of where their patches lie."""
    without_attention, gain = (group.average.minus(whole.average).mean for group in (drawn, ours))
    return (
        f"of the {gain:+.1f} points that `compact` has beside whole pictures, `random` has {without_attention:+.1f}: "
        "so much comes of many small exemplars with all their words, and the rest of which patches they keep."
    )


def _bytes_saved(found: list[Group]) -> list[str]:
    photo = sorted(
        (group for group in found if (group.data, group.phases) == ("photo", PHASES) and group.budget),
        key=lambda group: group.budget,
    )
    ours = [group for group in photo if group.method == "compact"]
    at_each = [better_jpeg([group for group in photo if group.budget == mine.budget]) for mine in ours]
    whole = [group for group in at_each if group]
    saved = saving(ours, whole) if len(ours) > 1 else None
    if saved is None:
        return []
    budget, factor, is_bound = saved
    return [
        f"photograph scenes: the accuracy of whole pictures in {budget} KiB takes `compact` {budget / factor:.0f} KiB"
        f"{' or less' if is_bound else ''}: {'at least ' if is_bound else ''}**{factor:.1f} times** fewer bytes."
    ]
