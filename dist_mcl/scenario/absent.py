"""Samples that lack a modality: how a method fares where pictures come without texts, or texts without pictures."""

from __future__ import annotations

import dataclasses

import numpy as np

from dist_mcl.data_config import Absent
from dist_mcl.tokens import Sample

# Keeps the random numbers apart from those for scenes and texts of the same seed and sample.
STREAM = 2


def without_absent(sample: Sample, absent: Absent, seed: int) -> Sample:
    """The sample without its picture, without its text, or as it is: drawn by the seed and the sample's id alone."""
    draw = np.random.default_rng([seed, sample.id, STREAM]).random()
    lacking = "image" if draw < absent.image else "text" if draw < absent.image + absent.text else ""
    if not lacking:
        return sample
    return dataclasses.replace(sample, tokens={name: its for name, its in sample.tokens.items() if name != lacking})
