"""Distillation: learn the probabilities of trained models beside the labels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.tasks.classification import ClassificationTask
from deeplense_hf.tasks.task import Task


class Teachers:
    """Trained classifiers, of any family and size, whose mean probability is learnt.

    Every teacher sees the augmented raw image through its own processor, so its crop, size and stretch may differ from
    the student's.

    Args:
        names: Model folders or Hub ids.
        task: What the student learns.
        bands: Bands of the images.
        device: Where teachers compute.

    Raises:
        ValueError: If a teacher answers another task, has other classes or takes other images.
        OSError: If a teacher cannot be found.

    Source:
        Hinton et al. (2015), arXiv:1503.02531; the token: Touvron et al. (2021), arXiv:2012.12877. For several teachers
        their probabilities are averaged (You et al. 2017).
    """

    def __init__(self, names: Sequence[str], task: Task, bands: int, device: torch.device) -> None:
        if not isinstance(task, ClassificationTask):
            raise ValueError(f"teachers teach classes, and the task is {task.name}; leave out --teachers.")
        self.predictors = [Predictor.from_pretrained(name, device) for name in names]
        self.orders = []
        for name, predictor in zip(names, self.predictors, strict=True):
            task.check_model(predictor.model.config, name)
            if not hasattr(predictor.processor, "process_batch"):
                raise ValueError(f"teacher '{name}' has no DeepLenseImageProcessor, so it cannot see raw images.")
            predictor.check_bands(bands, f"an image for teacher '{name}'", "choose a teacher of these bands")
            predictor.model.requires_grad_(False)
            self.orders.append([predictor.class_names.index(class_name) for class_name in task.class_names])

    @torch.no_grad()
    def probabilities(self, images: Tensor, pixel_scale: Tensor | None, temperature: float) -> Tensor:
        """Ask all teachers.

        Args:
            images: Raw images, `(batch, bands, height, width)`.
            pixel_scale: Their pixel scales [arcsec/pixel], `(batch,)`, if known.
            temperature: What logits are divided by.

        Returns:
            Mean probabilities in the order of the student's classes, `(batch, classes)`.
        """
        answers = []
        for predictor, order in zip(self.predictors, self.orders, strict=True):
            pixels = predictor.processor.process_batch(images.to(predictor.device), pixel_scale)
            logits = predictor.model(pixel_values=pixels.to(predictor.model.dtype)).logits.float()
            answers.append(F.softmax(logits[:, order] / temperature, dim=-1))
        return torch.stack(answers).mean(dim=0)


def distillation_loss(outputs: Any, teacher: Tensor, temperature: float) -> Tensor:
    """Compute how far a student's probabilities are from its teachers'.

    Args:
        outputs: The student's output; with a distillation token its `distillation_logits` learn, else its `logits`.
        teacher: The teachers' probabilities at the same temperature, `(batch, classes)`.
        temperature: What the student's logits are divided by.

    Returns:
        Kullback-Leibler divergence times the squared temperature, so that its gradient does not depend on it,
        `(batch,)` [nat].

    Source:
        Hinton et al. (2015), arXiv:1503.02531, section 2.1.
    """
    logits = outputs.get("distillation_logits")
    logits = (outputs["logits"] if logits is None else logits).float()
    student = F.log_softmax(logits / temperature, dim=-1)
    return F.kl_div(student, teacher, reduction="none").sum(dim=-1) * temperature**2
