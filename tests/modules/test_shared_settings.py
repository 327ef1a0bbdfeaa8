import inspect
from typing import get_type_hints

from lit_hf.modules.base import HFModule
from lit_hf.modules.shared_settings import ModuleSettings


def test_settings__are_those_of_the_base_class() -> None:
    parameters = inspect.signature(HFModule).parameters.values()
    hints = get_type_hints(HFModule.__init__)
    taken = {one.name: hints[one.name] for one in parameters if one.default is not one.empty}
    assert get_type_hints(ModuleSettings) == taken
