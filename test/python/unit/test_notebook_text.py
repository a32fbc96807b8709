"""A notebook's parameters, and how it is written."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from tsdask_mpi.notebook_text import is_variable, literal, own_target, typed, visible, write


@pytest.mark.parametrize(
    ("text", "value"),
    [("True", True), ("None", None), ("3", 3), ("1e3", 1000.0), ("abc", "abc"), ("", ""), ("-0x1", "-0x1")],
)
def test_a_parameter_is_what_papermill_makes_of_it(text: str, value: object) -> None:
    assert typed(text) == value and type(typed(text)) is type(value)


def test_text_on_a_terminal_does_not_steer_it() -> None:
    assert visible("a\x1b]0;x\x07\x9b\u202eé\t\n") == r"a\u001b]0;x\u0007\u009b\u202e" + "é\t\n"


@pytest.mark.parametrize("value", [3, 2.5, "a'b\n", None, True, [1, "x"]])
def test_source_of_a_value_gives_the_value(value: object) -> None:
    assert eval(literal(value)) == value


def test_numbers_that_have_no_literal_come_through() -> None:
    assert math.isnan(eval(literal(math.nan))) and eval(literal(-math.inf)) == -math.inf


@pytest.mark.parametrize(
    ("name", "is_one"), [("a", True), ("größe", True), ("if", False), ("1a", False), ("a b", False)]
)
def test_a_variable_is_what_python_takes_for_one(name: str, is_one: bool) -> None:
    assert is_variable(name) is is_one


def test_a_file_is_replaced_in_one_step_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "a.ipynb"
    file.write_text("old")
    file.chmod(0o640)
    before = file.stat().st_ino
    write(str(file), "new")
    assert file.read_text() == "new" and file.stat().st_mode & 0o777 == 0o640 and file.stat().st_ino != before
    assert os.listdir(tmp_path) == ["a.ipynb"]


def test_half_a_character_stays_what_it_is_in_json(tmp_path: Path) -> None:
    text = json.dumps({"a": "\ud83d", "b": "é"}, ensure_ascii=False)
    write(str(tmp_path / "a.ipynb"), text)
    assert json.loads((tmp_path / "a.ipynb").read_text(encoding="utf-8")) == {"a": "\ud83d", "b": "é"}


def test_a_link_put_in_the_drafts_place_changes_no_other_files_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, private, wide = tmp_path / "shared", tmp_path / "private", tmp_path / "wide"
    folder.mkdir()
    private.write_text("mine")
    private.chmod(0o600)
    wide.write_text("a colleague's")
    wide.chmod(0o4777)
    file = folder / "a.ipynb"
    umask = os.umask

    def swap(mask: int) -> int:
        for draft in folder.glob(".a.ipynb.*"):
            draft.unlink()
            draft.symlink_to(private)
        file.unlink(missing_ok=True)
        file.symlink_to(wide)
        return umask(mask)

    monkeypatch.setattr(os, "umask", swap)
    for before in (0o640, None):
        if before is not None:
            file.write_text("old")
            file.chmod(before)
        write(str(file), "new")
        assert (private.stat().st_mode & 0o7777, wide.stat().st_mode & 0o7777) == (0o600, 0o4777)
        assert private.read_text() == "mine"
        file.unlink()


def test_a_mode_that_runs_as_its_owner_is_not_passed_on(tmp_path: Path) -> None:
    file = tmp_path / "a.ipynb"
    file.write_text("old")
    file.chmod(0o6750)
    write(str(file), "new")
    assert file.stat().st_mode & 0o7777 == 0o750


def test_the_users_own_link_is_followed_and_a_ring_of_links_is_no_hang(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    assert own_target(str(tmp_path / "link")) == str(tmp_path / "file")
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert own_target(str(tmp_path / "one")).startswith(str(tmp_path))


def test_nothing_is_left_when_the_folder_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(str(tmp_path / "none" / "a.ipynb"), "x")
