"""Augmentation policies: named lists of transforms, applied reproducibly to raw images.

What is *not* a symmetry, and hence in no policy: a zoom (it changes the Einstein radius in arcsec), a shear or any
other warp (it imitates lensing), inverting or re-colouring brightness (surface brightness is conserved by lensing),
cutting parts of the ring away (the perturbed arc may be in them).
"""

import random
from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np

from .missing import fill_missing
from .transforms import ExposureChange, PointSpreadBlur, SubPixelShift

POLICIES: dict[str, Callable[[], list[A.BasicTransform]]] = {
    "none": list,
    # The sky has no preferred direction: the eight rotations and flips of the square are exact on a square grid.
    "dihedral": lambda: [A.D4(p=1.0)],
    # What is usual for photographs, less what changes brightness or size. Turning by any angle and moving by parts of a
    # pixel interpolate, which smooths the noise and with it what substructure does at the scale of a pixel.
    "standard": lambda: [
        A.D4(p=1.0),
        A.Affine(rotate=(-180, 180), translate_percent=(-0.05, 0.05), border_mode=cv2.BORDER_REFLECT_101, p=0.7),
    ],
    # What another telescope, another night or another pixel grid would have made of the same lens.
    "lens": lambda: [
        A.D4(p=1.0),
        ExposureChange(min_share=0.6, p=0.5),
        PointSpreadBlur(max_sigma=0.5, p=0.3),
        SubPixelShift(max_shift=1.0, p=0.5),
    ],
}


class Augmentation:
    """A policy whose outcome depends on (seed, epoch, index) only.

    Neither the number of workers and processes, nor the batch size, nor a resumed run changes what an image becomes.

    Args:
        policy: A key of `POLICIES`.
        seed: Seed of the run.

    Raises:
        ValueError: If the policy does not exist.
    """

    def __init__(self, policy: str, seed: int) -> None:
        if policy not in POLICIES:
            raise ValueError(f"augmentation='{policy}' is not one of {', '.join(POLICIES)}.")
        transforms = POLICIES[policy]()
        self.policy = policy
        self.seed = seed
        self._pipeline = A.Compose(transforms) if transforms else None

    def __call__(self, image: np.ndarray, epoch: int, index: int) -> np.ndarray:
        """Augment one image.

        Args:
            image: Raw image of shape `(bands, height, width)`, any float range; pixels that are not finite are missing.
            epoch: Epoch of the run.
            index: Row of the image in its data set.

        Returns:
            The augmented image, float32, of the same shape; what was missing is NaN and has no part in its neighbours.
        """
        if self._pipeline is None:
            return image
        # Compose(seed=...) would mix in the worker's own seed.
        self._pipeline.set_random_state(
            np.random.default_rng([self.seed, epoch, index]),
            random.Random(f"{self.seed} {epoch} {index}"),
        )
        layers = {"image": np.ascontiguousarray(fill_missing(image).transpose(1, 2, 0))}
        missing = ~np.isfinite(image)
        if missing.any():
            layers["mask"] = np.ascontiguousarray(missing.transpose(1, 2, 0), dtype=np.uint8)
        moved = self._pipeline(**layers)
        augmented = np.where(moved["mask"], np.nan, moved["image"]) if "mask" in moved else moved["image"]
        if augmented.shape[:2] != image.shape[1:]:
            # a quarter turn of an oblong image; another one makes it a half turn or a flip, which keep the shape
            augmented = np.rot90(augmented)
        return np.ascontiguousarray(augmented.transpose(2, 0, 1), dtype=np.float32)
