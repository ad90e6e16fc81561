"""A file means the same to the pipelines, the handler of an endpoint and `predict`; what they refuse, all refuse."""

import base64
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from transformers import pipeline

from deeplense_hf.hub.handler import EndpointHandler, reading_of
from deeplense_hf.inference.predict import PredictOptions, predict

GREY = np.random.default_rng(0).integers(1, 255, size=(40, 40)).astype(np.uint8)
IMAGE = GREY.astype(np.float32)
HOLES = np.where(np.eye(40) > 0, np.nan, IMAGE)
COLOUR = np.random.default_rng(1).integers(1, 255, size=(40, 40, 3)).astype(np.uint8)


def with_mass(path: Path) -> None:
    array = np.empty(2, dtype=object)
    array[:] = IMAGE, 1e-23
    np.save(path, array, allow_pickle=True)


def picture(mode: str) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(GREY).convert(mode).save(path)


def stack(path: Path) -> None:
    pages = [Image.fromarray(IMAGE)] * 5
    pages[0].save(path, save_all=True, append_images=pages[1:])


def array(values: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.save(path, values)


def units(*parts: Any) -> Callable[[Path], None]:
    return lambda path: fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(path)


# each the same image of one band
READ: dict[str, Callable[[Path], None]] = {
    "rows.npy": array(IMAGE),
    "band.npy": array(IMAGE[None]),
    "band_last.npy": array(IMAGE[..., None]),
    "batch.npy": array(IMAGE[None, None]),
    "flat.npy": array(IMAGE.ravel()),
    "big_endian.npy": array(IMAGE.astype(">f8")),
    "three_equal.npy": array(np.stack([IMAGE] * 3)),
    "l.png": picture("L"),
    "rgb.png": picture("RGB"),
    "rgba.png": picture("RGBA"),
    "la.png": picture("LA"),
    "float.tif": lambda path: Image.fromarray(IMAGE).save(path),
    "sixteen.png": lambda path: Image.fromarray(GREY.astype(np.uint16)).save(path),
    "after_a_row.fits": units(fits.ImageHDU(np.arange(100.0)), fits.ImageHDU(IMAGE)),
    "packed.fits.gz": units(fits.ImageHDU(IMAGE)),
    "tiles.fits.fz": units(fits.CompImageHDU(GREY.astype(np.int16), compression_type="RICE_1")),
    "four_axes.fits": units(fits.ImageHDU(IMAGE[None, None])),
}
# what none takes, and a word of the reason
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "colour.png": (lambda path: Image.fromarray(COLOUR).save(path), "3 band"),
    "blank.npy": (array(np.ones((40, 40))), "every pixel is 1"),
    "black.png": (lambda path: Image.new("L", (40, 40)).save(path), "every pixel is 0"),
    "nan.npy": (array(np.full((40, 40), np.nan)), "1600 of 1600 pixels are NaN or infinite"),
    "infinite.npy": (array(np.full((40, 40), np.inf)), "1600 of 1600 pixels are NaN or infinite"),
    "mostly.npy": (array(np.where(np.arange(40) > 9, np.nan, IMAGE)), "1200 of 1600 pixels are NaN or infinite, but"),
    "mask.fits": (units(fits.ImageHDU(np.ones((40, 40)), name="MASK")), "every pixel of its extension MASK is 1"),
    "small.npy": (array(IMAGE[:5, :5]), "shape (1, 5, 5) is too small, at least 8x8 pixels are needed"),
    "numbers.npy": (array(IMAGE[0]), "40 numbers in a row are no square image"),
    "picture.bmp": (picture("L"), ""),
    "picture.gif": (picture("L"), ""),
    "picture.webp": (picture("L"), ""),
}
# what `predict` answers for and the others refuse with a word on what to do
PREDICT_ONLY: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "mass.npy": (with_mass, 1, "install deeplense_hf and use its command predict"),
    "named.npz": (lambda path: np.savez(path, image=IMAGE), 1, "install deeplense_hf and use its command predict"),
    "many.npy": (array(np.stack([IMAGE] * 2)[:, None]), 2, "holds 2 images"),
    "stack.npy": (array(np.stack([IMAGE] * 20)), 20, "holds 20 images"),
    "stack.tif": (stack, 5, "holds several images; save its image alone as .npy, or install deeplense_hf and use its"),
}
NAME = "probability_cdm"


class Entries:
    """Three ways to ask one model about a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.explain = pipeline("lens-classification", model=str(folder))
        self.handler = EndpointHandler.__new__(EndpointHandler)
        self.handler.explain, self.handler.reading = self.explain, reading_of("deeplense_hf.models")

    def pipeline(self, path: Path) -> float | str:
        try:
            return float(self.explain(path)["scores"]["cdm"])
        except ValueError as error:
            return str(error)

    def endpoint(self, path: Path) -> float | str:
        try:
            return float(self.handler({"inputs": base64.b64encode(path.read_bytes()).decode()})["scores"]["cdm"])
        except ValueError as error:
            return str(error)

    def predicted(self, folder: Path) -> dict[str, list[float | str]]:
        """Answers or reasons for all files of a folder; of files that are left out, none."""
        output = folder.parent / "table.csv"
        predict(PredictOptions([str(self.folder)], [str(folder)], str(output), device="cpu"))
        found: dict[str, list[float | str]] = {}
        with output.open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(Path(row["path"]).name, []).append(row["error"] or float(row[NAME]))
        return found


@pytest.fixture
def entries(make_model: Callable[..., tuple[Any, Any]], tmp_path: Path) -> Entries:
    model, processor = make_model(spread=20)
    processor.num_channels = 1
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    return Entries(tmp_path / "model")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


def test_every_form_of_an_image_gives_the_same_answer(entries: Entries, folder: Path) -> None:
    for name, write in READ.items():
        write(folder / name)
    expected = float(entries.explain(IMAGE)["scores"]["cdm"])
    predicted = entries.predicted(folder)
    for name in READ:
        answers = [entries.pipeline(folder / name), entries.endpoint(folder / name), *predicted[name]]
        assert answers == [pytest.approx(expected, abs=1e-5)] * 3, name


def test_missing_pixels_are_answered_for(entries: Entries, folder: Path) -> None:
    np.save(folder / "holes.npy", HOLES)
    (predicted,) = entries.predicted(folder)["holes.npy"]
    filled = np.where(np.isnan(HOLES), np.nanmedian(HOLES), HOLES)
    expected = pytest.approx(float(entries.explain(filled)["scores"]["cdm"]), abs=1e-4)
    assert [entries.pipeline(folder / "holes.npy"), entries.endpoint(folder / "holes.npy"), predicted] == [expected] * 3


def test_what_one_refuses_all_refuse(entries: Entries, folder: Path) -> None:
    READ["rows.npy"](folder / "rows.npy")
    for name, (write, _) in REFUSED.items():
        write(folder / name)
    predicted = entries.predicted(folder)
    for name, (_, reason) in REFUSED.items():
        # by its ending `predict` leaves out what is no image file for it
        answers = [entries.pipeline(folder / name), entries.endpoint(folder / name), *predicted.get(name, [""])]
        assert len(answers) == 3
        assert all(isinstance(answer, str) and reason in answer for answer in answers), (name, answers)
        assert (name in predicted) == bool(reason)


def test_what_only_predict_reads_is_refused_with_a_word_on_what_to_do(entries: Entries, folder: Path) -> None:
    for name, (write, _, _) in PREDICT_ONLY.items():
        write(folder / name)
    expected = pytest.approx(float(entries.explain(IMAGE)["scores"]["cdm"]), abs=1e-5)
    predicted = entries.predicted(folder)
    for name, (_, images, word) in PREDICT_ONLY.items():
        assert predicted[name] == [expected] * images
        for answer in (entries.pipeline(folder / name), entries.endpoint(folder / name)):
            assert isinstance(answer, str), name
            assert word in answer


def test_the_handler_takes_what_is_base64_and_not_too_large(entries: Entries, folder: Path) -> None:
    np.save(folder / "image.npy", IMAGE)
    content = (folder / "image.npy").read_bytes()
    text = base64.b64encode(content).decode()
    safe = base64.urlsafe_b64encode(content).decode().rstrip("=")
    answers = entries.handler({"inputs": [text, safe, f"data:application/octet-stream;base64,{text}"]})
    assert answers[0]["scores"] == answers[1]["scores"] == answers[2]["scores"]
    for wrong in ("/etc/passwd", "https://host/image.png", "?" * 200):
        with pytest.raises(ValueError, match="is not valid base64 of an image"):
            entries.handler({"inputs": wrong})
        assert "is not valid base64 of an image" in entries.handler({"inputs": [wrong, text]})[0]["error"]
    for size, mode, reason in (
        ((8000, 8000), "1", "it has 8000 x 8000 pixels; cut the lens out"),
        ((2049, 8), "L", "a side of 2049 pixels, more than 2048"),
    ):
        picture = Image.new(mode, size)
        picture.putpixel((3, 3), 1)
        picture.save(folder / "large.png")
        text = base64.b64encode((folder / "large.png").read_bytes()).decode()
        for form in (text, base64.b64decode(text), Image.open(folder / "large.png")):
            with pytest.raises(ValueError, match=reason if isinstance(form, str | bytes) else "more than 2048"):
                entries.handler({"inputs": form})


def test_the_handler_takes_the_body_of_a_request(entries: Entries, folder: Path) -> None:
    Image.fromarray(GREY).save(folder / "grey.png")
    content = (folder / "grey.png").read_bytes()
    expected = pytest.approx(entries.explain(IMAGE)["scores"], abs=1e-5)
    # the endpoint makes colours of 8 bits of a picture
    for form in (content, bytearray(content), Image.open(folder / "grey.png"), Image.fromarray(GREY).convert("RGB")):
        assert entries.handler({"inputs": form})["scores"] == expected
    good, bad = entries.handler({"inputs": [content, b"nothing"]})
    assert good["scores"] == expected
    assert "the image is not a readable image" in bad["error"]
    with pytest.raises(ValueError, match="the request must be a mapping with inputs, not bytes"):
        entries.handler(content)
    for form, reason in ((b"", "is empty"), (bytes(48 * 2**20 + 1), "50331649 bytes; at most 50331648 are taken")):
        with pytest.raises(ValueError, match=reason):
            entries.handler({"inputs": form})
