from pathlib import Path

import pytest
import yaml

from lit_hf.cli import main
from lit_hf.run_config import config_of_run
from lit_hf.yaml_texts import MAX_DEPTH, MAX_REPEATED, check_yaml, read_with

LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 10)
)
ENDLESS = {
    "laughs": (LAUGHS, f"repeat more than {MAX_REPEATED:,} values"),
    "merges": (MERGES, f"repeat more than {MAX_REPEATED:,} values"),
    "deep": ("a: " + "[" * 200_000 + "]" * 200_000, f"more than {MAX_DEPTH} levels deep"),
    "cycle": ("a: &a [*a]", r"the alias \*a names nothing above it, or the value that it is in"),
    "digits": (f"a: {'9' * 6000}", "4300 digits"),
    "code": ("a: !!python/object/apply:os.mkdir [ran]", "could not determine a constructor"),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_text__that_is_endless_or_code_is_refused_at_once(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text, message = ENDLESS[kind]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(yaml.YAMLError, match=message):
        read_with(yaml.safe_load, text)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"config\.yaml is damaged: "):
        config_of_run(tmp_path, "fit")
    assert main(["fit", "--config", "config.yaml"]) == 2
    assert capsys.readouterr().err.startswith("lit-hf: error: Problems parsing config: ")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_text__with_ordinary_aliases_is_read() -> None:
    check_yaml("a: &a [1, 2]\nb: *a\nc: {<<: &m {x: 1}, y: *a}\n---\nd: &a 3\ne: *a")
    check_yaml("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    assert read_with(yaml.safe_load, "a: &a [1]\nb: *a") == {"a": [1], "b": [1]}
    assert read_with(yaml.safe_load, "") is None
