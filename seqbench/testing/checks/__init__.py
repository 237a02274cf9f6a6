"""The checks of a cell, in the order in which they are told."""

from seqbench.testing.checks import contract, gradients, nesting, portability

CHECKS = (
    contract.construction,
    nesting.nesting,
    contract.shapes,
    contract.state_fed_back,
    contract.nothing_changed,
    contract.random_state,
    contract.nothing_kept,
    contract.none_is_zeros,
    contract.in_pieces,
    contract.examples_independent,
    gradients.finite_outputs,
    gradients.parameters_used,
    gradients.parameter_gradients,
    gradients.reaches_back,
    gradients.inputs_reach_the_state,
    portability.copies,
    portability.dtype,
    gradients.gradients_are_right,
    portability.device,
    portability.state_dict,
    portability.importable,
)
