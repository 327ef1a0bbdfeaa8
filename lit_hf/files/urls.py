"""Addresses of remote files: what is read and written lies on this machine."""

import re

from lit_hf.errors import InputError
from lit_hf.functional.credentials import without_credentials

# Two letters at least: C:/data is a drive. A path has one slash fewer; `::` chains addresses.
_SCHEME = re.compile(r"(?:^|::)\s*([a-zA-Z][a-zA-Z0-9+.-]+):/")


def is_url(path: object) -> bool:
    r"""Whether a path is an address such as s3://bucket/file, also with a slash lost.

    >>> is_url("s3://b/x.csv"), is_url("s3:/b/x.csv"), is_url("simplecache::gs://b/x")
    (True, True, True)
    >>> is_url("C:\\x"), is_url("C:/x"), is_url("C://x"), is_url("runs/12:30/x"), is_url(None)
    (False, False, False, False, False)
    """
    return _SCHEME.search(str(path)) is not None


def check_local(name: str, *paths: object) -> None:
    """Refuse an address in place of a file or folder of this machine, or of a Hub id.

    Args:
        name: of the setting.
        paths: what it holds; other things than paths are passed over.

    Raises:
        InputError: naming it.
    """
    for path in filter(is_url, paths):
        hub = " or a Hub id such as org/name" if name in ("model_name", "dataset") else ""
        raise InputError(
            f"`{name}` {without_credentials(str(path))}: expected a path on this machine{hub}, "
            "addresses are not read or written. Copy the file to a local disk, or mount it."
        )
