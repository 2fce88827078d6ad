"""Official checkpoint -> our folder: `python -m faceedit convert FILE --into FOLDER`.

Networks go into a base folder that grows with every file; methods become repos of their own beside
it. Every file here knows one source's names and shapes; `conversion` tells the sources apart, and
`reading` opens files without running anything in them. Importing the package is cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceedit.convert.conversion import Converted

# What a file can be: kind -> what it is, and an official file of it.
NETWORKS = {
    "stylegan2": "StyleGAN2 by rosinality or NVIDIA (stylegan2-ffhq-config-f.pt, .pkl)",
    "e4e": "the encoder of encoder4editing (e4e_ffhq_encode.pt)",
    "psp": "the encoder of pixel2style2pixel (psp_ffhq_encode.pt)",
    "w-encoder": "an encoder into w (faces_w_encoder.pt)",
    "ir-se50": "ArcFace's face recognition (model_ir_se50.pth)",
    "bisenet": "BiSeNet's face parser (79999_iter.pth of face-parsing.PyTorch)",
    "clip": "OpenAI's CLIP (ViT-B-32.pt and bpe_simple_vocab_16e6.txt.gz)",
}
METHODS = {
    "styleclip-global": "StyleCLIP's global directions (fs3.npy and S_mean_std)",
    "styleclip-mapper": "StyleCLIP's mappers of one sentence each (afro.pt, ...)",
    "interfacegan": "boundaries in w (age.pt, smile.pt, ...)",
    "ganspace": "principal components of w (ffhq_pca.pt, or a .npz of GANSpace)",
    "maniclip": "ManiCLIP (pretrained_edit_model.pth.tar)",
    "ffclip": "FFCLIP (its checkpoint of faces, cars or churches)",
    "ddpm": "a DDPM of faces, for clip_pae_diffusion (celeba_hq.ckpt, human_*.pth)",
    "feat": "GanVinci's FEAT edits of one sentence each (20000_beard.pt)",
}
KINDS = {**NETWORKS, **METHODS}


def convert(
    source: str | Path | Sequence[str | Path],
    into: str | Path,
    kind: str | None = None,
    *,
    base: str | Path | None = None,
    half: bool = False,
) -> Converted:
    """Write official weights as a folder that `FaceEditor.from_pretrained` loads.

    Args:
        source: A file, or the files of one conversion: a CLIP and its vocabulary, fs3 and the
            statistics, boundaries of several attributes, mappers of several sentences.
        into: For a network, the base folder that it becomes a part of; made if absent. For a
            method, the method's own folder, best beside the base and named like the method's repo
            ("styleclip-global"), where the editor looks for it.
        kind: One of `KINDS`, where the file's contents do not tell.
        base: For a method, the base folder with the networks that it belongs to.
        half: Whether floating point numbers are stored with 16 bits.

    Returns:
        What was written, and what there is to know about it.

    Raises:
        FileError: If a file cannot be read, is unsafe, or is not what it was taken for.
        RepoError: If the folder or the base cannot be used.
    """
    from faceedit.convert.conversion import run

    sources = [source] if isinstance(source, str | Path) else list(source)
    return run([Path(path) for path in sources], Path(into), kind, base, half)
