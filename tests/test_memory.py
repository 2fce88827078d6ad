"""Blocks that were freed are used again where large pictures are drawn, and only there."""

import sys

import pytest

from faceedit import library
from faceedit.backbones import Backbones
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from tests.test_import_time import run_python

FAULTS = """
import resource, numpy
from faceedit.memory import keep_freed_memory
print(keep_freed_memory() if {keep} else None)
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    numpy.full(2**26, 1, numpy.uint8)  # 64 MiB
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is asked")
def test_freed_blocks_need_no_fresh_pages():
    obeyed, *faults = run_python("-c", FAULTS.format(keep=True)).stdout.split()
    if obeyed == "False":
        pytest.skip("the C library does not know how")
    assert int(faults[1]) < 100
    _, *faults = run_python("-c", FAULTS.format(keep=False)).stdout.split()
    assert int(faults[1]) > 30  # else this test says nothing; huge pages are 2 MiB


@pytest.mark.parametrize(("resolution", "kept"), [(256, []), (512, [True])])
def test_only_bases_of_large_pictures_keep_them(resolution, kept, monkeypatch):
    asked = []
    monkeypatch.setattr(library, "keep_freed_memory", lambda: asked.append(True))
    sizes = {"z_dim": 8, "w_dim": 8, "mapping_layers": 1, "channel_base": 512, "channel_max": 2}
    library._prepare(Backbones(generator=Generator(GeneratorConfig(resolution, **sizes))))
    assert asked == kept
