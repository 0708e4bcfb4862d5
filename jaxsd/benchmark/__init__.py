"""Timing the networks side by side with others: jobs, workers, and tables of what they took."""
