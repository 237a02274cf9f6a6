"""Where a training step's time goes: matrix products, the pointwise part, and the rest.

Shapes: H units, B examples, G rows of gates, K rows of the kernels' buffer, W columns of a window.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from numba import njit

from benchmarks import sides
from benchmarks.sides import KINDS, Work
from benchmarks.timing import Row, Table, interleaved, one_thread
from seqbench.engine import steps_numba
from seqbench.engine.kernels import APART, COLUMNS

WORKS = [(200, 64, 64), (200, 50, 128), (200, 20, 40)]
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
LARGE = 512  # rows and columns of the product that is taken for the processor's limit


def measure(quick: bool) -> Table:
    """Each by itself, in turn with the whole step, in microseconds of CPU time for a time step."""
    table = Table("Where a training step's time goes")
    for T, B, H in [(20, 4, 8)] if quick else WORKS:
        for kind in KINDS:
            table.rows.append(_row(Work(kind, T, B, H, 0), quick))
    table.notes += [
        "Microseconds of one time step, forward and backward: `forward`, `back` and `weights` are "
        "its three products by themselves, `pointwise` what stands between them, `rest` what "
        "remains of the whole: torch, Python, the loss, copies. By numba.",
        f"`limit` is what the three products would take at the speed of a product of {LARGE} rows "
        f"and columns by numpy in the same run (`GFLOP_s`).",
    ]
    return table


def _row(work: Work, quick: bool) -> Row:
    each = _products(work) | _pointwise(work)
    side = np.random.default_rng(0).random((LARGE, LARGE), np.float32)
    each["large"] = lambda: np.dot(side, side)
    with one_thread():
        whole = sides.ours_without_norms(work, work.cut())
        taken = interleaved(
            each | {"whole": whole}, seconds=0 if quick else 5, fewest=2 if quick else 15,
            clock=time.process_time,
        )  # fmt: skip
    us = {name: 1e6 * statistics.median(times) / work.T for name, times in taken.items()}
    speed = 2e-9 * LARGE**3 / statistics.median(taken["large"])
    H, G, K, B = work.H, GATES[work.kind] * work.H, work.H + 3, work.B
    flops = 2 * B * G * (2 * K + H)
    parts = {name: round(us[name], 1) for name in ("forward", "back", "weights", "pointwise")}
    parts["rest"] = round(us["whole"] - sum(parts.values()), 1)
    more = parts | {"limit": round(1e-3 * flops / speed, 1), "GFLOP_s": round(speed)}
    return Row(str(work), "kernels", "–", round(us["whole"], 1), unit="µs", more=more)


def _buffers(work: Work) -> tuple[int, np.ndarray, np.ndarray]:
    """Columns of a step; z and d of one window."""
    B = steps_numba.columns(work.B, 4)
    draw, W = np.random.default_rng(0), max(COLUMNS // B, 1) * B + APART
    z_KW = draw.random((work.H + 3, W), np.float32)
    return B, z_KW, draw.random((5 * work.H, W), np.float32)


def _products(work: Work) -> dict[str, Callable[[], object]]:
    B, z_KW, d_GW = _buffers(work)
    draw, G, W = np.random.default_rng(0), GATES[work.kind] * work.H, z_KW.shape[1] - APART
    found = {}
    for name, rows, of in (("forward", G, z_KW), ("back", work.H, d_GW[:G])):
        weights = steps_numba.packed(draw.random((rows, len(of)), np.float32))
        out = np.empty((len(weights) * steps_numba.R, B), np.float32)
        found[name] = lambda w=weights, z=of, out=out: _repeated(work.T, w, z, out)
    found["weights"] = lambda: [d_GW[:G, :W] @ z_KW[:, :W].T for _ in range(work.T * B // W)]
    return found


@njit
def _repeated(T, w_MKR, z_KW, out_GB):
    B = out_GB.shape[1]
    for t in range(T):
        steps_numba._product(w_MKR, z_KW, t % (z_KW.shape[1] // B) * B, out_GB)


def _pointwise(work: Work) -> dict[str, Callable[[], object]]:
    B, z_KW, d_GW = _buffers(work)
    draw = np.random.default_rng(0)
    gates, h, c, new, dh, dc = (
        draw.random((rows, B), np.float32) for rows in (5 * work.H, *5 * [work.H])
    )
    do = {"rnn": _rnn, "gru": _gru, "lstm": _lstm}[work.kind]
    return {"pointwise": lambda: do(work.T, gates.copy(), gates, h, c, new, dh, dc, z_KW, d_GW)}


@njit
def _rnn(T, a, gates, h, c, new, dh, dc, z, d):
    for t in range(T):
        at = t % (z.shape[1] // h.shape[1]) * h.shape[1]
        steps_numba._rnn(0, a, h, z, at)
        steps_numba._rnn_back(0, h, dh, d, at)


@njit
def _gru(T, a, gates, h, c, new, dh, dc, z, d):
    for t in range(T):
        at = t % (z.shape[1] // h.shape[1]) * h.shape[1]
        steps_numba._gru(a, z, at, h, gates, new, z, at)
        steps_numba._gru_back(gates, h, dh, d, at)


@njit
def _lstm(T, a, gates, h, c, new, dh, dc, z, d):
    for t in range(T):
        at = t % (z.shape[1] // h.shape[1]) * h.shape[1]
        steps_numba._lstm(a, h, c, gates, new, z, at)
        steps_numba._lstm_back(gates, h, dh, dc, d, at, np.float32(1))
