"""The bundled problems, one a file; `seqbench.problems.batch` says what a problem must offer."""
