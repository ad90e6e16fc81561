"""Scores of quantities equal scikit-learn's, count known truths only, and cover as they should."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from deeplense_hf.lens_metrics.regression_scores import regression_scores, weighted_regression_scores

NAMES = ("mass", "radius")


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truths = generator.normal([-23, 1.2], [0.5, 0.2], size=(300, 2))
    deviations = generator.uniform(0.05, 0.2, size=(300, 2))
    return truths, truths + deviations * generator.normal(size=(300, 2)), deviations


def test_equal_to_scikit_learn_under_weights(case: tuple[np.ndarray, ...]) -> None:
    truths, values, deviations = case
    weights = np.random.default_rng(1).integers(0, 4, size=(3, 300)).astype(float)
    scores = weighted_regression_scores(truths, values, deviations, weights, NAMES)
    for row in range(3):
        for column, name in enumerate(NAMES):
            arguments = truths[:, column], values[:, column]
            weight = {"sample_weight": weights[row]}
            assert scores[f"mae_{name}"][row] == pytest.approx(mean_absolute_error(*arguments, **weight))
            assert scores[f"rmse_{name}"][row] == pytest.approx(np.sqrt(mean_squared_error(*arguments, **weight)))
            assert scores[f"r2_{name}"][row] == pytest.approx(r2_score(*arguments, **weight))
    assert scores["r2"] == pytest.approx((scores["r2_mass"] + scores["r2_radius"]) / 2)


def test_coverage_of_true_uncertainties(case: tuple[np.ndarray, ...]) -> None:
    scores = regression_scores(*case, NAMES)
    assert scores["coverage_68"] == pytest.approx(0.68, abs=0.05)
    assert scores["coverage_95"] == pytest.approx(0.95, abs=0.03)
    assert scores["width_68_mass"] == pytest.approx(2 * 0.994458 * case[2][:, 0].mean())
    sure = regression_scores(case[0], case[1], case[2] / 10, NAMES)
    assert sure["coverage_68"] < 0.2


def test_unknown_truths_do_not_count(case: tuple[np.ndarray, ...]) -> None:
    truths, values, deviations = case
    some = truths.copy()
    some[100:, 1] = np.nan
    scores = regression_scores(some, values, deviations, NAMES)
    assert scores["mae_radius"] == pytest.approx(np.abs(values[:100, 1] - truths[:100, 1]).mean())
    some[:, 1] = np.nan
    assert regression_scores(some, values, deviations, NAMES)["mae_radius"] is None


def test_equal_truths_have_no_r2() -> None:
    scores = regression_scores([[1.0]] * 5, [[1.1]] * 5, [[0.1]] * 5, ["mass"])
    assert scores["r2_mass"] is None
    assert scores["bias_mass"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("values", "deviations", "message"),
    [
        ([[np.nan]], [[1.0]], "1 rows have an estimate that is not finite"),
        ([[1.0]], [[0.0]], "an uncertainty that is not positive"),
        ([[1.0], [2.0]], [[1.0]], "have shapes"),
    ],
)
def test_bad_rows_are_refused(values: list, deviations: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regression_scores([[1.0]], values, deviations, ["mass"])
