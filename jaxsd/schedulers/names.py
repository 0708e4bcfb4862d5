"""Names of the samplers in other programs."""

from jaxsd.schedulers.spacing import SIGMAS
from jaxsd.schedulers.trained_sigmas import TRAINED_SIGMAS

SIGMAS_OF_WEBUI = {
    "ddim_uniform": "DDIM",
    "sgm_uniform": "SGM Uniform",
    "kl_optimal": "KL Optimal",
    "align_your_steps": "Align Your Steps",
    "align_your_steps_xl": "Align Your Steps",
    "gits": "GITS",
}
"""webui's names of grids, where they are not ours with a capital letter."""

AUTOMATIC_OF_WEBUI = {"dpm++_2m": "karras", "dpm++_2m_sde": "exponential"}
"""Sampler -> what webui means by the schedule type "Automatic", where it is not the model's."""

ALIASES = {
    # webui, k-diffusion, ComfyUI; spaces and hyphens count as underscores
    "plms": "pndm",
    "euler_ancestral": "euler_a",
    "dpmpp_2m": "dpm++_2m",
    "dpmpp_2m_sde": "dpm++_2m_sde",
    "dpmpp_2s": "dpm++_2s",
    "dpmpp_2s_ancestral": "dpm++_2s_a",
    "dpmpp_sde": "dpm++_sde",
    "dpmpp_3m_sde": "dpm++_3m_sde",
    "dpm_2": "dpm2",
    "dpm_2_ancestral": "dpm2_a",
    "uni_pc": "unipc",
    "uni_pc_bh2": "unipc",
    # diffusers
    "ddimscheduler": "ddim",
    "ddpmscheduler": "ddpm",
    "pndmscheduler": "pndm",
    "lmsdiscretescheduler": "lms",
    "eulerdiscretescheduler": "euler",
    "eulerancestraldiscretescheduler": "euler_a",
    "heundiscretescheduler": "heun",
    "dpmsolvermultistepscheduler": "dpm++_2m",
    "dpmsolversinglestepscheduler": "dpm++_2s",
    "unipcmultistepscheduler": "unipc",
    "deismultistepscheduler": "deis",
    "kdpm2discretescheduler": "dpm2",
    "kdpm2ancestraldiscretescheduler": "dpm2_a",
    "dpmsolversdescheduler": "dpm++_sde",
    "sasolverscheduler": "sa_solver",
    "lcmscheduler": "lcm",
    "tcdscheduler": "tcd",
}


def resolve(name: str, samplers: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The sampler that is meant, and the options its name implies.

    "DPM++ 2M Karras" is ("dpm++_2m", {"sigmas": "karras"}).

    Raises:
      ValueError: listing `samplers`, if the name is unknown.
    """
    plain = name.strip().lower().replace(" ", "_").replace("-", "_").removeprefix("k_")
    implied = {}
    for sigmas in (*SIGMAS, *TRAINED_SIGMAS):
        if plain.endswith(f"_{sigmas}"):
            plain, implied = plain.removesuffix(f"_{sigmas}"), {"sigmas": sigmas}
    plain = ALIASES.get(plain, plain)
    if plain not in samplers:
        raise ValueError(f"sampler {name!r} is unknown: choose one of {', '.join(samplers)}")
    return plain, implied
