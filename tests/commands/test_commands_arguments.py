"""What the scripts that read results make of a results folder that is none."""

import pytest

from bnbench.commands.arguments import Parser, parsed


@pytest.fixture
def read(monkeypatch):
    def read(folder):
        monkeypatch.setattr("sys.argv", ["report.py", f"results={folder}"])
        return parsed(Parser()).results

    return read


def test_a_folder_may_be_there_or_not_yet_or_be_a_link_to_one(read, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "later")
    for name in ("", "new", "link", "dangling"):
        assert read(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file", "Not a directory"),
        ("file/below", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_is_no_folder_is_one_line(read, tmp_path, capsys, name, reason):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SystemExit) as end:
        read(tmp_path / name)
    assert end.value.code == 2
    line = f"bnbench: results={tmp_path / name}: cannot be read ({reason})\n"
    assert capsys.readouterr() == ("", line)
