"""One training step against torch's layer, a loop over torch's cell and jax."""

from __future__ import annotations

import torch

from benchmarks import sides
from benchmarks.sides import KINDS, Work
from benchmarks.timing import Row, Table, interleaved, one_thread, ratio
from seqbench.engine.cut import Cut

# T, B, H, boundaries
WORKS = [(200, 50, 128, 8), (1000, 64, 128, 8), (400, 64, 64, 8), (100, 64, 32, 4)]
TINY = [(20, 4, 8, 4)]


def targets(kind: str, T: int) -> tuple[float, float | None]:
    """Against the bare layer, and against the loop."""
    against_bare = 1.2 if T == 100 else 0.75 if (kind, T) == ("lstm", 1000) else 1.0
    return against_bare, 0.6 if kind == "lstm" else None


def cpu(quick: bool) -> Table:
    """Forward, loss at the last step, backward, norms; one thread."""
    table = Table("One training step on a CPU")
    with one_thread():
        for T, B, H, boundaries in TINY if quick else WORKS:
            for kind in KINDS:
                _rows(table, Work(kind, T, B, H, boundaries), quick)
    if not any(row.against == "jax.lax.scan" for row in table.rows):
        table.notes.append('Against jax: not measured, jax is not installed ("benchmarks" extra).')
    return table


def _rows(table: Table, work: Work, quick: bool) -> None:
    cut = work.cut()
    ours, bare, loop = (
        sides.ours(work, cut),
        sides.bare(work),
        sides.loop(work, cut.segment),
    )
    sides.check(work, ours, bare)
    sides.check(work, ours, loop)
    assert len(work.norms) >= work.boundaries
    each = {"ours": ours, "bare": bare, "loop": loop}
    jax_step = sides.jax_scan(work)
    if jax_step is not None:
        torch.testing.assert_close(jax_step(), bare(), rtol=1e-4, atol=1e-5)
        each["jax"] = jax_step
    taken = interleaved(each, seconds=0.1 if quick else 20.0, fewest=2 if quick else 7)
    against_bare, against_loop = targets(work.kind, work.T)
    how = f"segments of {cut.segment}, norms at {len(work.norms) // _parts(work)} boundaries"
    named = {
        "bare": ("torch layer", against_bare),
        "loop": ("cell loop, retain_grad", against_loop),
    }
    for name, (label, target) in named.items():
        table.rows.append(_row(work, how, label, taken["ours"], taken[name], target))
    if jax_step is not None:
        table.rows.append(_row(work, how, "jax.lax.scan", taken["ours"], taken["jax"], None))
        table.rows.append(
            _row(work, "torch layer", "jax.lax.scan", taken["bare"], taken["jax"], None)
        )


def _parts(work: Work) -> int:
    return 2 if work.kind == "lstm" else 1


def _row(work, how, against, ours, theirs, target) -> Row:
    value, spread = ratio(ours, theirs)
    return Row(
        str(work), how, against, value, target, spread=spread,
        more={"ms": _median(ours), "against_ms": _median(theirs), "rounds": len(ours)},
    )  # fmt: skip


def _median(seconds: list[float]) -> float:
    return round(1e3 * sorted(seconds)[len(seconds) // 2], 3)


def compiled(quick: bool) -> Table:
    """The same with compiled segments, and how long compiling took."""
    table = Table("One training step on a CPU, compiled segments")
    works = TINY if quick else WORKS[:3]
    with one_thread():
        for kind in ("rnn",) if quick else KINDS:
            for T, B, H, boundaries in works:
                work = Work(kind, T, B, H, boundaries)
                try:
                    cut = work.compiled()
                except ValueError as error:
                    table.notes.append(f"{work}: not measured: {error}")
                    continue
                ours, bare = sides.ours(work, cut), sides.bare(work)
                sides.check(work, ours, bare)
                plain = sides.ours(work, work.cut())
                taken = interleaved(
                    {"ours": ours, "bare": bare, "plain": plain},
                    seconds=0.1 if quick else 15.0, fewest=2 if quick else 7,
                )  # fmt: skip
                how = f"compiled segments of {cut.segment}"
                target = None if kind == "lstm" else 0.8
                row = _row(work, how, "torch layer", taken["ours"], taken["bare"], target)
                row.more["compile_seconds"] = round(cut.layer.seconds, 1)
                table.rows.append(row)
                table.rows.append(
                    _row(work, how, "segments, not compiled", taken["ours"], taken["plain"], None)
                )
    return table


def lengths(quick: bool) -> Table:
    """What the rule of segment lengths rests on: other lengths than the one it chooses."""
    table = Table("Other lengths of segments")
    works = [(40, 4, 8)] if quick else [
        (200, 50, 128), (1000, 64, 128), (400, 64, 64), (100, 64, 32), (1000, 20, 128),
        (2000, 20, 32), (400, 64, 512),
    ]  # fmt: skip
    tried = (10, 20) if quick else (10, 25, 50, 100, 200)
    with one_thread():
        for T, B, H in works:
            for kind in KINDS:
                work = Work(kind, T, B, H, 0)
                each = {"bare": sides.bare(work)}
                each |= {str(s): sides.ours(work, Cut(s)) for s in tried if s <= T // 2}
                chosen = work.cut().segment
                taken = interleaved(each, seconds=0.1 if quick else 10.0, fewest=2 if quick else 5)
                for name in list(each)[1:]:
                    how = f"segments of {name}" + (" (the rule's)" if int(name) == chosen else "")
                    row = _row(work, how, "torch layer", taken[name], taken["bare"], None)
                    row.more["rule"] = chosen
                    table.rows.append(row)
    return table
