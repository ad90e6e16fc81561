"""Symmetry-respecting augmentation of raw lens images."""
