"""dist-mcl: teach multimodal models new classes and modalities, stage after stage, and remember the old ones."""

__version__ = "0.1.0"
