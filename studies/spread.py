"""One quantity over seeds: its mean, its spread, and whether a difference is larger than chance makes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Spread:
    """Of one quantity over seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def deviation(self) -> float:
        """Standard deviation of the sample; NaN of a single value."""
        return stdev(self.values) if len(self.values) > 1 else math.nan

    def minus(self, other: Spread) -> Spread:
        """The differences, seed by seed. Both begin with the same seeds; where one has more of them, these are left."""
        return Spread(tuple(mine - its for mine, its in zip(self.values, other.values, strict=False)))


def pooled_deviation(a: Spread, b: Spread) -> float:
    return math.sqrt((a.deviation**2 + b.deviation**2) / 2)


def does(gain: Spread) -> str:
    """The verb of a sentence about a difference."""
    return "does better" if gain.mean > 0 else "does worse"


def beside(ours: str, theirs: str, our_values: Spread, their_values: Spread) -> str:
    """A sentence on two methods' scores, whichever way it turned out.

    Args:
        ours, theirs: what the methods are called, `theirs` with what is said of it.
        our_values, their_values: in hundredths, of the same seeds.
    """
    gain, pooled = our_values.minus(their_values), pooled_deviation(our_values, their_values)
    relation = "more" if abs(gain.mean) > pooled else "no more"
    return (
        f"{ours} {does(gain)} than {theirs} by **{abs(gain.mean):.1f} ± {gain.deviation:.1f} points**, which is "
        f"{relation} than the pooled standard deviation of both, {pooled:.1f}."
    )
