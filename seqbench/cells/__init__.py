"""The bundled cells, one family a file, each a class by torch's own contract."""

# name -> (where its class lies, one line for `seqbench list`)
BUNDLED: dict[str, tuple[str, str]] = {
    "rnn": (
        "seqbench.cells.rnn:RNN",
        "vanilla RNN; options: nonlinearity, recurrent (how its matrix is drawn), gain, "
        "spectral_radius, layer_norm, residual, init",
    ),
    "gru": (
        "seqbench.cells.gru:GRU",
        "gated recurrent unit (Cho et al. 2014); options: chrono",
    ),
    "lstm": (
        "seqbench.cells.lstm:LSTM",
        "long short-term memory (Gers et al. 2000); options: forget_bias, chrono, layer_norm, init",
    ),
    "irnn": (
        "seqbench.cells.rnn:IRNN",
        "relu RNN that starts at the identity (Le et al. 2015); options: gain",
    ),
    "orthogonal": (
        "seqbench.cells.rnn:Orthogonal",
        "RNN whose recurrent matrix stays orthogonal (Lezcano 2019); options: nonlinearity, "
        "recurrent, rate",
    ),
    "dense": (
        "seqbench.cells.dense:Dense",
        "deep feedforward network, `length` layers; options: activation, init, weight_scale, "
        "bias_scale, norm, residual, tied, widths",
    ),
    "lstm1997": (
        "seqbench.cells.lstm:LSTMWithoutForgetGate",
        "long short-term memory without a forget gate (Hochreiter & Schmidhuber 1997)",
    ),
    "lstm_damped": (
        "seqbench.cells.damped:DampedLSTM",
        "the lstm, its gradient through time made smaller or larger; options: damping, forget_bias",
    ),
    "slstm": (
        "seqbench.cells.slstm:SLSTM",
        "exponential gates and a normaliser (xLSTM, Beck et al. 2024); options: forget_bias",
    ),
    "lru": (
        "seqbench.cells.linear:LRU",
        "linear recurrent unit (Orvieto et al. 2023); options: r_min, r_max, max_phase, mix, "
        "parallel",
    ),
    "mingru": (
        "seqbench.cells.linear:MinGRU",
        "gates that don't see the state (Feng et al. 2024); options: parallel",
    ),
    "minlstm": (
        "seqbench.cells.linear:MinLSTM",
        "the same of the LSTM (Feng et al. 2024); options: forget_bias, parallel",
    ),
    "mamba": (
        "seqbench.cells.mamba:Mamba",
        "selective state space (Gu & Dao 2023); options: state_size, expand, conv, parallel",
    ),
    "deltanet": (
        "seqbench.cells.delta:DeltaNet",
        "a matrix written by the delta rule (Schlag et al. 2021, Yang et al. 2024); options: "
        "heads, gated, negative",
    ),
}
