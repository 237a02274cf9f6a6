"""python -m seqbench"""

from seqbench.cli import main

main()
