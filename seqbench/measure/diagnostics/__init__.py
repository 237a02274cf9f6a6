"""Further diagnostics, one subject a file: small classes that a card's [recording] table names."""

# name -> (where its class lies, one line for `seqbench list`)
BUNDLED: dict[str, tuple[str, str]] = {
    "lyapunov": (
        "seqbench.measure.diagnostics.spectra:Lyapunov",
        "finite-time Lyapunov exponents; options: window, sequences, exponents",
    ),
    "singular_values": (
        "seqbench.measure.diagnostics.spectra:SingularValues",
        "of the state's Jacobian over k steps; options: steps, sequences",
    ),
    "spectral_radius": (
        "seqbench.measure.diagnostics.weights:SpectralRadius",
        "of each recurrent matrix",
    ),
    "saturation": (
        "seqbench.measure.diagnostics.saturation:Saturation",
        "shares of shut and open gates, flat tanh units, dead rectifiers",
    ),
    "signal_to_noise": (
        "seqbench.measure.diagnostics.signal:SignalToNoise",
        "of the flow over examples, by lag; options: boundaries",
    ),
    "credit": (
        "seqbench.measure.diagnostics.credit:Credit",
        "d answer / d value at marked and unmarked steps (adding)",
    ),
    "flow_bound": (
        "seqbench.measure.diagnostics.bound:FlowBound",
        "the flow, and what the chain rule demands of it for credit (adding)",
    ),
    "gradient_norm": (
        "seqbench.measure.diagnostics.weights:GradientNorm",
        "of the parameters, before clipping, at every training step",
    ),
    "learning_speed": (
        "seqbench.measure.diagnostics.learning_speed:LearningSpeed",
        "norm of the mean gradient of each layer's biases over the training set (depth)",
    ),
    "temporal_components": (
        "seqbench.measure.diagnostics.components:TemporalComponents",
        "share of the parameters' gradient by lag; options: boundaries",
    ),
    "sensitivity": (
        "seqbench.measure.diagnostics.sensitivity:Sensitivity",
        "of the state to the parameters, over steps; options: directions, sequences",
    ),
    "clipped_steps": (
        "seqbench.measure.diagnostics.clipping:ClippedSteps",
        "share of training steps whose gradient was clipped; options: window",
    ),
    "condition_number": (
        "seqbench.measure.diagnostics.conditioning:ConditionNumber",
        "of the state's Jacobian over k steps; options: steps, sequences",
    ),
}
