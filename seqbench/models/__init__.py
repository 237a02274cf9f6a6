"""Cells become what is trained: layers over a sequence and a readout."""
