"""DataFrames become pages: what a person reads of a run."""
