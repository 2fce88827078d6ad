"""The peak of memory is the process's own, whoever started it."""

import subprocess
import sys

import torch

from training.config import ROOT
from training.memory import peak_mib


def test_a_small_program_is_not_taken_for_its_large_parent():
    held = torch.ones(100 * 2**18)  # 100 MiB
    code = "from training.memory import peak_mib; print(peak_mib())"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    own = peak_mib()
    assert own is not None and own > held.nbytes / 2**20
    assert int(ended.stdout) < own - 100
