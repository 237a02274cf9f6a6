"""A Trial in, an Outcome out: batches, the loss and its gradient, evaluations, records."""
