"""Lens images as Hugging Face datasets: schema, safe readers, building, loading."""
