"""What is asked of an image: the target, the head, the answer and its scores. Nothing else branches on the task."""
