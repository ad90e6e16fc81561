"""The demo: a page where a lens image is dropped or drawn, and all models answer."""
