"""The grid of `benchmarks/ablation.py`: what is compared, declared in one place."""

from dataclasses import dataclass

# what all cells have in common: the defaults before this study, so that it can be repeated with those after it
REFERENCE = ("--learning_rate", "2e-3", "--stretch", "asinh")
DATA = (*REFERENCE, "--dataset", "model_1", "--images_per_class", "6000")


@dataclass(frozen=True)
class Cell:
    """One training of the grid.

    Attributes:
        name: Name in table and plot.
        group: What it is compared with.
        options: Options of `scripts/train.py` beside the defaults; `{models}` is the folder of all cells' models.
        seeds: Seeds it is trained with.
        metric: Validation score that is compared.
        trained_as: Cell whose model of the same seed is evaluated instead of training one.
        changes: Options of that model's configuration that are changed before.
        data: Options of the data set.
    """

    name: str
    group: str
    options: str = ""
    seeds: tuple[int, ...] = (0,)
    metric: str = "roc_auc"
    trained_as: str = ""
    changes: tuple[tuple[str, str], ...] = ()
    data: tuple[str, ...] = DATA

    @property
    def words(self) -> list[str]:
        """Options as words of a command line."""
        return [*self.data, *self.options.split()]

    @property
    def batch_size(self) -> int:
        """Images of a step."""
        words = self.words
        flag = "--per_device_train_batch_size"
        return int(words[words.index(flag) + 1]) if flag in words else 64

    @property
    def is_of_main_study(self) -> bool:
        """Whether it classifies the images of `DATA`, so that its score compares with the reference's."""
        return self.data == DATA and self.metric == "roc_auc" and "--task" not in self.options

    @property
    def builds_on_another(self) -> bool:
        """Whether it needs the model of another cell."""
        return bool(self.trained_as) or "{models}" in self.options


THREE = (0, 1, 2)
TEACHERS = "--teachers {models}/reference-1/run {models}/reference-2/run"
AXION_MASS = "--task regression --targets log10_axion_mass_ev"
HUBER = "--loss huber --uncertainty constant"
ANOMALY = "--task anomaly_detection --anomaly_score reconstruction"
FINDING = "--task lens_finding"
REALISTIC = (*REFERENCE, "--dataset", "realistic", "--images_per_class", "3000")
QUASAR = (*REFERENCE, "--dataset", "quasar", "--images_per_class", "1000")
# simulate.py --recipe lens_finding --images_per_class 300 --imbalance 100 --output_dir outputs/lens_finding_100
LENSES = (*REFERENCE, "--dataset", "outputs/lens_finding_100")

GRID: tuple[Cell, ...] = (
    Cell("reference", "family", seeds=THREE),
    Cell("vit-tiny", "family", "--model deeplense-vit-tiny", seeds=THREE),
    Cell("resnet-18", "family", "--model resnet-18 --learning_rate 1e-3", seeds=THREE),
    # the baseline is tuned as ours is: learning rate, stretch, image size
    Cell("resnet-18-rate-3e-4", "baseline", "--model resnet-18 --learning_rate 3e-4", seeds=THREE),
    Cell("resnet-18-rate-2e-3", "baseline", "--model resnet-18 --learning_rate 2e-3"),
    Cell("resnet-18-96-pixels", "baseline", "--model resnet-18 --learning_rate 1e-3 --image_size 96"),
    Cell("resnet-18-log", "baseline", "--model resnet-18 --learning_rate 1e-3 --stretch log", seeds=THREE),
    Cell("swin-patch-stem", "stem", "--model_options stem=patch", seeds=THREE),
    Cell("swin-equivariant", "stem", "--model_options stem=equivariant symmetry=equivariant", seeds=THREE),
    Cell(
        "swin-equivariant-wide",
        "stem",
        "--model_options stem=equivariant symmetry=equivariant stem_channels=[32,64,128,256]",
    ),
    Cell("swin-inverted-stem", "stem", "--model_options stem=inverted"),
    Cell("swin-wide-stem", "stem", "--model_options stem_channels=[24,48,96,192]"),
    Cell("swin-early-halving", "stem", "--model_options stem_channels=[32,64,128]"),
    Cell("answers-averaged", "symmetry", seeds=THREE, trained_as="reference", changes=(("symmetry", "average"),)),
    Cell("winners", "winners together", "--learning_rate 1e-3 --stretch log", seeds=THREE),
    Cell(
        "winners-equivariant",
        "winners together",
        "--learning_rate 1e-3 --stretch log --model_options stem=equivariant symmetry=equivariant",
        seeds=THREE,
    ),
    Cell("stretch-none", "stretch", "--stretch none"),
    Cell("stretch-sqrt", "stretch", "--stretch sqrt"),
    Cell("stretch-log", "stretch", "--stretch log", seeds=THREE),
    Cell("augmentation-none", "augmentation", "--augmentation none", seeds=THREE),
    Cell("augmentation-standard", "augmentation", "--augmentation standard"),
    Cell("augmentation-lens", "augmentation", "--augmentation lens"),
    Cell("mixup", "augmentation", "--mixing mixup"),
    Cell("cutmix", "augmentation", "--mixing cutmix --mixing_alpha 1.0"),
    Cell("focal", "loss", "--loss focal"),
    Cell("asymmetric", "loss", "--loss asymmetric"),
    Cell("label-smoothing", "loss", "--label_smoothing_factor 0.1"),
    Cell("sgd", "optimiser", "--optim sgd --optim_args momentum=0.9,nesterov=True --learning_rate 0.1"),
    Cell("rate-5e-4", "optimiser", "--learning_rate 5e-4"),
    Cell("rate-1e-3", "optimiser", "--learning_rate 1e-3", seeds=THREE),
    Cell("rate-4e-3", "optimiser", "--learning_rate 4e-3"),
    Cell("batch-32", "optimiser", "--per_device_train_batch_size 32 --learning_rate 1.4e-3"),
    Cell("layer-decay", "optimiser", "--layer_decay 0.8"),
    Cell("averaged-weights", "optimiser", "--ema_decay 0.98"),
    Cell("linear", "schedule", "--lr_scheduler_type linear"),
    Cell("constant", "schedule", "--lr_scheduler_type constant_with_warmup"),
    Cell("no-clipping", "clipping", "--max_grad_norm 0"),
    Cell("curriculum-visibility", "progressive learning", "--curriculum visibility"),
    Cell("curriculum-loss", "progressive learning", "--curriculum loss"),
    Cell("progressive-size", "progressive learning", "--progressive_size 0.5"),
    Cell("distilled", "distillation", TEACHERS),
    Cell("distilled-token", "distillation", f"{TEACHERS} --distillation_token true"),
    Cell("masked-modelling", "pretraining", "--task masked_image_modeling", metric="reconstruction_error"),
    Cell("from-masked-modelling", "pretraining", "--model {models}/masked-modelling-0/run"),
    Cell("frozen-masked-modelling", "pretraining", "--model {models}/masked-modelling-0/run --freeze_backbone true"),
    Cell("axion-mass", "regression of the axion mass", AXION_MASS, metric="r2"),
    Cell("axion-mass-beta-nll", "regression of the axion mass", f"{AXION_MASS} --loss beta_nll", metric="r2"),
    Cell("axion-mass-huber", "regression of the axion mass", f"{AXION_MASS} {HUBER}", metric="r2"),
    Cell("reconstruction", "anomaly detection", ANOMALY),
    Cell("reconstruction-4-pixels", "anomaly detection", f"{ANOMALY} --mask_size 4"),
    Cell("realistic", "realistic lenses", data=REALISTIC),
    Cell("realistic-resnet-18", "realistic lenses", "--model resnet-18 --learning_rate 1e-3", data=REALISTIC),
    Cell("realistic-axion-mass", "realistic lenses, regression", AXION_MASS, metric="r2", data=REALISTIC),
    Cell(
        "realistic-subhaloes",
        "realistic lenses, regression",
        "--task regression --targets subhalo_mass_fraction",
        metric="r2",
        data=REALISTIC,
    ),
    Cell(
        "realistic-einstein-radius",
        "realistic lenses, regression",
        "--task regression --targets einstein_radius",
        metric="r2",
        data=REALISTIC,
    ),
    Cell("specialised-on-quasars", "point-like sources", data=QUASAR),
    Cell("general-on-quasars", "point-like sources", data=QUASAR, trained_as="realistic"),
    Cell("tuned-on-quasars", "point-like sources", "--model {models}/realistic-0/run", data=QUASAR),
    Cell("lenses-focal", "lens finding", FINDING, metric="average_precision_lens", data=LENSES),
    Cell(
        "lenses-cross-entropy",
        "lens finding",
        f"{FINDING} --loss cross_entropy",
        metric="average_precision_lens",
        data=LENSES,
    ),
    Cell(
        "lenses-balanced",
        "lens finding",
        f"{FINDING} --class_balance sampling",
        metric="average_precision_lens",
        data=LENSES,
    ),
    Cell(
        "lenses-class-weights",
        "lens finding",
        f"{FINDING} --loss cross_entropy --class_balance weights",
        metric="average_precision_lens",
        data=LENSES,
    ),
    Cell(
        "lenses-hard-negatives",
        "lens finding",
        f"{FINDING} --curriculum hard_negatives --curriculum_start 0.2",
        metric="average_precision_lens",
        data=LENSES,
    ),
    *(
        Cell(
            score.replace("_", "-"),
            "anomaly detection",
            ANOMALY,
            trained_as="reconstruction",
            changes=(("anomaly_score", score),),
        )
        for score in ("mahalanobis", "nearest_neighbours")
    ),
)
