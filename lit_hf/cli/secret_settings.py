"""Passwords and keys among the settings: no file of a run may hold them."""

from collections.abc import Mapping

from lit_hf.errors import InputError
from lit_hf.functional.credentials import is_hidden, without_secrets


def check_secrets(settings: Mapping[str, object], group: str = "") -> None:
    """Refuse passwords and keys among the settings, which the run's files would show.

    Args:
        settings: plain values.
        group: the name of the group they are of.

    Raises:
        InputError: naming the setting, not what it holds; also where stars hide it already.
    """
    for key, value in settings.items():
        name = f"{group}.{key}".lstrip(".") if key != "init_args" else group
        if isinstance(value, Mapping):
            check_secrets(value, name)
        elif isinstance(value, list | tuple) and all(isinstance(part, Mapping) for part in value):
            for part in value:
                check_secrets(part, name)
        elif is_hidden(value, str(key)):
            raise InputError(
                f"`{name}` holds stars in place of a password or key, as a file of settings shows "
                "it. Leave it out, and give it in the environment, by the variable that its "
                "library reads."
            )
        elif without_secrets({key: value}) != {key: value}:
            raise InputError(
                f"`{name}` holds a password or key, which the files of the run would show. Give it "
                "in the environment, by the variable that its library reads."
            )
