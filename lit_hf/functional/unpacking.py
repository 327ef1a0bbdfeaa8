"""`Unpack` for the settings that a constructor hands on to that of its base class."""

from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from typing import Unpack as Unpack
else:

    class Unpack:
        """For a type checker that of `typing`; at run time any argument, with a note of its names.

        So jsonargparse reads in the code where the settings go, and finds their defaults there; of
        `typing.Unpack` it takes the names alone.
        """

        def __class_getitem__(cls, settings: type) -> object:
            return Annotated[Any, settings]
