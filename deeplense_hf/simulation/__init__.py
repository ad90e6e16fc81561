"""Physics only: recipes, populations, ray-tracing, noise. No Hugging Face import."""
