"""Passwords and keys in addresses and settings, hidden wherever they would be shown."""

import logging
import re
from collections.abc import Mapping
from functools import cache
from typing import cast

log = logging.getLogger(__name__)

# Addresses are found by what follows their scheme: a long text without any is read once.
_ACCOUNT = re.compile(r"(?<=[\w+.-])(:/{1,2})[^\s/@]+@")
_ADDRESS = re.compile(r"(?<=[\w+.-]):/{1,2}[^\s\"'<>`]+")
_PARAMETER = re.compile(r"(?<=[?&;#])([\w.%-]+)=([^&;#\s]+)")
_SECRET_PARAMETER = re.compile(
    r"(token|\bsig|signature|secret|passw(or)?d|pwd|credential|key(id)?|key-pair-id|auth|\bsas)$",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"(\w+_)?(password|secret|api_key|secret_key|access_key|api_token|auth_token|access_token)"
    r"|token"
)
STARS = "***"


def without_credentials(text: str) -> str:
    """Hide names, passwords, keys and signatures in the addresses of a text.

    A path has one slash fewer.

    >>> without_credentials("https://jane:secret@example.org/x, https:/key@example.org")
    'https://***@example.org/x, https:/***@example.org'
    >>> without_credentials("https://example.org/a.csv?version=1&X-Amz-Signature=abc")
    'https://example.org/a.csv?version=1&X-Amz-Signature=***'
    """
    hidden = _ACCOUNT.sub(rf"\1{STARS}@", text)
    return _ADDRESS.sub(lambda address: _PARAMETER.sub(_hide, address[0]), hidden)


def is_hidden(value: object, name: str = "") -> bool:
    """Whether stars stand in place of a password or key, so that a setting says nothing.

    Args:
        value: of the setting, or several.
        name: what it is called.

    >>> is_hidden("***", "api_key"), is_hidden("https://example.org/?sig=***"), is_hidden("***")
    (True, True, False)
    """
    if isinstance(value, list | tuple):
        return any(is_hidden(part, name) for part in value)
    if not isinstance(value, str) or STARS not in value:
        return False
    shown = value.replace(STARS, "x")
    return _SECRET_NAME.fullmatch(name) is not None or without_credentials(shown) != shown


def _hide(parameter: "re.Match[str]") -> str:
    name = parameter[1]
    return f"{name}={STARS}" if _SECRET_PARAMETER.search(name) else parameter[0]


def without_secrets(settings: object, name: str = "") -> object:
    """The same settings with stars in place of passwords and keys, also of those in addresses.

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
    return STARS if _SECRET_NAME.fullmatch(name) else without_credentials(settings)


def hide_arguments(checkpoint: dict[str, object]) -> None:
    """Put stars in place of passwords and keys among the arguments that a checkpoint keeps.

    The running module has the true ones; one that is loaded has to be given them again.

    Args:
        checkpoint: as Lightning has filled it.
    """
    for group in ("hyper_parameters", "datamodule_hyper_parameters"):
        given = cast("dict[str, object]", checkpoint.get(group) or {})
        shown = cast("dict[str, object]", without_secrets(given))
        for name in [name for name, value in given.items() if value != shown[name]]:
            _tell_hidden(name)
        checkpoint.update({group: shown} if given else {})


@cache
def _tell_hidden(name: str) -> None:
    """Say once what is not in the checkpoints."""
    log.warning(
        f"`{name}` holds a password or key: checkpoints keep stars in its place. Give it again "
        f"where one is loaded: `load_from_checkpoint(path, {name}=…)`."
    )
