"""`python -m lit_hf` is the `lit-hf` command."""

from lit_hf.cli import run

if __name__ == "__main__":
    run()
