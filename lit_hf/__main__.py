"""`python -m lit_hf` is the `lit-hf` command."""

import os
import sys

if __name__ == "__main__":
    # Python puts the working folder first: a `yaml.py` beside somebody's data would be imported in
    # place of the library. A checkout that is not installed is found there.
    if not sys.flags.safe_path and not os.path.isdir("lit_hf"):
        del sys.path[0]

    from lit_hf.cli.command import run

    run()
