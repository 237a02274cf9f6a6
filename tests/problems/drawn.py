"""What tests of problems share: draws, and what a guesser earns by simulation."""

import torch

MANY = 20_000


def draw(problem, size=MANY, seed=0):
    return problem.sample(size, torch.Generator().manual_seed(seed))


def best_constant(problem, batch):
    """The loss of the best answer that is the same everywhere, from the batch's own statistics."""
    weights = batch.loss_weights()
    if batch.targets.is_floating_point():
        weights = weights[..., None]
        mean = (weights * batch.targets).sum((0, 1)) / weights.sum((0, 1))
        error = ((batch.targets - mean) ** 2).mean(-1, keepdim=True)
        return (weights * error).sum().item() / weights.sum().item()
    mass = torch.zeros(problem.output_size, dtype=torch.float64)
    mass.index_add_(0, batch.targets.flatten(), weights.flatten().double())
    return torch.special.entr(mass / mass.sum()).sum().item()


def best_by_symbol(problem, batch, symbols_TB):
    """The loss of the best answer that depends on the present symbol alone."""
    weights = batch.loss_weights().flatten().double()
    kinds = int(symbols_TB.max()) + 1
    mass = torch.zeros(kinds * problem.output_size, dtype=torch.float64)
    mass.index_add_(0, (symbols_TB * problem.output_size + batch.targets).flatten(), weights)
    mass = (mass / mass.sum()).view(kinds, -1)
    return (torch.special.entr(mass).sum() - torch.special.entr(mass.sum(1)).sum()).item()
