"""What the engine costs, measured: `python -m benchmarks` (docs/engine.md says how to read it).

Each table is a module with a function `measure(quick) -> Table`, entered in `tables.TABLES`.
"""
