"""The checks of a problem, in the order in which they are told.

Shapes: T steps, B sequences, I inputs, O outputs, S scored steps, n needed lags.
"""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor

from seqbench import plugins
from seqbench.errors import InputError
from seqbench.problems.batch import Batch, missing
from seqbench.testing import needs as needed
from seqbench.testing.checks.subject import Fault, NotApplicable, check
from seqbench.testing.problem_subject import ProblemSubject

CLOSE = 0.01  # relative, between a closed form and a simulation, besides its own uncertainty:
SIGMAS = 5.0  # standard errors
SHARE_OF_NOTHING = 0.1  # share_learned that chance may give
TELLS = 0.05  # of the target, by which an input must do better than chance to tell anything
LONGEST_SHORTEST = 1000  # a problem that takes none of 1..this has no lengths


@check(
    "construction",
    "the class is called as MyProblem(length, **options) and has input_size, output_size, steps, "
    "baselines (name -> Baseline) and the methods of seqbench.problems.batch.Problem",
    needs=(),
)
def construction(subject: ProblemSubject) -> str:
    """MyProblem(length) has what a problem must have."""
    problem = subject.problem
    lacking = missing(problem)
    if lacking:
        raise Fault(f"it has no {', '.join(lacking)}")
    if not problem.baselines:
        raise Fault("it has no baseline")
    shown = (
        f"a vocabulary of {subject.can.vocabulary}"
        if subject.can.vocabulary
        else (f"{problem.input_size} inputs")
    )
    return f"{shown}, {problem.output_size} outputs, at most {problem.steps} steps"


@check(
    "length",
    "raise InputError for a length that is too short, and say the shortest "
    "(seqbench.problems.checks.check_length)",
    needs=("construction",),
)
def length(subject: ProblemSubject) -> str:
    """From the shortest on; below it an InputError that says it."""
    told = ""
    for shortest in range(1, LONGEST_SHORTEST):
        try:
            subject.cls(shortest, **subject.options)
        except InputError as error:
            told = str(error)
            continue
        except Exception as error:
            raise Fault(f"at length {shortest}: {plugins.own_words(error)}") from None
        if told and str(shortest) not in told:
            raise Fault(
                f"the shortest is {shortest}, and the error at {shortest - 1} says:\n{told}"
            )
        return f"{shortest} or more"
    raise Fault(f"it takes no length below {LONGEST_SHORTEST}")


@check(
    "shapes",
    "sample(batch_size, generator) returns Batch(inputs [T, B, I], or [T, B] tokens with an "
    "attribute vocabulary; targets [T, B] or [T, B, D]; weights [T, B]), T at most self.steps",
    needs=("construction",),
)
def shapes(subject: ProblemSubject) -> str:
    """At batch 1 and 8."""
    problem, can = subject.problem, subject.can
    for size in (1, 8):
        batch = subject.draw(size)
        if not isinstance(batch, Batch):
            raise Fault(f"it returns {type(batch).__name__}, not Batch")
        T = len(batch.inputs)
        wanted = (T, size) if can.vocabulary else (T, size, problem.input_size)
        if tuple(batch.inputs.shape) != wanted:
            raise Fault(f"inputs are {list(batch.inputs.shape)}, not {list(wanted)}")
        if problem.steps < T:
            raise Fault(f"{T} steps, more than steps = {problem.steps}")
        real = batch.targets.is_floating_point()
        if batch.targets.shape[:2] != (T, size) or batch.targets.ndim != 2 + real:
            raise Fault(f"targets are {list(batch.targets.shape)}")
        if batch.weights.shape != (T, size):
            raise Fault(f"weights are {list(batch.weights.shape)}, not {[T, size]}")
    kind = "real values" if real else "classes"
    return f"inputs {list(batch.inputs.shape)}, {kind}"


@check(
    "dtype",
    "inputs are float32 and finite, or int64 tokens below the vocabulary; targets int64 classes "
    "below output_size, or float32",
    needs=("shapes",),
)
def dtype(subject: ProblemSubject) -> None:
    """Types and ranges."""
    batch, can = subject.many, subject.can
    for name, x, most in (
        ("inputs", batch.inputs, can.vocabulary),
        ("targets", batch.targets, subject.problem.output_size),
    ):
        if x.device.type != "cpu":
            raise Fault(f"{name} are on {x.device}; they are moved later")
        tokens = bool(can.vocabulary) if name == "inputs" else not x.is_floating_point()
        wanted = torch.int64 if tokens else torch.float32
        if x.dtype != wanted:
            raise Fault(f"{name} are {x.dtype}, not {wanted}")
        if tokens and not (int(x.min()) >= 0 and int(x.max()) < most):
            raise Fault(f"{name} go from {int(x.min())} to {int(x.max())}, not 0 to {most - 1}")
        if not x.isfinite().all():
            raise Fault(f"{name} are not all finite")


@check(
    "weights",
    "weights are 0 where nothing is asked and positive elsewhere; each sequence is asked at least "
    "once",
    needs=("shapes",),
)
def weights(subject: ProblemSubject) -> str:
    """Not negative, and at least one a sequence."""
    w = subject.many.weights
    if not w.isfinite().all() or (w < 0).any():
        raise Fault("a weight is negative or not finite")
    if not (w > 0).any(0).all():
        raise Fault("a sequence has no scored step")
    counts = (w > 0).sum(0)
    return f"{int(counts.min())} to {int(counts.max())} scored steps a sequence"


@check(
    "generator alone",
    "draw with generator=generator only: no other random state, nothing remembered between calls",
    needs=("shapes",),
)
def generator_alone(subject: ProblemSubject) -> None:
    """Same seed, same data, whatever was drawn before; other random states untouched."""
    before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    once = subject.draw(8)
    subject.draw(5, seed=1)
    again, other = subject.draw(8), subject.draw(8, seed=2)
    after = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    if not torch.equal(before[0], after[0]) or before[1:] != after[1:]:
        raise Fault("it draws from a global random state")
    if not (torch.equal(once.inputs, again.inputs) and torch.equal(once.targets, again.targets)):
        raise Fault("the same seed gave other data after a batch of another size")
    if torch.equal(once.inputs, other.inputs):
        raise Fault("two seeds gave the same data")


@check(
    "loss",
    "loss(outputs [S, B, O], targets) -> [S, B], differentiable, each from its own output and "
    "target alone; the suite weights and averages",
    needs=("shapes", "dtype"),
)
def loss(subject: ProblemSubject) -> None:
    """Its shape, and that no step's loss depends on another's output."""
    batch = subject.draw(4)
    size = (*batch.targets.shape[:2], subject.problem.output_size)
    outputs = torch.randn(size, generator=torch.Generator().manual_seed(0)).requires_grad_()
    losses_TB = subject.problem.loss(outputs, batch.targets)
    if losses_TB.shape != size[:2]:
        raise Fault(f"the loss is {list(losses_TB.shape)}, not {list(size[:2])}")
    gradient = torch.autograd.grad(losses_TB[0, 0], outputs)[0]
    gradient[0, 0] = 0.0
    if gradient.any():
        raise Fault("the loss of a step depends on another's output")


@check(
    "score",
    'score(...) returns a dict of numbers with "score" and "share_learned", both 1 for one who '
    "knows all, which solved(...) takes for solved",
    needs=("loss",),
)
def score(subject: ProblemSubject) -> str:
    """What one earns who knows all."""
    batch = subject.draw(200)
    numbers = subject.numbers(subject.perfect(batch), batch)
    for name in ("score", "share_learned"):
        if name not in numbers:
            raise Fault(f"there is no {name!r} among {', '.join(numbers)}")
        if not abs(numbers[name] - 1) < 0.01:
            raise Fault(f"one who knows all has {name} = {numbers[name]:.4g}, not 1")
    if not subject.problem.solved(numbers):
        raise Fault("one who knows all has not solved it")
    return ", ".join(numbers)


@check(
    "baselines",
    "the first baseline's loss is what one earns who has learned nothing worth the name: not more "
    'than the best answer that is the same everywhere; one called "... nothing" is that answer',
    needs=("loss", "weights"),
)
def baselines(subject: ProblemSubject) -> str:
    """Against the best constant answer, found by descent on 4,000 sequences."""
    batch = subject.many
    constant_O = _best_constant(subject, batch)
    outputs = constant_O.expand(*batch.targets.shape[:2], -1)
    losses_B = (subject.problem.loss(outputs, batch.targets) * batch.loss_weights()).sum(0).double()
    earned, numbers = losses_B.mean().item(), subject.numbers(outputs, batch)
    error = SIGMAS * losses_B.std().item() / len(losses_B) ** 0.5 + CLOSE * earned
    for i, (name, told) in enumerate(subject.problem.baselines.items()):
        nothing = "nothing" in name
        off = told.loss - earned
        if (off > error and (nothing or i == 0)) or (nothing and off < -error):
            raise Fault(f"{name!r}: loss {told.loss:.4g}; the best constant earns {earned:.4g}")
        if nothing and abs(told.score - numbers["score"]) > SIGMAS / 2 / len(losses_B) ** 0.5:
            raise Fault(
                f"{name!r}: score {told.score:.4g}; the best constant's is {numbers['score']:.4g}"
            )
    if numbers["share_learned"] > SHARE_OF_NOTHING:
        raise Fault(f"the best constant has share_learned = {numbers['share_learned']:.3g}")
    if subject.problem.solved(numbers):
        raise Fault("the best constant has solved it")
    return f"the best constant answer earns {earned:.4g}"


def _best_constant(subject: ProblemSubject, batch: Batch) -> Tensor:
    constant_O = torch.zeros(subject.problem.output_size, requires_grad=True)
    if not batch.targets.is_floating_point():  # the log of the classes' frequencies
        mass_O = torch.full(constant_O.shape, 1e-6, dtype=torch.float64)
        mass_O.index_add_(0, batch.targets.flatten(), batch.loss_weights().double().flatten())
        return mass_O.log().float()
    optimizer = torch.optim.LBFGS([constant_O], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = subject.mean_loss(constant_O.expand(*batch.targets.shape[:2], -1), batch)
        value.backward()
        return value

    optimizer.step(closure)
    return constant_O.detach()


@check(
    "anchors are scored",
    "anchors(batch) returns a list of [B], steps counted from 1, each with a weight above 0",
    needs=("weights",),
)
def anchors_scored(subject: ProblemSubject) -> str:
    """Each anchor of each sequence."""
    batch = subject.many
    anchors = subject.problem.anchors(batch)
    if not anchors:
        raise Fault("there is none")
    every_B = torch.arange(batch.weights.shape[1])
    for step_B in anchors:
        if step_B.shape != every_B.shape or step_B.is_floating_point():
            raise Fault(
                f"an anchor is {step_B.dtype} {list(step_B.shape)}, not whole {list(every_B.shape)}"
            )
        if step_B.min() < 1 or step_B.max() > len(batch.weights):
            raise Fault(
                f"anchors go from {int(step_B.min())} to {int(step_B.max())}, not 1 to "
                f"{len(batch.weights)}"
            )
        if not (batch.weights[step_B - 1, every_B] > 0).all():
            raise Fault("an anchor lies where nothing is scored")
    return f"{len(anchors)}"


@check(
    "needed lags inside the sequence",
    "needed_lags(batch) returns for each anchor [B, n]: anchor minus the step (from 1) at which "
    "what it needs was shown",
    needs=("anchors are scored",),
)
def lags_inside(subject: ProblemSubject) -> str:
    """0 to anchor - 1."""
    _refuse_what_is_shown_at_once(subject)
    anchors = subject.problem.anchors(subject.many)
    each = subject.problem.needed_lags(subject.many)
    if len(each) != len(anchors):
        raise Fault(f"{len(anchors)} anchors, and lags for {len(each)}")
    for step_B, lags_Bn in zip(anchors, each, strict=True):
        if lags_Bn.ndim != 2 or len(lags_Bn) != len(step_B):
            raise Fault(f"lags are {list(lags_Bn.shape)}, not [{len(step_B)}, n]")
        if (lags_Bn < 0).any() or (lags_Bn >= step_B[:, None]).any():
            raise Fault("a lag reaches before the first step, or ahead")
    low = min(int(lags_Bn.min()) for lags_Bn in each)
    return f"{low} to {max(int(lags_Bn.max()) for lags_Bn in each)}"


@check(
    "needed lags are needed",
    "the inputs at the needed lags decide the target, and without any one of them they don't; name "
    "all steps that matter, and no others",
    needs=("needed lags inside the sequence", "dtype"),
)
def lags_needed(subject: ProblemSubject) -> str:
    """Whether what is shown at the needed lags, and nothing else, decides the target."""
    _refuse_what_is_shown_at_once(subject)
    batch, told = subject.many, []
    each = zip(subject.problem.anchors(batch), subject.problem.needed_lags(batch), strict=True)
    for step_B, lags_Bn in each:
        inputs_Bnf = needed.shown_at(batch, step_B, lags_Bn)
        target_BD = batch.targets[step_B - 1, torch.arange(len(step_B))]
        if bool((lags_Bn.sort(1).values == torch.arange(lags_Bn.shape[1])).all()) and bool(
            (step_B == lags_Bn.shape[1]).all()
        ):
            raise NotApplicable("every step is needed")
        share = needed.explained(inputs_Bnf, target_BD)
        if share is None or lags_Bn.shape[1] > needed.MOST:
            raise NotApplicable(
                "too much is needed to compare sequences that show the same; a "
                "shorter length may do"
            )
        if share < needed.ALL:
            raise Fault(f"what is shown at the needed lags decides {share:.0%} of the target")
        for k in range(lags_Bn.shape[1]):
            _check_that_it_matters(k, inputs_Bnf, target_BD)
        told.append(f"{share:.1%}")
    return f"they decide {', '.join(told)} of the target"


def _refuse_what_is_shown_at_once(subject: ProblemSubject) -> None:
    if len(subject.many.inputs) == 1:
        raise NotApplicable("all is shown at one step; for a network in depth, lags are layers")


def _check_that_it_matters(k: int, inputs_Bnf: Tensor, target_BD: Tensor) -> None:
    """A need that tells nothing by itself, and that the others do as well without, is none."""
    rest = torch.cat([inputs_Bnf[:, :k], inputs_Bnf[:, k + 1 :]], 1)
    without, alone = (
        needed.explained(rest, target_BD),
        needed.explained(inputs_Bnf[:, [k]], target_BD),
    )
    if without is None or alone is None or without < needed.ALL:
        return
    if alone < needed.chance(target_BD) + TELLS:
        raise Fault(
            f"need {k + 1} of {inputs_Bnf.shape[1]} is none: without it the others decide "
            f"{without:.0%} of the target"
        )


@check(
    "capabilities",
    "seqbench.problems.batch.Capabilities says what each optional attribute or method is",
    needs=("shapes", "loss"),
)
def optional(subject: ProblemSubject) -> str:
    """Whatever it offers besides is as declared."""
    can, problem = subject.can, subject.problem
    offers = []
    if type(can.train_set) is not int or can.train_set < 0:
        raise Fault(f"train_set = {can.train_set!r}")
    if can.blank_steps is not None and not range(problem.steps)[: can.blank_steps.stop]:
        offers.append("blank_steps")
    if can.value_gradient is not None:
        batch = subject.draw(4)
        gradient = can.value_gradient(batch)
        if gradient.shape != batch.inputs.shape[:2]:
            raise Fault(f"value_gradient is {list(gradient.shape)}, not [T, B]")
        offers.append("value_gradient")
    if can.held_out is not None:
        for part in ("validation", "test"):
            if not isinstance(can.held_out(part, 5, torch.Generator().manual_seed(0)), Batch):
                raise Fault(f"held_out({part!r}, ...) returns no Batch")
        offers.append("held_out")
    return ", ".join(offers) or "none"


CHECKS = (
    construction,
    length,
    shapes,
    dtype,
    weights,
    generator_alone,
    loss,
    score,
    baselines,
    anchors_scored,
    lags_inside,
    lags_needed,
    optional,
)
