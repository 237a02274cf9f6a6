"""A model and a probe batch in, gradient flow and diagnostics out: nothing is trained here."""
