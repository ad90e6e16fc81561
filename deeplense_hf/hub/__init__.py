"""What goes to the Hugging Face Hub and how: release folders, cards, pushes, exports for stock inference."""
