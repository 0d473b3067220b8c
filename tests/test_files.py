"""Output files appear whole, or the old one stays."""

import os
from pathlib import Path

import pytest

from sc_neurocore.files import check_folder, fill_folder, replacing, write_text


def test_content_appears_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert part.name == path.name
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    def interrupted():
        with replacing(path) as part:
            part.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_file_has_the_usual_permissions(tmp_path):
    write_text(tmp_path / "made", "")
    (tmp_path / "plain").touch()
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"


def test_full_disk_is_an_error_and_the_device_stays():
    with pytest.raises(OSError, match="No space left"):
        write_text(Path("/dev/full"), "text")
    assert Path("/dev/full").is_char_device()


def test_folder_is_checked_before_the_work(tmp_path):
    with pytest.raises(FileNotFoundError, match="no/such of the output file does not exist"), \
            replacing(tmp_path / "no" / "such" / "file"):
        pytest.fail("the block must not begin")
    with pytest.raises(IsADirectoryError, match="is a folder"), replacing(tmp_path):
        pytest.fail("the block must not begin")


def test_folder_appears_with_all_of_its_files(tmp_path):
    source, made = tmp_path / "source", tmp_path / "made"
    source.mkdir()
    (source / "a.txt").write_text("new")
    fill_folder(made, source)
    assert (made / "a.txt").read_text() == "new"
    assert made.stat().st_mode == source.stat().st_mode
    assert sorted(os.listdir(tmp_path)) == ["made", "source"]


def test_folder_that_is_there_keeps_its_other_files(tmp_path):
    source, made = tmp_path / "source", tmp_path / "made"
    for folder in (source, made):
        folder.mkdir()
        (folder / "a.txt").write_text(folder.name)
    (made / "b.txt").write_text("mine")
    fill_folder(made, source)
    assert {file.name: file.read_text() for file in made.iterdir()} == {
        "a.txt": "source", "b.txt": "mine"}


def test_folder_that_can_not_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"Output folder .* is a file"):
        check_folder(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="missing of the output folder does not exist"):
        check_folder(tmp_path / "missing" / "made")
