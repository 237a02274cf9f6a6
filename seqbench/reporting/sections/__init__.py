"""What a report shows of a run: a Study in, blocks out; one section a file, in this order."""

# name -> (where its class lies, one line for `seqbench list`)
BUNDLED: dict[str, tuple[str, str]] = {
    "head": ("seqbench.reporting.sections.head:Head", "what was run, in a sentence"),
    "matrix": ("seqbench.reporting.sections.matrix:Matrix", "which cell at which length"),
    "seen": ("seqbench.reporting.sections.seen:Seen", "what was seen, in a few sentences"),
    "glance": ("seqbench.reporting.sections.glance:Glance", "a line a cell"),
    "comparison": ("seqbench.reporting.sections.comparison:Comparison", "cells by length"),
    "pairs": ("seqbench.reporting.sections.pairs:Pairs", "cells compared seed by seed"),
    "flow": ("seqbench.reporting.sections.flow:Flow", "the output flow against lag"),
    "reach": ("seqbench.reporting.sections.reach:Reach", "half-life and horizon against length"),
    "depth": ("seqbench.reporting.sections.depth:Depth", "networks in depth beside theory"),
    "neurons": ("seqbench.reporting.sections.neurons:Neurons", "the gradient as a product"),
    "heat": ("seqbench.reporting.sections.heat:Heat", "the output flow over training"),
    "learning": ("seqbench.reporting.sections.learning:Learning", "learning curves"),
    "published": (
        "seqbench.reporting.sections.published:Published",
        "beside the published numbers",
    ),
    "budget": (
        "seqbench.reporting.sections.budget:Budget",
        "what fewer training steps would have said",
    ),
    "lengths": ("seqbench.reporting.sections.lengths:Lengths", "lengths not trained at, test data"),
    "opening": ("seqbench.reporting.sections.opening:Opening", "did the flow open before the fall"),
    "predicts": (
        "seqbench.reporting.sections.predicts:Predicts",
        "does the flow before training tell who learns",
    ),
    "diagnostics": ("seqbench.reporting.sections.diagnostics:Diagnostics", "further diagnostics"),
    "made": ("seqbench.reporting.sections.made:Made", "cells, rates, versions, the card"),
}
