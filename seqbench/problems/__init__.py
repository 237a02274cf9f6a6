"""The bundled problems, one a file; `seqbench.problems.batch` says what a problem must offer."""

# group -> name -> (where its class lies, one line for `seqbench list`)
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "classical": {
        "adding": (
            "seqbench.problems.adding:Adding",
            "add the two marked values; protocols: seqbench, arjovsky2016, hochreiter1997, "
            "anywhere, tcn2018, pascanu2013, early",
        ),
        "copy": (
            "seqbench.problems.copy:Copy",
            "recall ten symbols after T blanks; protocols: arjovsky2016, tcn2018, exprnn2019, "
            "variable",
        ),
        "multiplication": (
            "seqbench.problems.multiplication:Multiplication",
            "multiply the two marked values; protocols: seqbench, hochreiter1997, anywhere, "
            "pascanu2013, early",
        ),
        "xor": (
            "seqbench.problems.xor:XOR",
            "do the two marked bits differ; protocols: seqbench, anywhere, pascanu2013, early",
        ),
        "temporal_order": (
            "seqbench.problems.temporal_order:TemporalOrder",
            "in which order came X and Y; protocols: pascanu2013, hochreiter1997; option: markers",
        ),
        "random_permutation": (
            "seqbench.problems.permutation:RandomPermutation",
            "the last of 100 symbols is the first again",
        ),
        "memorisation": (
            "seqbench.problems.memorisation:Memorisation",
            "recall 5 bits, or ten symbols of five, after T distractors; option: bits",
        ),
        "noise_free": (
            "seqbench.problems.noise_free:NoiseFree",
            "the first symbol of a fixed sequence comes again at its end",
        ),
        "latch": (
            "seqbench.problems.latch:Latch",
            "which of two sequences began; random guessing of weights solves it; protocols: "
            "hochreiter1997-3a, hochreiter1997-3b; option: elements",
        ),
        "reber": (
            "seqbench.problems.reber:EmbeddedReber",
            "embedded Reber grammar: the last symbol but one is the second; protocols: exact, "
            "hochreiter1997",
        ),
    },
    "modern": {
        "selective_copying": (
            "seqbench.problems.selective_copying:SelectiveCopying",
            "recall tokens scattered in noise; option: tokens",
        ),
        "mqar": (
            "seqbench.problems.mqar:MQAR",
            "associative recall: pairs, then keys alone, which value; options: pairs, vocabulary",
        ),
        "denoising": (
            "seqbench.problems.denoising:Denoising",
            "recall ten symbols scattered in noise",
        ),
        "delay": (
            "seqbench.problems.delay:Delay",
            "what was shown T steps ago",
        ),
        "memory_capacity": (
            "seqbench.problems.delay:MemoryCapacity",
            "what was shown 1 to T steps ago; the score is the capacity over T",
        ),
        "flip_flop": (
            "seqbench.problems.flip_flop:FlipFlop",
            "which bit was written last; option: ignore",
        ),
        "state_tracking": (
            "seqbench.problems.state_tracking:StateTracking",
            "parity, and products in other small groups; option: group",
        ),
    },
    "images": {
        "flat_images": (
            "seqbench.problems.flat_images:FlatImages",
            "a digit, all pixels at once: for networks in depth; options: dataset, data_dir, loss, "
            "train_images",
        ),
        "images": (
            "seqbench.problems.images:Images",
            "a digit, pixel by pixel or row by row; protocols: sequential, permuted; options: "
            "dataset, data_dir",
        ),
    },
}
BUNDLED = {name: entry for names in GROUPS.values() for name, entry in names.items()}


def group(name: str) -> str:
    """Under which heading a problem is listed; somebody's own: "others"."""
    return next((group for group, names in GROUPS.items() if name in names), "others")
