"""Runs in depth: factors beside theory, speeds and scores beside print."""

import math
import re

import numpy as np
import pytest
import torch

import seqbench
from seqbench.analysis import depth
from seqbench.analysis.mean_field import gradient_factor
from seqbench.analysis.study import Study
from seqbench.cells.dense import Dense
from seqbench.reporting.blocks import Figure, Table
from seqbench.reporting.sections.depth import Depth
from seqbench.reporting.sections.matrix import Matrix
from seqbench.reporting.sections.neurons import Neurons
from seqbench.reporting.sections.seen import Seen

CARD = """
name = "deep"
lengths = [2, 24]
seeds = 3
cells = [
    { use = "dense", label = "sigmoid", activation = "sigmoid", init = "normal" },
    { use = "dense", label = "normed", norm = "batch" },
]
[problem]
name = "flat_images"
loss = "sigmoid"
train_images = 100
[training]
steps = 1
hidden_size = 30
eval_size = 20
[recording]
boundaries = "all"
diagnostics = ["learning_speed"]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    where = tmp_path_factory.mktemp("deep")
    (where / "deep.toml").write_text(CARD)
    return seqbench.run(where / "deep.toml", out=where / "run", quiet=True)


@pytest.mark.parametrize("init", depth.DRAWN)
def test_the_variances_that_theory_is_given_are_those_that_are_drawn(init):
    torch.manual_seed(0)
    linear = Dense(400, 400, 1, init=init)[0].linear
    weight, bias = depth.DRAWN[init]
    assert linear.weight.var().item() * 400 == pytest.approx(weight, rel=0.02)
    assert linear.bias.var().item() == pytest.approx(bias, rel=0.2)


def test_what_is_predicted_of_a_cell():
    assert depth.predicted_factor({}, 30) == pytest.approx(0.2048, abs=5e-5)
    relu = {"activation": "relu", "init": "he"}
    assert depth.predicted_factor(relu, 30) == pytest.approx(1.0)
    leaky = {"activation": "leaky_relu", "init": "he"}
    assert depth.predicted_factor(leaky, 30) == pytest.approx(math.sqrt(1 + 1e-4))
    scaled = {"activation": "tanh", "weight_scale": 1.5, "bias_scale": 0.2}
    expected = gradient_factor("tanh", 2.25, 0.04)
    assert depth.predicted_factor(scaled, 30) == pytest.approx(expected)
    unscaled = depth.predicted_factor({"init": "unscaled"}, 100)
    assert unscaled == pytest.approx(gradient_factor("sigmoid", 100.0, 1.0))


@pytest.mark.parametrize("options", [{"norm": "layer"}, {"residual": True}, {"init": "constant"}])
def test_theory_is_silent_on_norms_and_residuals(options):
    assert math.isnan(depth.predicted_factor(options, 30))


def test_the_factor_is_read_off_the_layers_in_the_middle(run):
    table = depth.factors(run).set_index("cell")
    assert set(table["length"]) == {24}  # two layers have no middle
    assert table.loc["sigmoid", "factor"] == pytest.approx(0.2048, rel=0.1)
    assert table.loc["sigmoid", "low"] <= table.loc["sigmoid", "factor"]
    assert table["summed"].tolist() == [False, True]
    assert math.isnan(table.loc["normed", "predicted"])
    assert 0.5 < table.loc["normed", "factor"] < 2


def test_a_network_of_somebodys_own_is_known_by_what_it_is(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\nclass Mine(nn.Sequential):\n    kind = 'chain'\n"
        "    def __init__(self, n, h, depth, norm='batch'):\n"
        "        sizes = [n, *[h] * depth]\n"
        "        super().__init__(*[nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])])\n"
    )
    (tmp_path / "deep.toml").write_text(
        CARD.replace('{ use = "dense", label = "normed", norm = "batch" }', '"mine.py:Mine"')
    )
    found = seqbench.run(tmp_path / "deep.toml", tmp_path / "run", lengths=[12], quiet=True)
    table = depth.factors(found).set_index("cell")
    assert set(table.index) == {"sigmoid", "Mine"}
    assert np.isnan(table.loc["Mine", "predicted"])
    assert not table.loc["Mine", "summed"]


def test_tied_and_untied_stand_side_by_side(tmp_path):
    tied = '{ use = "dense", label = "tied", tied = true }'
    text = CARD.replace('{ use = "dense", label = "normed", norm = "batch" }', tied)
    (tmp_path / "deep.toml").write_text(text)
    found = seqbench.run(tmp_path / "deep.toml", tmp_path / "run", quiet=True)
    (row,) = depth.ties(found).to_dict("records")
    assert (row["tied"], row["untied"], row["length"]) == ("tied", "sigmoid", 24)
    known = depth.factors(found).set_index("cell")["factor"]
    assert (row["factor_tied"], row["factor_untied"]) == (known["tied"], known["sigmoid"])
    # A geometric sequence of ratio r: the last 6 of 24 have (1 - r^6) / (1 - r^24) of its sum.
    ratio = 0.2048
    assert row["near_untied"] == pytest.approx((1 - ratio**6) / (1 - ratio**24), abs=1e-3)
    names = [getattr(block, "name", "") for block in Depth().blocks(Study(found))]
    assert {"depth_tied", "tied"} <= set(names)
    figure = next(
        block for block in Depth().blocks(Study(found)) if getattr(block, "name", "") == "tied"
    )
    assert [line.get_linestyle() for line in figure.draw().axes[0].lines] == ["-", "--"]


def test_training_accuracy_stands_beside_that_of_validation(run):
    table = depth.learned(run).set_index(["cell", "length"])
    assert len(table) == 4
    rows = run.lengths[run.lengths["data"] == "training"]
    own = rows[(rows.cell == "sigmoid") & (rows.length == 2)]["score"]
    assert table.loc[("sigmoid", 2), "training"] == own.median()
    assert (own * 100 % 1 < 1e-9).all(), "shares of 100 images"
    assert table.loc[("sigmoid", 2), "learning_rate"] == 1e-3


def test_the_output_layer_has_a_speed_of_its_own(run):
    two = depth.speeds(run)
    assert two[two.length == 2].layer.unique().tolist() == [1, 2, 3]
    tables = [block for block in Depth().blocks(Study(run)) if hasattr(block, "rows")]
    assert any("output" in row for block in tables for row in block.rows)


def test_published_speeds_stand_beside_measured_ones_where_the_network_is_theirs(run):
    table = depth.speeds(run)
    two = table[(table["length"] == 2) & (table["step"] == 0)].set_index(["cell", "layer"])
    assert two.loc["sigmoid", "published"].tolist()[:2] == [0.07, 0.31]
    assert np.isnan(two.loc[("sigmoid", 3), "published"]), "the book has the hidden layers alone"
    assert two.loc["normed", "published"].isna().all()
    readings = run.diagnostics
    one = readings[(readings.cell == "sigmoid") & (readings.length == 2) & (readings.step == 0)]
    expected = np.median(one[one["index"] == 1].value)
    assert two.loc[("sigmoid", 1), "median"] == pytest.approx(expected)
    assert table[table["step"] == 1]["published"].isna().all()


def test_the_report_says_that_a_batch_norms_flow_is_of_the_summed_loss(run):
    blocks = list(Depth().blocks(Study(run)))
    told = " ".join(line for block in blocks for line in getattr(block, "lines", ()))
    assert "summed over the batch" in told
    assert [type(block).__name__ for block in blocks].count("Table") == 3
    figure = next(block for block in blocks if type(block).__name__ == "Figure")
    assert len(figure.draw().axes) >= 4


def test_a_speed_too_small_for_four_places_is_told_by_its_power_of_ten(run):
    blocks = [block for block in Depth().blocks(Study(run)) if isinstance(block, Table)]
    (speeds,) = (block for block in blocks if block.name == "learning_speed")
    medians = {(row[0], row[2]): row[4] for row in speeds.rows if row[1] == "24"}
    assert re.fullmatch(r"\d\.\de−\d\d", medians["sigmoid", "1"])
    assert re.fullmatch(r"0\.\d{4}", medians["sigmoid", "24"])


def test_a_page_about_depth_counts_layers_and_shows_no_line_of_time(run):
    study = Study(run)
    assert study.unit.at(24) == "L = 24"
    assert study.unit.many == "layers"
    titles = [block.title for block in Matrix().blocks(study) if isinstance(block, Figure)]
    assert len(titles) == 1
    assert "k layers back, L = 24" in titles[0]
    told = [line for block in Seen().blocks(study) for line in getattr(block, "lines", ())]
    assert not [line for line in told if "T = " in line]
    assert any("before training from" in x and ", of 2 networks," in x for x in told)


def test_how_far_apart_the_first_and_the_last_layer_are(run):
    table = depth.speed_ratios(run).set_index("cell")
    assert table["length"].tolist() == [24, 24]
    speeds = depth.speeds(run).set_index(["cell", "length", "step", "layer"])["median"]
    for at, step in (("start", 0), ("end", table.loc["sigmoid", "step"])):
        ratio = speeds["sigmoid", 24, step, 24] / speeds["sigmoid", 24, step, 1]
        assert table.loc["sigmoid", at] == pytest.approx(ratio)
    assert table.loc["sigmoid", "start"] > 1e10  # 0.2 a layer


def test_sigmoid_layers_have_the_product_of_single_neurons_beside_them(run):
    blocks = list(Neurons().blocks(Study(run)))
    table = next(block for block in blocks if isinstance(block, Table))
    assert [row[5:] for row in table.rows[4:]] == [["25.000000", "25.000000"]] * 4
    assert all(row[5] == row[6] for row in table.rows)
    told = " ".join(line for block in blocks for line in getattr(block, "lines", ()))
    assert "19 % exceed 1/4" in told
    (figure,) = (block for block in blocks if isinstance(block, Figure))
    assert "0.45 at |w| = 6.9" in figure.caption
    assert len(figure.draw().axes) == 2
