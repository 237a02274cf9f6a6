"""The adapters of docs/other-packages.md, each where its package is installed."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from seqbench import gradient_flow, plugins
from seqbench.testing.examination import examine

PAGE = Path(__file__).parents[2] / "docs" / "other-packages.md"
ADAPTERS = dict(re.findall(r"^```python file=(\S+)\n(.*?)^```", PAGE.read_text(), re.M | re.S))
# What the page says fails, and why.
FAILS = {"ltc.py": {"device"}, "s5_layer.py": {"gradients are right"}}


def packages(text):
    names = re.findall(r"^from (\w+)", text, re.M)
    return [name for name in names if name != "torch"]


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_keeps_the_contract_and_its_flow_can_be_measured(name, tmp_path):
    if missing := [one for one in packages(ADAPTERS[name]) if find_spec(one) is None]:
        pytest.skip(f"{missing[0]} is not installed")
    (tmp_path / name).write_text(ADAPTERS[name])
    (cls,) = re.findall(r"^class (\w+)", ADAPTERS[name], re.M)
    spec = f"{tmp_path / name}:{cls}"
    failed = {one.name: str(one) for one in examine(spec) if one.status == "failed"}
    if torch.cuda.is_available():
        assert set(failed) == FAILS.get(name, set()) - {"device"}, failed
    else:
        assert set(failed) == FAILS.get(name, set()), failed
    torch.manual_seed(0)
    flow = gradient_flow(
        plugins.load(spec)(2, 6), torch.randn(12, 3, 2), lambda out: out[-1].sum(-1)
    )
    assert (flow["n_nonfinite"] == 0).all()
    assert flow.loc[flow["state"] == "all", "log10_norm"].notna().all()


def test_the_page_has_an_adapter_of_every_package_in_its_table():
    rows = re.findall(r"^\| ([\w-]+) \| [\d.]+ \|", PAGE.read_text(), re.M)
    of_page = {
        name.lower().replace("_", "-") for text in ADAPTERS.values() for name in packages(text)
    }
    wanted = {row.lower().removesuffix("-pytorch") for row in rows} - {"torchrecurrent"}
    assert wanted == {name.removesuffix("-pytorch") for name in of_page}
