"""Answers that do not depend on the orientation of an image, by averaging and by construction."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageClassification, PreTrainedModel

from deeplense_hf.models import AutoModelForImageRegression
from deeplense_hf.models.equivariant import EquivariantStem
from deeplense_hf.models.presets import build_config
from deeplense_hf.models.symmetry import ORIENTATIONS, filter_indices, orient, symmetrised

EQUIVARIANT = {"stem": "equivariant", "symmetry": "equivariant", "window_size": 8, "residual_init": "normal"}


def make(preset: str, auto_class: Any = AutoModelForImageClassification, **options: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    if "swin" not in preset:
        options.pop("window_size", None)
    model = auto_class.from_config(build_config(preset, image_size=32, num_labels=3, **options))
    for name, weight in model.named_parameters():
        # tables and norms that start equal would make every network symmetric
        if weight.ndim == 1 or "position" in name:
            torch.nn.init.normal_(weight, 1.0, 0.3)
    # running statistics that differ between orientations, as training leaves them
    model.train()(torch.randn(16, 1, 32, 32))
    return model.eval()


def spread(model: PreTrainedModel, images: torch.Tensor, **options: Any) -> float:
    with torch.no_grad():
        answers = torch.stack([model(orient(images, number), **options)[0] for number in range(ORIENTATIONS)])
    assert answers[0].std() > 1e-2, "the images differ"
    return float((answers - answers[0]).abs().max())


@pytest.mark.parametrize("preset", ["deeplense-swin-test", "deeplense-vit-test"])
@pytest.mark.parametrize("options", [EQUIVARIANT, {"symmetry": "average"}], ids=["equivariant", "average"])
def test_answers_do_not_depend_on_the_orientation(preset: str, options: dict[str, Any], tmp_path: Path) -> None:
    model, images = make(preset, **options), torch.randn(4, 1, 32, 32)
    assert spread(model, images) < 1e-5
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    assert spread(loaded, images) < 1e-5
    with torch.no_grad():
        torch.testing.assert_close(loaded(images).logits, model(images).logits)


@pytest.mark.parametrize(
    ("preset", "fitting", "unfitting"),
    [
        ("deeplense-swin-test", [(8, 8), (24, 24), (16, 32)], [(4, 4), (33, 33), (36, 36), (40, 40), (32, 64)]),
        ("deeplense-vit-test", [(4, 4), (36, 36), (44, 32)], [(3, 3), (33, 33), (34, 34), (32, 30)]),
    ],
)
def test_equivariance_is_exact_or_refused_at_other_sizes(
    preset: str, fitting: list[tuple[int, int]], unfitting: list[tuple[int, int]]
) -> None:
    model = make(preset, **EQUIVARIANT)
    for size in fitting:
        assert spread(model, torch.randn(4, 1, *size), interpolate_pos_encoding=True) < 1e-5
    for height, width in unfitting:
        with pytest.raises(
            ValueError, match=f"each a multiple of {model.config.output_stride} pixels.*{height}x{width}"
        ):
            model(torch.randn(1, 1, height, width), interpolate_pos_encoding=True)


def test_without_symmetry_answers_depend_on_the_orientation() -> None:
    assert spread(make("deeplense-swin-test"), torch.randn(4, 1, 32, 32)) > 1e-4


def test_a_regression_can_be_averaged_too() -> None:
    model = make("deeplense-vit-test", AutoModelForImageRegression, symmetry="average")
    assert spread(model, torch.randn(4, 1, 32, 32)) < 1e-5


def test_tokens_of_an_equivariant_stem_turn_with_the_image() -> None:
    torch.manual_seed(0)
    stem = EquivariantStem(build_config("deeplense-swin-test", stem="equivariant"), 12).eval()
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        tokens = stem(images)
        for number in range(ORIENTATIONS):
            torch.testing.assert_close(stem(orient(images, number)), orient(tokens, number))


def test_orientations_are_a_group() -> None:
    square = torch.arange(9.0).view(3, 3)
    all_eight = {tuple(orient(square, number).flatten().tolist()) for number in range(ORIENTATIONS)}
    assert len(all_eight) == ORIENTATIONS
    assert all(len(set(row)) == 8 * 9 for row in filter_indices(3, lifted=True).tolist())
    table = symmetrised(torch.randn(2, 5, 5))
    for number in range(ORIENTATIONS):
        torch.testing.assert_close(orient(table, number), table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symmetry": "equivariant"}, "needs stem='equivariant'"),
        ({**EQUIVARIANT, "window_size": 4}, r"at most 16 \(one window\), not 32x32"),
        ({**EQUIVARIANT, "image_size": 36}, "multiple of 8 pixels and at most 32 .*, not 36x36"),
        ({**EQUIVARIANT, "stem_channels": (12, 12)}, "multiples of 8"),
        ({"symmetry": "average", "image_size": (32, 40)}, "needs square images"),
        ({"symmetry": "none at all"}, "symmetry='none at all' is not one of"),
    ],
)
def test_what_prefers_a_side_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_config("deeplense-swin-test", **{"image_size": 32, **options})


@pytest.mark.parametrize("stem", ["inverted", "equivariant"])
def test_other_stems_take_any_number_of_bands(stem: str) -> None:
    for preset in ("deeplense-swin-test", "deeplense-vit-test"):
        model = AutoModelForImageClassification.from_config(
            build_config(preset, image_size=32, num_channels=3, stem=stem)
        )
        model(torch.randn(2, 3, 32, 32), labels=torch.tensor([0, 1])).loss.backward()
        assert all(weight.grad is not None for weight in model.parameters())
