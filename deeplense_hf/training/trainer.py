"""`Trainer` with the project's losses, samplers, teachers and averaged weights, and without its model card."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import EarlyStoppingCallback, Trainer
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from .averaging import MovingAverage
from .batches import IMAGES, PIXEL_SCALES, ROWS, smaller_images
from .callbacks import EpochLogCallback, MovingAverageCallback, SharedLossesCallback, share_losses
from .checkpoints import save_settings
from .distillation import Teachers, distillation_loss
from .losses import Loss, LossSettings


@dataclass(frozen=True)
class TrainingMethod:
    """How the weights are found, beyond what `TrainingArguments` say.

    Attributes:
        loss: Loss of single images.
        output_keys: Fields of a model's output that are scored.
        loss_settings: What the loss needs.
        sampler: Order of the training images; random when absent.
        keeps_losses: Whether the sampler wants the loss of every image.
        image_side: Shorter side of training images [pixels], from the share of the steps that are done; as the
            processor makes them when absent.
        parameter_groups: Groups of the optimiser, from model, learning rate and weight decay; those of `Trainer` when
            absent.
        keep_frozen: Puts frozen layers back into evaluation mode before each step.
        ema_decay: Decay of the moving average of the weights; none when absent.
        teachers: Whose probabilities are learnt too.
        distillation_weight: Share of the loss that they decide.
        distillation_temperature: Temperature of the probabilities.
    """

    loss: Loss
    output_keys: tuple[str, ...]
    loss_settings: LossSettings = field(default_factory=LossSettings)
    sampler: Any = None
    keeps_losses: bool = False
    image_side: Callable[[float], int] | None = None
    parameter_groups: Callable[[Any, float, float], list[dict[str, Any]]] | None = None
    keep_frozen: Callable[[Any], None] | None = None
    ema_decay: float | None = None
    teachers: Teachers | None = None
    distillation_weight: float = 0.5
    distillation_temperature: float = 2.0


class LensTrainer(Trainer):
    """`transformers.Trainer` for lens images; takes the same arguments, and `method`.

    Args:
        *arguments: As of `Trainer`.
        method: How the weights are found.
        **options: As of `Trainer`.

    Raises:
        ValueError: If averaged weights are asked for where weights are sharded.
    """

    # every loss here is a mean over the images of a batch
    loss_is_scaled_for_ga = False

    def __init__(self, *arguments: Any, method: TrainingMethod, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.method = method
        self.average: MovingAverage | None = None
        if method.ema_decay is not None:
            if self.is_fsdp_enabled or self.is_deepspeed_enabled:
                raise ValueError("ema_decay cannot average weights that FSDP or DeepSpeed shards; leave it out.")
            whole: Any = self.model
            self.average = MovingAverage(whole, method.ema_decay)
            self.add_callback(MovingAverageCallback(self.average))
        if method.keeps_losses:
            self.add_callback(SharedLossesCallback(method.sampler))
        for callback in (ProgressCallback, PrinterCallback):
            self.remove_callback(callback)
        if not self.args.disable_tqdm:
            self.add_callback(EpochLogCallback)

    def _get_train_sampler(
        self, train_dataset: torch.utils.data.Dataset | None = None
    ) -> torch.utils.data.Sampler | None:
        """Read images in the order of the method's sampler, where it has one."""
        return super()._get_train_sampler(train_dataset) if self.method.sampler is None else self.method.sampler

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Make the optimiser, with the method's groups of parameters where it has some."""
        make_groups = self.method.parameter_groups
        if self.optimizer is None and make_groups is not None:
            target: Any = self.model if model is None else model
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, target)
            rate = options.pop("lr", self.args.learning_rate)
            groups = make_groups(target, rate, self.args.weight_decay)
            self.optimizer = optimizer_class(groups, lr=rate, **options)
        return super().create_optimizer(model)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Compute the mean loss of a batch.

        Args:
            model: The model, maybe wrapped.
            inputs: `pixel_values`, `labels` where there are targets, and what the method needs.
            return_outputs: Whether outputs are returned too.
            num_items_in_batch: Not used; losses are means over images.

        Returns:
            The loss, or the loss and the outputs.
        """
        method = self.method
        inputs = dict(inputs)
        labels = inputs.pop("labels", None)
        rows, images, scales = (inputs.pop(name, None) for name in (ROWS, IMAGES, PIXEL_SCALES))
        if model.training and method.keep_frozen is not None:
            method.keep_frozen(self.accelerator.unwrap_model(model, keep_torch_compile=False))
        if model.training and method.image_side is not None:
            # by the step, not the epoch, so that one long epoch has all sizes; images that are only watched stay whole
            side = method.image_side(self.state.global_step / max(1, self.state.max_steps))
            inputs |= smaller_images(inputs["pixel_values"], side)
        outputs = model(**inputs)
        losses = method.loss(outputs, labels, method.loss_settings)
        if model.training and rows is not None:
            method.sampler.record(rows.cpu().numpy(), losses.detach().float().cpu().numpy())
        loss = losses.mean()
        if model.training and method.teachers is not None and images is not None:
            teacher = method.teachers.probabilities(images, scales, method.distillation_temperature)
            distilled = distillation_loss(outputs, teacher, method.distillation_temperature).mean()
            loss = (1 - method.distillation_weight) * loss + method.distillation_weight * distilled
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor | None, Any, torch.Tensor | None]:
        """Evaluate a batch; unlike in `Trainer`, there is a loss where there are no targets too.

        Args:
            model: The model, maybe wrapped.
            inputs: As of `compute_loss`.
            prediction_loss_only: Whether outputs are left out.
            ignore_keys: Not used; the task names the outputs that are scored.

        Returns:
            The loss, the outputs `output_keys` and the targets.
        """
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
        if prediction_loss_only:
            return loss.detach(), None, None
        return loss.detach(), tuple(outputs[key].detach() for key in self.method.output_keys), inputs.get("labels")

    def evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        """Evaluate, while training with averaged weights where they are kept; see `Trainer`."""
        with self._averaged():
            return super().evaluate(*arguments, **options)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights that `evaluate` would look at; see `Trainer`."""
        with self._averaged():
            super().save_model(output_dir, _internal_call)

    def _averaged(self) -> AbstractContextManager[None]:
        """Return a context in which the model has the averaged weights; after training it has them anyway."""
        if self.average is None or not self.average.steps or not self.is_in_train:
            return nullcontext()
        return self.average.in_place()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Save what resuming needs; the project's own state first, since a checkpoint with an optimizer is complete."""
        if self.method.keeps_losses:
            share_losses(self.method.sampler, self.args.world_size)
        if self.args.should_save:
            save_settings(Path(output_dir), self.args)
            if self.average is not None:
                self.average.save_raw_weights(Path(output_dir))
            if self.method.keeps_losses:
                self.method.sampler.save(Path(output_dir))
        super()._save_optimizer_and_scheduler(output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        """Load the weights of a checkpoint; see `Trainer`."""
        if not self._load_renamed(Path(resume_from_checkpoint)):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_renamed(self, checkpoint: Path) -> bool:
        """Load weights that `save_pretrained` wrote under other names than the model's own; tell if there are some.

        Swin and other models of transformers are saved under the names of their first release. `Trainer` looks for
        their present names, and goes on with whatever weights the model has where it finds none.
        """
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return False
        model: Any = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        with safe_open(checkpoint / "model.safetensors", framework="pt") as weights:
            if set(weights.keys()) >= set(model.state_dict()):
                return False
        loaded = type(model).from_pretrained(checkpoint, config=model.config, dtype=torch.float32)
        model.load_state_dict(loaded.state_dict())
        return True

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load what resuming needs."""
        if checkpoint is not None:
            if self.average is not None:
                self.average.resume(Path(checkpoint))
            if self.method.keeps_losses:
                self.method.sampler.load(Path(checkpoint))
        super()._load_optimizer_and_scheduler(checkpoint)

    def _load_best_model(self) -> None:
        """Load the best checkpoint; of averaged weights it holds the average, which was what was best."""
        best = Path(str(self.state.best_model_checkpoint))
        if not self._load_renamed(best):
            super()._load_best_model()
        if self.average is not None:
            self.average.adopt(self.average.steps)

    def _run_epoch(self, *arguments: Any, **options: Any) -> None:
        """Train an epoch; nothing where training is over, as after a kill between its last step and its end."""
        no_patience = options.get("resume_from_checkpoint") is not None and any(
            callback.early_stopping_patience_counter >= callback.early_stopping_patience
            for callback in self.callback_handler.callbacks
            if isinstance(callback, EarlyStoppingCallback)
        )
        if no_patience or self.state.global_step >= self.state.max_steps:
            # transformers would do one step more before it looks
            self.control.should_training_stop = True
            return
        super()._run_epoch(*arguments, **options)

    def train(self, *arguments: Any, **options: Any) -> Any:
        """Train; ends with the averaged weights where they are kept. See `Trainer`."""
        if self.average is not None:
            self.average.adopt(steps=0)
        output = super().train(*arguments, **options)
        if self.average is not None and self.average.steps:
            self.average.apply()
        return output

    def create_model_card(self, *arguments: Any, **options: Any) -> None:
        """Leave README.md alone: the one `Trainer` writes says "fine-tuned from" nothing and has no licence."""
