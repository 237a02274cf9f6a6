"""Figures from Python: of DataFrames, into somebody's axes."""

from io import BytesIO
from itertools import repeat

import pandas as pd
import pytest
from matplotlib.figure import Figure
from runs import whole

import seqbench
from seqbench.analysis.study import Study
from seqbench.reporting import figures, scatter
from seqbench.reporting.sections import flow, learning, opening, predicts, reach


@pytest.fixture
def study(make):
    return Study(make(whole()))


def drawn(study, axes):
    """Each figure once, into the next of these axes."""
    results, at = study.results, "length == 20"
    yield figures.flow(study.shape.query(at), study.needs, ax=next(axes))
    yield figures.loss(results.curves.query(at), ax=next(axes))
    yield figures.solved(results.trials.query("length == 10"), 400, ax=next(axes))
    yield figures.reach(study.comparison, ax=next(axes))
    yield figures.predicts(predicts.data(study), ax=next(axes))
    yield figures.predicts(predicts.far(study), ax=next(axes))
    yield figures.problem(study.needs.query(at), ax=next(axes))


def drawn_in_panels(study, axes):
    """Each figure of several panels, in the place of the next of these axes."""
    shape, at, labels = study.shape, "length == 20", study.labels
    trials = study.results.trials
    readings = pd.concat(
        one.drop(columns="status").assign(step=step, diagnostic="size", quantity=name, index=0)
        for one in [trials[["cell", "length", "seed", "status"]]]
        for step in (0, 100)
        for name in ("a", "b")
    ).assign(value=1.0, at="start")
    yield figures.flow_before_and_after(
        shape.query(at), study.comparison, study.needs, ax=next(axes)
    )
    yield figures.flow_over_training(shape.query(at), study.needs, ax=next(axes))
    yield figures.diagnostic(readings, trials, ax=next(axes))
    yield flow.draw(flow.data(study), study.needs, labels, ax=next(axes))
    yield learning.draw(*learning.data(study), trials, labels, ax=next(axes))
    yield reach.draw(*reach.data(study), labels, ax=next(axes))
    yield opening.draw(opening.data(study), 400, labels, ax=next(axes))
    yield scatter.draw(predicts.far(study), predicts.data(study), ax=next(axes))


def test_each_returns_a_figure_of_its_own_or_draws_into_the_axes_that_it_is_given(study):
    assert len({id(figure) for figure in drawn(study, repeat(None))}) == 7
    mine = Figure()
    axes = iter(mine.subplots(7))
    for figure, ax in zip(drawn(study, axes), mine.axes, strict=True):
        assert figure is mine
        assert ax.lines
    assert len(mine.axes) == 7


def test_a_figure_of_several_panels_divides_the_place_of_the_axes_that_it_is_given(study):
    alone = [len(figure.axes) for figure in drawn_in_panels(study, repeat(None))]
    assert min(alone) > 1
    mine = Figure(figsize=(10, 40), layout="constrained")
    places = mine.subplots(len(alone), 1)
    for number, figure in enumerate(drawn_in_panels(study, iter(places))):
        assert figure is mine
        assert places[number] not in mine.axes
        assert len(mine.subfigs[-1].axes) == alone[number]
    mine.savefig(BytesIO())
    tops = [sub.bbox.y1 for sub in mine.subfigs]
    assert tops == sorted(tops, reverse=True)  # one below the other, as the axes were


def test_axes_in_no_grid_have_no_place_to_divide(study):
    ax = Figure().add_axes((0, 0, 1, 1))
    with pytest.raises(seqbench.InputError, match="stands in none"):
        figures.flow_over_training(study.shape, ax=ax)


def test_the_flow_is_the_table_s(study):
    (ax,) = figures.flow(study.shape.query("length == 20")).axes
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines["rnn"].get_ydata()) == pytest.approx([-0.6 * lag for lag in range(21)])


def test_the_share_solved_is_drawn_to_the_end_of_the_budget(study):
    (ax,) = figures.solved(study.results.trials.query("length == 10"), 400).axes
    rnn, lstm = ax.lines
    assert list(rnn.get_xydata()[-1]) == [400, 0]
    assert lstm.get_xydata().tolist() == [[0, 0], [200, 1], [400, 1]]


def test_several_lengths_are_refused(study):
    with pytest.raises(seqbench.InputError, match="T = 10, 20"):
        figures.flow(study.shape)
