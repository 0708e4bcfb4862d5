"""Training: tasks, one step, the loop around it."""
