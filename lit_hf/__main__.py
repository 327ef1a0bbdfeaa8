"""`python -m lit_hf` is the `lit-hf` command."""

from lit_hf.cli.working_folder import leave_working_folder

leave_working_folder()

from lit_hf.cli.command import run  # noqa: E402 - what it imports does not lie beside the data

if __name__ == "__main__":
    run()
