"""In which units a state is kept: how much each of its coordinates varies over the probe.

A cell may keep c as 100 c, and compute the same. The gradient with respect to each coordinate times
that coordinate's standard deviation does not change with the units: it says by how much a change of
a usual size there changes the answer.

Shapes: B examples, n entries of a part of the state, P named parts of the state.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.engine.chain import Chain, flatten
from seqbench.measure.state import as_wide


def deviations(chain: Chain, anchors_B: Tensor) -> list[Tensor] | None:
    """The standard deviation of each coordinate of the state, over the examples and every place
    from 1 up to each example's anchor.

    Over all places together, so that it is one unit for each coordinate: a spread of each place's
    own would hide a gradient that grows just as the states do.

    Returns:
        A tensor [n] for each named part; None where the state is not of one shape along the chain,
        so that its coordinates are not the same ones.
    """
    parts = [part for part in chain.parts() if part.name]
    state = chain.start()
    shapes = [x.shape for x in flatten(state)]
    count = torch.zeros((), device=anchors_B.device)
    means: list[Tensor] = [torch.zeros(())] * len(parts)
    squares: list[Tensor] = [torch.zeros(())] * len(parts)
    with torch.no_grad():
        for place in range(1, int(anchors_B.max()) + 1):
            state = chain.link(place - 1, place)(state)[1]
            tensors = list(flatten(state))
            if [x.shape for x in tensors] != shapes:
                return None
            here_B = anchors_B >= place
            before, count = count, count + here_B.sum()
            for i, part in enumerate(parts):  # Chan et al. 1983: nothing is squared before its mean
                x_bn = as_wide(part.view(tensors))[here_B]
                mean_n = x_bn.mean(0)
                apart_n = mean_n - means[i]
                squares[i] = squares[i] + (x_bn - mean_n).abs().square().sum(0)
                squares[i] = squares[i] + apart_n.abs().square() * before * len(x_bn) / count
                means[i] = means[i] + apart_n * len(x_bn) / count
    return [(square_n / count).sqrt() for square_n in squares]
