"""What the page shows is computed from bounded, safely read files, and says where it means nothing."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from astropy.io import fits
from PIL import Image

from deeplense_hf.cli import main
from deeplense_hf.demo import tables, uploads
from deeplense_hf.demo.answers import ModelAnswer, Models, Quantity, answers_for, explanation_for, takers_note
from deeplense_hf.demo.app import released_models
from deeplense_hf.demo.examples import example_files
from deeplense_hf.demo.lens_sliders import DrawnLens, draw_lens, unlike_training
from deeplense_hf.demo.pictures import STRETCHES, difference_scale, shown_image, shown_occlusion, shown_pair, tint_scale
from deeplense_hf.demo.subjects import DroppedFile, parse_bands, parse_pixel_scale, subject_of
from deeplense_hf.demo.tables import answer_table, rounded
from deeplense_hf.demo.uploads import UploadedImage, read_uploads
from deeplense_hf.demo.words import answers_html, filled_html, note_html, occlusion_html, quantity_sentence
from deeplense_hf.evaluation.explanation import Occlusion, occlusion_map, seen_window
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.models import DeepLenseImageProcessor
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


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", float("inf"), "seed=inf is not between 0 and 999"),
        ("subhalo_count", float("nan"), "subhalo_count=nan is not between"),
        ("shear", "0.1", "shear='0.1' is no number; give one between"),
        ("seed", [1], r"seed=\[1\] is no number"),
        ("einstein_radius", True, "einstein_radius=True is no number"),
        ("subhalo_count", 2.5, "subhalo_count=2.5 is no whole number"),
    ],
)
def test_what_is_no_number_is_said(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DrawnLens(**{name: value})
    pytest.importorskip("gradio")
    from deeplense_hf.demo.handlers import Handlers

    values = [value if field.name == name else field.default for field in dataclasses.fields(DrawnLens)]
    picture, note = itemgetter(1, 5)(Handlers({}).draw([], "asinh", *values))  # type: ignore[arg-type]
    assert picture is None
    assert name in note


def test_counts_of_a_page_are_whole() -> None:
    lens = DrawnLens(subhalo_count=3.0, seed=2.0)  # type: ignore[arg-type]
    assert (repr(lens.subhalo_count), repr(lens.seed)) == ("3", "2")


def test_what_models_never_saw_is_said() -> None:
    assert unlike_training(DrawnLens()) is None
    sentence = unlike_training(DrawnLens(einstein_radius=1.0, source_x=0.5)) or ""
    assert 'an Einstein radius other than 1.28" or a source beyond 0.35"' in sentence


def test_a_cdm_lens_without_subhaloes_is_a_smooth_one() -> None:
    assert unlike_training(DrawnLens("cdm", subhalo_count=0)) is None
    assert "of the class no_sub" in subject_of(DrawnLens("cdm", subhalo_count=0)).note
    assert "far from 25" in (unlike_training(DrawnLens("cdm", subhalo_count=1)) or "")


@pytest.fixture(scope="module")
def models(model_folders: list[str], tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The tiny models and a second classifier of the same folder name."""
    other = tmp_path_factory.mktemp("other") / "classes"
    shutil.copytree(model_folders[0], other)
    return Models([*model_folders, str(other)], "cpu")


def test_every_model_answers_for_itself(models: Models) -> None:
    # as much of the path as tells two of one name apart
    first, mass, anomalies, second = models.names
    assert (first[-8:], second[-8:], mass, anomalies) == ("/classes", "/classes", "mass", "anomalies")
    assert first != second
    image, scale = draw_lens(DrawnLens())
    found = dict(zip(models.names, answers_for(models, models.names, image, scale), strict=True))
    assert not [one for one in found.values() if one.refused]
    assert sum(found[first].probabilities.values()) == pytest.approx(1)
    assert found[second].probabilities == found[first].probabilities
    assert set(found[first].prediction_set) <= set(found[first].probabilities)
    (mass,) = found["mass"].quantities
    assert (mass.title, mass.unit, mass.only_of) == ("axion mass", "log10 eV", "axion")
    assert found["anomalies"].anomaly_score is not None
    assert found["anomalies"].processed is not None
    assert shown_pair(found["anomalies"].processed).shape[2] == 3
    explained = explanation_for(models, ["mass", second, first], image, scale)
    assert explained is not None
    assert explained[0] == second
    assert explanation_for(models, ["mass"], image, scale) is None
    colour = np.concatenate([image, image + 1, image + 2])
    assert "3 bands" in (answers_for(models, [first], colour, scale)[0].refused or "")


def test_answers_are_said_with_care() -> None:
    said = answers_html([ModelAnswer("a<b", {"cdm": 0.9956, "axion": 0.99999, "<i>": 0.0001}), ModelAnswer("c")])
    assert all(part in said for part in ("a&lt;b", "99.6%", "&gt;99.9%", "&lt;0.1%", "&lt;i&gt;"))
    assert ">100.0%" not in said
    assert "tick at least one" in answers_html([])
    assert note_html("![a](http://b)<img>").count("<") == 2


def test_bands_are_to_be_selected_where_that_helps(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio")
    from deeplense_hf.demo.page import make_page

    image, scale = draw_lens(DrawnLens())
    first = models.names[0]
    (refusal,) = answers_for(models, [first], np.concatenate([image, image + 1]), scale)
    assert refusal.refused == "the image has 2 bands, but the model takes 1 band; select bands first."
    monkeypatch.setattr(models[first].model.config, "num_channels", 3)
    (refusal,) = answers_for(models, [first], image, scale)
    assert refusal.refused == "the image has 1 band, but the model takes 3 bands; choose another model."
    table, _ = answer_table(models, [first], [UploadedImage("a.npy", image, scale)], [], None)
    assert table["error"][0] == f"{first}: {refusal.refused}"

    colour = np.concatenate([image, image + 1, image + 2])
    refusals = answers_for(models, ["mass", "anomalies"], colour, scale)
    assert takers_note(models, refusals, colour) == f"Images of 3 bands are taken by {first}; tick it above."
    assert takers_note(models, [*refusals, ModelAnswer("a", {"cdm": 1.0})], colour) == ""
    assert takers_note(models, [], colour) == ""
    assert takers_note(models, refusals, colour[:2]) == ""

    def boxes() -> Any:
        return next(one for one in make_page(models, {}).blocks.values() if getattr(one, "elem_id", "") == "models")

    assert boxes().value == [name for name in models.names if name != first]
    assert boxes().info == f"For files alone, since no drawn lens is taken: {first}."
    for name in models.names:
        monkeypatch.setattr(models[name].model.config, "num_channels", 3)
    # why none answers is then said of each
    assert boxes().value == models.names


def test_an_axion_mass_is_that_of_axion_lenses_alone() -> None:
    mass = Quantity("log10_axion_mass_ev", -23.67, -23.84, -23.5, "log10 eV")
    estimate = "axion mass: -23.67 log10 eV (95%: -23.84 to -23.50)"
    assert quantity_sentence(mass, []) == f"If it is an axion lens, {estimate}"
    agreeing = [
        ModelAnswer("a", {"no_sub": 0.1, "axion": 0.9}),
        ModelAnswer("b", {"no_sub": 0.1, "sub": 0.9}),
        ModelAnswer("c", {"lens": 0.9, "non_lens": 0.1}),
        ModelAnswer("d", {"cat": 0.9, "dog": 0.1}),
        ModelAnswer("e", refused="the image has 1 band."),
    ]
    assert quantity_sentence(mass, agreeing) == f"If it is an axion lens, {estimate}"
    others = [ModelAnswer("f", {"cdm": 0.9956, "axion": 0.0044}), ModelAnswer("g", {"non_lens": 0.8, "lens": 0.2})]
    doubted = f"If it is an axion lens (f says cdm, 99.6%, g says non_lens, 80.0%), {estimate}"
    assert quantity_sentence(mass, [*agreeing, *others]) == doubted
    assert f"<div>{doubted}</div>" in answers_html([ModelAnswer("mass", quantities=[mass]), *others])
    # of all lenses, small, without a unit; and of a column that is not ours
    shear = quantity_sentence(Quantity("shear_1", 0.003, 0.001, 0.005, ""), others)
    assert shear == "external shear, first component: 0.003000 (95%: 0.001000 to 0.005000)"
    assert quantity_sentence(Quantity("x", 2, 1, 3, "m"), others) == "x: 2.000 m (95%: 1.000 to 3.000)"
    assert "If it is a cdm lens" in quantity_sentence(Quantity("subhalo_count", 20, 10, 30, ""), [])


def test_pictures_stand_upright_and_keep_their_colours(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:20, :, 0] = 250
    pixels[30:34, 30:34] = 200
    Image.fromarray(pixels).save(tmp_path / "red.png")
    subject = subject_of(DroppedFile(str(tmp_path / "red.png"), pixel_scale="0.1"))
    assert "first row at the top" in subject.caption
    shown = shown_image(subject.image, "asinh", None, subject.is_picture)
    red, green, blue = map(int, shown[20, 200])
    assert red > 2 * max(green, blue, 1)
    assert shown[-20].max() < red
    linear = shown_image(subject.image, "linear", None, subject.is_picture)
    assert linear[20, 200].sum() > linear[-20, 200].sum()
    # the bar of 2": 20 of 64 pixels
    with_bar = shown_image(subject.image, "asinh", subject.pixel_scale, subject.is_picture)
    white = (with_bar == 255).all(axis=2).sum(axis=1).max()
    assert white == pytest.approx(with_bar.shape[1] * 20 / 64, abs=3)
    for stretch in STRETCHES:
        assert shown_image(subject.image[:1], stretch).shape == (448, 448, 3)
    with pytest.raises(ValueError, match="stretch='x'"):
        shown_image(subject.image, "x")


def test_models_get_pictures_in_the_order_of_their_bands(
    tmp_path: Path, make_model: Callable[..., tuple[Any, Any]]
) -> None:
    model, processor = make_model(bands=3, spread=50)
    processor.per_band, processor.colour_bands = False, (2, 1, 0)
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    pixels = np.random.default_rng(0).integers(0, 90, size=(32, 32, 3)).astype(np.uint8)
    pixels[5:15, :, 0] += 150
    Image.fromarray(pixels).save(tmp_path / "red.png")
    np.save(tmp_path / "bands.npy", pixels.transpose(2, 0, 1)[::-1])
    models = Models([str(tmp_path / "model")], "cpu")
    images = [np.load(tmp_path / "bands.npy").astype(np.float32), pixels.transpose(2, 0, 1).astype(np.float32)]
    right, wrong = (models["model"].probabilities(image[None])[0, 1] for image in images)
    assert abs(right - wrong) > 0.01

    def answered(name: str, bands: str = "") -> tuple[float, float, float]:
        subject = subject_of(DroppedFile(str(tmp_path / name), bands))
        given = (subject.image, subject.pixel_scale, subject.red_first)
        (answer,) = answers_for(models, ["model"], *given)
        explained = explanation_for(models, ["model"], *given)
        assert explained is not None
        uploaded = read_uploads([str(tmp_path / name), str(tmp_path / "bands.npy")])
        table, _ = answer_table(models, ["model"], uploaded, parse_bands(bands), None)
        occlusion = explained[1]
        of_cdm = occlusion.probability if occlusion.class_index == 1 else answer.probabilities["cdm"]
        return answer.probabilities["cdm"], of_cdm, table["model: probability_cdm"][0]

    assert answered("red.png") == pytest.approx((right,) * 3, abs=1e-3)
    assert answered("bands.npy") == pytest.approx((right,) * 3, abs=1e-3)
    assert answered("red.png", "0, 1, 2") == pytest.approx((wrong,) * 3, abs=1e-3)


@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("is_picture", [True, False])
def test_every_stretch_shows_colours(stretch: str, is_picture: bool) -> None:
    image = np.zeros((3, 32, 32), np.float32) + np.float32([[[5]], [[7]], [[9]]])
    # the first band of a picture is red, the first of the sky the shortest wavelength
    image[0, 8:16] += 100
    image[:, 0, 0] = np.nan
    shown = shown_image(image, stretch, is_picture=is_picture)
    rows = shown.shape[0] // 32
    bright = shown[12 * rows if is_picture else -12 * rows, -1]
    assert bright.argmax() == (0 if is_picture else 2)
    assert bright.max() > 100
    assert shown[20 * rows if is_picture else -20 * rows, -1].max() < 60
    assert np.ptp(shown_image(image[:1], stretch)) > 100


def test_a_difference_is_shown_in_its_scale() -> None:
    seen = np.zeros((10, 10), np.float32)
    seen[2:5, 2:5] = 1
    filled = seen.copy()
    assert difference_scale((seen, filled)) == 0.25
    filled[0, 0] = 0.5
    assert difference_scale((seen, filled)) == pytest.approx(0.5)
    assert "-0.50, seen fainter" in filled_html((seen, filled))
    red, _, blue = shown_pair((seen, filled))[-1, -450].astype(int)
    assert blue > red


def test_bands_and_pixel_scale_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "three.npy", np.random.default_rng(0).normal(size=(3, 20, 30)).astype(np.float32))
    subject = subject_of(DroppedFile(str(tmp_path / "three.npy"), " 2, 0", "0.2"))
    assert (subject.image.shape, subject.pixel_scale) == ((2, 20, 30), 0.2)
    np.testing.assert_array_equal(subject.image, np.load(tmp_path / "three.npy")[[2, 0]])
    with pytest.raises(ValueError, match="the image has 3 bands, but band 3 is asked for"):
        subject_of(DroppedFile(str(tmp_path / "three.npy"), "3"))
    assert parse_bands("") == []
    for text in ("-1", "a", "1;2"):
        with pytest.raises(ValueError, match="are not numbers counted from 0"):
            parse_bands(text)
    assert parse_pixel_scale(" ") is None
    for text in ("-3", "0", "nan", "x"):
        with pytest.raises(ValueError, match="is no positive number"):
            parse_pixel_scale(text)


def test_north_is_told_where_the_file_knows_it(tmp_path: Path) -> None:
    unit = fits.PrimaryHDU(np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32))
    unit.writeto(tmp_path / "plain.fits")
    assert "As stored, first row at the bottom." in subject_of(DroppedFile(str(tmp_path / "plain.fits"))).caption
    turn = np.deg2rad(30)
    unit.header.update({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 16})
    unit.header.update({"CRPIX2": 16, "CD1_1": -1e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-5})
    unit.writeto(tmp_path / "north.fits")
    assert "North is up, east is left of it." in subject_of(DroppedFile(str(tmp_path / "north.fits"))).caption
    unit.header.update({"CD1_1": -1e-5 * np.cos(turn), "CD1_2": -1e-5 * np.sin(turn)})
    unit.header.update({"CD2_1": -1e-5 * np.sin(turn), "CD2_2": 1e-5 * np.cos(turn)})
    unit.writeto(tmp_path / "turned.fits")
    assert "North is 30° to the left of up" in subject_of(DroppedFile(str(tmp_path / "turned.fits"))).caption


class Corner:
    """A classifier that sees one corner alone."""

    processor: Any = None

    def probabilities(self, images: np.ndarray, scales: object) -> np.ndarray:
        bright = 1 / (1 + np.exp(-images[:, 0, :20, :20].mean(axis=(1, 2))))
        return np.stack([1 - bright, bright], axis=1)


def test_the_map_is_where_covers_change_the_answer() -> None:
    image = np.zeros((1, 100, 100), dtype=np.float32)
    image[0, :20, :20] = 3
    found = occlusion_map(Corner(), image, 1)  # type: ignore[arg-type]
    # log-odds of the whole image are 3
    assert found.falls[:9, :9].min() == pytest.approx(3)
    assert np.abs(found.falls[40:, 40:]).max() == 0
    assert (found.probability, found.lowest_probability) == (pytest.approx(1 / (1 + np.exp(-3))), pytest.approx(0.5))
    assert occlusion_map(Corner(), image[:, :8, :8]).falls.shape == (8, 8)  # type: ignore[arg-type]


def test_only_what_enters_the_model_is_covered(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    processor = DeepLenseImageProcessor(crop_size=(40, 60))
    assert seen_window(processor, 101, 50) == (slice(30, 70), slice(0, 50))
    scaled = DeepLenseImageProcessor(crop_size=40, target_pixel_scale=0.1)
    assert seen_window(scaled, 100, 200, 0.2) == (slice(40, 60), slice(90, 110))
    predictor = models[models.classifiers[0]]
    image, _ = draw_lens(DrawnLens())
    found = occlusion_map(predictor, image, parts=4)
    assert found.window == (slice(27, 123), slice(27, 123))
    assert np.isfinite(found.falls[27:123, 27:123]).all()
    assert np.isnan(found.falls).sum() == 150**2 - 96**2
    # cut out first or not
    monkeypatch.setattr("deeplense_hf.evaluation.explanation._cuts_first", lambda *_: False)
    np.testing.assert_allclose(occlusion_map(predictor, image, parts=4).falls, found.falls, atol=1e-5)
    shown = shown_occlusion(image, found)
    assert (shown[81, 81:369] == 255).all()
    assert "Only what is in the frame" in occlusion_html("a", "cdm", found, (150, 150))


def test_a_map_of_nothing_is_grey() -> None:
    falls = 1e-6 * np.random.default_rng(0).normal(size=(64, 64))
    occlusion = Occlusion(falls, (slice(0, 64), slice(0, 64)), 0, 0.9, 0.9)
    assert tint_scale(occlusion) == 0.5
    shown = shown_occlusion(np.random.default_rng(1).random((1, 64, 64), dtype=np.float32), occlusion)
    assert int(np.ptp(shown, axis=2).max()) <= 1


def test_uploads_are_bounded_and_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    np.save(tmp_path / "many.npy", generator.normal(size=(3, 1, 40, 40)).astype(np.float32))
    np.save(tmp_path / "large.npy", generator.normal(size=(30, 3000)).astype(np.float32))
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE  = nothing")
    names = [str(tmp_path / name) for name in ("many.npy", "large.npy", "broken.fits", "gone.npy")]
    found = list(read_uploads(names))
    assert [one.name for one in found[:4]] == ["many.npy", "many.npy [1]", "many.npy [2]", "large.npy"]
    assert [one.error is None for one in found] == [True, True, True, False, False, False]
    assert "upload it again" in (found[5].error or "")
    # nothing of the server's folders
    assert not [one for one in found if str(tmp_path) in (one.error or "")]
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        # 64 GB of nothing, in a file of some kB
        file.create_dataset("images", (2, 1, 100_000, 80_000), np.float32, chunks=(1, 1, 1000, 1000))
    huge = list(read_uploads([str(tmp_path / "huge.h5")]))
    assert [one.image for one in huge] == [None]
    assert "8,000,000,000 numbers is too large" in (huge[0].error or "")
    monkeypatch.setattr(uploads, "MOST_IMAGES", 2)
    assert [one.error is None for one in read_uploads(names)] == [True, True, False]
    monkeypatch.setattr(uploads, "LARGEST_FILE", 100)
    assert "bytes; at most 100 are taken" in (next(read_uploads(names[:1])).error or "")
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    with pytest.raises(ValueError, match="4 files are too many"):
        read_uploads(names)


def test_the_table_counts_what_no_model_answered_for(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BATCH", 2)
    image, _ = draw_lens(DrawnLens())
    colour = np.concatenate([image, image + 1, image + 2])
    read: list[str] = []

    def images() -> Any:
        for name, one in (("=1+1.npy", image), ("a.npy", image), ("b.npy", image), ("c.npy", colour)):
            read.append(name)
            yield UploadedImage(name, one)
        yield UploadedImage("d.npy", error="d.npy is empty.")

    first, second = models.classifiers
    asked: list[int] = []
    answers = models[first].answers

    def watched(batch: np.ndarray, scales: Any = None) -> Any:
        asked.append(len(batch))
        # no more is in memory than is asked about, and the one after; one was refused before
        assert len(read) <= sum(asked) + 2
        return answers(batch, scales)

    monkeypatch.setattr(models[first], "answers", watched)
    table, silent = answer_table(models, [first, second], images(), [], None)
    # the image of three bands is refused before anybody is asked
    assert asked == [2, 1]
    assert silent == 2
    assert table["image"].tolist() == ["./=1+1.npy", "a.npy", "b.npy", "c.npy", "d.npy"]
    assert tuple(table.columns[:2]) == ("image", "error")
    assert table["error"].tolist()[:3] == ["", "", ""]
    assert "3 bands" in table["error"][3]
    assert table[f"{first}: predicted_class"].notna().tolist() == [True, True, True, False, False]
    read.clear()
    asked.clear()
    assert answer_table(models, [first], images(), [0], None)[1] == 1


def test_no_probability_of_the_table_is_certain() -> None:
    for value in (1e-9, 4.3e-6, 0.00004, 0.49996, 0.99996, 1 - 1e-12, -23.671849, -1e-7, 123456.78901):
        short = rounded(value)
        assert short not in (0, 1)
        assert short == pytest.approx(value, rel=5e-4)
        assert len(repr(short)) < 16
    assert [rounded(value) for value in (0.0, 1.0, float("inf"))] == [0, 1, float("inf")]
    assert (rounded(0.123456), rounded(-23.671849)) == (0.1235, -23.6718)


def test_an_example_of_several_models_is_listed_once(tmp_path: Path) -> None:
    for place, name, value in (("a", "axion", 1), ("a", "cdm", 2), ("b", "axion", 1), ("b", "cdm", 3)):
        (tmp_path / place / "examples").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / place / "examples" / f"{name}.npy", np.full((8, 8), value))
    found = example_files({place: str(tmp_path / place) for place in ("a", "b")})
    assert list(found) == ["axion (a)", "cdm (a)", "cdm (b)"]
    assert found["cdm (b)"].path == str(tmp_path / "b" / "examples" / "cdm.npy")
    assert [one.models for one in found.values()] == [("a", "b"), ("a",), ("b",)]
    # pictures show arrays, or are the examples themselves
    (tmp_path / "a" / "examples" / "cdm.png").write_bytes(b"of the array")
    (tmp_path / "c" / "examples").mkdir(parents=True)
    (tmp_path / "c" / "examples" / "no_sub.png").write_bytes(b"alone")
    assert list(example_files({place: str(tmp_path / place) for place in ("a", "c")})) == [
        "axion (a)",
        "cdm (a)",
        "no_sub (c)",
    ]


def test_models_are_found_here_or_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, mark in (("one", "release.json"), ("two", "stock.json"), ("three", "README.md")):
        (tmp_path / "full" / name).mkdir(parents=True)
        (tmp_path / "full" / name / mark).write_text("{}")
    found = [str(tmp_path / "full" / name) for name in ("one", "two")]
    assert released_models([tmp_path / "none", tmp_path / "full"]) == found
    monkeypatch.setattr("deeplense_hf.demo.app.MODEL_CARDS", (tmp_path / "none", tmp_path / "nor here"))
    assert main(["app"]) == 1
    assert f"no model to show in {tmp_path / 'none'} and {tmp_path / 'nor here'}; give" in capsys.readouterr().err


def test_drawn_examples_are_such_as_the_released_model_knows(repository_root: Path) -> None:
    pytest.importorskip("gradio")
    from deeplense_hf.demo.page import _DRAWN_EXAMPLES

    released = Predictor.from_pretrained(repository_root / "model_cards" / "deeplense-swin", "cpu")
    for lens in _DRAWN_EXAMPLES.values():
        image, scale = draw_lens(lens)
        told = released.probabilities(image[None], np.array([scale], dtype=np.float32))[0]
        assert released.class_names[told.argmax()] == lens.substructure
        assert unlike_training(lens) is None


def test_answers_come_before_reasons_each_of_which_is_told_once() -> None:
    said = answers_html(
        [
            ModelAnswer("first", refused="It has 2 bands."),
            ModelAnswer("second", anomaly_score=1.0),
            ModelAnswer("third", refused="It has 2 bands."),
        ]
    )
    assert said.index("second") < said.index("first, third")
    assert said.count("It has 2 bands.") == 1
    assert "0 is usual" in said


def test_every_hint_is_given(models: Models, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from deeplense_hf.demo.handlers import Handlers

    np.save(tmp_path / "many.npy", np.random.default_rng(0).poisson(50, (2, 1, 100, 100)).astype(np.float32))
    handlers = Handlers(models)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deeplense_hf.demo.handlers.takers_note", lambda *_: "tick it above.")
        note = handlers.drop(str(tmp_path / "many.npy"), "", "", models.names[:1], "asinh")[5]
    assert "The first of several images" in note
    assert "tick it above." in note


def test_a_table_of_other_models_says_so() -> None:
    gradio = pytest.importorskip("gradio")
    from deeplense_hf.demo.handlers import Handlers, stale_note

    assert "of first; press" in stale_note(["first"], ["first", "second"])
    assert "press" not in stale_note(["first", "second"], ["second", "first"])
    assert stale_note([], ["first"]) == gradio.skip()
    table, download, note, answered = Handlers({}).many([], "", "", ["first"], "")  # type: ignore[arg-type]
    assert (table["visible"], download["visible"], note, answered) == (False, False, "", [])


def test_the_page_keeps_its_tables_where_gradio_empties_them(models: Models, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from deeplense_hf.demo.handlers import Handlers
    from deeplense_hf.demo.page import make_page

    np.save(tmp_path / "lens.npy", draw_lens(DrawnLens())[0])
    handlers, names = Handlers(models), models.classifiers[:1]
    table, written, note, answered = handlers.many([str(tmp_path / "lens.npy")], "", "", names, str(tmp_path / "kept"))
    assert answered == names
    assert "1 image, 0 of them without an answer" in note
    assert Path(written["value"]).parent == tmp_path / "kept"
    assert len(table["value"]) == 1
    assert "No model is chosen" in handlers.many([str(tmp_path / "lens.npy")], "", "", [], str(tmp_path))[2]
    assert "is no positive number" in handlers.many([str(tmp_path / "lens.npy")], "", "-3", names, str(tmp_path))[2]
    assert make_page(models, {}).delete_cache == (300, 3600)


def test_a_missing_model_is_told_before_the_page_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["app", "--models", "not/here/at/all"]) != 0
    assert "not/here/at/all: there is no such model folder" in capsys.readouterr().err
    # nor does anything stay of the folder that it would have stored uploads in
    assert "deeplense-page-" not in os.environ.get("GRADIO_TEMP_DIR", "")


def test_the_space_is_complete(repository_root: Path) -> None:
    folder = repository_root / "scripts" / "space"
    head = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert (head["sdk"], head["app_file"], head["python_version"]) == ("gradio", "app.py", "3.11")
    code = (folder / "app.py").read_text(encoding="utf-8")
    compile(code, "app.py", "exec")
    assert all(f'"{model}"' in code for model in head["models"])
    assert "deeplense-hf[demo]" in (folder / "requirements.txt").read_text()


def test_answers_that_are_no_numbers_are_told(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Predictor.answers

    def broken(self: Predictor, images: np.ndarray, *scales: Any) -> dict[str, np.ndarray]:
        return {name: np.full_like(part, np.nan) for name, part in answers(self, images, *scales).items()}

    monkeypatch.setattr(Predictor, "answers", broken)
    image = draw_lens(DrawnLens())[0]
    names = list(models.names)[:1]
    (answer,) = answers_for(models, names, image, 0.05)
    assert answer.refused == "the model's answer is not a number."
    table, silent = answer_table(models, names, [UploadedImage("lens.npy", image, 0.05)], [], None)
    assert silent == 1
    assert table["error"][0] == f"{names[0]}: the model's answer is not a number."
