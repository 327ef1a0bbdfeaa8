import inspect
from typing import get_type_hints

from lit_hf.data.base import HFDataModule
from lit_hf.data.shared_settings import DataSettings


def test_settings__are_those_of_the_base_class_but_for_the_data_set() -> None:
    parameters = inspect.signature(HFDataModule).parameters.values()
    hints = get_type_hints(HFDataModule.__init__)
    taken = {one.name: hints[one.name] for one in parameters if one.default is not one.empty}
    assert {**get_type_hints(DataSettings), "dataset": str | None} == taken
