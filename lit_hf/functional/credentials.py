"""Passwords and keys in addresses, hidden wherever they would be shown."""

import re
from collections.abc import Mapping

# Addresses are found by what follows their scheme: a long text without any is read once.
_ACCOUNT = re.compile(r"(?<=[\w+.-])(:/{1,2})[^\s/@]+@")
_ADDRESS = re.compile(r"(?<=[\w+.-]):/{1,2}[^\s\"'<>`]+")
_SECRET_PARAMETER = re.compile(
    r"(?<=[?&;#])([\w.%-]*(?:token|\bsig|signature|secret|passw(?:or)?d|pwd|credential|key(?:id)?"
    r"|key-pair-id|auth|\bsas))=[^&;#\s]+",
    re.IGNORECASE,
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
    return _ADDRESS.sub(lambda found: _SECRET_PARAMETER.sub(rf"\1={STARS}", found[0]), hidden)


def without_secrets(settings: object) -> object:
    """The same settings with stars in place of passwords and keys in addresses.

    Args:
        settings: a group of settings as plain values, or one of them.

    >>> without_secrets({"uri": ["https://me:abc@example.org"]})
    {'uri': ['https://***@example.org']}
    """
    if isinstance(settings, Mapping):
        return {key: without_secrets(value) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return type(settings)(map(without_secrets, settings))
    return without_credentials(settings) if isinstance(settings, str) else settings


def hide_arguments(checkpoint: dict[str, object]) -> None:
    """Put stars in place of passwords and keys among the arguments that a checkpoint keeps.

    The running module has the true ones; one that is loaded has to be given them again.

    Args:
        checkpoint: as Lightning has filled it.
    """
    for group in ("hyper_parameters", "datamodule_hyper_parameters"):
        if group in checkpoint:
            checkpoint[group] = without_secrets(checkpoint[group])
