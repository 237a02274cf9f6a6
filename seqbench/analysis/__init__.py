"""DataFrames in, DataFrames out: what a run's numbers say, counted; needs no torch."""
