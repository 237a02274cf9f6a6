"""What `seqbench flow` shows: the plot in a terminal and in a pipe, and what it says of float32."""

import io
import math

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from seqbench.analysis.curve import Curve
from seqbench.measure import untrained
from seqbench.reporting import plot, terminal

LAGS = np.arange(401)
CURVES = {
    "rnn": Curve(LAGS, -0.22 * LAGS),
    "lstm": Curve(LAGS, -0.2 * LAGS),
    "relu": Curve(LAGS, np.where(LAGS > 200, -np.inf, -0.05 * LAGS)),
    "grows": Curve(LAGS, 0.02 * LAGS),
    "flat": Curve(LAGS, 0.0 * LAGS),
}


def drawn(curves, width=80, encoding="utf-8", terminal=False) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    colours = "standard" if terminal else None
    console = Console(file=file, width=width, force_terminal=terminal, color_system=colours)
    plot.print_curves(curves, -45.15, console)
    file.seek(0)
    return file.read()


def rows_of(letter, text):
    """The rows of the plot, top down, that a cell's letter is in."""
    return [i for i, line in enumerate(text.splitlines()[1:-4]) if letter in line]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_pipe_gets_plain_text_that_fits(width, count):
    text = drawn(dict(list(CURVES.items())[:count]), width)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert 15 <= len(text.splitlines()) <= 30


def test_a_terminal_gets_colours():
    assert "\x1b[" in drawn(CURVES, terminal=True)


def test_without_braille_dots_are_full_stops():
    text = drawn(CURVES, encoding="ascii")
    assert text.isascii()
    assert rows_of("r", text)


def test_the_axis_holds_what_it_says():
    """At lag 400, the right edge, a line that ends at -80 is on the row of the label -80."""
    text = drawn({"x": Curve(LAGS, -0.2 * LAGS)}).splitlines()
    (last,) = [line for line in text if line.startswith("-80")]
    assert last.rstrip()[-1] != "┤"
    assert len(last.rstrip()) >= 79
    assert text[1].lstrip().startswith("0┤")


def test_exact_zeros_are_not_drawn():
    text = drawn({"relu": CURVES["relu"]})
    lines = text.splitlines()[1:-4]  # without the axis
    plotted = [line.split("│")[-1].split("┤")[-1] for line in lines]
    reach = max(len(line.rstrip()) for line in plotted)
    assert 0.45 < reach / 75 < 0.6  # lag 200 of 400


def test_the_end_of_float32_is_marked_where_it_is_in_range():
    assert "no float32 number" in drawn({"rnn": CURVES["rnn"]})
    assert "no float32 number" not in drawn({"flat": CURVES["flat"]})


def test_letters_are_distinct_and_in_the_legend():
    text = drawn(dict.fromkeys(("gru", "grow", "g", "rug"), CURVES["rnn"]))
    assert text.splitlines()[-1] == "g gru   r grow   a g   u rug"


def test_what_is_said_of_float32_is_what_a_float32_loop_returns():
    """An ordinary loop over nn.RNNCell and loss.backward(), nothing of the suite in it."""
    length = 220
    sizes = {"length": length, "hidden_size": 32, "seed": 3}
    zero_from = untrained.float32_zeros(["rnn"], **sizes)["rnn"]
    told = terminal.readings(terminal._joint(untrained.compare(["rnn"], **sizes)), zero_from)

    torch.manual_seed(3)
    layer = nn.RNN(2, 32)
    cell = nn.RNNCell(2, 32)
    cell.load_state_dict({name.removesuffix("_l0"): x for name, x in layer.state_dict().items()})
    u_H = torch.randn(32, generator=torch.Generator().manual_seed(3))
    inputs = torch.randn(length, 32, 2, generator=torch.Generator().manual_seed(3))
    inputs.requires_grad_()
    states = [torch.zeros(32, 32, requires_grad=True)]
    for x in inputs:
        states.append(cell(x, states[-1]))
        states[-1].retain_grad()
    (states[-1] @ (u_H / u_H.norm())).sum().backward()

    of_inputs = [length - t for t in range(length) if not inputs.grad[t].any()]
    of_states = [length - t for t in range(length) if not states[t].grad.any()]
    assert abs(min(of_inputs) - zero_from) <= 1  # fused and looped round differently at 1.4e-45
    assert zero_from == float(told["float32 inputs.grad is 0 from lag"])
    assert sorted(of_inputs) == list(range(min(of_inputs), length + 1))  # and it stays 0
    # Where the exact norm is below what float32 holds, this cell's state gradients are gone too.
    assert min(of_states) <= int(told["too small for float32 from lag"]) < length


def test_a_gated_cells_state_gradient_can_be_stuck_above_zero():
    """Why the table does not say that all of float32 is 0: 1.4e-45 x 0.6 rounds to 1.4e-45."""
    smallest = torch.tensor(2.0**-149)
    assert smallest * 0.6 == smallest
    assert smallest * 0.5 == 0


def test_growth_and_cells_whose_gradient_never_dies():
    assert untrained.float32_zeros(["rnn"], length=5, hidden_size=4) == {"rnn": math.inf}
    assert terminal._growth(8.0, 400) == "8.0 at 400"
    assert terminal._growth(0.0, 1) == "does not"
