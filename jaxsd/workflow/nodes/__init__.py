"""ComfyUI's classes of nodes as functions; importing this fills `schema.CLASSES`."""

from jaxsd.workflow.nodes.conditioning import *  # noqa: F403
from jaxsd.workflow.nodes.gligen import *  # noqa: F403
from jaxsd.workflow.nodes.guidance import *  # noqa: F403
from jaxsd.workflow.nodes.image_parts import *  # noqa: F403
from jaxsd.workflow.nodes.images import *  # noqa: F403
from jaxsd.workflow.nodes.latent_parts import *  # noqa: F403
from jaxsd.workflow.nodes.latents import *  # noqa: F403
from jaxsd.workflow.nodes.lists import *  # noqa: F403
from jaxsd.workflow.nodes.loaders import *  # noqa: F403
from jaxsd.workflow.nodes.masks import *  # noqa: F403
from jaxsd.workflow.nodes.merging import *  # noqa: F403
from jaxsd.workflow.nodes.models import *  # noqa: F403
from jaxsd.workflow.nodes.photomaker import *  # noqa: F403
from jaxsd.workflow.nodes.primitives import *  # noqa: F403
from jaxsd.workflow.nodes.sampler_kinds import *  # noqa: F403
from jaxsd.workflow.nodes.samplers import *  # noqa: F403
from jaxsd.workflow.nodes.saving import *  # noqa: F403
from jaxsd.workflow.nodes.schedules import *  # noqa: F403
from jaxsd.workflow.nodes.texts import *  # noqa: F403
from jaxsd.workflow.nodes.visions import *  # noqa: F403
