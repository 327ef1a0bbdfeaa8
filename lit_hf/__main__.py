"""`python -m lit_hf` is the `lit-hf` command."""

from lit_hf.cli.working_folder import leave_working_folder

if __name__ == "__main__":
    leave_working_folder()

from lit_hf.cli.command import run

if __name__ == "__main__":
    run()
