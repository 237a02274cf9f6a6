"""The table in docs/concepts.md: what is read off the flow of one LSTM, kept in other units.

python docs/figures/coordinates.py    # a minute
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from seqbench.analysis.curve import Curve, from_rows
from seqbench.analysis.shapes import whitened
from seqbench.measure.flow import probe_flow
from seqbench.measure.probe import cotangents
from seqbench.models.recurrent import Model, Stack, Unroll
from seqbench.problems.adding import Adding

STEPS, LENGTH, HIDDEN = 600, 40, 32


class Kept(nn.Module):
    """An LSTM that keeps c as a factor times c, its units in another order."""

    def __init__(self, cell: nn.LSTMCell, factor: float = 1.0, order: Tensor | None = None) -> None:
        super().__init__()
        self.cell, self.factor = cell, factor
        self.order = torch.arange(HIDDEN) if order is None else order

    def forward(self, x: Tensor, state=None) -> tuple[Tensor, Tensor]:
        if state is not None:
            state = state[0], state[1][:, self.order.argsort()] / self.factor
        h, c = self.cell(x, state)
        return h, c[:, self.order] * self.factor


def main() -> None:
    """Train one LSTM, keep its state in other ways, and print what is read off."""
    torch.manual_seed(0)
    problem, draws = Adding(LENGTH), torch.Generator().manual_seed(0)
    cell, readout = nn.LSTMCell(2, HIDDEN), nn.Linear(HIDDEN, 1)
    with torch.no_grad():
        cell.bias_ih[HIDDEN : 2 * HIDDEN], cell.bias_hh[HIDDEN : 2 * HIDDEN] = 2.0, 0.0
    model = Model(Stack([Unroll(cell)]), readout)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        batch = problem.sample(32, draws)
        answer = model.readout(model.stack(batch.inputs, None)[0][-1])
        loss = (answer - batch.targets[-1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    probe, u_CO = problem.sample(32, draws), cotangents(1, draws)
    print(
        "| c is kept as | half-life, own units, from lag 0 | S(40) | whitened, from lag 1 | S(40) |"
    )
    for name, kept in {
        "c": Kept(cell),
        "100 c": Kept(cell, 100.0),
        "c / 100": Kept(cell, 0.01),
        "c, in another order": Kept(cell, order=torch.randperm(HIDDEN)),
    }.items():
        table = probe_flow(Model(Stack([Unroll(kept)]), readout), problem, probe, u_CO, "all")
        rows = table[(table["source"] == "output") & (table["state"] == "all")]
        own, white = from_rows(rows, 32), from_rows(whitened(rows), 32)
        print(f"| {name} | {_told(own)} | {_told(white)} |")


def _told(s: Curve) -> str:
    half = s.half_life()
    return f"{'none' if half is None else f'{half:.2f}'} | {np.round(s.at(LENGTH), 2):+.2f}"


if __name__ == "__main__":
    main()
