"""What TensorBoard is given: read back, it is what the tables say."""

import pytest

import seqbench

pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")

CARD = """
name = "tiny"
lengths = [8]
seeds = 1
cells = ["rnn"]
[problem]
name = "adding"
[training]
steps = 60
batch_size = 4
hidden_size = 4
eval_every = 20
eval_size = 20
[recording]
every = 20
boundaries = 4
"""


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {
        tag: {event.step: event.value for event in found.Scalars(tag)}
        for tag in found.Tags()["scalars"]
    }


def test_curves_and_flow_are_there_for_tensorboard(tmp_path):
    (tmp_path / "tiny.toml").write_text(CARD)
    results = seqbench.run(
        str(tmp_path / "tiny.toml"), tmp_path / "run", quiet=True, tensorboard=tmp_path / "board"
    )
    (folder,) = (tmp_path / "board").iterdir()
    assert folder.name == next(iter(results.records))
    found, curves = scalars(folder), results.curves.set_index("step")
    for name in ("loss", "score"):
        assert found[name] == pytest.approx(curves[name].to_dict(), rel=1e-6)
    flow = results.output_flow
    last = flow[flow["lag"] == flow["lag"].max()].set_index("step")["log10_norm"]
    assert found["log10 output flow/last lag"] == pytest.approx(last.to_dict(), rel=1e-6)
    assert found["log10 output flow/first lag"][0] == pytest.approx(
        float(flow.query("step == 0 and lag == lag.min()")["log10_norm"].iloc[0]), rel=1e-6
    )
