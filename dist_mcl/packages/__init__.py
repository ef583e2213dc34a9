"""Pinned packages of public registries, and the pretrained models that come in them."""
