from pathlib import Path

from lit_hf import CIFAR10DataModule
from lit_hf.data.sources.files import open_file


def test_cifar10__is_read_as_the_hub_has_it(tiny_vit: str, real_data: Path) -> None:
    data = CIFAR10DataModule(tiny_vit, dataset=str(real_data / "cifar10"))
    (table,) = data.tables("test")
    assert table.class_names["label"] == data.label_names
    assert data.label_names[0] == "airplane"
    assert data.label_names[9] == "truck"
    assert {"img", "label"} <= set(open_file(table.name).columns)
    assert data.has_validation
