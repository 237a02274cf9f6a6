"""What a report makes of diagnostics."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import runs
from runs import INF, NAN, TWO, said

import seqbench
from seqbench.analysis.study import Study
from seqbench.card import task
from seqbench.measure.diagnostics.signal import SignalToNoise
from seqbench.measure.diagnostics.spectra import Lyapunov
from seqbench.measure.diagnostics.weights import GradientNorm
from seqbench.reporting import diagnosed
from seqbench.reporting.sections import diagnostics, glance

SEVEN = [
    "credit",
    "lyapunov",
    "singular_values",
    "spectral_radius",
    "saturation",
    "signal_to_noise",
    "gradient_norm",
]


def test_cells_without_values_are_named():
    one = runs.diagnosed(
        said({(0, 0): 1.0}, "credit", "at marked steps"), '["credit", "saturation"]'
    )
    assert diagnostics.silences(Study(one)) == [
        "credit: no values from lstm.",
        "saturation: no values from rnn and lstm.",
    ]


def test_the_line_of_a_cell_leads_with_credit_where_it_was_asked_for():
    slopes = {(0, 0): -0.01, (1, 0): -0.03, (0, 10): 0.98, (1, 10): 0.9}
    rows = said(slopes, "credit", "at marked steps", length=30)
    table, *_, note = glance.Glance().blocks(Study(runs.diagnosed(rows, '["credit"]')))
    assert list(table.heads[-2:]) == ["credit before", "credit after"]
    assert [row[-2:] for row in table.rows] == [["−0.02", "0.94"], ["–", "–"]]
    assert glance.CREDIT in note.lines
    without, *_ = glance.Glance().blocks(Study(runs.diagnosed([], "[]")))
    assert "credit" not in " ".join(without.heads)


def view_of(rows, asked, pictures=None, **more):
    """The views of these readings, drawn as the diagnostics say."""
    one = runs.diagnosed(rows, asked, pictures=pictures, **more)
    return diagnostics.data(Study(one))


def a_trial(clip=1.0):
    """For diagnostics whose pictures depend on it."""
    card = task.parse(runs.DIAGNOSED.format(cells=TWO, clip=clip, diagnostics="[]"), "card")
    return card.trials()[0]


def test_somebodys_own_diagnostic_gets_figures_from_the_form_of_its_values():
    rows = said({(0, 0): 1e-3, (0, 10): 10.0}, "own", "number")
    rows += [
        row for i in range(3) for row in said({(0, 0): i, (0, 10): -i}, "own", "many", index=i)
    ]
    by_step, by_index = view_of(rows, '[{use = "x.py:Own", label = "own"}]')
    assert (by_step.picture.over, by_step.picture.log) == ("step", True)
    assert by_step.picture.title == "Own"
    assert [panel.quantity for panel in by_step.picture.panels] == ["number"]
    assert (by_index.picture.over, by_index.picture.log) == ("index", False)
    assert by_index.name == "diagnostics-own-series"


def test_quantities_beyond_what_a_figure_holds_are_named():
    rows = [row for i in range(14) for row in said({(0, 0): i}, "own", f"q{i}")]
    (view,) = view_of(rows, '[{use = "x.py:Own", label = "own"}]')
    assert len(view.picture.panels) == 12
    assert "q12, q13" in view.picture.caption


def test_the_two_longest_lengths_are_drawn_and_that_is_said():
    rows = [row for length in (10, 20, 30) for row in said({(0, 0): 1.0}, "own", length=length)]
    one = runs.diagnosed(rows, '[{use = "x.py:Own", label = "own"}]')
    (view,) = diagnostics.data(Study(one))
    assert view.lengths == [20, 30]
    assert "the longest 2 of 3 lengths" in diagnostics.caption(view)


def test_of_signal_to_noise_the_last_anchor_is_drawn_with_its_floor():
    rows = []
    for length in (10, 20):
        for quantity in (f"output, anchor {length - 5}", f"output, anchor {length}", "loss"):
            for lag in (1, 2):
                rows += said({(0, 0): length}, "signal_to_noise", quantity, "rnn", length, lag)
    (view,) = view_of(rows, '["signal_to_noise"]', [SignalToNoise()])
    assert [panel.title for panel in view.picture.panels] == ["output flow", "loss flow"]
    assert len(view.rows) == 8
    (level,) = view.picture.panels[0].lines
    assert level == pytest.approx(math.log10(1 / math.sqrt(31)))


def test_an_exponent_of_minus_infinity_is_not_lost():
    rows = said({(0, 0): NAN}, "lyapunov", "exponent", index=0)
    rows += said({(0, 0): 4}, "lyapunov", "zeros", index=0)
    rows += said({(0, 0): NAN}, "lyapunov", "exponent", index=1)  # NaN for another reason
    rows += said({(0, 0): 0}, "lyapunov", "zeros", index=1)
    spectrum, largest = view_of(rows, '["lyapunov"]', [Lyapunov()])
    assert spectrum.rows["value"].iloc[0] == -INF
    assert math.isnan(spectrum.rows["value"].iloc[1])
    assert "In 1 reading a value was −∞" in spectrum.picture.caption
    assert largest.picture.panels[0].index == 0


@pytest.mark.parametrize("clip", [0.0, 2.5])
def test_the_level_of_clipping_is_drawn_where_there_is_one(clip):
    rows = said({(0, step): 1.0 for step in range(100)}, "gradient_norm", "all")
    (view,) = view_of(rows, '["gradient_norm"]', [GradientNorm()], clip=clip)
    assert view.picture.panels[0].lines == ((clip,) if clip else ())
    assert ("2.5" in view.picture.caption) == bool(clip)
    assert view.bin == 2


def test_zeros_and_infinities_are_marked_at_the_edges():
    rows = said({(0, 0): 0.0, (0, 10): 1.0, (0, 20): 1e4, (0, 30): INF, (0, 40): NAN}, "own")
    one = runs.diagnosed(rows, '[{use = "x.py:Own", label = "own"}]')
    (view,) = diagnostics.data(Study(one))
    view = replace(view, picture=view.picture.model_copy(update={"log": True}))
    figure = diagnosed.draw(view, one.trials, ["rnn", "lstm"])
    marks = {line.get_marker(): line for line in figure.axes[0].lines if line.get_marker() in "v^"}
    assert marks["v"].get_xdata().tolist() == [0]
    assert marks["^"].get_xdata().tolist() == [30]
    assert diagnostics.odd_values(view)


def test_bundled_diagnostics_are_on_the_page(tmp_path):
    """Real ones, from a run of a few steps; drawing takes most of the time, so two of seven."""
    card = tmp_path / "card.toml"
    card.write_text(
        'name = "tiny"\nlengths = [8]\nseeds = 1\ncells = ["rnn", "lstm"]\n'
        '[problem]\nname = "adding"\n[training]\nsteps = 4\neval_every = 2\neval_size = 20\n'
        "hidden_size = 4\nbatch_size = 4\n[recording]\nevery = 2\n"
        f"diagnostics = {SEVEN}\n"
    )
    ran = seqbench.run(str(card), tmp_path / "run", workers=1, quiet=True)
    made = diagnostics.data(Study(ran))
    assert [view.picture.title for view in made] == [
        "Credit",
        "Lyapunov exponents",
        "The largest Lyapunov exponent over training",
        "Singular values",
        "Spectral radius",
        "Saturation",
        "Signal to noise",
        "Gradient norm",
    ]
    few = ran.diagnostics[ran.diagnostics["diagnostic"].isin(["credit", "lyapunov"])]
    folder = seqbench.report(replace(ran, diagnostics=few)).parent
    text = (folder / "index.html").read_text(encoding="utf-8")
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    assert "Further diagnostics" in text
    assert "saturation: no values from rnn and lstm." in text
    for name in ("credit", "lyapunov", "lyapunov-largest"):
        assert f"figures/diagnostics-{name}.png" in markdown
        assert (folder / "figures" / f"diagnostics-{name}.png").stat().st_size > 2000
    table = pd.read_csv(folder / "tables" / "diagnostics.csv")
    assert set(table["diagnostic"]) == {"credit", "lyapunov"}
    start = few.query("diagnostic == 'credit' and step == 0 and cell == 'lstm'")
    row = table.query("diagnostic == 'credit' and cell == 'lstm'").iloc[0]
    mine = start[start["quantity"] == row["quantity"]]
    assert row["start"] == pytest.approx(mine["value"].median(), rel=1e-5)
