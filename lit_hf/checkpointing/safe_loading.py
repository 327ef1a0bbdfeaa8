"""`load_from_checkpoint` for files from anywhere."""

from pathlib import Path
from typing import Any, Self, cast

from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.errors import as_input_error
from lit_hf.files.urls import is_url


class SafeLoading:
    """Gives a Lightning class a `load_from_checkpoint` that runs no code from the file.

    In Lightning a checkpoint can name a function of LightningCLI (`_instantiator`), which imports
    every class that the settings in the file name. Here that name has no effect.
    """

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,  # noqa: ANN401 - as in Lightning: a path, or a stream
        *args: Any,  # noqa: ANN401 - those of Lightning's
        **kwargs: Any,  # noqa: ANN401 - and arguments of the class
    ) -> Self:
        """Load a checkpoint as Lightning does; only with `weights_only=False` may it run code.

        Raises:
            InputError: if there is no such file, or its content cannot be used.
        """
        if kwargs.get("weights_only") is None:
            kwargs["weights_only"] = True
        is_file = isinstance(checkpoint_path, str | Path) and not is_url(checkpoint_path)
        if is_file and kwargs["weights_only"]:
            read_checkpoint(checkpoint_path)
        loads = cast("Any", super()).load_from_checkpoint
        with as_input_error(str(checkpoint_path)):
            return cast("Self", loads(checkpoint_path, *args, _instantiator=None, **kwargs))
