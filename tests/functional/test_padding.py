import torch

from lit_hf.functional.padding import padded, rounded_up


def test_rows__are_filled_to_a_multiple_on_one_side() -> None:
    rows = [[1, 2, 3], [], [4]]
    assert padded(rows, 9, 2).tolist() == [[1, 2, 3, 9], [9, 9, 9, 9], [4, 9, 9, 9]]
    assert padded(rows, 9, side="left").tolist() == [[1, 2, 3], [9, 9, 9], [9, 9, 4]]
    assert padded([[1]], 0).dtype == torch.int64
    assert [rounded_up(length, 4) for length in (1, 4, 5)] == [4, 4, 8]
