"""The tasks by name, and the task of a trained model."""

from typing import Any

from .anomaly_detection import AnomalyDetectionTask
from .classification import ClassificationTask, LensFindingTask
from .masked_image_modeling import MaskedImageModelingTask
from .regression import RegressionTask
from .task import Task

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        ClassificationTask,
        LensFindingTask,
        RegressionTask,
        AnomalyDetectionTask,
        MaskedImageModelingTask,
    )
}


def task_of_model(config: Any) -> Task:
    """Tell what a trained model answers.

    Args:
        config: Its configuration; a stock classifier of transformers names no task.

    Returns:
        The task.

    Raises:
        ValueError: If the configuration names a task that does not exist, or is of a classifier of several labels.
    """
    name = getattr(config, "task", None) or ClassificationTask.name
    if name not in TASKS:
        raise ValueError(f"the model's task is '{name}', but the tasks are {', '.join(TASKS)}.")
    kind = getattr(config, "problem_type", None)
    if issubclass(TASKS[name], ClassificationTask) and kind not in (None, "single_label_classification"):
        raise ValueError(f"the model's problem_type is '{kind}', but only single-label classifiers are supported.")
    return TASKS[name].from_config(config)
