"""A training run as TOML: it says what to run, not what a model is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxsd.convert.reading import Reading
from jaxsd.training.ranges import check
from jaxsd.typed import read_toml


@dataclass(frozen=True)
class LossConfig:
    """The loss of a denoiser.

    Attributes:
      prediction: "epsilon", "v" or "sample"; empty for what the model predicts already.
      zero_terminal_snr: whether the noise schedule is rescaled to end without any signal (Lin et
        al. 2023, algorithm 1). The written model has this in its settings, and trailing timesteps.
      min_snr_gamma: clips the weight of steps with little noise (Hang et al. 2023, section 3.4;
        5 there); 0 gives all steps the same weight.
      offset_noise: standard deviation of noise that is the same over a whole channel, added so
        that the model learns to move the mean of a picture (0.05 to 0.1 is usual); 0 is none.
      timestep_density: relative densities of timesteps, one for each equal part of 0..T; one number
        is uniform, `[1, 1, 2, 2]` draws the noisy half twice as often.
      dpo_beta: how strongly a model is held to the one that it began as (task "dpo"); 2,000 to
        5,000 in the paper's section 5.
    """

    prediction: str = ""
    zero_terminal_snr: bool = False
    min_snr_gamma: float = 0.0
    offset_noise: float = 0.0
    timestep_density: tuple[float, ...] = (1.0,)
    dpo_beta: float = 2500.0


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank additions (Hu et al. 2021).

    Attributes:
      rank: of every addition; 0 trains what `trainable` matches (tasks "consistency" and
        "progressive").
      alpha: the additions are scaled by alpha / rank; 0 stands for the rank.
      targets: regular expressions over parameter paths such as
        `unet/down_blocks_0/attentions_0/transformer_blocks_0/attn1/to_q/kernel`.
      begin: a LoRA file of this rank, alpha and these targets to begin with; empty for additions of
        nothing.
    """

    rank: int = 8
    alpha: float = 0.0
    targets: tuple[str, ...] = (r"unet/.*/attn[12]/to_(q|k|v|out_0)/kernel",)
    begin: str = ""


@dataclass(frozen=True)
class DistillationConfig:
    """A student that draws in few steps (tasks "consistency" and "progressive").

    Attributes:
      guidance: guidance scale of the teacher, or the lowest and the highest one, between which each
        picture draws its own; empty for the model's own. The student is drawn with 1.
      original_steps: DDIM steps of the teacher, one of which lies between the two levels that are
        compared (Luo et al. 2023, section 4.3); option `original_steps` of the sampler "lcm".
      huber: differences below it count squared, larger ones as they are.
      steps: of the student; the teacher takes twice as many (task "progressive").
    """

    guidance: tuple[float, ...] = ()
    original_steps: int = 50
    huber: float = 0.001
    steps: int = 4


@dataclass(frozen=True)
class EmbeddingConfig:
    """A new word (Gal et al. 2022).

    Attributes:
      token: how it is spelled in captions.
      initial: a word of the vocabulary whose vector it starts from.
      vectors: how many tokens it stands for.
    """

    token: str = ""
    initial: str = ""
    vectors: int = 1


@dataclass(frozen=True)
class ArraysConfig:
    """A network of arrays [N, T, C] or [N, H, W, C].

    Attributes:
      channels: widths of its levels; each but the first halves the sides.
      resnets: of a level on the way down; the way up has one more.
      heads: of the attention in the middle; they divide the last width.
      told: share of the rows that the network is told the beginning of, up to a random time, as
        forecasts ask for; with 0 it has no inputs for what is known.
      time_axis: of the data, 1 for T or H; 3 where the channels of a grid are times.
    """

    channels: tuple[int, ...] = (32, 64)
    resnets: int = 1
    heads: int = 4
    told: float = 0.9
    time_axis: int = 1


@dataclass(frozen=True)
class DrawingConfig:
    """How a run draws the pictures that it learns from (tasks "draft" and "ddpo").

    Attributes:
      sampler: a name of `jaxsd.schedulers.SAMPLERS`.
      rows: steps of it.
      eta: share of fresh noise, of samplers that take it; 0 for the sampler's own.
      guidance_scale: 1 is none, and takes half of the time; 0 for the model's own.
      last: rows at the end that the derivative reaches; 0 for all (task "draft").
    """

    sampler: str = "ddim"
    rows: int = 8
    eta: float = 0.0
    guidance_scale: float = 0.0
    last: int = 1


@dataclass(frozen=True)
class RewardConfig:
    """What makes a picture good (tasks "draft" and "ddpo").

    Attributes:
      name: of `jaxsd.training.rewards.REWARDS`, or `module:function`, a function of the user.
      colour: red, green and blue, 0 to 255 (reward "colour").
      predictor: a file of LAION's (reward "aesthetic").
      clip: folder of the CLIP that the predictor was trained on (reward "aesthetic").
    """

    name: str = ""
    colour: tuple[float, ...] = (0.0, 128.0, 128.0)
    predictor: str = ""
    clip: str = ""


@dataclass(frozen=True)
class PolicyConfig:
    """Policy gradients (task "ddpo").

    Attributes:
      pictures: of each prompt in a batch; their rewards are compared with each other.
      updates: on the pictures of a step.
      clip: how far from 1 the ratio of a row's densities counts.
    """

    pictures: int = 4
    updates: int = 1
    clip: float = 0.2


@dataclass(frozen=True)
class TrainConfig(Reading):
    """One run. Options of `Reading` say how `model` is read.

    Attributes:
      task: a name of `jaxsd.training.tasks.TASKS`.
      output: folder of the run.
      data: image folder with captions as `jaxsd.training.captions` finds them, ArrayRecord files,
        or what `jaxsd cache-latents` made of one of these; a text file with a prompt in each line
        (tasks "draft" and "ddpo"); for task "arrays" a .npy or .npz file.
      steps: parameter updates in all.
      batch_size: pictures per batch; an update takes `accumulate` batches.
      learning_rate: peak; reached after `warmup_steps`, held, then lowered linearly to zero over
        the last `decay_steps`. A run can therefore be made longer before it decays.
      model: what training starts from: anything that `jaxsd.load` reads. Tasks "vae" and "unet" do
        not need one.
      controlnet: what a ControlNet starts from; empty for the U-Net (task "controlnet").
      controlnet_rank: a ControlNet is a change of this rank to the U-Net's encoder half; 0 trains a
        full copy of that half (task "controlnet").
      hint_channels: widths of the network that reads a ControlNet's image; each but the first
        halves the sides; empty for 16, 32, 96, 256 (task "controlnet").
      optimizer: a name of `jaxsd.training.optimizer.OPTIMIZERS`.
      clip_norm: largest norm of a gradient.
      accumulate: batches per update.
      ema_decay: of the averaged weights, which are exported, and which are the target of task
        "consistency"; 0 for the last weights.
      dtype: what the networks compute in; weights that are trained stay float32.
      remat: what the U-Net keeps of its forward pass for its gradient: "none" keeps all, "minimal"
        the products with weights, "full" only the inputs of its blocks, which takes the least
        memory and the most time.
      save_every: steps between checkpoints.
      keep: how many of the latest checkpoints stay.
      log_every: steps between lines of metrics.
      mesh: devices along data, fsdp and tensor, see `jaxsd.parallel.mesh_of`.
      trainable: regular expressions over parameter paths (task "finetune", and students with a
        `lora.rank` of 0).
      resolution: side in pixels of square pictures, and the area of others; 0 for the model's own.
      max_aspect: how much longer one side may be than the other; 1 crops all to squares.
      caption: for pictures that have none.
      uncaptioned: whether the run may go on though less than half of the pictures have a caption.
      caption_dropout: share of the captions that become empty, for guidance.
      prior_data: pictures of the class, for prior preservation (Ruiz et al. 2022, section 3.3).
      prior_caption: for pictures of the class that have none.
      prior_weight: of their loss.
      samples: prompts that are drawn after each checkpoint, as samples/STEP.png.
      crop: pixels of the random square crops (tasks "vae" and "tiny-vae").
      tiny_channels: width of every layer of a tiny autoencoder (task "tiny-vae"); TAESD has 64.
      autoencoder: folder of a finished run of task "vae" (task "unet").
      templates: share of each kind of picture in a batch (task "unet").
    """

    task: str
    output: str
    data: str
    steps: int
    batch_size: int
    learning_rate: float
    model: str = ""
    controlnet: str = ""
    controlnet_rank: int = 0
    hint_channels: tuple[int, ...] = ()
    optimizer: str = "adamw"
    warmup_steps: int = 100
    decay_steps: int = 0
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    accumulate: int = 1
    ema_decay: float = 0.999
    dtype: str = "float32"
    remat: str = "none"
    save_every: int = 1000
    keep: int = 2
    log_every: int = 50
    seed: int = 0
    mesh: tuple[int, ...] = (-1, 1, 1)
    trainable: tuple[str, ...] = ("unet/.*",)
    resolution: int = 0
    max_aspect: float = 1.0
    caption: str = ""
    uncaptioned: bool = False
    caption_dropout: float = 0.1
    prior_data: str = ""
    prior_caption: str = ""
    prior_weight: float = 1.0
    samples: tuple[str, ...] = ()
    crop: int = 64
    tiny_channels: int = 64
    autoencoder: str = ""
    templates: dict[str, float] = field(default_factory=dict)
    loss: LossConfig = LossConfig()
    lora: LoraConfig = LoraConfig()
    distillation: DistillationConfig = DistillationConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    arrays: ArraysConfig = ArraysConfig()
    drawing: DrawingConfig = DrawingConfig()
    reward: RewardConfig = RewardConfig()
    policy: PolicyConfig = PolicyConfig()

    @property
    def updates_per_step(self) -> int:
        """Updates of the weights in a step."""
        return self.policy.updates if self.task == "ddpo" else 1

    def __post_init__(self) -> None:
        """Checks what can be checked before anything is read.

        Raises:
          ValueError: a value that is not allowed.
        """
        check(self)


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """A run from a TOML file, with `key=value` overrides in TOML's own syntax (`lora.rank=4`).

    Raises:
      ValueError: not TOML, an unknown or missing key, a value of the wrong type.
      FileNotFoundError: no such file.
    """
    return read_toml(TrainConfig, path, overrides, "configs/train/")
