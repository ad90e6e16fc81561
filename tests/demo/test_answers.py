"""What the page shows is computed from bounded, safely read files, and says where it means nothing."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from deeplense_hf.demo import uploads
from deeplense_hf.demo.answers import Models, answers_for
from deeplense_hf.demo.lens_sliders import DrawnLens, draw_lens, unlike_training
from deeplense_hf.demo.pictures import STRETCHES, shown_explanation, shown_image, shown_pair
from deeplense_hf.demo.uploads import read_uploads
from deeplense_hf.evaluation.explanation import occlusion_map
from deeplense_hf.simulation.recipes import get_recipe
from deeplense_hf.simulation.simulator import simulate_batch


def test_a_drawn_lens_is_one_of_the_recipe() -> None:
    theirs = simulate_batch(get_recipe("model_1"), "axion", [0], seed=3)
    chosen = {name: float(theirs.parameters[name][0]) for name in ("source_x", "source_y", "log10_axion_mass_ev")}
    radius = float(theirs.parameters["einstein_radius"][0])
    ours, scale = draw_lens(DrawnLens("axion", einstein_radius=radius, seed=3, **chosen))
    assert scale == 0.05
    # the random numbers are the recipe's, so noise and vortex are too
    np.testing.assert_array_equal(ours, theirs.images[:, 0])


def test_sliders_do_what_they_say() -> None:
    smooth, _ = draw_lens(DrawnLens("no_sub", source_x=0.0, source_y=0.0, shear=0.0))
    larger, _ = draw_lens(DrawnLens("no_sub", einstein_radius=1.6, source_x=0.0, source_y=0.0, shear=0.0))
    position = (np.arange(150) - 74.5) * 0.05
    radius = np.hypot(*np.meshgrid(position, position))
    means = [float((image[0] * radius).sum() / image[0].sum()) for image in (smooth - 1, larger - 1)]
    assert means[1] > means[0] + 0.1
    np.testing.assert_array_equal(draw_lens(DrawnLens("cdm", subhalo_count=0))[0], draw_lens(DrawnLens("no_sub"))[0])
    with pytest.raises(ValueError, match=r"shear=0.5 is not between"):
        DrawnLens(shear=0.5)
    with pytest.raises(ValueError, match="is not one of no_sub, cdm, axion"):
        DrawnLens("sub")


def test_what_models_never_saw_is_said() -> None:
    assert unlike_training(DrawnLens()) is None
    sentence = unlike_training(DrawnLens(einstein_radius=1.0, source_x=0.5)) or ""
    assert 'an Einstein radius other than 1.28" or a source beyond 0.35"' in sentence


def test_all_models_answer(model_folders: list[str]) -> None:
    models = Models(model_folders, "cpu")
    image, scale = draw_lens(DrawnLens())
    found = answers_for(models, list(models.places), image, scale)
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert set(found.prediction_set) <= set(found.probabilities)
    assert found.quantities[0].startswith("log10_axion_mass_ev: ")
    assert found.anomaly_score is not None
    assert found.explanation is not None
    assert found.processed is not None
    assert not found.refused
    for stretch in STRETCHES:
        assert shown_image(image, stretch).shape == (300, 300, 3)
    assert shown_explanation(image, found.explanation).shape == (300, 300, 3)
    assert shown_pair(found.processed).shape[2] == 3
    colour = answers_for(models, ["classes"], np.repeat(image, 3, axis=0), scale)
    assert "3 bands" in colour.refused["classes"]
    with pytest.raises(ValueError, match="stretch='x'"):
        shown_image(image, "x")


def test_the_explanation_is_where_the_model_looks(model_folders: list[str]) -> None:
    predictor = Models(model_folders, "cpu")["classes"]

    class Corner:
        """A classifier that sees one corner alone."""

        def probabilities(self, images: np.ndarray, scales: object) -> np.ndarray:
            bright = 1 / (1 + np.exp(-images[:, 0, :20, :20].mean(axis=(1, 2))))
            return np.stack([1 - bright, bright], axis=1)

    image = np.zeros((1, 100, 100), dtype=np.float32)
    image[0, :20, :20] = 3
    found = occlusion_map(Corner(), image, 1)  # type: ignore[arg-type]
    assert found[:16, :16].min() > 0.1
    assert np.abs(found[40:, 40:]).max() == 0
    assert occlusion_map(predictor, draw_lens(DrawnLens())[0], 0).shape == (150, 150)


def test_uploads_are_bounded_and_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    np.save(tmp_path / "many.npy", generator.normal(size=(3, 1, 40, 40)).astype(np.float32))
    np.save(tmp_path / "large.npy", generator.normal(size=(30, 3000)).astype(np.float32))
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE  = nothing")
    names = [str(tmp_path / name) for name in ("many.npy", "large.npy", "broken.fits")]
    found = read_uploads(names)
    assert [one.name for one in found] == ["many.npy", "many.npy [1]", "many.npy [2]", "large.npy", "broken.fits"]
    assert [one.error is None for one in found] == [True, True, True, False, False]
    # nothing of the server's folders
    assert not [one for one in found if str(tmp_path) in (one.error or "")]
    monkeypatch.setattr(uploads, "LARGEST_FILE", 100)
    assert "bytes; at most 100 are taken" in (read_uploads(names[:1])[0].error or "")
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    with pytest.raises(ValueError, match="3 files are too many"):
        read_uploads(names)


def test_the_space_is_complete(repository_root: Path) -> None:
    folder = repository_root / "scripts" / "space"
    head = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert (head["sdk"], head["app_file"]) == ("gradio", "app.py")
    code = (folder / "app.py").read_text(encoding="utf-8")
    compile(code, "app.py", "exec")
    assert all(f'"{model}"' in code for model in head["models"])
    assert "deeplense-hf[demo]" in (folder / "requirements.txt").read_text()
