"""Figures from Python: of DataFrames, into somebody's axes."""

from itertools import repeat

import pytest
from matplotlib.figure import Figure
from runs import whole

import seqbench
from seqbench.analysis.study import Study
from seqbench.reporting import figures
from seqbench.reporting.sections import predicts


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


def test_each_returns_a_figure_of_its_own_or_draws_into_the_axes_that_it_is_given(study):
    assert len({id(figure) for figure in drawn(study, repeat(None))}) == 5
    mine = Figure()
    axes = iter(mine.subplots(5))
    for figure, ax in zip(drawn(study, axes), mine.axes, strict=True):
        assert figure is mine
        assert ax.lines
    assert len(mine.axes) == 5


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
