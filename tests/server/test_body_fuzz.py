"""Bodies whose fields are of any kind and size: none is answered with 5xx, nor leaves a job behind.

`JAXSD_FUZZ=6000` tries 2,000 of them.
"""

import json
import random

import httpx
from fuzzing import CASES, HOSTILE, as_json

from jaxsd.server.native import request_schema
from jaxsd.server.openai_images import NAMES
from jaxsd.server.openai_images import UNUSED as OPENAI
from jaxsd.server.webui_extras import UNUSED as EXTRAS
from jaxsd.server.webui_request import IMAGE_TO_IMAGE, SAME, TEXT_TO_IMAGE, UNUSED

SMALL = {"prompt": "a", "width": 64, "height": 64, "steps": 2}
FIELDS = {
    "/jaxsd/v1/jobs": list(request_schema()["properties"]),
    "/v1/images/generations": [
        *request_schema()["properties"], *OPENAI, *NAMES, "n", "size", "response_format",
        "output_format", "stream", "partial_images",
    ],
    "/sdapi/v1/txt2img": [
        *SAME, *UNUSED, *TEXT_TO_IMAGE, "sampler_name", "sampler_index", "scheduler", "seed", "eta",
        "subseed", "subseed_strength", "tiling", "override_settings", "alwayson_scripts",
        "script_name", "script_args", "batch_size", "n_iter", "force_task_id", "send_images",
        "refiner_checkpoint", "refiner_switch_at", "deadline", "priority",
    ],
    "/sdapi/v1/img2img": [*IMAGE_TO_IMAGE, "resize_mode", "denoising_strength", "init_images"],
    "/sdapi/v1/extra-single-image": [
        *EXTRAS, "image", "resize_mode", "upscaling_resize", "upscaling_resize_w", "upscaler_1",
        "upscaling_resize_h", "upscaling_crop", "upscaler_2", "extras_upscaler_2_visibility",
    ],
    "/sdapi/v1/extra-batch-images": ["imageList", "upscaler_1"],
    "/sdapi/v1/interrupt": ["id_task"],
    "/sdapi/v1/skip": ["id_task"],
    "/sdapi/v1/options": ["sd_model_checkpoint"],
    "/sdapi/v1/png-info": ["image"],
    "/internal/progress": ["id_task", "live_preview"],
    "/jaxsd/v1/settings": ["image"],
}  # fmt: skip
"""Path -> fields that it takes."""


def test_no_field_is_answered_with_5xx(server):
    allowed = {499, 503, 504}  # given up, or late, as it asked for
    server.engine.most_waiting = 10**6
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for seed in range(CASES // 3):
            rng = random.Random(seed)
            path = rng.choice(list(FIELDS))
            body = dict(SMALL) if rng.random() < 0.8 else {}
            for _ in range(rng.choice((1, 1, 2, 5))):
                body[rng.choice(FIELDS[path])] = rng.choice(HOSTILE)
            packed = as_json(rng, body)
            headers = {"Content-Type": "application/json"}
            answer = client.post(path, content=packed, headers=headers)
            told = (seed, path, packed[:300], answer.text[:300])
            assert answer.status_code < 500 or answer.status_code in allowed, told
            if answer.status_code >= 400:
                assert "\n" not in json.dumps(answer.json()), told
        assert client.post("/sdapi/v1/txt2img", json=SMALL).status_code == 200
