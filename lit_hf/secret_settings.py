"""Passwords and keys among the settings: no file of a run may hold them."""

import re
from collections.abc import Mapping

from lit_hf.errors import InputError
from lit_hf.functional.text import without_accounts

_NAMES = re.compile(r"(\w+_)?(password|secret|api_key|api_token|auth_token|access_token)|token")


def without_secrets(settings: object, name: str = "") -> object:
    """The same settings with stars in place of passwords, keys, and accounts in URLs.

    Args:
        settings: a group of settings as plain values, or one of them.
        name: what it is called.

    >>> without_secrets({"api_key": "abc", "uri": "https://me:abc@example.org"})
    {'api_key': '***', 'uri': 'https://***@example.org'}
    """
    if isinstance(settings, Mapping):
        return {key: without_secrets(value, str(key)) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return type(settings)(without_secrets(value, name) for value in settings)
    if not isinstance(settings, str) or not settings.strip("*"):  # stars hide one already
        return settings
    return "***" if _NAMES.fullmatch(name) else without_accounts(settings)


def check_secrets(settings: Mapping[str, object], group: str = "") -> None:
    """Refuse passwords and keys among the settings, which the run's files would show.

    Args:
        settings: plain values.
        group: the name of the group they are of.

    Raises:
        InputError: naming the setting, not what it holds.
    """
    for key, value in settings.items():
        name = f"{group}.{key}".lstrip(".")
        if isinstance(value, Mapping):
            check_secrets(value, name)
        elif isinstance(value, list | tuple) and all(isinstance(part, Mapping) for part in value):
            for part in value:
                check_secrets(part, name)
        elif without_secrets({key: value}) != {key: value}:
            raise InputError(
                f"`{name}` holds a password or key, which the files of the run would show. Give it "
                "in the environment, by the variable that its library reads."
            )
