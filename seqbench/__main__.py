"""python -m seqbench"""

import sys

# Python puts the working directory first: files there must not pass for modules.
if not sys.flags.safe_path:
    del sys.path[0]

from seqbench.cli import main

main()
