"""The demo as a Space of the Hub; `python app.py` runs it on any machine with the requirements."""

from deeplense_hf.demo.app import serve

MODELS = ["ml4sci/deeplense-swin", "ml4sci/deeplense-swin-axion-mass", "ml4sci/deeplense-vit-anomaly"]

if __name__ == "__main__":
    serve(MODELS)
