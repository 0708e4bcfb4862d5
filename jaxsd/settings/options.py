"""The options of a picture: one list, from which flags, columns, keys and recipes are made.

An option is a field of `Settings`: only here are its type, default, range and help.
"""

from dataclasses import dataclass, fields

from jaxsd.distilled import PRESETS
from jaxsd.settings.adapters import FORM, Embedding, Lora
from jaxsd.settings.controls import Control, ImagePrompt
from jaxsd.settings.option import option
from jaxsd.settings.regions import Region

PREPROCESSORS = ("as_given", "canny", "scribble")
"""Functions that make a ControlNet's hint from a picture: names of `jaxsd.hints.HINTS`."""

CONTROL_MODES = ("balanced", "prompt", "control", "guess")
"""What counts more: webui's three, and diffusers' guess mode."""
PROMPT_WEIGHTS = ("webui", "comfy", "compel", "none")
"""Whose arithmetic weights in prompts follow (`jaxsd.sampling.texts`)."""
SEAMLESS = ("none", "x", "y", "xy")
"""Sides that a picture is continued over (`jaxsd.nn.circular`)."""
UPSCALERS = ("latent", "lanczos")
"""Latents by a bilinear filter, or pictures by Lanczos'; else it is the file of a network."""

NOT_WITH = {
    "cfg_pp": ("mimic_scale", "guidance_rescale"),
    "pag": ("mimic_scale",),
    "seg": ("mimic_scale",),
    "sag": ("mimic_scale", "reuse"),
    "image_guidance_scale": ("mimic_scale",),
}
"""What else an option of guidance does not go together with."""

NOT_IN_WINDOWS = ("reuse", "sag", "seamless", "refiner", "ip_adapter_mask")
"""What does not go together with windows."""

NOT_IN_MOTION = ("reuse", "refiner", "hires")
"""What does not go together with motion modules."""

NOT_INVERTED = (
    *("cfg_pp", "pag", "seg", "sag", "apg", "cfg_zero", "mimic_scale", "dynamic_thresholding"),
    *("guidance_rescale", "reuse", "refiner", "outpaint", "region", "motion"),
)
"""What does not go together with inversion: what acts on guided rows, or that it can not undo."""

NOT_INSIDE = ("windows", "reuse", "refiner", "hires", "motion")
"""What does not go together with looking into the U-Net: it would run in another loop."""

LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Settings:
    """All options of one image; None is for what suits the model, which `checked` fills in."""

    prompt: str = option("", "what to draw")
    negative_prompt: str = option(
        "", "what to keep away from", metavar="TEXT", also=("--negative",)
    )
    blend_prompt: str = option(
        "", "prompt whose conditioning is mixed into that of the prompt", metavar="TEXT"
    )
    blend_strength: float = option(
        0.0,
        "share of --blend-prompt in the mean of both, as in ComfyUI's ConditioningAverage",
        low=0,
        high=1,
        metavar="SHARE",
    )
    region: tuple[Region, ...] = option(
        (),
        "a text for a box of the picture, X,Y,WIDTH,HEIGHT[,STRENGTH]:TEXT in shares of its sides, "
        "such as 0,0,0.5,1:a red apple, or for where the picture FILE is white, "
        "FILE[,STRENGTH]:TEXT; may be given several times",
        shared=True,
        metavar="REGION",
    )
    prompt_weights: str = option(
        "webui",
        "arithmetic of weights as in (word:1.2): webui's, ComfyUI's or compel's; none takes "
        "prompts as plain text and cuts long ones",
        words=PROMPT_WEIGHTS,
        shared=True,
    )
    clip_skip: int | None = option(
        None,
        "the text encoder's layer to use, counted from the last, which is 1",
        low=1,
        metavar="N",
    )
    wildcards: str = option(
        "", "folder of NAME.txt, of which __NAME__ in a prompt is a line", metavar="FOLDER"
    )
    seed: int = option(
        0,
        "of the first image, up to 2^63 - 1; each next one has one more",
        low=0,
        high=LARGEST_SEED,
    )
    noise: str = option(
        "jax",
        "who draws the noise: torch is PyTorch on a CPU, as in diffusers, so that a seed gives the "
        "same picture; cuda is PyTorch on an NVIDIA GPU, webui's NV",
        words=("jax", "torch", "cuda"),
        shared=True,
    )
    batch_place: tuple[int, ...] = option(
        (0, 1),
        "with --noise torch or cuda, this picture's place, from 0, in a batch of so many pictures "
        "that diffusers or ComfyUI draw from one seed",
        low=0,
        high=10_000,
        metavar=("INDEX", "OF"),
    )
    variation_seed: int = option(
        0,
        "of the noise that --variation-strength leads to; then it counts the images, and --seed "
        "stays",
        low=0,
        high=LARGEST_SEED,
    )
    variation_strength: float = option(
        0.0, "share of the way to the noise of --variation-seed", low=0, high=1, metavar="SHARE"
    )
    seed_resize: tuple[int, ...] = option(
        (0, 0),
        "size whose noise of this seed is in the middle, for much the same picture in another size",
        low=0,
        high=2**16,
        metavar=("WIDTH", "HEIGHT"),
    )
    preset: str = option(
        "found",
        "sampler, steps and scale of a kind of distilled model, where they are not given; found "
        "goes by the names of published files",
        words=("found", *PRESETS),
        metavar="KIND",
    )
    sampler: str | None = option(
        None,
        "ddim, euler_a, dpm++_2m_karras, euler_sgm_uniform, ..., or a file of learnt ones, "
        "NAME.json; ddim for most models",
    )
    steps: int | None = option(None, "of the sampler; 20 for most models", low=1, metavar="N")
    sampler_options: tuple[str, ...] = option(
        (), "options of the sampler, such as eta=0.5 or spacing=trailing", metavar="NAME=VALUE"
    )
    guidance_scale: float | None = option(
        None, "how much the prompt counts; up to 1 is no guidance", low=0, high=1000, metavar="W"
    )
    image_guidance_scale: float | None = option(
        None,
        "InstructPix2Pix: how much the picture counts, such as 1.5; 1 is no guidance by it",
        low=1,
        high=1000,
        metavar="W",
    )
    guidance_interval: tuple[float, ...] = option(
        (0.0, 1.0),
        "guide from here to there on the way from noise (0) to picture (1) alone, faster",
        low=0,
        high=1,
        metavar=("FROM", "TO"),
    )
    guidance_rescale: float = option(
        0.0,
        "share by which guided pictures get the prompt's own contrast back, such as 0.7",
        low=0,
        high=1,
        shared=True,
    )
    pag: float = option(
        0.0,
        "scale of perturbed attention guidance, such as 3: away from a picture whose pixels do not "
        "look at each other; takes half as long again",
        low=0,
        high=100,
        shared=True,
        metavar="SCALE",
    )
    seg: float = option(
        0.0,
        "scale of smoothed energy guidance, such as 3: away from a picture whose pixels all ask "
        "for the same",
        low=0,
        high=100,
        shared=True,
        metavar="SCALE",
    )
    sag: float = option(
        0.0,
        "scale of self-attention guidance, such as 0.75: away from a picture that is blurred where "
        "pixels are looked at",
        low=0,
        high=100,
        shared=True,
        metavar="SCALE",
    )
    sag_sigma: float = option(
        1.0,
        "standard deviation of that blur, in pixels of the latents; ComfyUI has 2",
        low=0.1,
        high=10,
        metavar="PIXELS",
    )
    freeu: tuple[float, ...] = option(
        (1.0, 1.0, 1.0, 1.0),
        "FreeU: factors of the U-Net's deepest features and of the skips beside them, such as 1.3 "
        "1.4 0.9 0.2; 1 changes nothing",
        low=0,
        high=10,
        shared=True,
        metavar=("B1", "B2", "S1", "S2"),
    )
    freeu_version: int = option(
        2,
        "2 is FreeU v2 of webui and ComfyUI; 1 is that of diffusers",
        low=1,
        high=2,
        shared=True,
    )
    dynamic_thresholding: tuple[float, ...] = option(
        (1.0, 0.0),
        "cut each estimate of x0 beyond this percentile, such as 0.995, and scale it into this "
        "range (Imagen's; latents of SD want about 3); a range of 0 does not",
        low=0,
        high=1000,
        shared=True,
        metavar=("PERCENTILE", "RANGE"),
    )
    mimic_scale: tuple[float, ...] = option(
        (0.0, 1.0),
        "give guided pictures the range of this lower guidance scale, cut beyond this percentile: "
        "webui's dynamic thresholding (CFG scale fix); a scale of 0 does not",
        low=0,
        high=1000,
        shared=True,
        metavar=("SCALE", "PERCENTILE"),
    )
    apg: tuple[float, ...] = option(
        (1.0, 0.0, 0.0),
        "adaptive projected guidance: weight of the part along x0, largest length (0 for any), "
        "momentum, such as 0 15 -0.5; 1 0 0 is plain guidance",
        low=-1,
        high=1000,
        shared=True,
        metavar=("ETA", "NORM", "MOMENTUM"),
    )
    cfg_zero: int = option(
        -1,
        "CFG-Zero*: guidance with the optimised scale, and an output of 0 in this many steps at "
        "the beginning; -1 is plain guidance",
        low=-1,
        high=1000,
        shared=True,
        metavar="STEPS",
    )
    cfg_pp: bool = option(
        False,
        "CFG++: each step takes the negative prompt's noise; the guidance scale is then 0 to 1, "
        "0.6 if not given",
        shared=True,
    )
    reuse: int = option(
        1,
        "compute the U-Net's deep features in every N-th step alone, faster",
        low=1,
        high=1000,
        shared=True,
        metavar="N",
    )
    width: int | None = option(None, "in pixels", low=1, high=2**16)
    height: int | None = option(None, "in pixels", low=1, high=2**16)
    seamless: str = option(
        "none",
        "sides of the picture that fit to each other: x left and right, y top and bottom, xy both",
        words=SEAMLESS,
        shared=True,
    )
    vae_tile: int = option(
        0,
        "encode and decode in overlapping tiles of this side, for pictures larger than memory; 0 "
        "does it at once",
        low=0,
        high=2**16,
        shared=True,
        metavar="PIXELS",
    )
    windows: tuple[int, ...] = option(
        (0, 0),
        "draw a picture larger than the model's in windows of this side, such as 512 256, of which "
        "neighbours share so many pixels or more (MultiDiffusion); 0 0 draws it at once",
        low=0,
        high=2**16,
        shared=True,
        metavar=("SIZE", "OVERLAP"),
    )
    hires: float = option(
        1.0,
        "enlarge what was drawn so many times, and draw over it; 1 does not",
        low=1,
        high=8,
        shared=True,
        metavar="SCALE",
    )
    hires_strength: float = option(
        0.7, "how much of the enlarged picture is drawn anew", low=0, high=1, metavar="STRENGTH"
    )
    hires_steps: int = option(
        0, "of the sampler for the enlarged picture; 0 for those of --steps", low=0, metavar="N"
    )
    hires_upscaler: str = option(
        "latent",
        "what enlarges: latent, lanczos, or the file of a network such as ESRGAN",
        shared=True,
        metavar="latent|lanczos|FILE",
    )
    refiner: str = option(
        "",
        "model that draws the rest of the way, such as XL's refiner",
        shared=True,
        metavar="MODEL",
    )
    refiner_start: float = option(
        0.8,
        "part of the way from noise (0) to picture (1) at which the refiner takes over",
        low=0,
        high=1,
        metavar="SHARE",
    )
    image: str = option(
        "",
        "picture to begin from; any size: it is scaled to cover the size that is drawn, and its "
        "middle is cut out",
        metavar="FILE",
    )
    strength: float | None = option(
        None,
        "how much of the way from noise to picture is drawn anew; 1 begins from noise alone; 0.75, "
        "with --mask or --outpaint 1, if not given",
        low=0,
        high=1,
    )
    source_prompt: str = option(
        "",
        "what --image shows: the drawing begins from the noise that leads to it under this text "
        "(inversion), not from that of the seed; with the samplers bdia (exact), ddim and euler",
        metavar="TEXT",
    )
    mask: str = option(
        "",
        "picture of what to paint anew: white is painted, black is kept; any size, as --image; or "
        "a box X,Y,WIDTH,HEIGHT in shares of the sides of --image",
        metavar="FILE|BOX",
    )
    mask_blur: float = option(
        4.0, "radius of the mask's soft edge, in pixels", low=0, high=1000, metavar="PIXELS"
    )
    only_masked: int = option(
        0,
        "draw the part around the mask alone, with so many pixels of --image on each side, at the "
        "size that is drawn, and put it back; 0 draws the whole picture",
        low=0,
        high=2**16,
        metavar="PADDING",
    )
    differential: bool = option(
        False,
        "the mask's grey says how much changes: grey is kept up to a later step",
    )
    composite: bool = option(True, "keep the pixels of --image exactly where the mask is black")
    outpaint: tuple[int, ...] = option(
        (0, 0, 0, 0),
        "pixels by which to grow the picture beyond its size, and paint there",
        low=0,
        high=2**16,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
    )
    depth: str = option(
        "",
        "grey picture of how near things are, white is near, for depth-to-image models; any size, "
        "as --image",
        metavar="FILE",
    )
    noise_level: int | None = option(
        None,
        "noise that a model which enlarges a picture (x4) adds to it first, 20 if not given, or "
        "one that varies a picture (unCLIP) to what it sees of it, 0; with more it invents more",
        low=0,
        high=1000,
        shared=True,
        metavar="N",
    )
    reference: str = option(
        "",
        "picture whose pixels self-attention looks at as well, so that things keep their looks; "
        "any size, as --image; takes twice as long",
        shared=True,
        metavar="FILE",
    )
    reference_strength: float = option(
        0.5,
        "share of --reference in self-attention; 1 is the cross-frame attention of Text2Video-Zero",
        low=0,
        high=1,
        metavar="SHARE",
    )
    control: tuple[Control, ...] = option(
        (),
        "a picture and the ControlNet or T2I-Adapter that looks at it, "
        "IMAGE:MODEL[:WEIGHT[:FROM:TO]], or MODEL@KIND for a ControlNet-Union; may be given "
        "several times",
        metavar="CONTROL",
    )
    preprocessor: str = option(
        "as_given", "makes a hint of each picture of --control", words=PREPROCESSORS
    )
    control_mode: str = option(
        "balanced",
        "what counts more, the prompt or ControlNets, as webui has it; guess is the guess mode of "
        "diffusers, which draws even without a prompt",
        words=CONTROL_MODES,
        shared=True,
    )
    union_at_once: bool = option(
        False,
        "a ControlNet-Union sees all of its pictures in one run, faster than in one for each",
        shared=True,
    )
    ip_adapter: tuple[ImagePrompt, ...] = option(
        (),
        "a picture to take up beside the prompt, and the file of the IP-Adapter that shows it, "
        "IMAGE:FILE[:WEIGHT[:FROM:TO]]; WEIGHT may be of parts of the U-Net, such as "
        "up.0.1=1,down.2=0.5; for a FaceID, IMAGE is a face's embedding, FILE.npy; may be given "
        "several times",
        metavar="IMAGE_PROMPT",
    )
    ip_adapter_mask: tuple[str, ...] = option(
        (),
        "picture of where an --ip-adapter acts, white; the first is that of the first one, and so "
        "on; any size, as --image; may be given several times",
        metavar="FILE",
    )
    image_encoder: str = option(
        "",
        "folder or file of the CLIP that --ip-adapter sees with; if not given, the folder "
        "image_encoder beside its file",
        shared=True,
        metavar="PLACE",
    )
    lora: tuple[Lora, ...] = option(
        (),
        f"LoRA, LoCon, LoHa, LoKr, DoRA, OFT, BOFT, GLoRA or IA3 to add to the weights, {FORM}; "
        "may be given several times",
        metavar="LORA",
    )
    motion: str = option(
        "",
        "motion modules (AnimateDiff), a file or a diffusers folder: the pictures of a call are "
        "then frames of one clip",
        shared=True,
        metavar="PLACE",
    )
    motion_context: tuple[int, ...] = option(
        (16, 4),
        "with --motion, draw clips longer than so many frames in parts of this length, of which "
        "neighbours share so many frames",
        low=0,
        high=1024,
        shared=True,
        metavar=("LENGTH", "OVERLAP"),
    )
    motion_loop: bool = option(
        False, "with --motion, let the last frame lead back to the first", shared=True
    )
    motion_lora: tuple[Lora, ...] = option(
        (),
        "LoRA of motion modules, FILE[:WEIGHT]; may be given several times",
        shared=True,
        metavar="LORA",
    )
    lora_folder: tuple[str, ...] = option(
        (), "where <lora:NAME:WEIGHT> in a prompt finds NAME.safetensors", metavar="FOLDER"
    )
    embedding: tuple[Embedding, ...] = option(
        (),
        "textual inversion, FILE or NAME=FILE, whose name in a prompt stands for its vectors; may "
        "be given several times",
        shared=True,
        metavar="EMBEDDING",
    )
    embedding_folder: tuple[str, ...] = option(
        (),
        "where files of embeddings are found whose names stand in a prompt",
        shared=True,
        metavar="FOLDER",
    )

    watermark: str = option(
        "",
        "text of up to 32 bytes to hide in the pixels, which jaxsd info reads; small pictures have "
        "room for less",
        metavar="TEXT",
    )

    @property
    def paints(self) -> bool:
        """Whether only a part is painted: by a mask or at the sides of a picture."""
        return bool(self.mask) or any(self.outpaint)

    @property
    def drawn_size(self) -> tuple[int, int]:
        """Height and width of what is drawn, in pixels; for checked settings."""
        left, top, right, bottom = self.outpaint
        return self.height + top + bottom, self.width + left + right

    @property
    def final_size(self) -> tuple[int, int]:
        """Height and width of the picture that comes out: `drawn_size`, enlarged by `hires`."""
        height, width = self.drawn_size
        return round(height * self.hires), round(width * self.hires)

    @property
    def upscaler_file(self) -> str:
        """The file of the network that enlarges; empty where none does."""
        return (
            self.hires_upscaler if self.hires > 1 and self.hires_upscaler not in UPSCALERS else ""
        )

    @property
    def counted(self) -> str:
        """The option that has one more for each next image of a call."""
        return "variation_seed" if self.variation_strength else "seed"


OPTIONS = {f.name: f for f in fields(Settings)}
"""Every option by its name."""

SHARED = tuple(name for name, one in OPTIONS.items() if one.metadata["shared"])
"""Options whose values all images of a call share."""
