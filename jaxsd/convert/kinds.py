"""What a file of weights is, when it is not a whole model."""

import re

from jaxsd.convert.files.tensors import FlatTree

_SIGNS = (
    (r"^(ip_adapter|image_proj)\.", "an IP-Adapter"),  # that of faces has LoRAs inside
    (r"(^|\.)fuse_module\.mlp1\.", "a PhotoMaker"),  # with a LoRA beside it
    (r"(lora_(up|down|A|B)|lora\.(up|down)|hada_w|lokr_w|:\d+:(up|down)$)", "a LoRA"),
    (r"^(emb_params$|string_to_param\.|clip_[lg]$|<[^>]*>$)", "a textual-inversion embedding"),
    (r"^lora_controlnet$", "a Control-LoRA"),
    (r"^lllite_", "a ControlNet-LLLite"),
    (r"(^|\.)(control_add_embedding\.|task_embedding$)", "a ControlNet-Union"),
    (r"(^|\.)(control_model\.|controlnet_cond_embedding\.|zero_convs\.)", "a ControlNet"),
    (r"(^|\.)motion_modules\.\d+\.", "AnimateDiff's motion modules"),
    (r"^position_net\.", "GLIGEN's layers"),
    (r"(^|\.)transformer_layes\.", "a T2I style adapter"),
    (r"(^|\.)body\.\d+\.((resnets|body)\.\d+\.)?block1\.", "a T2I-Adapter"),
    (r"(^|\.)joint_blocks\.", "a Stable Diffusion 3"),
    (r"(^|\.)(double|single)_blocks\.", "a Flux"),
    (r"^((encoder|decoder)\.layers\.)?\d+\.conv\.\d+\.", "a tiny autoencoder (TAESD)"),
    (r"^model\.diffusion_model\.", "a U-Net in the original code's names"),
    (r"^(down_blocks|conv_in)\.", "a U-Net or ControlNet in diffusers' names"),
    (r"^(first_stage_model\.|vae\.)?(encoder|decoder)\.conv_in\.", "an autoencoder"),
    (r"(^|\.)(text_model\.|transformer\.resblocks\.|embeddings\.token)", "a CLIP text encoder"),
)
"""Pattern of a tensor's name -> what a file with one is; the first that matches counts."""


def kind_of(tensors: FlatTree) -> str:
    """What a file is, in words, going by the names of its tensors."""
    for pattern, kind in _SIGNS:
        if any(re.search(pattern, name) for name in tensors):
            return kind
    return "of a kind that is not known"
