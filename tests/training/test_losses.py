"""Losses: the known ones are torch's, the others do what they are for; all have gradients."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from deeplense_hf.tasks.registry import TASKS
from deeplense_hf.training.losses import LOSSES, WITHOUT_VARIANCES, LossSettings

REGRESSION = LossSettings(target_mean=(2.0, -1.0), target_std=(0.5, 3.0))


def classes(count: int = 6) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, 3, generator=generator, requires_grad=True)
    return {"logits": logits}, torch.arange(count) % 3


def quantities(count: int = 6) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs = {
        name: torch.randn(count, 2, generator=generator, requires_grad=True)
        for name in ("standardised", "log_variances")
    }
    targets = torch.randn(count, 2, generator=generator) * 2
    targets[0] = torch.nan
    targets[1, 0] = torch.nan
    return outputs, targets


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_one_finite_number_per_image_with_gradients(name: str) -> None:
    outputs: dict[str, Any]
    outputs, labels = quantities() if name in TASKS["regression"].losses else classes()
    if name == "reconstruction":
        outputs = {"loss": outputs["logits"].square().mean()}
    losses = LOSSES[name](outputs, labels, REGRESSION)
    assert losses.shape == ((1,) if name == "reconstruction" else (6,))
    assert torch.isfinite(losses).all()
    losses.mean().backward()
    key = {"reconstruction": None}.get(name, next(iter(outputs)))
    assert key is None or outputs[key].grad.abs().sum() > 0


def test_every_task_names_losses_that_exist() -> None:
    assert {loss for task in TASKS.values() for loss in task.losses} == set(LOSSES)
    assert set(WITHOUT_VARIANCES) < set(LOSSES)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, (0.5, 1.0, 1.5)])
def test_cross_entropy_is_that_of_torch(smoothing: float, weights: tuple[float, ...] | None) -> None:
    outputs, labels = classes()
    settings = LossSettings(label_smoothing=smoothing, class_weights=weights if not smoothing else None)
    expected = functional.cross_entropy(
        outputs["logits"],
        labels,
        weight=None if settings.class_weights is None else torch.tensor(settings.class_weights),
        label_smoothing=smoothing,
        reduction="none",
    )
    torch.testing.assert_close(LOSSES["cross_entropy"](outputs, labels, settings), expected)


def test_without_teachers_both_classifiers_learn_from_labels() -> None:
    class_logits, distillation_logits = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    logits = (class_logits + distillation_logits) / 2
    outputs = {"logits": logits, "class_logits": class_logits, "distillation_logits": distillation_logits}
    labels = torch.tensor([0, 1, 2, 0])
    alone = LOSSES["cross_entropy"](outputs, labels, LossSettings())
    torch.testing.assert_close(alone, functional.cross_entropy(logits, labels, reduction="none"))
    taught = LOSSES["cross_entropy"](outputs, labels, LossSettings(has_teachers=True))
    torch.testing.assert_close(taught, functional.cross_entropy(class_logits, labels, reduction="none"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mixed", [False, True])
def test_weights_balance_classes_under_smoothing_and_mixing(smoothing: float, mixed: bool) -> None:
    # one image of the rare class for nine of the other, weighed so that both count alike
    labels = torch.tensor([0] * 9 + [1])
    if mixed:
        shares = functional.one_hot(labels, 2).float()
        labels = torch.cat([0.7 * shares + 0.3 * shares.roll(1, 0), 0.7 * shares + 0.3 * shares.roll(5, 0)])
    settings = LossSettings(label_smoothing=smoothing, class_weights=(10 / 18, 10 / 2))
    logits = torch.zeros(2, requires_grad=True)
    outputs = {"logits": logits.expand(len(labels), 2), "class_logits": None}
    LOSSES["cross_entropy"](outputs, labels, settings).mean().backward()
    # an answer of one half each is the best constant one
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_shares_of_classes_are_a_mean_of_labels() -> None:
    outputs, labels = classes()
    shares = 0.7 * functional.one_hot(labels, 3) + 0.3 * functional.one_hot((labels + 1) % 3, 3)
    cross_entropy = LOSSES["cross_entropy"]
    expected = 0.7 * cross_entropy(outputs, labels, REGRESSION) + 0.3 * cross_entropy(
        outputs, (labels + 1) % 3, REGRESSION
    )
    torch.testing.assert_close(cross_entropy(outputs, shares, REGRESSION), expected)


def test_focal_and_asymmetric_losses_forgive_what_is_easy() -> None:
    easy, hard = torch.tensor([[4.0, 0.0]]), torch.tensor([[-1.0, 0.0]])
    label = torch.tensor([0])
    plain, focal = ({k: LOSSES[n]({"logits": v}, label, LossSettings()) for k, v in (("easy", easy), ("hard", hard))}
                    for n in ("cross_entropy", "focal"))  # fmt: skip
    assert focal["easy"] / plain["easy"] < 1e-3
    assert focal["hard"] / plain["hard"] > 0.5
    same = LossSettings(focal_gamma=0.0)
    torch.testing.assert_close(LOSSES["focal"]({"logits": hard}, label, same), plain["hard"])
    # a class that is rightly excluded beyond the margin adds nothing
    torch.testing.assert_close(LOSSES["asymmetric"]({"logits": easy}, label, LossSettings()), plain["easy"])
    assert LOSSES["asymmetric"]({"logits": hard}, label, LossSettings()) > plain["hard"]


def test_gaussian_loss_is_that_of_torch() -> None:
    outputs, labels = quantities()
    standard = REGRESSION.standardised(labels)
    expected = functional.gaussian_nll_loss(
        outputs["standardised"][2:], standard[2:], outputs["log_variances"][2:].exp(), reduction="none"
    ).mean(dim=1)
    found = LOSSES["gaussian_nll"](outputs, labels, REGRESSION)
    torch.testing.assert_close(found[2:], expected)
    assert found[0] == 0, "nothing is known of the first image"


@pytest.mark.parametrize("name", TASKS["regression"].losses)
def test_unknown_targets_have_no_gradient(name: str) -> None:
    outputs, labels = quantities()
    LOSSES[name](outputs, labels, REGRESSION).sum().backward()
    gradient = outputs["standardised"].grad
    assert not gradient[0].any()
    assert gradient[1, 0] == 0
    assert gradient[1, 1] != 0
