"""What `seqbench flow` shows: the plot in a terminal and in a pipe, and what it says of float32."""

import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from seqbench import InputError
from seqbench.analysis.curve import Curve
from seqbench.card import inline
from seqbench.cli import main
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
    seen = untrained.look(["rnn"], **sizes)
    zero_from = seen.float32_zeros["rnn"]
    told = terminal.readings(terminal._joint(seen.table), zero_from)

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
    assert untrained.look(["rnn"], length=5, hidden_size=4).float32_zeros == {"rnn": math.inf}
    assert terminal._growth(8.0, 400) == "8.0 at 400"
    assert terminal._growth(0.0, 1) == "does not"


# --- what is said beside the numbers ----------------------------------------------------------


def said(cells, width=80, **sizes) -> str:
    file = io.StringIO()
    seen = untrained.look(cells, **sizes)
    console = Console(file=file, width=width)
    shown = (seen.table, seen.float32_zeros, seen.gates, seen.unreached)
    terminal.print_flow(*shown, console=console)
    return file.getvalue()


def notes(text) -> list[str]:
    """What is said under the table, each in one line."""
    return re.sub(r"\n  (?=\S)", " ", text.split("inputs.grad is 0")[-1]).splitlines()[1:]


def test_an_untrained_lstm_is_said_to_lose_half_of_its_memory_a_step_and_what_opens_it():
    open_ = '{ use = "lstm", forget_bias = 3 }'
    shut, opened = notes(said(["lstm", open_], length=40, hidden_size=32))
    assert shut.startswith("lstm: its forget gates are at 0.49 on average; by them alone")
    assert "loses 0.31 decades a step, 12 over 40 steps" in shut
    assert "A forget_bias of 3 opens them to about 0.95, 0.02 decades a step" in shut
    assert opened.startswith("lstm, forget_bias 3: its forget gates are at 0.95 on average")
    assert "opens them" not in opened


def test_what_is_said_of_the_gate_is_what_an_lstm_cell_computes():
    """A loop over nn.LSTMCell, the forget gate written out."""
    gate = untrained.look(["lstm"], length=30, hidden_size=16, seed=2).gates["lstm"]
    torch.manual_seed(2)
    layer = nn.LSTM(2, 16)
    x_TBI = torch.randn(30, 32, 2, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        h_TBH = torch.cat([torch.zeros(1, 32, 16), layer(x_TBI)[0][:-1]])
        w, u = layer.weight_ih_l0[16:32], layer.weight_hh_l0[16:32]
        b = layer.bias_ih_l0[16:32] + layer.bias_hh_l0[16:32]
        f = 1 / (1 + torch.exp(-(x_TBI @ w.T + h_TBH @ u.T + b).double()))
    assert gate.mean == pytest.approx(f.mean().item(), abs=1e-6)
    assert gate.loss == pytest.approx(-f.log10().mean().item(), abs=1e-6)


def test_a_cell_without_a_gate_is_left_alone():
    assert notes(said(["rnn"], length=20, hidden_size=16)) == []


def test_where_examples_are_exactly_zero_is_said_and_nothing_is_read_there():
    text = said(["irnn"], length=50)
    (note,) = notes(text)
    assert "from lag 42 on more than 5 % of the examples have a gradient of exactly 0" in note
    assert "from lag 50 on more than half have, where S is -inf" in note
    assert re.search(r"S\(50\), decades +-inf", text)
    assert re.search(r"horizon\(1e-1\), steps +50", text)
    plotted = [line.split("│")[-1].split("┤")[-1] for line in text.splitlines()[1:18]]
    assert max(len(line.rstrip()) for line in plotted) / 75 == pytest.approx(41 / 50, abs=0.03)


def test_a_narrow_terminal_gets_whole_words_and_a_hanging_indent():
    lines = said(["lstm"], width=60, length=20, hidden_size=16).splitlines()
    assert max(map(len, lines)) <= 60
    first = next(i for i, line in enumerate(lines) if line.startswith("lstm: its"))
    assert all(line.startswith("  ") for line in lines[first + 1 :])


@pytest.mark.parametrize(
    ("cells", "options", "words"),
    [
        (["lstm", "lstm"], {}, "lstm is named twice\nallowed: each cell once"),
        (["rnn"], {"forget_bias": 2}, "cell rnn: unknown option forget_bias = 2"),
        (['{ use = "lstm", learning_rate = 0.1 }'], {}, "learning_rate: nothing is trained"),
        (["{ forget_bias = 1 }"], {}, "which one?\nallowed: a table with use, as in"),
        (["{ use = lstm }"], {}, "not TOML"),
    ],
)
def test_what_is_wrong_with_a_cell_is_said(cells, options, words):
    with pytest.raises(InputError) as error:
        untrained.look(cells, length=5, hidden_size=4, options=options)
    assert words in str(error.value)


def test_options_go_to_every_cell_and_into_its_label():
    options = {"forget_bias": 2}
    seen = untrained.look(["lstm", "minlstm"], length=5, hidden_size=4, options=options)
    assert list(seen.table["cell"].unique()) == ["lstm, forget_bias 2", "minlstm, forget_bias 2"]
    assert seen.gates["lstm, forget_bias 2"].mean == pytest.approx(0.88, abs=0.03)


def test_a_table_is_called_by_its_options():
    assert inline.entry('{ use = "a.py:B", z = true }')["label"] == "B, z true"
    assert inline.entry('{ use = "lstm", label = "a, b", x = [1, { y = "}" }] }')["label"] == "a, b"


# --- a part of the state that is no memory ----------------------------------------------------


def test_a_clock_in_the_state_makes_the_flow_look_open_is_said_and_can_be_left_out(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    spec = "testing.odd_cells:KeepsTime"
    sizes = {"length": 60, "hidden_size": 16}
    seen = untrained.look([spec, f'{{ use = "{spec}", leave_out = ["c"], label = "h" }}'], **sizes)
    all_ = seen.table[(seen.table["state"] == "all") & (seen.table["lag"] == 60)]
    level = all_.set_index("cell")["log10_norm"]
    alone = seen.table[(seen.table["state"] == "h") & (seen.table["lag"] == 60)]
    assert level["KeepsTime"] > -5
    assert level["h"] < level["KeepsTime"] - 3
    assert level["h"] == pytest.approx(alone["log10_norm"].iloc[0])
    assert seen.unreached == {"KeepsTime": ["c"]}
    (note,) = [line for line in notes(said([spec], **sizes)) if "no input" in line]
    assert 'leave_out = ["c"], in the cell\'s table or its class' in note


def test_only_parts_that_are_there_can_be_left_out():
    with pytest.raises(InputError, match=r"leave_out = \['s2'\]: allowed: some, not all"):
        untrained.look(['{ use = "lstm", leave_out = ["s2"] }'], length=5, hidden_size=4)
    with pytest.raises(InputError, match="some, not all, of the state's parts, c, h"):
        untrained.look(['{ use = "lstm", leave_out = ["h", "c"] }'], length=5, hidden_size=4)


def test_a_network_in_depth_counts_layers(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["seqbench", "flow", "dense", "--length", "12", "--hidden", "8",
                                     "--set", "activation=sigmoid"])  # fmt: skip
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().out
    assert "lag k, layers" in told
    assert "late rate, decades a layer" in told
    assert "step" not in told
