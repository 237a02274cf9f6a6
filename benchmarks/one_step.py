"""One training step in a process of its own; prints its seconds and its memory as JSON.

python -m benchmarks.one_step bare|ours|every T B H
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch import nn

from benchmarks.timing import one_thread
from seqbench.card.task import Training
from seqbench.engine.chain import backpropagate
from seqbench.engine.cut import choose
from seqbench.models.recurrent import build
from seqbench.problems.adding import Adding
from seqbench.problems.batch import Batch
from seqbench.training.objective import ScoredLoss


class EveryStep(Adding):
    """The adding problem's inputs; the running sum is asked for at every step."""

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Targets [T, B, 1], every step scored."""
        batch = super().sample(batch_size, generator)
        sums = (batch.inputs[..., :1] * batch.inputs[..., 1:]).cumsum(0)
        return Batch(batch.inputs, sums, torch.ones_like(batch.weights))


def main(side: str, T: int, B: int, H: int) -> dict:
    """One step after a short one that loads what is loaded late."""
    with one_thread():
        torch.manual_seed(0)
        model = build(nn.LSTM, input_size=2, hidden_size=H, output_size=1)
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        _step(side, 60, B, model, optimizer)
        base = _megabytes("VmRSS")
        seconds, told = _step(side, T, B, model, optimizer)
    return {"seconds": seconds, "megabytes": _megabytes("VmHWM") - base, **told}


def _step(side: str, T: int, B: int, model, optimizer) -> tuple[float, dict]:
    problem = (EveryStep if side == "every" else Adding)(T)
    batch = problem.sample(B, torch.Generator().manual_seed(0))
    told = {}
    cut = None
    if side != "bare":
        cut = choose(model, batch.inputs, Training())
        told = {"segment": cut.segment, "recompute": cut.recompute}
    started = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    if cut is None:
        outputs, _ = model.stack.layers[0](batch.inputs)
        (model.readout(outputs[-1]) - batch.targets[-1]).square().mean().backward()
    else:
        norms = []

        def keep(i: int, grads: tuple[torch.Tensor, ...]) -> None:
            norms.extend(torch.linalg.vector_norm(g, dim=-1, dtype=torch.float64) for g in grads)

        loss = ScoredLoss(model, problem, batch, cut)
        backpropagate(loss.links, loss.term, recompute=cut.recompute, at_boundary=keep)
    optimizer.step()
    return time.perf_counter() - started, told


def _megabytes(field: str) -> float:
    # Not getrusage's ru_maxrss: that one starts from the peak of whoever started this process.
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(field))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:]))))
