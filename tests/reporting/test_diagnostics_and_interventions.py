"""What a report makes of diagnostics and of interventions, against numbers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import seqbench
from seqbench import results
from seqbench.analysis import falling, readings
from seqbench.analysis.study import Study
from seqbench.card import task
from seqbench.reporting import captions, diagnosed, figures, page, style, told, views

INF, NAN = float("inf"), float("nan")
CARD = """
name = "small"
lengths = [10, 20, 30]
seeds = 3
cells = {cells}
[problem]
name = "adding"
[training]
steps = 1000
clip_norm = {clip}
[recording]
diagnostics = {diagnostics}
"""
TWO = '["rnn", "lstm"]'


def run(rows, diagnostics, cells=TWO, clip=1.0, losses=None, flow=None):
    """A run of these readings: [(cell, length, seed, step, diagnostic, quantity, index, value)]."""
    text = CARD.format(cells=cells, clip=clip, diagnostics=diagnostics)
    card = task.parse(text, "card")
    trials, records = [], {}
    for trial in card.trials():
        key = {"cell": trial.cell.label, "length": trial.length, "seed": trial.seed}
        blank = dict.fromkeys(results.TRIAL_COLUMNS[4:], NAN)
        trials.append({"task": "small", **key, **blank, "status": "done", "baseline": 1.0})
        needed = [{"anchor": trial.length, "lags": [[1, trial.length / 2, trial.length]]}]
        records[trial.folder] = {"summary": {"needed_lags": needed, "probe_size": 32}}
    return results.Results(
        path=None,
        task=card,
        trials=pd.DataFrame(trials),
        curves=pd.DataFrame(losses or [], columns=results.CURVE_COLUMNS[:5]),
        flow=pd.DataFrame(flow or [], columns=results.FLOW_COLUMNS),
        diagnostics=pd.DataFrame(rows, columns=results.DIAGNOSTIC_COLUMNS),
        records=records,
    )


def said(values, diagnostic="mine", quantity="q", cell="rnn", length=10, index=0):
    """{(seed, step): value} as rows."""
    return [
        (cell, length, seed, step, diagnostic, quantity, index, value)
        for (seed, step), value in values.items()
    ]


# ---------------------------------------------------------------------------------------- counting


def test_medians_at_both_ends_count_infinite_values_and_not_nan():
    rows = said({(0, 0): 1, (1, 0): 3, (2, 0): NAN, (0, 50): 9, (0, 100): INF, (1, 70): 5,
                 (2, 80): 7})  # fmt: skip
    table = readings.at_the_ends(readings.readings(run(rows, '["credit"]')), ["rnn", "lstm"])
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["start"], row["seeds_start"]) == (2, 2)
    assert (row["end"], row["seeds_end"]) == (7, 3)  # each trial's own last: inf, 5, 7


def test_a_diagnostic_that_was_asked_once_has_no_end():
    found = readings.readings(run(said({(0, 0): 1.0}), '["credit"]'))
    table = readings.at_the_ends(found, ["rnn"])
    assert found["at"].tolist() == ["start"]
    assert math.isnan(table["end"].iloc[0])
    assert table["seeds_end"].iloc[0] == 0


def test_the_table_is_in_the_cards_order_and_keeps_index_and_quantity():
    rows = [
        ("lstm", 10, 0, 0, "b", "z", 1, 0.5), ("lstm", 10, 0, 0, "b", "z", 0, 0.25),
        ("lstm", 10, 0, 0, "b", "a", 0, 1 / 3), ("rnn", 10, 0, 0, "a", "z", 0, 2.0),
    ]  # fmt: skip
    table = readings.at_the_ends(readings.readings(run(rows, '["credit"]')), ["rnn", "lstm"])
    keys = table[["cell", "diagnostic", "quantity", "index"]].to_numpy().tolist()
    assert keys == [["rnn", "a", "z", 0], ["lstm", "b", "z", 0], ["lstm", "b", "z", 1],
                    ["lstm", "b", "a", 0]]  # fmt: skip
    assert table["start"].tolist() == [2.0, 0.25, 0.5, 0.333333]


def test_many_readings_are_drawn_in_bins_of_their_medians():
    rows = pd.DataFrame(said({(0, step): step for step in range(1, 1001)}),
                        columns=results.DIAGNOSTIC_COLUMNS)  # fmt: skip
    drawn, width = readings.binned(rows)
    assert width == 21  # 1,001 steps in at most 50 bins
    assert drawn["value"].iloc[1] == 31  # the median of 21..41
    assert drawn["step"].iloc[1] == 31.5
    few = rows.iloc[:60]
    assert readings.binned(few)[0] is few


def test_a_median_goes_on_only_while_every_seed_does():
    rows = pd.DataFrame(
        said({(0, 0): 1, (1, 0): 3, (2, 0): 8, (0, 10): 5, (1, 10): 6, (2, 10): 7, (0, 20): 99}),
        columns=results.DIAGNOSTIC_COLUMNS,
    )
    assert readings.shared_median(rows, "step").to_dict() == {0: 3, 10: 6}


def test_cells_without_values_are_named():
    one = run(said({(0, 0): 1.0}, "credit", "at marked steps"), '["credit", "saturation"]')
    assert told.silences(Study(one)) == [
        "credit: no values from lstm.", "saturation: no values from rnn and lstm."
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------- views


def view_of(rows, diagnostics, **more):
    one = run(rows, diagnostics, **more)
    return views.views(readings.readings(one), one)


def test_somebodys_own_diagnostic_gets_figures_from_the_form_of_its_values():
    rows = said({(0, 0): 1e-3, (0, 10): 10.0}, "own", "number")
    rows += [
        row for i in range(3) for row in said({(0, 0): i, (0, 10): -i}, "own", "many", index=i)
    ]
    by_step, by_index = view_of(rows, '[{use = "x.py:Own", label = "own"}]')
    assert (by_step.over, by_step.log, by_step.title) == (views.STEP, True, "Own")
    assert [panel.quantity for panel in by_step.panels] == ["number"]
    assert (by_index.over, by_index.log, by_index.name) == (
        views.INDEX, False, "diagnostics-own-series"
    )  # fmt: skip


def test_quantities_beyond_what_a_figure_holds_are_named():
    rows = [row for i in range(14) for row in said({(0, 0): i}, "own", f"q{i}")]
    (view,) = view_of(rows, '[{use = "x.py:Own", label = "own"}]')
    assert len(view.panels) == 12
    assert "q12, q13" in view.caption


def test_the_two_longest_lengths_are_drawn_and_that_is_said():
    rows = [row for length in (10, 20, 30) for row in said({(0, 0): 1.0}, "own", length=length)]
    one = run(rows, '[{use = "x.py:Own", label = "own"}]')
    (view,) = views.views(readings.readings(one), one)
    assert view.lengths == [20, 30]
    _, caption = captions.captions(Study(one), [view])[view.name]
    assert "the longest 2 of 3 lengths" in caption


def test_of_signal_to_noise_the_last_anchor_is_drawn_with_its_floor():
    rows = []
    for length in (10, 20):
        for quantity in (f"output, anchor {length - 5}", f"output, anchor {length}", "loss"):
            for lag in (1, 2):
                rows += said({(0, 0): length}, "signal_to_noise", quantity, "rnn", length, lag)
    (view,) = view_of(rows, '["signal_to_noise"]')
    assert [panel.quantity for panel in view.panels] == ["output", "loss"]
    assert len(view.rows) == 8
    (level,) = view.panels[0].lines
    assert level == pytest.approx(math.log10(1 / math.sqrt(31)))


def test_an_exponent_of_minus_infinity_is_not_lost():
    rows = said({(0, 0): NAN}, "lyapunov", "exponent", index=0)
    rows += said({(0, 0): 4}, "lyapunov", "zeros", index=0)
    rows += said({(0, 0): NAN}, "lyapunov", "exponent", index=1)  # NaN for another reason
    rows += said({(0, 0): 0}, "lyapunov", "zeros", index=1)
    spectrum, largest = view_of(rows, '["lyapunov"]')
    assert spectrum.rows["value"].iloc[0] == -INF
    assert math.isnan(spectrum.rows["value"].iloc[1])
    assert "In 1 readings an exponent was −∞" in spectrum.caption
    assert largest.panels[0].index == 0


@pytest.mark.parametrize("clip", [0.0, 2.5])
def test_the_level_of_clipping_is_drawn_where_there_is_one(clip):
    rows = said({(0, step): 1.0 for step in range(100)}, "gradient_norm", "all")
    (view,) = view_of(rows, '["gradient_norm"]', clip=clip)
    assert view.panels[0].lines == ((clip,) if clip else ())
    assert ("2.5" in view.caption) == bool(clip)
    assert view.bin == 2


def test_zeros_and_infinities_are_marked_at_the_edges():
    rows = said({(0, 0): 0.0, (0, 10): 1.0, (0, 20): 1e4, (0, 30): INF, (0, 40): NAN}, "own")
    one = run(rows, '[{use = "x.py:Own", label = "own"}]')
    (view,) = views.views(readings.readings(one), one)
    figure = diagnosed.draw(replace(view, log=True), one.trials, ["rnn", "lstm"])
    marks = {line.get_marker(): line for line in figure.axes[0].lines if line.get_marker() in "v^"}
    assert marks["v"].get_xdata().tolist() == [0]
    assert marks["^"].get_xdata().tolist() == [30]
    assert diagnosed.odd_values(replace(view, log=True))


def test_bundled_diagnostics_are_on_the_page(tmp_path):
    """Real ones, from a run of a few steps; drawing takes most of the time, so two of seven."""
    card = tmp_path / "card.toml"
    card.write_text(
        'name = "tiny"\nlengths = [8]\nseeds = 1\ncells = ["rnn", "lstm"]\n'
        '[problem]\nname = "adding"\n[training]\nsteps = 4\neval_every = 2\neval_size = 20\n'
        "hidden_size = 4\nbatch_size = 4\n[recording]\nevery = 2\n"
        f"diagnostics = {list(views.BUNDLED)}\n"
    )
    ran = seqbench.run(str(card), tmp_path / "run", workers=1, quiet=True)
    made = views.views(readings.readings(ran), ran)
    assert [view.title for view in made] == [
        "Credit", "Lyapunov exponents", "The largest Lyapunov exponent over training",
        "Singular values", "Spectral radius", "Saturation", "Signal to noise", "Gradient norm",
    ]  # fmt: skip
    few = ran.diagnostics[ran.diagnostics["diagnostic"].isin(["credit", "lyapunov"])]
    folder = seqbench.report(replace(ran, diagnostics=few)).parent
    text = (folder / "index.html").read_text(encoding="utf-8")
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    assert "Further diagnostics" in text
    assert "saturation: no values from rnn and lstm." in text
    for name in ("credit", "lyapunov", "lyapunov-largest"):
        assert f"figures/diagnostics-{name}.png" in markdown
        assert (folder / "figures" / f"diagnostics-{name}.svg").stat().st_size > 2000
    table = pd.read_csv(folder / "tables" / "diagnostics.csv")
    assert set(table["diagnostic"]) == {"credit", "lyapunov"}
    start = few.query("diagnostic == 'credit' and step == 0 and cell == 'lstm'")
    row = table.query("diagnostic == 'credit' and cell == 'lstm'").iloc[0]
    mine = start[start["quantity"] == row["quantity"]]
    assert row["start"] == pytest.approx(mine["value"].median(), rel=1e-5)


# ----------------------------------------------------------------------------------- interventions

FORGET = """[{use = "lstm", label = "b 4", forget_bias = 4.0},
             {use = "lstm", label = "b -4", forget_bias = -4.0}, "rnn"]"""


def a_study():
    """At T = 20: S at lag 10 before training is -10 (b -4) or -1 (b 4); the loss falls at 200."""
    flow, losses = [], []
    for cell, rate, falls in (("b -4", 1.0, [200, None, None]), ("b 4", 0.1, [100, 200, 300])):
        for seed, fell in enumerate(falls):
            for lag in range(21):
                level = -rate * lag
                flow.append((cell, 20, seed, 0, "output", 20, 0, 20 - lag, lag, "all", level,
                             level, level, 0, 0))  # fmt: skip
            for step in range(0, 1001, 100):
                low = fell is not None and step >= fell
                losses.append((cell, 20, seed, step, 0.1 if low else 1.0))
    return run([], "[]", cells=FORGET, losses=losses, flow=flow)


def test_falls_are_medians_in_which_never_is_infinite():
    table = Study(a_study()).falls.set_index("cell")
    assert table.loc["b -4", ["trials", "fell", "solved"]].tolist() == [3, 1, 0]
    assert table.loc["b -4", "s_start"] == pytest.approx(-10)
    assert table.loc["b -4", "fell_at"] == INF
    assert table.loc["b 4", ["fell", "fell_at"]].tolist() == [3, 200]


def test_cells_that_differ_by_one_option_alone_are_an_intervention():
    (found,) = falling.interventions(a_study().task)
    assert (found.use, found.option) == ("lstm", "forget_bias")
    assert list(found.values) == ["b -4", "b 4"]  # ascending
    two = FORGET.replace("forget_bias = 4.0", "forget_bias = 4.0, hidden_size = 9")
    assert falling.interventions(run([], "[]", cells=two).task) == []
    assert falling.interventions(run([], "[]").task) == []


def test_what_is_said_of_an_intervention():
    counted = Study(a_study())
    assert told.intervention_sentences(counted) == [
        "The lstm cells differ in forget_bias alone. At T = 20 and forget_bias −4 and 4, S at the "
        "median longest needed lag was, before training, −10.0 and −1.0; the loss fell in 1/3 and "
        "3/3 of the trials, at the median steps never and 200. An option may change more than "
        "the flow, so this alone does not make the flow the reason."
    ]
    notes = " ".join(told.fall_notes(counted))
    # Ranks of S: 2 2 2 5 5 5; of the fall at 200 never never 100 200 300: 2.5 5.5 5.5 1 2.5 4.
    assert "lstm cells, −0.60 at T = 20 (6 trials)" in notes
    rows = dict(page.fall_rows(counted))
    assert rows["b -4"] == ["–", "−10.0; fell 1/3; solved 0/3", "–"]
    assert rows["b 4"][1] == "−1.0; fell 3/3 at step 200; solved 0/3"


def test_rank_correlation():
    trials = pd.DataFrame({"s_start": [1.0, 2, 3, 4, 5], "fell_at": [INF, 40, 30, 20, 10]})
    assert falling.rank_correlation(trials) == (pytest.approx(-1), 5)
    assert math.isnan(falling.rank_correlation(trials.iloc[:4])[0])
    assert math.isnan(falling.rank_correlation(trials.assign(fell_at=INF))[0])


def test_the_figure_of_falls_has_every_trial():
    figure = figures.flow_and_fall(Study(a_study()))
    drawn = [line for line in figure.axes[0].lines if line.get_marker() == "s"]
    y = np.concatenate([line.get_ydata() for line in drawn])
    assert sorted(y) == pytest.approx([100, 200, 200, 300, 1100, 1100])  # at the top: never


# ------------------------------------------------------------------------------------------- looks


def test_a_dozen_cells_look_different():
    looks = style.looks([f"cell {letter}" for letter in "abcdefghijkl"])
    assert len({look["color"] for look in looks.values()}) == 12


def test_cells_that_differ_by_a_number_get_ordered_shades():
    looks = style.looks(["a 2", "a -1", "a 0.5", "b1", "b3", "b2"])
    light = {
        cell: sum(int(look["color"][i : i + 2], 16) for i in (1, 3, 5))
        for cell, look in looks.items()
    }
    assert light["a -1"] > light["a 0.5"] > light["a 2"]
    assert light["b1"] > light["b2"] > light["b3"]
    plain = style.looks(["rnn", "a 1", "a 2", "a 3"])
    assert plain["rnn"]["color"] == style.COLOURS[0]
