"""Say in a picture's metadata what it is: made or changed by trained networks, by which ones.

The note is XMP: IPTC's Digital Source Type (https://cv.iptc.org/newscodes/digitalsourcetype), the
software, IPTC's properties for AI systems (Photo Metadata Standard 2025.1), and the ids of the
models. PNG holds it in an iTXt chunk, JPEG and WebP in their XMP blocks, so that photo tools and
platforms that label such pictures find it. Metadata can be stripped: it informs, it does not prove.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.etree import ElementTree

from faceedit.errors import PhotoError
from faceedit.regular_files import read_regular
from faceedit.version import __version__

if TYPE_CHECKING:
    import PIL.Image

logger = logging.getLogger(__name__)

SWITCH = "FACEEDIT_PROVENANCE"  # environment variable: "off" leaves the note out, with a warning
MAX_BYTES = 256 * 2**20  # of a picture that is read
OFF = ("0", "false", "no", "off")
PNG_KEY = "XML:com.adobe.xmp"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
OURS = "https://huggingface.co/faceedit/ns/1.0/"
_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": IPTC,
    "faceedit": OURS,
}
_PACKET = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{}<?xpacket end="w"?>'


class SourceType(StrEnum):
    """IPTC's words for how a picture came about."""

    EDITED = "compositeWithTrainedAlgorithmicMedia"  # a photo with parts that networks made
    GENERATED = "trainedAlgorithmicMedia"  # made by networks altogether
    RENDERED = "algorithmicMedia"  # made by a program that learned from nothing

    @property
    def uri(self) -> str:
        """The term's address in IPTC's vocabulary."""
        return _TYPES + self.value


@dataclass(frozen=True)
class Provenance:
    """What a picture's metadata says of it.

    Attributes:
        source_type: How it came about.
        method: The method's name, or names with commas between; "" where none was used.
        models: Ids of the repos whose networks made it, like "faceedit/portraits-128".
        prompt: The sentence, or "" to leave it out.
        software: What made it.
    """

    source_type: SourceType = SourceType.EDITED
    method: str = ""
    models: tuple[str, ...] = ()
    prompt: str = ""
    software: str = f"faceedit {__version__}"

    def xmp(self) -> bytes:
        """Return the XMP packet."""
        for prefix, uri in _NAMESPACES.items():
            ElementTree.register_namespace(prefix, uri)
        rdf = "{" + _NAMESPACES["rdf"] + "}"
        facts = {
            f"{{{_NAMESPACES['xmp']}}}CreatorTool": self.software,
            f"{{{IPTC}}}DigitalSourceType": self.source_type.uri,
            f"{{{IPTC}}}AISystemUsed": self.software.partition(" ")[0],
            f"{{{IPTC}}}AISystemVersionUsed": self.software.partition(" ")[2],
            f"{{{IPTC}}}AIPromptInformation": self.prompt,
            f"{{{OURS}}}Method": self.method,
            f"{{{OURS}}}Models": ", ".join(self.models),
        }
        root = ElementTree.Element(f"{{{_NAMESPACES['x']}}}xmpmeta")
        described = ElementTree.SubElement(
            ElementTree.SubElement(root, f"{rdf}RDF"), f"{rdf}Description", {f"{rdf}about": ""}
        )
        for name, fact in facts.items():
            if fact:
                ElementTree.SubElement(described, name).text = _printable(fact)
        return _PACKET.format(ElementTree.tostring(root, encoding="unicode")).encode()


def switched_on(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether pictures get their note; off only where the operator says so."""
    value = (os.environ if environment is None else environment).get(SWITCH, "on")
    return value.strip().lower() not in OFF


def save(
    image: PIL.Image.Image,
    target: str | Path | BinaryIO,
    provenance: Provenance | None,
    format: str | None = None,
    **options: Any,
) -> None:
    """Save a picture with its note.

    Args:
        image: The picture.
        target: A path, or an open file together with `format`.
        provenance: The note; None leaves it out.
        format: "PNG", "JPEG" or "WEBP"; None reads it off the path.
        options: For `Image.save`, like quality.

    Nothing else of `image.info` is written: where and when a photo was taken is left behind.
    """
    from PIL import Image, PngImagePlugin

    if format is None:
        suffix = Path(str(target)).suffix.lower()
        format = Image.registered_extensions().get(suffix, "PNG")
    clean = image.copy()
    clean.info = {}
    if provenance is not None and not switched_on():
        logger.warning("%s is off: a picture is saved without saying what it is", SWITCH)
        provenance = None
    if provenance is not None and format.upper() == "PNG":
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt(PNG_KEY, provenance.xmp().decode())
        notes.add_text("Software", provenance.software)
        options["pnginfo"] = notes
    elif provenance is not None and format.upper() in ("JPEG", "WEBP"):
        options["xmp"] = provenance.xmp()
    clean.save(target, format, **options)


def read(picture: str | Path | PIL.Image.Image) -> Provenance | None:
    """Return the note that `save` wrote into a picture, or None if it has none of ours.

    Raises:
        PhotoError: If it is a path and leads to no picture.
    """
    from PIL import Image

    if not isinstance(picture, Image.Image):
        try:
            picture = Image.open(io.BytesIO(read_regular(picture, MAX_BYTES)))  # nothing is decoded
        except Exception as error:  # decoders of damaged files raise nearly anything
            raise PhotoError(f"'{picture}' cannot be read as a picture ({error})") from error
    packet = picture.info.get(PNG_KEY) or picture.info.get("xmp")
    if packet is None:
        return None
    text = packet.decode(errors="replace") if isinstance(packet, bytes) else packet
    start, end = text.find("<x:xmpmeta"), text.find("</x:xmpmeta>")
    if start < 0 or end < 0 or "<!" in text:  # no entity of a stranger's file is ever expanded
        return None
    try:
        root = ElementTree.fromstring(text[start : end + len("</x:xmpmeta>")])
    except ElementTree.ParseError:
        return None
    facts = {node.tag.partition("}")[2]: node.text or "" for node in root.iter()}
    kind = facts.get("DigitalSourceType", "").rsplit("/", 1)[-1]
    if kind not in list(SourceType):
        return None
    note = Provenance(SourceType(kind), facts.get("Method", ""), prompt=_prompt(facts))
    models = tuple(part for part in facts.get("Models", "").split(", ") if part)
    return replace(note, models=models, software=facts.get("CreatorTool", ""))


def _prompt(facts: Mapping[str, str]) -> str:
    return facts.get("AIPromptInformation", "")


def _printable(text: str) -> str:
    """Return text without the control characters that XML cannot hold."""
    return "".join(c if c.isprintable() else " " for c in text)
