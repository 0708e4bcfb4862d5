"""Times the networks side by side with other programs: jobs, workers, and tables of results."""
