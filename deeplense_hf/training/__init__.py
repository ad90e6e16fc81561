"""How weights are found: options, tasks, collation, the trainer."""
