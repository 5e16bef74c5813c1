"""What a stranger's weights and words may do beside what the analysis reads (docs/strangers.md)."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bnbench.request.refusal import print_error
from bnbench.train import load_weights


class Code:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", ["torch", "old", "pickle"])
def test_weights_with_code_in_them_run_nothing(tmp_path, save):
    file, ran = tmp_path / "weights.pt", tmp_path / "ran"
    content = {"weight": torch.ones(1, 1), "more": Code(ran)}
    if save == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=save == "torch")
    run = SimpleNamespace(device="cpu", model=torch.nn.Linear(1, 1, bias=False))
    assert load_weights(run, file) is False
    assert not ran.exists()
    torch.save({"weight": torch.ones(1, 1)}, file)
    assert load_weights(run, file) is True
    pickle.loads(pickle.dumps(content))  # the code is no dud
    assert ran.exists()


def test_what_a_line_quotes_moves_no_cursor(capsys):
    assert print_error("a\x1b[2J\x1b]0;title\x07\rb\n\u202ec") == 2
    err = capsys.readouterr().err
    assert err == "bnbench: a\\x1b[2J\\x1b]0;title\\x07\\rb\\n\\u202ec\n"
