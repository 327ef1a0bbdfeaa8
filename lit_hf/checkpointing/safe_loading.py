"""Loading a module or a data module from a checkpoint that anybody may have made."""

from pathlib import Path
from typing import Any, Self, cast

from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.errors import told_as_input
from lit_hf.files.urls import is_url


class SafeLoading:
    """Gives `load_from_checkpoint` to a class of Lightning: it runs no code, and one error tells.

    A checkpoint can name the function of LightningCLI that makes the object, and that one imports
    whatever the settings in the checkpoint name.
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
            InputError: if there is none, or what it holds cannot be used.
        """
        if kwargs.get("weights_only") is None:
            kwargs["weights_only"] = True
        is_local = isinstance(checkpoint_path, str | Path) and not is_url(checkpoint_path)
        if is_local and kwargs["weights_only"]:
            read_checkpoint(checkpoint_path)
        loads = cast("Any", super()).load_from_checkpoint
        with told_as_input(str(checkpoint_path)):
            return cast("Self", loads(checkpoint_path, *args, _instantiator=None, **kwargs))
