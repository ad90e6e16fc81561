"""`TrainingArguments` with the defaults of the main job; importing this module imports torch and transformers."""

from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

import torch
from transformers import TrainingArguments

DEFAULT_OUTPUT_DIR = "outputs/main_job"
# what decides the weights beside the data: a run is repeated with it after a default has changed, too
_DECISIVE = (
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate",
    "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm", "optim", "adam_beta1", "adam_beta2",
    "adam_epsilon", "label_smoothing_factor", "seed",
)  # fmt: skip


@dataclass
class LensTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with other defaults, and bfloat16 wherever the processor has it."""

    output_dir: str | None = field(
        default=None,
        metadata={"help": f"folder of the model, metrics, figures, checkpoints; else {DEFAULT_OUTPUT_DIR}[-N]"},
    )
    num_train_epochs: float = field(default=4.0, metadata={"help": "passes over the training images"})
    per_device_train_batch_size: int = field(default=64, metadata={"help": "images per step and process"})
    per_device_eval_batch_size: int = field(default=128, metadata={"help": "images per evaluation step and process"})
    # 0.005 in AUC ahead of 2e-3 on average of three seeds; at 4e-3 little is learnt (benchmarks/ablation.py)
    learning_rate: float = field(default=1e-3, metadata={"help": "peak learning rate"})
    weight_decay: float = field(default=0.05, metadata={"help": "decoupled weight decay"})
    warmup_steps: float = field(default=0.05, metadata={"help": "warm-up; below 1 a fraction of all steps"})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "learning-rate schedule"})
    max_grad_norm: float = field(default=1.0, metadata={"help": "norm the gradient is clipped to"})
    eval_strategy: str = field(default="epoch", metadata={"help": "when the validation split is evaluated"})
    save_strategy: str = field(default="epoch", metadata={"help": "when a checkpoint is written"})
    save_total_limit: int | None = field(default=2, metadata={"help": "checkpoints kept, the best one always"})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "end with the best checkpoint"})
    metric_for_best_model: str | None = field(
        default=None, metadata={"help": "validation metric of the best model; that of the task when absent"}
    )
    logging_strategy: str = field(default="epoch", metadata={"help": "when the loss is logged"})
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "a resumed run goes on with the patience that early stopping had left"}
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "leave False: batches have no columns"})
    dataloader_num_workers: int | None = field(  # type: ignore[assignment]
        default=None,
        metadata={"help": "processes that load images; when absent every core for simulate:RECIPE, else none of them"},
    )
    seed: int = field(default=0, metadata={"help": "seed of weights, order and augmentation"})
    bf16: bool | None = field(  # type: ignore[assignment]
        default=None, metadata={"help": "bfloat16 arithmetic; where the processor has it when absent"}
    )

    def __post_init__(self) -> None:
        """Fill in what depends on the machine.

        Raises:
            ValueError: If `TrainingArguments` refuses a value, or a share lies outside its range.
        """
        if not 0 <= self.label_smoothing_factor <= 1:
            raise ValueError(f"label_smoothing_factor={self.label_smoothing_factor} must be from 0 to 1.")
        # a second instance to compare with would reset accelerate's state
        self._given = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.init and getattr(self, entry.name) != _default_of(entry)
        }
        self._decisive = {name: getattr(self, name) for name in _DECISIVE}
        self.output_dir_is_default = self.output_dir is None
        if self.output_dir is None:
            self.output_dir = DEFAULT_OUTPUT_DIR
        self.workers_are_default = self.dataloader_num_workers is None
        if self.dataloader_num_workers is None:
            self.dataloader_num_workers = 0
        self.metric_is_default = self.metric_for_best_model is None
        if not torch.accelerator.is_available():
            # without being told, transformers refuses bfloat16 where there is nothing but a CPU
            self.use_cpu = True
        if self.bf16 is None:
            self.bf16 = not self.fp16 and has_bfloat16(self.use_cpu)
        if self.use_cpu:
            # pinning serves copies to an accelerator; without one torch only warns
            self.dataloader_pin_memory = False
        super().__post_init__()

    def changed(self) -> dict[str, Any]:
        """Return the arguments that were given another value than their default.

        Returns:
            Values as given, before anything was derived from the machine.
        """
        return dict(self._given)

    def to_repeat(self) -> dict[str, Any]:
        """Return the arguments with which a run is repeated: those that were changed, and those that decide weights.

        Returns:
            Values as given, or defaults of now. Of steps and epochs, those that end the run.
        """
        values = {**self._decisive, **self._given}
        del values["num_train_epochs" if self._decisive["max_steps"] > 0 else "max_steps"]
        return {name: getattr(value, "value", value) for name, value in values.items()}


def _default_of(entry: Field) -> Any:
    """Return the default of a field of a dataclass."""
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def has_bfloat16(use_cpu: bool) -> bool:
    """Whether the processor that will train multiplies bfloat16 natively.

    Args:
        use_cpu: Whether training is forced onto the CPU.

    Returns:
        True for CUDA devices from Ampere on and for CPUs with AMX or AVX-512 BF16.
    """
    if not use_cpu and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
