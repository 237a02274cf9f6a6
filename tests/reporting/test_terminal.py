"""What the commands print."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from runs import flow_rows, whole

from seqbench.reporting import terminal


def printed(function, *args, width=80) -> str:
    console = Console(width=width, force_terminal=False, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    function(*args, console=console)
    return console.export_text()


@pytest.mark.parametrize("width", [24, 40, 80])
def test_the_printed_table_fits(make, width):
    trials = whole((10, 20, 30, 40, 50, 60))
    del trials["rnn", 60, 0]
    text = printed(terminal.print_comparison, make(trials, (10, 20, 30, 40, 50, 60)), width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "0/2" in text
    if width == 80:
        assert "2/2 at 200" in text
        assert "1 interrupted" in text


def test_a_label_in_brackets_is_printed_as_it_is(make):
    label = "lstm [bold]"
    trials = {(label, *key[1:]): told for key, told in whole().items() if key[0] == "lstm"}
    run = make(trials, cells='[{use = "lstm", label = "lstm [bold]"}]')
    assert label in printed(terminal.print_comparison, run)


def test_the_printed_flow_fits_and_says_where_float32_ends():
    lags = np.arange(401)
    frames = [
        flow_rows({0: rate}, 400).query("source == 'output'").assign(cell=cell)
        for cell, rate in {"rnn": 0.2, "gated": 0.0, "c": 0.01, "d": 0.5, "e": 0.1}.items()
    ]
    text = printed(terminal.print_flow, pd.concat(frames), {"rnn": 190.0})
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    frames = [frame.query("state == 'all'") for frame in frames]
    told = terminal.readings(frames[0], 190.0)
    assert told["horizon(1e-3), steps"] == "15"
    assert told["S(400), decades"] == "-80.0"
    assert told["early rate, decades a step"] == "0.200"
    first = lags[-0.5 - 0.2 * lags < -45.154][0]
    assert told["too small for float32 from lag"] == str(first)
    assert told["float32 inputs.grad is 0 from lag"] == "190"
    assert told["late half-life, steps"] == "1.5"
    flat = terminal.readings(frames[1])
    assert flat["half-life, steps"] == ">= 400"
    assert flat["late half-life, steps"] == "none within 400"
    assert flat["too small for float32 from lag"] == "none"
