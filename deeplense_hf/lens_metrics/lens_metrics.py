"""`LensMetrics`: the scores of lens classification as a module of Hugging Face `evaluate`, usable offline."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

# evaluate.load copies this file and the siblings it names, but not theirs: every sibling is imported here
from .bootstrap import bootstrap_intervals
from .classification_scores import classification_scores

_DESCRIPTION = """
Scores of a classifier of strong gravitational lenses from class probabilities: macro one-versus-rest ROC AUC,
ROC AUC and average precision of every class, accuracy, expected calibration error (15 bins) and log loss; on
request with 95% bootstrap intervals that resample lens systems.
"""

_INPUTS = """
Args:
    references: True class indices.
    prediction_scores: Probabilities, one list of `classes` numbers a row.
    class_names: Names in the order of the columns, used in `roc_auc_<class>`; 0, 1, ... when absent.
    bootstrap_samples: Resamples for the intervals; 0 leaves them out.
    system_ids: Lens system of each row; rows of one system are resampled together.
    seed: Seed of the resamples.

Returns:
    roc_auc, roc_auc_<class>, accuracy, average_precision, average_precision_<class>,
    expected_calibration_error, log_loss, and with bootstrap_samples each with the suffixes _low and _high. A
    class without rows has None.
"""

_CITATION = """
@article{fawcett2006roc, title={An introduction to ROC analysis}, author={Fawcett, Tom},
  journal={Pattern Recognition Letters}, volume={27}, pages={861--874}, year={2006}}
@inproceedings{guo2017calibration, title={On Calibration of Modern Neural Networks},
  author={Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.}, booktitle={ICML}, year={2017}}
"""


class LensMetrics(evaluate.Metric):
    """Scores of lens classification as an `evaluate` metric.

    >>> metric = LensMetrics(keep_in_memory=True)
    >>> rows = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]]
    >>> names = ["no_sub", "cdm", "axion"]
    >>> scores = metric.compute(references=[0, 1, 2], prediction_scores=rows, class_names=names)
    >>> scores["roc_auc"], scores["roc_auc_cdm"]
    (1.0, 1.0)

    It works without internet by import and by `evaluate.load(".../deeplense_hf/lens_metrics")`.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "references": datasets.Value("int64"),
                    "prediction_scores": datasets.List(datasets.Value("float64")),
                }
            ),
        )

    def _compute(
        self,
        references: Sequence[int],
        prediction_scores: Sequence[Sequence[float]],
        class_names: Sequence[str] | None = None,
        bootstrap_samples: int = 0,
        system_ids: Sequence[str] | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Compute the scores of everything that was added.

        Raises:
            ValueError: If rows are ragged, or refused by `classification_scores` or `bootstrap_intervals`.
        """
        lengths = {len(row) for row in prediction_scores}
        if len(lengths) > 1:
            raise ValueError(f"prediction_scores has rows of {sorted(lengths)} classes; give every row the same.")
        labels = np.asarray(references, dtype=np.int64)
        scores = np.asarray(prediction_scores, dtype=np.float64)
        values: dict[str, Any] = dict(classification_scores(labels, scores, class_names))
        if bootstrap_samples:
            intervals = bootstrap_intervals(
                labels, scores, class_names, system_ids=system_ids, samples=bootstrap_samples, seed=seed
            )
            for name, (low, high) in intervals.items():
                values[f"{name}_low"], values[f"{name}_high"] = low, high
        return values
