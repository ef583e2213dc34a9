"""What masks do, beside accuracy: on a masked test set, and against the known outlines of the objects."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from dist_mcl.modalities.image import patch_coverage
from dist_mcl.run_folder import ProgressFile
from dist_mcl.training.evaluate import predict
from dist_mcl.training.masking import mask_all
from dist_mcl.training.sharding import prepare
from exemplar_store import StoreReader
from studies.class_stages import ClassStudyStage

OBJECT_SHARE = 0.15
"""A patch shows the object if more than this share of its pixels lies inside the outline."""


def masked_test_accuracy(stage: ClassStudyStage) -> float | None:
    """Accuracy after a stage on test samples that are masked as exemplars are, by the stage's own model.

    Near the accuracy on whole ones where masks keep what matters. None where masks drop nothing, or pixels have two
    sizes.
    """
    if stage.masking.is_two_sized or stage.masking.config.masker.kind == "full":
        return None
    model, whole = stage.model, stage.test_samples
    prepared = prepare(model.backbone, whole, stage.group)
    masked = mask_all(model, whole, prepared, stage.masking, stage.group)
    targets, predictions = predict(model, masked, stage.rows, stage.group, ProgressFile(None))
    return float((targets == predictions).float().mean())


def outline_facts(stage: ClassStudyStage) -> dict[str, float] | None:
    """Of the memory after a stage, against outlines that the method never sees; None where pixels have two sizes.

    Returns:
        means over exemplars. `kept`: share of patches kept; `recall`: share of the object's patches that are kept;
        `background_bytes`: share of the coded bytes that is saved by leaving out patches without object.
    """
    if stage.masking.is_two_sized:
        return None
    codec, found = stage.masking.codecs["image"], []
    with closing(StoreReader(stage.run.store)) as reader:
        for exemplar in reader.read_many(range(len(reader))):
            image = exemplar.tokens["image"]
            shows_object = patch_coverage(stage.outline(exemplar.sample_id), image.values.shape[1]) > OBJECT_SHARE
            kept_object = shows_object[image.positions]
            coded, of_object = len(codec.encode(image.values)), image.values[kept_object]
            found.append(
                (
                    len(image) / shows_object.size,
                    kept_object.sum() / max(1, shows_object.sum()),
                    1 - (len(codec.encode(of_object)) if len(of_object) else 0) / coded,
                )
            )
    return dict(zip(("kept", "recall", "background_bytes"), np.mean(found, axis=0).tolist(), strict=True))
