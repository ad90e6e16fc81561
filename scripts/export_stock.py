"""Turn a classifier into one that transformers runs without any code of ours, as the inference widget of the Hub needs.

    accelerate launch scripts/train.py --model deeplense-swin-stock --normalisation minmax --output_dir outputs/stock
    python scripts/export_stock.py --model outputs/stock --name deeplense-swin-rgb

The export takes 8-bit pictures in colour (grey ones, three equal channels) and comes with transformers' own processor.
It is evaluated on the test systems as such pictures, compared with the model that it was exported from on every one of
them, and lies in model_cards/NAME with a card, ready for scripts/push_to_hub.py.

Options: python scripts/export_stock.py --help
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("export-stock")
