"""What the sections say, by rule."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from runs import CARD, a_study, flow_rows, whole

from seqbench.analysis.study import Study
from seqbench.reporting import markdown, scatter, story
from seqbench.reporting.blocks import Document, Part, Table
from seqbench.reporting.sections import comparison, opening, pairs, predicts, seen


def test_a_length_that_is_not_finished_may_still_be_solved(make):
    trials = whole(cells=("lstm",))  # solves 10, not 20
    del trials["lstm", 20, 0]
    counted = Study(make(trials, cells='["lstm"]'))
    assert counted.longest[["longest", "unfinished", "undecided"]].iloc[0].tolist() == [10, 1, True]
    assert "lstm at least 10; with 1 trial without a result" in seen.longest_sentence(counted)


def test_what_is_said_at_one_length(make):
    counted = Study(make(whole((10,)), (10,)))
    assert seen.longest_sentence(counted) == (
        "At T = 10, the only length, at least half of the seeds solved it with lstm and not with "
        "rnn; with 2 seeds, n is too small to claim that cells differ."
    )


def test_of_several_anchors_the_last_is_shown_and_of_layers_the_top(make):
    trials = whole((10,))
    for key in trials:
        summary, losses, flow = trials[key]
        flow = pd.concat([flow, flow_rows({0: 0.9, 400: 0.9}, 10, anchor=6)])
        below = flow.assign(layer=0, log10_norm=-99.0)
        trials[key] = summary, losses, pd.concat([below, flow.assign(layer=1)])
    run = make(trials, (10,), cells='["rnn", {use = "lstm", layers = 2}]')
    counted = Study(run)
    assert set(counted.comparison["anchor"]) == {10}
    assert counted.comparison["half_life_start"].iloc[0] == pytest.approx(math.log10(2) / 0.3)
    assert "top layer" in comparison.measured_where(counted)


def test_what_is_said_of_an_intervention():
    counted = Study(a_study())
    assert seen.intervention_sentences(counted) == [
        "The lstm cells differ in forget_bias alone. At T = 20 and forget_bias −4 and 4, S at the "
        "median longest needed lag was, before training, −10.0 and −1.0; the loss fell in 1/3 and "
        "3/3 of the trials, at the median steps never and 200.",
        "An option may change more than the flow: that cells differ in one alone does not make the "
        "flow the reason.",
    ]
    notes = " ".join(opening.fall_notes(counted))
    # Ranks of S: 2 2 2 5 5 5; of the fall at 200 never never 100 200 300: 2.5 5.5 5.5 1 2.5 4.
    assert re.search(r"lstm cells, −0\.60 \[.*\] at T = 20 \(6 trials\)", notes)
    rows = {cell: texts for cell, *texts in opening.fall_rows(counted)}
    assert rows["b -4"] == ["–", "−10.0; fell 1/3; solved 0/3", "–"]
    assert rows["b 4"][1] == "−1.0; fell 3/3 at step 200; solved 0/3"


def test_the_figure_of_falls_has_every_trial():
    figure = opening.draw(opening.data(Study(a_study())), 1000, ["b 4", "b -4", "rnn"])
    drawn = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert {line.get_marker() for line in drawn} == {"o", "s"}  # a shape a cell
    assert all(line.get_markerfacecolor() == "white" for line in drawn)  # none was solved
    y = np.concatenate([line.get_ydata() for line in drawn])
    assert sorted(y) == pytest.approx([100, 200, 200, 300, 1100, 1100])  # at the top: never


def test_whether_the_flow_tells_who_learns_is_drawn_with_its_correlation(make):
    """rnn starts closed and solves nothing; lstm starts open and solves T = 10 alone."""
    trials = whole((10, 20, 30))
    for (cell, length, seed), (summary, losses, _) in list(trials.items()):
        rates = {0: 0.5 if cell == "rnn" else 0.01 * length, 400: 0.0}
        trials[cell, length, seed] = summary, losses, flow_rows(rates, length)
    study = Study(make(trials, (10, 20, 30)))
    table = predicts.data(study).set_index(["cell", "length"])
    assert table["share"].to_dict() == {
        ("rnn", 10): 0,
        ("rnn", 20): 0,
        ("rnn", 30): 0,
        ("lstm", 10): 1,
        ("lstm", 20): 0,
        ("lstm", 30): 0,
    }
    far = predicts.far(study).set_index("cell")
    assert far["longest"].to_dict() == {"rnn": 0, "lstm": 10}
    assert far["reached"].to_dict() == {"rnn": 0, "lstm": pytest.approx(1 / 3)}
    figure, *_ = predicts.Predicts().blocks(study)
    assert "2 points" in figure.caption
    assert "+1.00; with 2 cells, fewer than 5, no interval" in figure.caption
    assert "6 points" in figure.caption
    assert "+0.65" in figure.caption  # ranks of S 3 2 1 6 5 4, of the share 3 3 3 6 3 3
    assert "Length may move both numbers" in figure.caption
    left, right = figure.draw().axes
    assert len(left.lines) == 3  # and the dotted one
    assert [label.get_text() for label in left.get_yticklabels()] == ["none", "10", "20", "30"]
    assert len(right.lines) == 7


def test_a_caption_speaks_of_no_length_where_there_is_one_and_counts_the_problems_drawn():
    each = pd.DataFrame({"run": "a", "cell": list("xyz"), "length": 20, "s_start": 0.0, "share": 1})
    of_two = pd.concat([each, each.assign(run="b", length=60)])
    told = scatter.caption(each.assign(reached=each["share"]), of_two)
    assert "3 points, one a cell, of 1 problem," in told  # on the left b has no record
    assert "Length may move" not in told


def test_pairs_say_how_small_p_can_get_and_that_a_solved_trial_ends_with_the_loss_it_has(make):
    (told, _) = pairs.Pairs().blocks(Study(make(whole((10, 20), 3), seeds=3)))
    assert "A trial that is solved ends there" in told.lines[0]
    # Three of three: 2 / 2^3.
    assert told.lines[0].endswith(
        "divided by their number, 0.05 is 0.025; of 3 pairs p is 0.25 or more."
    )
    goes_on = CARD.replace("steps = 400", "steps = 400\nstop_when_solved = false")
    (told, _) = pairs.Pairs().blocks(Study(make(whole(), card=goes_on, name="on")))
    assert "ends there" not in told.lines[0]


def test_cells_of_one_problem_are_drawn_together_where_there_are_several_problems():
    """In each problem cells agree, so that there are as many independent points as problems."""
    rows = [(f"p{i}", cell, i % 5, i % 3) for i in range(6) for cell in ("rnn", "gru")]
    table = pd.DataFrame(rows, columns=["run", "cell", "s_start", "share"]).assign(length=20)
    rho, drawn = scatter.found(table, scatter.SHARE)
    assert drawn == "6 problems"
    alone, _ = scatter.found(table[table["cell"] == "rnn"], scatter.SHARE)
    assert tuple(rho) == pytest.approx(tuple(alone))  # the second cell adds nothing
    one, drawn = scatter.found(table[table["run"] == "p0"], scatter.SHARE)
    assert math.isnan(one.value)
    assert drawn == "2 cells"


def test_trials_whose_flow_is_not_known_are_said_beside_the_count_of_falls(make):
    trials = whole((20,))
    for (cell, length, seed), (summary, losses, flow) in list(trials.items()):
        if cell == "rnn":
            trials[cell, length, seed] = summary, losses, flow[flow["step"] > 0]
    told = seen.opening_sentence(Study(make(trials, (20,))))
    assert " of 2 trials (2 more left no usable record of the flow before training)" in told


def test_a_largest_length_without_a_record_is_named_where_a_smaller_one_has_records(make):
    trials = whole((10, 20))
    for key, (summary, losses, flow) in list(trials.items()):
        if key[1] == 20:
            trials[key] = summary, losses, flow[flow["step"] > 0]
    assert seen.flow_sentence(Study(make(trials))) == (
        "At T = 20 no trial left a usable record of the output flow at the needed lag before "
        "training."
    )


def test_trials_that_diverged_are_said_among_those_whose_loss_did_not_fall(make):
    trials = whole((20,))
    summary, losses, flow = trials["rnn", 20, 0]
    trials["rnn", 20, 0] = summary | {"status": "diverged", "steps": 4}, losses, flow
    told = seen.opening_sentence(Study(make(trials, (20,))))
    assert "the flow was open at some time in 0 of 2 (1 diverged) (an association" in told


def test_of_many_needed_lags_the_caption_says_that_three_are_told():
    needs = pd.DataFrame({"length": 40, "anchor": 40, "low": [0, 20, 39]})
    needs = needs.assign(median=needs["low"], high=needs["low"])
    three = story.problem_caption(needs)
    assert "shown 0 steps before it; and 20 steps before it; and 39 steps before it" in three
    assert "Where more than eight are needed, the nearest, middle and farthest are told." in three
    assert "eight" not in story.problem_caption(needs.iloc[:2])


def test_a_flow_that_opened_between_two_records_did_not_stay_closed_while_the_loss_fell(make):
    study = Study(make(whole((20,)), (20,)))  # records at 100 and 400, the fall at 300
    told = "open at the last record before that in 0, at the next one in 2 more"
    assert told in seen.opening_sentence(study)
    ((_, without), (_, fell)) = opening.count_rows(study)
    assert without == "2 closed, no fall"
    assert fell == "2 fell while closed (2 open at the next)"


def test_cells_whose_missing_trials_could_still_get_further_predict_nothing(make):
    trials = whole((10, 20), 2, ("rnn", "lstm"))
    del trials["lstm", 20, 0]
    assert list(predicts.far(Study(make(trials)))["cell"]) == ["rnn"]


def test_a_page_without_long_lengths_does_not_speak_of_what_opened_first(make):
    study = Study(make(whole((10,)), (10,)))
    assert all(
        block.frame is not None and not block.heads for block in opening.Opening().blocks(study)
    )
    assert seen.opening_sentence(study) == ""
    (told, _) = seen.Seen().blocks(study)
    assert len(told.lines) == 2


def test_of_one_cell_no_counting_is_made(make):
    study = Study(make(whole((10,), 2, ("lstm",)), (10,), cells='["lstm"]'))
    assert seen.flow_sentence(study).startswith(
        "At T = 10, lstm starts with an open flow and solves it ("
    )


def test_a_bar_in_a_heading_ends_no_column_of_markdown():
    table = Table("t", None, ["cell", "|w|"], [["rnn", "1"]], "lr")
    text = markdown.render(Document("t", "", "", [Part("p", [table])]))
    assert "| cell | \\|w\\| |" in text
