"""Good cells of odd kinds, and cells with one fault each: what tests/test_check.py looks at."""

import random
import threading
from collections import namedtuple

import numpy as np
import torch
from torch import nn


class Good(nn.Module):
    """tanh(W [x, h]); the faulty ones below differ from it in one thing."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.linear = nn.Linear(input_size + hidden_size, hidden_size)

    def start(self, x):
        return x.new_zeros(len(x), self.hidden_size)

    def update(self, x, h):
        return torch.tanh(self.linear(torch.cat([x, h], 1)))

    def forward(self, x, state=None):
        return self.update(x, self.start(x) if state is None else state)


Pair = namedtuple("Pair", "output memory")


class NamedTuple(Good):
    def forward(self, x, state=None):
        h, c = (self.start(x), self.start(x)) if state is None else state
        c = 0.9 * c + self.update(x, h)
        return Pair(torch.tanh(c), c)


class ListNestedAndCounting(Good):
    """A list, with a tuple in it and a counter that has no gradient."""

    def forward(self, x, state=None):
        h, (c, count) = state or (
            self.start(x),
            (self.start(x), torch.zeros(len(x), 1, dtype=torch.int64, device=x.device)),
        )
        c = 0.9 * c + self.update(x, h)
        return [torch.tanh(c), (c, count + 1)]


class StatePartOfTheInputsWidth(Good):
    def forward(self, x, state=None):
        h, before = (self.start(x), torch.zeros_like(x)) if state is None else state
        return self.update(x + 0.5 * before, h), x


class Dropout(Good):
    def forward(self, x, state=None):
        return nn.functional.dropout(super().forward(x, state), 0.2, self.training)


class Lazy(Good):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.linear = nn.LazyLinear(hidden_size)


class Layer(Good):
    def forward(self, x, state=None):
        h, outputs = self.start(x[0]) if state is None else state, []
        for x_BI in x:
            outputs.append(h := self.update(x_BI, h))
        return torch.stack(outputs), h


# --- one fault each ---------------------------------------------------------------------------


class WantsASize(Good):
    def __init__(self, size):
        super().__init__(size, size)


class EqualSizesOnly(Good):
    def __init__(self, input_size, hidden_size):
        if input_size != hidden_size:
            raise ValueError("sizes must be equal")
        super().__init__(input_size, hidden_size)


class NoModule:
    def __init__(self, input_size, hidden_size):
        pass


class BatchFirst(nn.GRU):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, batch_first=True)


class Bidirectional(nn.GRU):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, bidirectional=True)


class NeedsAState(Good):
    def forward(self, x, state):
        return self.update(x, state)


class Tutorial(Good):
    """As in torch's tutorial on character RNNs."""

    def forward(self, x, hidden):
        hidden = self.update(x, hidden)
        return torch.log_softmax(hidden, 1), hidden


class ReturnsADict(Good):
    def forward(self, x, state=None):
        return {"h": super().forward(x, state and state["h"])}


class Squeezes(Good):
    def forward(self, x, state=None):
        return super().forward(x, state).squeeze()


class WrongSize(Good):
    """Of a width of its own: what is returned can't be fed back."""

    def update(self, x, h):
        return torch.cat([super().update(x, h), x[:, :1]], 1)


class FloatInTheState(Good):
    def forward(self, x, state=None):
        h, time = (self.start(x), 0.0) if state is None else state
        return self.update(x, h), time + 1.0


class DictInTheState(Good):
    def forward(self, x, state=None):
        h, memory = (self.start(x), {"c": self.start(x)}) if state is None else state
        c = 0.9 * memory["c"] + self.update(x, h)
        return torch.tanh(c), {"c": c}


class NestedOutput(Good):
    """Keeps (h, c) together, so that the output is not the first part."""

    def forward(self, x, state=None):
        zeros = self.start(x)
        (h, c), mean = ((zeros, zeros), zeros) if state is None else state
        c = 0.9 * c + self.update(x, h)
        return (torch.tanh(c), c), 0.9 * mean + 0.1 * h


class EmptyState(Good):
    def forward(self, x, state=None):
        return ()


class StateWithoutBatch(Good):
    def forward(self, x, state=None):
        h, mean = (self.start(x), x.new_zeros(self.hidden_size)) if state is None else state
        return self.update(x, h), mean


class SameOutputAndState(Good):
    def forward(self, x, state=None):
        h = super().forward(x, state)
        return h, h


class OutputAndState(Good):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, state=None):
        h, c = (self.start(x), self.start(x)) if state is None else state
        c = 0.9 * c + self.update(x, h)
        return self.out(torch.tanh(c)), (torch.tanh(c), c)


class GrowingState(Good):
    def forward(self, x, state=None):
        past = x[:, :0] if state is None else state[1]
        h = self.start(x) if state is None else state[0]
        return self.update(x, h), torch.cat([past, x], 1)


class ReadsTheStateWrongly(Good):
    def forward(self, x, state=None):
        if state is None:
            return self.update(x, self.start(x))
        return self.update(x, state[0])


class LearnedStart(Good):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.h0 = nn.Parameter(torch.randn(hidden_size))

    def start(self, x):
        return self.h0.expand(len(x), -1)


class MixesByBatchNorm(Good):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.norm = nn.BatchNorm1d(hidden_size)

    def update(self, x, h):
        return self.norm(super().update(x, h))


class MixesByMean(Good):
    def update(self, x, h):
        return super().update(x, h - h.mean(0))


class KeepsItsState(Good):
    """Starts afresh without a state, and ignores the one that it is given."""

    def forward(self, x, state=None):
        self.h = self.update(x, self.start(x) if state is None else self.h)
        return self.h


class CountsCalls(Good):
    calls = 0

    def forward(self, x, state=None):
        self.calls += 1
        return super().forward(x, state) / self.calls


class OwnNoise(Good):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.draws = np.random.default_rng(0)

    def forward(self, x, state=None):
        return super().forward(x, state) + 0.1 * self.draws.standard_normal()


class WritesIntoX(Good):
    def forward(self, x, state=None):
        return super().forward(x.mul_(0.5), state)


class WritesIntoTheState(Good):
    def forward(self, x, state=None):
        h = self.start(x) if state is None else state
        new = self.update(x, h)
        with torch.no_grad():
            h.copy_(new)
        return new


class NoiseInEval(Good):
    def update(self, x, h):
        return super().update(x, h) + 0.1 * torch.randn_like(h)


class NumpyNoise(Good):
    def update(self, x, h):
        return super().update(x, h) * (np.random.rand() if self.training else 0.5)


class PythonNoise(Good):
    def update(self, x, h):
        return super().update(x, h) * (random.random() if self.training else 0.5)


class SeedsTorch(Good):
    def __init__(self, input_size, hidden_size):
        torch.manual_seed(0)
        super().__init__(input_size, hidden_size)


class NumpyInitialisation(Good):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.linear.bias.data = torch.tensor(np.random.randn(hidden_size), dtype=torch.float32)


class UnusedParameter(Good):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.spare = nn.Parameter(torch.ones(hidden_size))


class NaNGradient(UnusedParameter):
    def update(self, x, h):
        return super().update(x, h) + (self.spare - 1).square().sqrt()  # sqrt'(0) = inf, times 0


class NaNGradientAtTheStart(Good):
    def update(self, x, h):
        return super().update(x, h + 0.1 * h.square().sum(1, keepdim=True).sqrt())


class DivergesAtOnce(Good):
    def update(self, x, h):
        return super().update(x, h) * 1e20 + 1e20 * h


class DetachesTheState(Good):
    def update(self, x, h):
        return super().update(x, h.detach())


class IgnoresTheState(Good):
    def update(self, x, h):
        return super().update(x, torch.zeros_like(h))


class DetachesApart(NamedTuple):
    def forward(self, x, state=None):
        return super().forward(x, state and (state[0].detach(), state[1]))


class WrongBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, grad):
        return 0.5 * grad


class OwnBackward(Good):
    def update(self, x, h):
        return WrongBackward.apply(self.linear(torch.cat([x, h], 1)))


class Float32Start(Good):
    def start(self, x):
        return torch.zeros(len(x), self.hidden_size, dtype=torch.float32)

    def update(self, x, h):
        return super().update(x.float(), h)


class RoundsToFloat32(Good):
    def update(self, x, h):
        return super().update(x, h.float().to(x.dtype))


class PlainTensor(Good):
    """Right in float64, but it stays behind on the CPU."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.gain = torch.full((hidden_size,), 0.5, dtype=torch.float64)

    def update(self, x, h):
        return super().update(x, h * self.gain.to(x.dtype))


class RandomPlainTensor(Good):
    """Moved by hand, but no part of the state_dict."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.gain = torch.rand(hidden_size)

    def update(self, x, h):
        return super().update(x, h * self.gain.to(x))


class HoldsALock(Good):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.lock = threading.Lock()


class HoldsOnToItself(Good):
    """A copy's function still uses the weights of the cell that it was copied from."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.squash = lambda x, h: torch.tanh(self.linear(torch.cat([x, h], 1)))

    def update(self, x, h):
        return self.squash(x, h)


class KeepsTime(Good):
    """A clock as a float, by which the output is scaled: its gradient never fades."""

    def forward(self, x, state=None):
        h, time = (self.start(x), x.new_zeros(len(x), 1)) if state is None else state
        return self.update(x, h) * (1 + 0.01 * time), time + 1


class LeavesTimeOut(KeepsTime):
    leave_out = ("c",)


class Inner:
    class Nested(Good):
        pass


def local():
    class Local(Good):
        pass

    return Local


Meta = type("Renamed", (Good,), {})  # a class whose name is not where it is found


class TakesOneSequenceToo(Layer):
    """Without a batch axis as well, as many packages' layers do, and so looks like a cell."""

    def forward(self, x, state=None):
        if x.ndim == 3:
            return super().forward(x, state)
        outputs, h = super().forward(x[:, None], state)
        return outputs[:, 0], h


class TakesTheBatchFirst(Layer):
    """Without torch's flag, so that only its numbers tell."""

    def forward(self, x, state=None):
        outputs, h = super().forward(x.transpose(0, 1), state)
        return outputs.transpose(0, 1), h


class LooksAhead(Layer):
    def forward(self, x, state=None):
        return super().forward(x + 0.1 * x.flip(0), state)


class ForgetsBetweenPieces(nn.Module):
    """A convolution over the last two inputs whose state says nothing of the one before."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.linear = nn.Linear(2 * input_size, hidden_size)

    def forward(self, x, state=None):
        before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
        outputs = self.linear(torch.cat([x, before], 2))
        return outputs, torch.zeros_like(outputs[-1])


class NoState(Layer):
    def forward(self, x, state=None):
        return super().forward(x, state)[0]
