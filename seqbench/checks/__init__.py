"""The checks of a cell, in the order in which they are told."""

from seqbench.checks import contract, gradients, portability

CHECKS = (
    contract.construction,
    contract.shapes,
    contract.state_fed_back,
    contract.none_is_zeros,
    contract.in_pieces,
    contract.examples_independent,
    contract.nothing_kept,
    contract.nothing_changed,
    contract.random_state,
    gradients.parameter_gradients,
    gradients.reaches_back,
    portability.dtype,
    gradients.gradients_are_right,
    portability.device,
    portability.state_dict,
    portability.importable,
)
