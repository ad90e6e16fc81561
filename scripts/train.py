"""Train a transformer on strong-lens images and evaluate it on held-out systems.

With no argument this is the project's main job: it simulates DeepLense Model I (cached for the next run), trains a
small DeepLense Swin, evaluates it on systems it has never seen and saves a model folder that loads with
`AutoModelForImageClassification.from_pretrained`.

    accelerate launch scripts/train.py
    accelerate launch scripts/train.py --dataset model_2 --model deeplense-vit-tiny --output_dir outputs/vit
    accelerate launch scripts/train.py --task regression --targets log10_axion_mass_ev --output_dir outputs/mass
    accelerate launch scripts/train.py --task anomaly_detection --output_dir outputs/anomaly
    accelerate launch scripts/train.py --task masked_image_modeling --output_dir outputs/encoder
    accelerate launch scripts/train.py --model outputs/encoder --layer_decay 0.8 --output_dir outputs/tuned
    accelerate launch scripts/train.py --model microsoft/swin-tiny-patch4-window7-224 --output_dir outputs/pretrained
    accelerate launch scripts/train.py --dataset simulate:realistic      # never the same lens twice
    accelerate launch scripts/train.py --dataset path/to/original/files --num_train_epochs 20
    accelerate launch scripts/train.py --config scripts/configs/smoke.yaml
    accelerate launch scripts/train.py --resume_from_checkpoint          # goes on after a kill

Two processes on one CPU: `torchrun --nproc-per-node 2 scripts/train.py --use_cpu` (`accelerate launch --cpu
--num_processes 2` starts one). `--help` lists the options of this project, `--help_all` those of
`transformers.TrainingArguments` as well; `--config FILE.yaml` reads any of them from a file.
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("train")
