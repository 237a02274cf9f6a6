"""A Task in, its trials run and written down: planned, tuned, executed, shown while they run."""
