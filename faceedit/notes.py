"""What to tell people about each method: its paper, how it works in five lines, what it cannot do.

The model cards and the Space show these notes. Nothing heavy is imported, so that a page can list
the methods before PyTorch is loaded. A note may exist for a method that this version cannot run;
`faceedit.METHODS` says which can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["trained", "fitted", "optimized"]  # as `EditMethod.kind`
Speed = Literal["fast", "optimized", "diffusion"]

# What is used where no method is named: the first that works with the base, as docs/benchmark.md
# ranks them; then those that know a few sentences only, and those that take long.
PREFERRED = (
    "counterfactual",
    "clip_regression",
    "styleclip_global",
    "ffclip",
    "feat",
    "maniclip",
    "clip_pae",
    "styleclip_optimization",
    "interfacegan",
    "ganspace",
    "stylespace",
    "styleclip_mapper",
    "tedigan",
    "clip_pae_diffusion",
)

SPEED_WORDS: dict[Speed, str] = {
    "fast": "at once: one pass through the networks",
    "optimized": "some seconds: a descent for every face",
    "diffusion": "some ten seconds: a guided denoising of every face",
}


@dataclass(frozen=True)
class Paper:
    """Where a method was published."""

    title: str
    authors: tuple[str, ...]
    venue: str
    year: int
    arxiv: str

    @property
    def url(self) -> str:
        """Its page on arXiv."""
        return f"https://arxiv.org/abs/{self.arxiv}"

    @property
    def short_authors(self) -> str:
        """The first author's last name, and whether there are others: "Patashnik et al."."""
        last = self.authors[0].split()[-1]
        return f"{last} et al." if len(self.authors) > 1 else last


@dataclass(frozen=True)
class MethodNote:
    """One method in words.

    Attributes:
        name: Its name in `faceedit.METHODS`.
        title: What people call it.
        paper: None for a method that was first published here.
        section: Which part of the paper, or "".
        kind: Whether it is trained, fitted to samples, or descends for each face.
        speed: The class of its time an edit; `SPEED_WORDS` says what that means.
        space: The generator's space that it edits in, or "pixels".
        how_it_works: Five sentences.
        good_for: What to use it for.
        limits: What it does badly; one sentence each.
        builds_on: Papers that a method of ours leans on.
    """

    name: str
    title: str
    paper: Paper | None
    section: str
    kind: Kind
    speed: Speed
    space: str
    how_it_works: tuple[str, ...]
    good_for: str
    limits: tuple[str, ...]
    builds_on: tuple[Paper, ...] = ()

    @property
    def arxiv(self) -> str | None:
        """The paper's arXiv id, if it has one."""
        return self.paper.arxiv if self.paper else None

    @property
    def repo(self) -> str:
        """The name of its model repo: Hub names have hyphens."""
        return self.name.replace("_", "-")


STYLECLIP = Paper(
    "StyleCLIP: Text-Driven Manipulation of StyleGAN Imagery",
    ("Or Patashnik", "Zongze Wu", "Eli Shechtman", "Daniel Cohen-Or", "Dani Lischinski"),
    "ICCV",
    2021,
    "2103.17249",
)
MANICLIP = Paper(
    "ManiCLIP: Multi-Attribute Face Manipulation from Text",
    (
        "Hao Wang",
        "Guosheng Lin",
        "Ana García del Molino",
        "Anran Wang",
        "Jiashi Feng",
        "Zhiqi Shen",
    ),
    "IJCV",
    2024,
    "2210.00445",
)
FFCLIP = Paper(
    "One Model to Edit Them All: Free-Form Text-Driven Image Manipulation with Semantic "
    "Modulations",
    (
        "Yiming Zhu",
        "Hongyu Liu",
        "Yibing Song",
        "Ziyang Yuan",
        "Xintong Han",
        "Chun Yuan",
        "Qifeng Chen",
        "Jue Wang",
    ),
    "NeurIPS",
    2022,
    "2210.07883",
)
FEAT = Paper(
    "FEAT: Face Editing with Attention",
    ("Xianxu Hou", "Linlin Shen", "Or Patashnik", "Daniel Cohen-Or", "Hui Huang"),
    "arXiv",
    2022,
    "2202.02713",
)
CLIP_PAE = Paper(
    "CLIP-PAE: Projection-Augmentation Embedding to Extract Relevant Features for a Disentangled, "
    "Interpretable, and Controllable Text-Guided Face Manipulation",
    ("Chenliang Zhou", "Fangcheng Zhong", "Cengiz Öztireli"),
    "SIGGRAPH",
    2023,
    "2210.03919",
)
TEDIGAN = Paper(
    "TediGAN: Text-Guided Diverse Face Image Generation and Manipulation",
    ("Weihao Xia", "Yujiu Yang", "Jing-Hao Xue", "Baoyuan Wu"),
    "CVPR",
    2021,
    "2012.03308",
)
INTERFACEGAN = Paper(
    "Interpreting the Latent Space of GANs for Semantic Face Editing",
    ("Yujun Shen", "Jinjin Gu", "Xiaoou Tang", "Bolei Zhou"),
    "CVPR",
    2020,
    "1907.10786",
)
GANSPACE = Paper(
    "GANSpace: Discovering Interpretable GAN Controls",
    ("Erik Härkönen", "Aaron Hertzmann", "Jaakko Lehtinen", "Sylvain Paris"),
    "NeurIPS",
    2020,
    "2004.02546",
)
STYLESPACE = Paper(
    "StyleSpace Analysis: Disentangled Controls for StyleGAN Image Generation",
    ("Zongze Wu", "Dani Lischinski", "Eli Shechtman"),
    "CVPR",
    2021,
    "2011.12799",
)
DELTAEDIT = Paper(
    "DeltaEdit: Exploring Text-free Training for Text-Driven Image Manipulation",
    ("Yueming Lyu", "Tianwei Lin", "Fu Li", "Dongliang He", "Jing Dong", "Tieniu Tan"),
    "CVPR",
    2023,
    "2303.06285",
)
DDIM = Paper(
    "Denoising Diffusion Implicit Models",
    ("Jiaming Song", "Chenlin Meng", "Stefano Ermon"),
    "ICLR",
    2021,
    "2010.02502",
)
DOODL = Paper(
    "End-to-End Diffusion Latent Optimization Improves Classifier Guidance",
    ("Bram Wallace", "Akash Gokul", "Stefano Ermon", "Nikhil Naik"),
    "ICCV",
    2023,
    "2303.13703",
)

_NOTES = (
    MethodNote(
        name="clip_regression",
        title="CLIP regression",
        paper=None,
        section="",
        kind="fitted",
        speed="fast",
        space="s",
        how_it_works=(
            "Beforehand, a ridge regression learns how the style channels of random faces go with "
            "what CLIP sees of them.",
            "The sentence, minus a neutral one, is a direction in the same CLIP space.",
            "The channels that go that way are picked; the others stay.",
            "Each picked channel moves as far as faces differ there, the same for every face.",
            "CLIP looks at several lengths of that step and takes the best for each face.",
        ),
        good_for="a first try of any sentence; hair colours, curls, beards, smiles, old faces",
        limits=(
            "One direction for all faces: it does not see whether the face has the attribute.",
            "Too much strength turns hair and hats into something between the two.",
            "Small things that CLIP hardly sees (freckles, round or square glasses) hardly move.",
        ),
        builds_on=(DELTAEDIT, STYLECLIP),
    ),
    MethodNote(
        name="styleclip_global",
        title="StyleCLIP global directions",
        paper=STYLECLIP,
        section="Section 6",
        kind="fitted",
        speed="fast",
        space="s",
        how_it_works=(
            "Beforehand, each style channel of the generator is moved alone, around some faces, "
            "and CLIP says what that changes in the picture.",
            "The sentence, minus a neutral one, is a direction in the same CLIP space.",
            "The channels whose change goes that way are picked; the others stay.",
            "Each picked channel moves in proportion to how well it fits, the same for every face.",
            "Nothing is trained for a sentence, so any sentence works at once and strength is a "
            "plain multiple.",
        ),
        good_for="comparing with the paper; clip_regression does better with a small CLIP",
        limits=(
            "One direction for all faces: it does not see whether the face has the attribute.",
            "A channel moved alone leaves the faces that a small generator draws, so that CLIP "
            "judges pictures that look like no face.",
            "Small things that CLIP hardly sees (freckles, round or square glasses) hardly move.",
        ),
    ),
    MethodNote(
        name="styleclip_mapper",
        title="StyleCLIP latent mapper",
        paper=STYLECLIP,
        section="Section 5",
        kind="trained",
        speed="fast",
        space="w_plus",
        how_it_works=(
            "For one sentence, three small networks are trained: for the coarse, the medium and "
            "the fine layers of the face's code.",
            "They read the code and answer with the displacement that this very face needs.",
            "Training rewards CLIP's agreement with the sentence and punishes a long way and a "
            "lost identity.",
            "An edit is one pass; strength multiplies the displacement.",
            "A sentence outside the trained list is answered by the nearest trained one or not "
            "at all.",
        ),
        good_for="one of its trained sentences, with a result that depends on the face",
        limits=(
            "Knows only the sentences that it was trained on.",
            "Every sentence costs a training of its own.",
            "What the sentence does not say may come along, because only CLIP judges it.",
        ),
    ),
    MethodNote(
        name="styleclip_optimization",
        title="StyleCLIP latent optimisation",
        paper=STYLECLIP,
        section="Section 4",
        kind="optimized",
        speed="optimized",
        space="w_plus",
        how_it_works=(
            "Start from the face's own code.",
            "Draw it, let CLIP compare the picture with the sentence, and step the code towards "
            "agreement; repeat for some tens of steps.",
            "A penalty on the distance from the first code keeps the face near.",
            "A face recognition network's penalty keeps the person.",
            "The best code on the way is kept; strength goes along the straight line to it.",
        ),
        good_for="sentences that need colour or a mix, where seconds do not matter",
        limits=(
            "Seconds an edit, and again for every face and sentence.",
            "Can please CLIP with changes that nobody asked for.",
            "Depends on its two weights: too little changes nothing, too much loses the person.",
        ),
    ),
    MethodNote(
        name="maniclip",
        title="ManiCLIP",
        paper=MANICLIP,
        section="",
        kind="trained",
        speed="fast",
        space="w_plus",
        how_it_works=(
            "A transformer decoder reads the face's code, layer by layer, and the sentence's "
            "CLIP embedding, and answers with a displacement.",
            "It is trained without pictures: random faces, random sentences of several attributes.",
            "Group sampling: a training sentence takes its attributes from one category, so that "
            "they are learned apart (the paper's decoupling).",
            "An entropy penalty keeps the number of moved entries small, so that other "
            "attributes stay.",
            "At use, a sentence with several attributes is edited in one pass, or attribute after "
            "attribute.",
        ),
        good_for="sentences with two to four attributes at once",
        limits=(
            "Knows the kinds of attributes that its training sentences named.",
            "Two attributes of one region (hair colour and haircut) get in each other's way.",
            "What a displacement shares between attributes leaks from one to the other.",
        ),
    ),
    MethodNote(
        name="ffclip",
        title="FFCLIP: free-form CLIP",
        paper=FFCLIP,
        section="",
        kind="trained",
        speed="fast",
        space="w_plus",
        how_it_works=(
            "A chain of blocks turns the face's code and the sentence into a displacement.",
            "Semantic alignment: linear maps and cross attention find which layers and which "
            "channels the sentence is about.",
            "Semantic injection: the sentence scales and shifts what was found.",
            "It is trained on short phrases with one meaning each, CLIP judging the picture.",
            "Phrases never seen and combined phrases work through the shared CLIP space; the "
            "reaction of each layer can be looked at.",
        ),
        good_for="free wording; seeing which layers a sentence moves",
        limits=(
            "Far from its training phrases the answer gets weak or lands on a neighbour.",
            "The displacement is almost one-sided in the published form; the way back is weaker.",
            "One network for all sentences: rare ones are learned less well.",
        ),
    ),
    MethodNote(
        name="feat",
        title="FEAT: face editing with attention",
        paper=FEAT,
        section="",
        kind="trained",
        speed="fast",
        space="w_plus",
        how_it_works=(
            "A latent mapper moves the code of the layers that may change.",
            "An attention network looks at the generator's own features of the unedited face and "
            "draws a soft mask of where the edit belongs.",
            "Half-way through the generator, edited features are kept inside the mask and the "
            "original ones outside; the picture so far is blended alike.",
            "Penalties on the mask's area and on its roughness keep it small and whole.",
            "One set of weights reads the sentence here, where the paper trains one a sentence; "
            "the mask comes back with the result.",
        ),
        good_for="local edits that must leave the rest untouched",
        limits=(
            "What belongs to several places at once (age, light) is cut at the mask's edge.",
            "The mask is learned from CLIP only and may include a neighbour.",
            "Layers after the blending still follow the edited code unless the mask stops them.",
        ),
    ),
    MethodNote(
        name="clip_pae",
        title="CLIP-PAE: projection-augmentation embedding",
        paper=CLIP_PAE,
        section="",
        kind="optimized",
        speed="optimized",
        space="w_plus",
        how_it_works=(
            "A corpus of sentences on one characteristic (hair colour, expression, ...) spans a "
            "subspace of CLIP's space.",
            "The wanted sentence is projected onto it: what it says beyond the characteristic is "
            "dropped.",
            "The target is the face's own embedding, moved by alpha within that subspace only.",
            "The code then descends towards this target as in StyleCLIP's optimisation.",
            "Because the target still holds the rest of the face, the descent leaves the rest "
            "alone; pixels where the characteristic does not show are held as well.",
        ),
        good_for="a single characteristic with little else changed",
        limits=(
            "Needs a corpus for the characteristic; for others it warns.",
            "Black hair may turn blue or green where another colour is asked for.",
            "Seconds an edit, and again for every face.",
        ),
    ),
    MethodNote(
        name="clip_pae_diffusion",
        title="CLIP-PAE in diffusion",
        paper=CLIP_PAE,
        section="its claim that any CLIP-based method can use the target",
        kind="optimized",
        speed="diffusion",
        space="pixels",
        how_it_works=(
            "The photo is turned into noise by running a face diffusion model backwards (DDIM).",
            "The noise moves until a short run draws a draft that CLIP finds near to the "
            "projection-augmentation target of this very face.",
            "Other terms hold identity, pixels and what the sentence is not about, in the draft "
            "and after it.",
            "Where the draft differs from the photo, it is made partly noisy and drawn anew, while "
            "the target still pulls; elsewhere the photo's own inversion is followed.",
            "There is no code: guidance 0 gives the photo back, and what hardly changed stays the "
            "photo's.",
        ),
        good_for="portraits with detail that the generator's code cannot hold",
        limits=(
            "The slowest of all, and its denoiser is small: fine detail is that of its resolution.",
            "It has seen the portrait world only: edits of real photographs look broken.",
            "An edit depends on its seed, and some come out as patches or fur.",
        ),
        builds_on=(DDIM, DOODL),
    ),
    MethodNote(
        name="tedigan",
        title="TediGAN: instance optimisation",
        paper=TEDIGAN,
        section="instance-level optimisation, as in its released code",
        kind="optimized",
        speed="optimized",
        space="w_plus",
        how_it_works=(
            "Start from the photo's code and descend.",
            "The drawn picture stays near the photo in pixels and in a network's features.",
            "It also has to give its own code back when the encoder reads it, so the code stays "
            "where the encoder is at home.",
            "CLIP pulls it towards the sentence.",
            "The four terms are weighed; the best code on the way is kept.",
        ),
        good_for="staying close to the photo's pixels while something small changes",
        limits=(
            "Weak edits: three of its four terms hold the photo.",
            "Seconds an edit, and again for every face and sentence.",
            "The paper's own text encoder was never released; CLIP reads the sentence instead.",
        ),
    ),
    MethodNote(
        name="interfacegan",
        title="InterFaceGAN",
        paper=INTERFACEGAN,
        section="",
        kind="fitted",
        speed="fast",
        space="w_plus",
        how_it_works=(
            "Many random faces are labelled by an attribute reader.",
            "For each attribute a linear boundary is fitted that separates those who have it from "
            "those who do not.",
            "Its normal is the edit: walk along it and the attribute appears.",
            "Conditional: the part of the normal that also moves other attributes is projected "
            "out.",
            "A wish picks the boundary whose name is nearest in CLIP's space (our addition).",
        ),
        good_for="attributes on its list, with a smooth strength in both directions",
        limits=(
            "Knows only the attributes of its labels, whatever the sentence says.",
            "Attributes that go together in the population come along (age brings grey hair).",
            "A boundary is straight; far along it faces get odd.",
        ),
    ),
    MethodNote(
        name="ganspace",
        title="GANSpace",
        paper=GANSPACE,
        section="",
        kind="fitted",
        speed="fast",
        space="w_plus",
        how_it_works=(
            "The codes of many random faces are analysed into principal components.",
            "Each component is moved on a range of layers only: early ones change shape and "
            "pose, late ones colour.",
            "No label and no sentence is needed to find them.",
            "Here the attribute reader watches every component and gives it the name of what "
            "changes most.",
            "A wish picks the component with the nearest name (our addition).",
        ),
        good_for="seeing what varies most in the generator: pose, light, age, background",
        limits=(
            "Not made for sentences: many have no component near them.",
            "A component often moves several things at once.",
            "Signs and names come from measurements here, from looking in the paper.",
        ),
    ),
    MethodNote(
        name="stylespace",
        title="StyleSpace single channels",
        paper=STYLESPACE,
        section="",
        kind="fitted",
        speed="fast",
        space="s",
        how_it_works=(
            "Every channel of the generator's styles is measured: which region its gradient "
            "touches, which attribute it goes with.",
            "An atlas keeps the channels that do one thing in one place.",
            "A wish picks the named channel that is nearest (our addition).",
            "The edit moves this one channel and nothing else (a sentence of two wishes, two).",
            "Single channels are the least entangled control that this generator has.",
        ),
        good_for="the most local edits, where the atlas has a channel for them",
        limits=(
            "Only what a single channel controls; there is none for most sentences.",
            "The reach of one channel is limited; large changes are out of it.",
            "A channel belongs to one generator; another base needs a new atlas.",
        ),
    ),
    MethodNote(
        name="counterfactual",
        title="Counterfactual editor (ours)",
        paper=None,
        section="",
        kind="trained",
        speed="fast",
        space="w_plus",
        how_it_works=(
            "The portrait world can draw the same person twice: as is, and with exactly what a "
            "sentence says changed.",
            "So the true edit is known for any sentence that the world can say, where every other "
            "method has only CLIP's opinion.",
            "A network reads the face's code and the sentence and answers with a displacement; it "
            "learns to land on the code of the true edit and to leave everything else.",
            "A sentence of several wishes is split, and they are fulfilled one after the other.",
            "Strength multiplies the displacement; what more than 1 means is learned too: further "
            "where there is a scale, as for age, and elsewhere what a reader sees more clearly.",
        ),
        good_for="anything that the portrait world can say, one or several attributes at once",
        limits=(
            "Needs a world with exact counterfactuals; photographs of real people have none.",
            "Words outside the world's grammar are guesses through CLIP.",
            "Learns the renderer's idea of an attribute, not a photographer's.",
        ),
    ),
)

METHOD_NOTES: dict[str, MethodNote] = {note.name: note for note in _NOTES}


def short_card(method: str, base: str, repo_id: str) -> str:
    """Return the README.md of a repo that a user saves; what only its owner knows is left out.

    Args:
        method: The method's name.
        base: The base's repo id.
        repo_id: The repo's id, or its folder's name.
    """
    note = METHOD_NOTES.get(method)
    title = note.title if note else method
    lines = [f"# {title} on {base.split('/')[-1]}", ""]
    if note and note.paper:
        paper = note.paper
        lines += [
            f"{paper.short_authors}, [{paper.title}]({paper.url}), {paper.venue} {paper.year}."
        ]
    lines += ["", *(note.how_it_works if note else ()), ""]
    front = [
        "library_name: faceedit",
        f"base_model: {base}",
        "base_model_relation: adapter",
        "pipeline_tag: image-to-image",
        "tags: [face-editing, text-guided]",
    ]
    use = [
        "```python",
        "from faceedit import FaceEditor",
        "",
        f'editor = FaceEditor.from_pretrained("{repo_id}")',
        'editor.edit("photo.jpg", "a smiling face").image.save("edited.png")',
        "```",
        "",
        "Edit photographs of people who agree to it, and do not pass edits off as real.",
    ]
    return "\n".join(["---", *front, "---", "", *lines, *use, ""])
