"""The README's commands are real, and the package keeps its promises about structure."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from ui.cli import main

README = Path(__file__).parent.parent / "README.md"
LAYERS = ("encoders", "retrieval", "assistant", "ui")


def commands() -> list[str]:
    text = README.read_text(encoding="utf-8")
    return sorted(set(re.findall(r"ecg-assistant (\w+)", text)))


@pytest.mark.parametrize("command", commands())
def test_every_command_that_the_readme_names_exists(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_the_first_command_of_the_readme_prints_a_draft(capsys):
    assert main(["report", "demo:af"]) == 0
    printed = capsys.readouterr().out
    assert "trial fibrillation" in printed and "draft" in printed


def test_imports_run_one_way_only():
    for rank, layer in enumerate(LAYERS):
        spec = find_spec(layer)
        assert spec is not None and spec.submodule_search_locations
        upward = set(LAYERS[rank + 1 :])
        for file in Path(spec.submodule_search_locations[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = (
                    [alias.name for alias in node.names] if isinstance(node, ast.Import)
                    else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                )  # fmt: skip
                assert not upward & {name.split(".")[0] for name in names}, f"{file.name} imports upward: {names}"


def test_no_pickle_in_the_packages():
    for layer in LAYERS:
        spec = find_spec(layer)
        assert spec is not None and spec.submodule_search_locations
        for file in Path(spec.submodule_search_locations[0]).rglob("*"):
            assert file.suffix not in (".pkl", ".pickle", ".pt", ".pth", ".npy", ".ckpt"), file.name
