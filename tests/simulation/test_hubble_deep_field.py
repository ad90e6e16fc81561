"""Tests of the galaxies cut out of scikit-image's picture."""

import sys

import numpy as np
import pytest

from deeplense_hf.simulation import hubble_deep_field
from deeplense_hf.simulation.hubble_deep_field import (
    CUT_OUT_SIZE,
    OVERSAMPLING,
    PIXEL_SCALE,
    hubble_deep_field_cut_outs,
    hubble_deep_field_galaxies,
)


def test_galaxies_are_many_centred_and_fade_to_zero() -> None:
    galaxies = hubble_deep_field_galaxies()
    size = CUT_OUT_SIZE * OVERSAMPLING
    assert len(galaxies) > 100
    assert galaxies.images.shape[1:] == (3, size, size)
    assert galaxies.pixel_scale == pytest.approx(PIXEL_SCALE / OVERSAMPLING)
    brightness = galaxies.images.mean(axis=1, dtype=np.float64)
    edge = np.concatenate(
        [brightness[:, [0, -1]].reshape(len(galaxies), -1), brightness[:, :, [0, -1]].reshape(len(galaxies), -1)]
    )
    assert edge.max() == 0
    offsets = np.arange(size) - (size - 1) / 2
    for axis in (1, 2):
        centres = (brightness.sum(axis=3 - axis) * offsets).sum(axis=1) / brightness.sum(axis=(1, 2))
        assert np.abs(centres).max() < 12
        assert np.median(np.abs(centres)) < 2
    assert hubble_deep_field_galaxies() is galaxies


def test_sky_and_neighbours_are_gone() -> None:
    galaxies = hubble_deep_field_galaxies()
    # beside the galaxy there is nothing: most of every stamp is exactly zero
    empty = (galaxies.images.max(axis=1) == 0).mean(axis=(1, 2))
    assert np.median(empty) > 0.7
    assert empty.min() > 0.25


def test_the_two_stars_and_other_objects_are_rejected_for_a_reason() -> None:
    cut_outs = hubble_deep_field_cut_outs()
    reasons = {cut_out.name: cut_out.rejected for cut_out in cut_outs}
    assert sorted(name for name, reason in reasons.items() if reason == "star") == ["hdf-253-166", "hdf-754-578"]
    assert set(reasons.values()) == {"", "star", "at the edge", "unresolved", "faint", "neighbours"}
    accepted = tuple(cut_out.name for cut_out in cut_outs if not cut_out.rejected)
    assert accepted == hubble_deep_field_galaxies().names
    for cut_out in cut_outs[:20]:
        assert cut_out.picture.shape == (3, CUT_OUT_SIZE, CUT_OUT_SIZE)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImportError, match=r"deeplense-hf\[galaxies\]"):
        hubble_deep_field.hubble_deep_field_cut_outs()
