"""All that is counted of a run, each once, when it is first asked for."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from seqbench.analysis import (
    comparison,
    depth,
    falling,
    needs,
    opening,
    rates,
    readings,
    shapes,
    statistics,
)
from seqbench.analysis.curve import Curve
from seqbench.analysis.unit import Unit
from seqbench.results import Results


class Study:
    """A run, counted.

    Args:
        results: the run.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.task = results.task

    @property
    def labels(self) -> list[str]:
        """The cells, in the card's order."""
        return [cell.label for cell in self.task.cells]

    @cached_property
    def unit(self) -> Unit:
        """What lengths and lags count: see `depth.unit`."""
        return depth.unit(self.results)

    @cached_property
    def shape(self) -> pd.DataFrame:
        """S(k): see `shapes.shapes`."""
        return shapes.shapes(self.results)

    @cached_property
    def curves(self) -> dict[tuple, Curve]:
        """S(k) of each trial, anchor and recorded step: see `shapes.trial_curves`."""
        return shapes.trial_curves(self.results)

    @cached_property
    def offs(self) -> pd.DataFrame:
        """What is read off each curve: see `shapes.read_offs`."""
        return shapes.read_offs(self.results, self.curves)

    @cached_property
    def needs(self) -> pd.DataFrame:
        """The lags that the problem needs: see `shapes.needed_lags`."""
        return shapes.needed_lags(self.results)

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """A row a cell and length: see `comparison.comparison`."""
        return comparison.comparison(self.results, self.offs)

    @cached_property
    def longest(self) -> pd.DataFrame:
        """The longest length solved, a row a cell: see `comparison.longest_solved`."""
        return comparison.longest_solved(self.comparison)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """What each cell was: see `comparison.cells`."""
        return comparison.cells(self.results)

    @cached_property
    def overview(self) -> pd.DataFrame:
        """A line a cell: see `comparison.overview`."""
        return comparison.overview(self.results, self.offs, self.longest, self.cells)

    @cached_property
    def credit(self) -> pd.DataFrame:
        """What answers owe to the values that matter, a row a cell: see `readings.credit`."""
        return readings.credit(self.diagnostics, self.results)

    @cached_property
    def started(self) -> pd.DataFrame:
        """Who starts with an open flow, and who solves it: see `comparison.started`."""
        return comparison.started(self.comparison, self.overview)

    @cached_property
    def headline(self) -> pd.DataFrame:
        """What a cell is summed up by: see `comparison.headline`."""
        return comparison.headline(self.results, self.labels, self.longest, self.comparison)

    @cached_property
    def paired(self) -> pd.DataFrame:
        """Each cell against the card's first, seed by seed: see `statistics.paired`."""
        return statistics.paired(self.results.trials, self.labels[0])

    @cached_property
    def seconds(self) -> pd.DataFrame:
        """Median seconds of a trial, a row a cell and a column a length."""
        return comparison.seconds(self.results)

    @cached_property
    def opening(self) -> pd.DataFrame:
        """What came first, a row a trial: see `opening.opening`."""
        return opening.opening(self.results, self.offs)

    @cached_property
    def opening_counts(self) -> pd.DataFrame:
        """The same counted: see `opening.opening_counts`."""
        return opening.opening_counts(self.results, self.opening)

    @cached_property
    def marks(self) -> pd.DataFrame:
        """The flow before training and the fall, a row a trial: see `falling.marks`."""
        return falling.marks(self.results, self.opening)

    @cached_property
    def falls(self) -> pd.DataFrame:
        """The same, medians over seeds: see `falling.falls`."""
        return falling.falls(self.marks)

    @cached_property
    def by_needed_lag(self) -> pd.DataFrame:
        """Who solved it with an open flow and without: see `needs.by_needed_lag`."""
        return needs.by_needed_lag(self.results, self.curves)

    @cached_property
    def speeds(self) -> pd.DataFrame:
        """How fast the flow opens, and the fall, a row a length: see `falling.speeds`."""
        return falling.speeds(self.opening)

    @cached_property
    def rates(self) -> pd.DataFrame:
        """Each learning rate that was tried; empty where none were: see `rates.tried`."""
        return rates.tried(self.results)

    @cached_property
    def readings(self) -> pd.DataFrame:
        """What the diagnostics said: see `readings.readings`."""
        return readings.readings(self.results)

    @cached_property
    def diagnostics(self) -> pd.DataFrame:
        """The same at both ends of training: see `readings.at_the_ends`."""
        return readings.at_the_ends(self.readings, self.labels)
