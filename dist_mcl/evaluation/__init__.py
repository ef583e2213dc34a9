"""What a run learned and forgot: confusion counts, the accuracy matrix and every number derived from it."""

from dist_mcl.evaluation.accuracy import confusion_counts, matrix_row, per_class_accuracy
from dist_mcl.evaluation.metrics import (
    METRICS,
    AccuracyMatrix,
    Metric,
    accuracy_macro,
    accuracy_pooled,
    summarise,
)

__all__ = [
    "METRICS",
    "AccuracyMatrix",
    "Metric",
    "accuracy_macro",
    "accuracy_pooled",
    "confusion_counts",
    "matrix_row",
    "per_class_accuracy",
    "summarise",
]
