"""Tests of galaxies from files and data sets."""

import io
import logging
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from datasets import Array3D, Dataset, Features, Image, Value

from deeplense_hf.data.galaxy_images import (
    DEFAULT_DATASET,
    cut_out_galaxy,
    hubble_selection_sheet,
    load_galaxies,
)

SHARED = Path(__file__).parents[3] / "shared/data"


def scene(seed: int, bands: int = 1, size: int = 96) -> np.ndarray:
    """A galaxy near the middle with a brighter neighbour, on sky with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]

    def disc(center_x: float, center_y: float, radius: float) -> np.ndarray:
        return np.exp(-np.hypot(x - center_x, 1.4 * (y - center_y)) / radius)

    galaxy = 100 * disc(size / 2 + 3, size / 2 - 2, 4) + 150 * disc(size * 0.85, size * 0.9, 3)
    return np.stack([galaxy * (1 + band) + rng.normal(20, 1, galaxy.shape) for band in range(bands)])


def as_picture(image: np.ndarray) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.moveaxis(np.clip(image, 0, 255).astype(np.uint8), 0, -1))


def test_the_galaxy_stands_alone_in_the_middle() -> None:
    stamp = cut_out_galaxy(scene(0), 64)
    assert stamp.shape == (1, 64, 64)
    assert stamp.dtype == np.float32
    row, column = divmod(int(stamp[0].argmax()), 64)
    assert abs(row - 31.5) < 2
    assert abs(column - 31.5) < 2
    assert stamp.max() == 1
    assert (stamp >= 0).all()
    # neither sky nor neighbour nor edge
    assert (stamp == 0).mean() > 0.5
    assert not stamp[0, [0, -1]].any()
    assert not stamp[0, :, [0, -1]].any()


def test_noise_is_smoothed_away_but_not_the_core() -> None:
    noisy, clean = scene(1), scene(1)
    y, x = np.mgrid[:96, :96]
    truth = np.exp(-np.hypot(x - 51, 1.4 * (y - 46)) / 4)
    clean[0] = 100 * truth
    stamp = cut_out_galaxy(noisy, 64)[0].astype(float)
    expected = cut_out_galaxy(clean, 64)[0].astype(float)
    assert np.abs(stamp / stamp.sum() - expected / expected.sum()).sum() < 0.25


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, 64, 64)), "empty"),
        (np.random.default_rng(0).normal(10, 1, (1, 64, 64)), "without a galaxy"),
        (scene(0)[:, :, 45:93], "not wholly inside"),
    ],
)
def test_useless_images_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cut_out_galaxy(image, 64)


def test_folder_of_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "one.npy", scene(0).astype(np.float32))
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(10, 1, (64, 64)))
    (tmp_path / "below").mkdir()
    np.savez(tmp_path / "below/two.npz", image=np.stack([scene(1), scene(2)]).astype(np.float32))
    (tmp_path / "below/broken.npy").write_bytes(b"nothing")
    as_picture(scene(5, 3)).save(tmp_path / "odd.png")
    (tmp_path / "manifest.csv").write_text("file\none.npy\n")
    with caplog.at_level(logging.WARNING):
        galaxies = load_galaxies(str(tmp_path), 0.05, size=64)
    assert galaxies.names == ("below/two.npz#0", "below/two.npz#1", "one.npy")
    assert galaxies.images.shape == (3, 1, 64, 64)
    assert galaxies.pixel_scale == 0.05
    assert "1 without a galaxy" in caplog.text
    assert "1 of 3 bands" in caplog.text
    assert "broken.npy" in caplog.text
    assert galaxies == load_galaxies(str(tmp_path), 0.05, size=64)
    assert len(load_galaxies(str(tmp_path), 0.05, size=64, max_galaxies=2)) == 2
    with pytest.raises(ValueError, match="pass pixel_scale"):
        load_galaxies(str(tmp_path), size=64)


def test_colour_pictures_become_blue_first_and_large_ones_are_reduced(tmp_path: Path) -> None:
    picture = as_picture(scene(3, bands=3, size=192)[:, ::1])
    picture.save(tmp_path / "a.png")
    galaxies = load_galaxies(str(tmp_path), 0.1, size=64)
    assert galaxies.pixel_scale == pytest.approx(0.2)
    red, blue = scene(3, bands=3)[0].max(), scene(3, bands=3)[2].max()
    # the scene is brightest in its last band, which a picture shows as blue
    assert blue > red
    assert galaxies.band_fluxes[0, 0] > galaxies.band_fluxes[0, 2]


def test_hugging_face_data_set_of_pictures(tmp_path: Path) -> None:
    rows: dict[str, list] = {"image": [], "label": []}
    for seed in range(4):
        buffer = io.BytesIO()
        as_picture(scene(seed, bands=3)).save(buffer, format="png")
        rows["image"].append({"bytes": buffer.getvalue(), "path": None})
        rows["label"].append(seed)
    dataset = Dataset.from_dict(rows, features=Features({"image": Image(), "label": Value("int64")}))
    (tmp_path / "hub").mkdir()
    dataset.to_parquet(tmp_path / "hub/train-00000-of-00001.parquet")
    galaxies = load_galaxies(str(tmp_path / "hub"), 0.262, size=64, max_galaxies=3)
    assert galaxies.names == ("train-0", "train-1", "train-2")
    assert galaxies.images.shape == (3, 3, 64, 64)


def test_hugging_face_data_set_of_arrays(tmp_path: Path) -> None:
    arrays = [scene(seed, bands=2).astype(np.float32) for seed in range(3)]
    features = Features({"id": Value("string"), "stamp": Array3D((2, 96, 96), "float32")})
    dataset = Dataset.from_dict({"id": ["a", "b", "c"], "stamp": arrays}, features=features)
    dataset.save_to_disk(tmp_path / "saved")
    galaxies = load_galaxies(str(tmp_path / "saved"), 0.03, size=64)
    assert galaxies.images.shape == (3, 2, 64, 64)
    np.testing.assert_allclose(galaxies.images[0], cut_out_galaxy(arrays[0], 64))
    with pytest.raises(ValueError, match="no column 'picture'"):
        load_galaxies(str(tmp_path / "saved"), 0.03, size=64, column="picture")


def test_unreachable_sources_are_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach it")

    monkeypatch.setattr("datasets.load_dataset", offline)
    with pytest.raises(FileNotFoundError, match="check the name and the network, or use 'hubble_deep_field'"):
        load_galaxies(DEFAULT_DATASET)
    for source in ("", "no such thing", "nowhere"):
        with pytest.raises(FileNotFoundError, match="an existing file or folder"):
            load_galaxies(source, 0.1)
    with pytest.raises(ValueError, match="size=4"):
        load_galaxies(size=4)


def test_deep_field_and_its_sheet() -> None:
    galaxies = load_galaxies(max_galaxies=5)
    assert len(galaxies) == 5
    assert galaxies.names == load_galaxies().names[:5]
    assert PIL.Image.open(io.BytesIO(hubble_selection_sheet(4))).size[0] > 300


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared example images")
@pytest.mark.parametrize(
    ("source", "bands", "fewest"),
    [
        ("galaxies_hst_cosmos/cosmos_irsa_128px.npz", 1, 15),
        ("galaxies_hst_cosmos", 1, 80),
        ("galaxies_nonlens_rgb/hdf_64px.npz", 3, 15),
        ("galaxies_nonlens_rgb", 3, 80),
    ],
)
def test_real_galaxies(source: str, bands: int, fewest: int) -> None:
    galaxies = load_galaxies(str(SHARED / source), 0.03)
    assert galaxies.bands == bands
    assert len(galaxies) >= fewest
