"""The demo as a Space of the Hub; `python app.py` runs it on any machine with the requirements."""

from deeplense_hf.demo.app import build_page

MODELS = ["ml4sci/deeplense-swin", "ml4sci/deeplense-swin-axion-mass", "ml4sci/deeplense-vit-anomaly"]

if __name__ == "__main__":
    build_page(MODELS).queue(default_concurrency_limit=2, max_size=32).launch(max_file_size="64mb", show_error=True)
