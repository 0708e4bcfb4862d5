"""With two clients of webui's API, and with bodies that webui itself sent."""

import base64
import io
import json
import threading
import time

import httpx
import numpy as np
import pytest
from PIL import Image
from real_files import larger

from jaxsd.images import labelled_sheet, png_bytes, read_image
from jaxsd.server.webui_samplers import sampler_of

KEYS = {
    *("prompt", "all_prompts", "negative_prompt", "all_negative_prompts", "seed", "all_seeds"),
    *("subseed", "all_subseeds", "subseed_strength", "width", "height", "sampler_name"),
    *("cfg_scale", "steps", "batch_size", "restore_faces", "face_restoration_model"),
    *("sd_model_name", "sd_model_hash", "sd_vae_name", "sd_vae_hash", "seed_resize_from_w"),
    *("seed_resize_from_h", "denoising_strength", "extra_generation_params"),
    *("index_of_first_image", "infotexts", "styles", "job_timestamp", "clip_skip"),
    *("is_using_inpainting_conditioning", "version"),
}
"""Of `info`."""
LISTS = (
    *("samplers", "schedulers", "sd_models", "sd_vae", "loras", "upscalers"),
    *("latent_upscale_modes", "embeddings", "hypernetworks", "face_restorers"),
    *("realesrgan_models", "prompt_styles", "scripts", "cmd_flags", "memory", "options"),
    "progress",
)


@pytest.fixture
def client(server):
    with httpx.Client(base_url=f"{server.url}/sdapi/v1", timeout=30) as client:
        yield client


def drawn(client, **body):
    path = "/img2img" if "init_images" in body else "/txt2img"
    answer = client.post(path, json={"width": 64, "height": 64, "steps": 2} | body)
    assert answer.status_code == 200, answer.text
    return answer.json(), json.loads(answer.json()["info"])


def plotted(x, values, y="Nothing", others="", legend="True", lone=True):
    """Fields of webui's script."""
    args = [x, values, "", y, others, "", 0, "", "", legend, lone, False, False, 0]
    return {"script_name": "X/Y/Z plot", "script_args": args}


def test_webuiapi(server, capsys):
    webuiapi = pytest.importorskip("webuiapi")
    api = webuiapi.WebUIApi(baseurl=f"{server.url}/sdapi/v1")
    made = api.txt2img(
        prompt="a cat", width=64, height=72, steps=3, seed=9, batch_size=2, n_iter=3, cfg_scale=5
    )
    assert made.info.keys() == KEYS | {"jaxsd_ignored"}
    assert made.info["jaxsd_ignored"] == []
    assert made.info["all_seeds"] == [9, 10, 11, 12, 13, 14]
    assert made.info["sampler_name"] == "Euler a"
    assert [np.asarray(one)[0, 0, 0] for one in made.images] == made.info["all_seeds"]
    assert made.images[0].size == (64, 72)
    assert "Steps: 3, Sampler: Euler a" in made.info["infotexts"][0]
    assert api.png_info(made.images[0]).info == made.info["infotexts"][0]
    picture = made.images[0]
    again = api.img2img(images=[picture], prompt="a dog", width=64, height=64, steps=4)
    assert again.info["denoising_strength"] == 0.75
    mask = Image.new("L", (64, 72), 255)
    part = api.img2img(
        images=[picture], mask_image=mask, prompt="a", width=64, height=64, inpaint_full_res=False
    )
    assert part.info["is_using_inpainting_conditioning"]
    settings, given = server.artist.asked[-1]
    assert settings.only_masked == 0
    assert given.mask.min() == 255
    for name in LISTS:
        assert getattr(api, f"get_{name}")() is not None
    api.refresh_checkpoints()
    api.util_set_model("tiny")
    assert api.util_get_current_model() == "tiny.safetensors"
    api.interrupt()
    api.skip()
    api.util_wait_for_ready()


def test_sd_backend_client(server):
    client = pytest.importorskip("sd_backend_client")
    backend = client.connect_to_backend(server.url)
    assert type(backend).__name__ == "A1111Webservice"
    assert [one.name for one in backend.list_checkpoints()] == ["tiny.safetensors"]
    assert "euler_ancestral" in [one.name for one in backend.list_samplers()]
    assert "karras" in [one.name for one in backend.list_schedulers()]
    assert len(backend.list_controlnet_models()) == 1
    server.artist.pause = 0.05
    asked = client.DiffusionParams(
        prompt="a", width=64, height=64, steps=12, seed=5, batch_size=2, cfg_scale=4.0
    )
    seen = []
    result = backend.submit_txt2img(asked).wait(
        poll_interval=0.1, on_progress=lambda one: seen.append((one.progress or 0, one.preview))
    )
    assert result.seeds == [5, 6]
    assert [np.asarray(one)[0, 0, 0] for one in result.images] == [5, 6]
    shares = [share for share, _ in seen if share]  # when it is over webui's is 0 again
    assert shares == sorted(shares)
    assert len(set(shares)) >= 3
    assert any(preview is not None for _, preview in seen)
    handle = backend.submit_txt2img(asked)
    while handle.poll().progress in (None, 0):
        time.sleep(0.02)
    assert handle.cancel()
    late = time.monotonic() + 5
    while server.service.jobs and time.monotonic() < late:
        time.sleep(0.02)
    assert server.service.counts["cancelled"] == 2


BODIES = [
    "aws_img2img_api_param",
    "aws_reactor",
    "aws_turbo_api_param",
    "aws_txt2img_api_param",
    "aws_txt2img_lcm_15_api_param",
]
REFUSED = {
    "aws_txt2img_api_param_train": "lora",
    "aws_txt2img_controlnet_depth_leres": "depth_leres: give one, of none, canny",
    "aws_txt2img_controlnet_ipadapter": "ip-adapter_face_id_plus: give one",
}


def test_bodies_of_webui_itself(client, server):
    for name in (*BODIES, *REFUSED):
        body = larger(f"webui/payloads/{name}.json").read_text()
        path = "/img2img" if "img2img" in name else "/txt2img"
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        if name in REFUSED:
            assert answer.status_code in (400, 422)
            assert REFUSED[name] in answer.json()["detail"]
            continue
        assert answer.status_code == 200, (name, answer.text)
        info, asked = json.loads(answer.json()["info"]), json.loads(body)
        assert info["jaxsd_ignored"] == [], name
        assert info["prompt"] == asked["prompt"]
        if asked["seed"] >= 0:
            assert info["seed"] == asked["seed"]
        settings, _ = server.artist.asked[-1]
        assert settings.steps == asked["steps"]
        assert settings.guidance_scale == asked["cfg_scale"]
    assert server.artist.asked[0][0].sampler == "dpm++_2m_karras"


def test_what_is_asked_for_is_drawn_or_named(client, server):
    _, info = drawn(client, prompt="a", s_churn=0.5, styles=["x"], colour=1, s_tmax=float("1"))
    assert info["jaxsd_ignored"] == ["s_churn", "styles", "colour"]
    _, info = drawn(client, alwayson_scripts={"FreeU": {"args": [True, 1.2]}, "x": {"args": []}})
    assert info["jaxsd_ignored"] == ["alwayson_scripts.FreeU"]
    _, info = drawn(client, seed=4, subseed=7, subseed_strength=0.3, batch_size=2)
    assert (info["all_seeds"], info["all_subseeds"]) == ([4, 4], [7, 8])
    _, info = drawn(client, sampler_name="Euler", eta=0.3)
    assert info["jaxsd_ignored"] == ["eta"]
    drawn(client, sampler_name="DDIM", eta=0.3)
    assert server.artist.asked[-1][0].sampler_options == ("eta=0.3",)
    _, info = drawn(client, seed=-1)
    assert info["seed"] >= 0
    _, info = drawn(client, override_settings={"CLIP_stop_at_last_layers": 2, "eta_noise": 1})
    assert info["clip_skip"] == 2
    assert info["jaxsd_ignored"] == ["override_settings.eta_noise"]
    drawn(client, enable_hr=True, hr_scale=2, denoising_strength=0.5, tiling=True)
    settings, _ = server.artist.asked[-1]
    assert (settings.hires, settings.hires_strength, settings.seamless) == (2, 0.5, "xy")
    picture = base64.b64encode(png_bytes(np.zeros((64, 32, 3), np.uint8))).decode()
    _, info = drawn(client, init_images=[picture, picture], resize_mode=0)
    assert info["jaxsd_ignored"] == ["init_images after the first", "resize_mode"]


def test_a_controlnet(client, server):
    packed = base64.b64encode(png_bytes(np.zeros((48, 64, 3), np.uint8))).decode()
    unit = {"enabled": True, "module": "canny", "model": "edges [1234abcd]", "weight": 0.6}
    unit |= {"image": {"image": packed, "mask": None}, "guidance_end": 0.5, "control_mode": 1}
    _, info = drawn(client, alwayson_scripts={"ControlNet": {"args": [unit, {"enabled": False}]}})
    assert not info["jaxsd_ignored"]
    settings, given = server.artist.asked[-1]
    (control,) = settings.control
    assert settings.control_mode == "prompt"
    assert (control.model, control.weight, control.last) == ("edges", 0.6, 0.5)
    assert settings.preprocessor == "canny"
    assert given.controls[0].shape == (48, 64, 3)
    units = [unit, unit | {"control_mode": "ControlNet is more important"}]
    _, info = drawn(client, alwayson_scripts={"ControlNet": {"args": units}})
    assert info["jaxsd_ignored"] == ["alwayson_scripts.controlnet.control_mode"]
    wrong = {"alwayson_scripts": {"controlnet": {"args": [unit | {"model": "/etc/passwd"}]}}}
    answer = client.post("/txt2img", json=wrong)
    assert (answer.status_code, "tiny has edges" in answer.json()["detail"]) == (400, True)


def test_a_refiner(client, server):
    own = {"refiner_checkpoint": "fine.safetensors [1234abcd]", "steps": 10}
    _, info = drawn(client, **own, refiner_switch_at=0.7)
    settings, _ = server.artist.asked[-1]
    assert (settings.refiner, settings.refiner_start) == ("fine", 0.7)
    assert not info["jaxsd_ignored"]
    drawn(client, **own)
    assert server.artist.asked[-1][0].refiner_start == 0.8
    for none in ({"refiner_checkpoint": "None"}, {"refiner_switch_at": 1}):
        drawn(client, **own | none)
        assert not server.artist.asked[-1][0].refiner
    answer = client.post("/txt2img", json=own | {"refiner_checkpoint": "/etc/passwd"})
    assert (answer.status_code, "tiny has fine" in answer.json()["detail"]) == (400, True)


def test_masks_mean_what_they_mean_in_webui(client, server):
    picture = base64.b64encode(png_bytes(np.zeros((64, 64, 3), np.uint8))).decode()
    alpha = np.zeros((64, 64, 4), np.uint8)
    alpha[:, :32, 3] = 255
    packed = io.BytesIO()
    Image.fromarray(alpha).save(packed, "PNG")
    mask = base64.b64encode(packed.getvalue()).decode()
    for invert, left in ((0, 255), (1, 0)):
        drawn(client, init_images=[picture], mask=mask, inpainting_mask_invert=invert)
        settings, given = server.artist.asked[-1]
        assert (given.mask[0, 0], given.mask[0, 63]) == (left, 255 - left)
        assert settings.only_masked == 32


def test_a_plot_is_a_sheet_of_pictures_each_of_which_is_as_alone(client):
    axes = ("Seed", "3, 5", "Steps", "1-2")
    answer, info = drawn(client, **plotted(*axes), seed=1)
    sheet, *each = (base64.b64decode(one) for one in answer["images"])
    assert (info["all_seeds"], info["index_of_first_image"]) == ([3, 5, 3, 5], 1)
    assert len(info["infotexts"]) == 5
    alone = [drawn(client, seed=seed, steps=steps) for steps in (1, 2) for seed in (3, 5)]
    assert each == [base64.b64decode(one["images"][0]) for one, _ in alone]
    pixels = [read_image(io.BytesIO(one)) for one in each]
    labels = (["seed: 3", "seed: 5"], ["steps: 1", "steps: 2"])
    assert np.array_equal(read_image(io.BytesIO(sheet)), labelled_sheet(pixels, *labels))
    assert "X Type: seed" in Image.open(io.BytesIO(sheet)).text["parameters"]
    answer, _ = drawn(client, **plotted(*axes, legend="False", lone=False))
    (sheet,) = (read_image(io.BytesIO(base64.b64decode(one))) for one in answer["images"])
    assert np.array_equal(sheet, labelled_sheet(pixels, ["", ""], ["", ""]))


def test_axes_of_plots(client, server):
    more = {"prompt": "a cat", "sampler_name": "Euler", "enable_hr": True, "subseed_strength": 0.1}
    for axis, values, name, drawn_with in (
        (1, "4, 6", "seed", [4, 6]),
        (2, "7, 8", "variation_seed", [7, 8]),
        (3, "0, 0.5", "variation_strength", [0, 0.5]),
        (4, "1-3", "steps", [1, 2, 3]),
        (5, "1, 2", "hires_steps", [1, 2]),
        (6, "1-2 [3]", "guidance_scale", [1, 1.5, 2]),
        (7, "cat, dog", "prompt", ["a cat", "a dog"]),
        ("Sampler", "Euler a, DPM++ 2M", "sampler", ["euler_a", "dpm++_2m_karras"]),
        ("Schedule type", "SGM Uniform, Uniform", "sampler", ["euler_sgm_uniform", "euler"]),
        ("Denoising", "0.5", "hires_strength", [0.5]),
        ("Clip skip", "1, 2", "clip_skip", [1, 2]),
        ("Size", "64x72, 72x64", "final_size", [(144, 128), (128, 144)]),
    ):
        server.artist.asked.clear()
        drawn(client, **plotted(axis, values), **more)
        asked = [getattr(settings, name) for settings, _ in server.artist.asked]
        assert asked == drawn_with, axis


@pytest.mark.parametrize(
    ("name", "schedule", "ours"),
    [
        ("Euler a", None, "euler_a"),
        ("k_euler_a", "Automatic", "euler_a"),
        ("DPM++ 2M", "automatic", "dpm++_2m_karras"),
        ("DPM++ 2M", "Uniform", "dpm++_2m"),
        ("DPM++ 2M Karras", "Automatic", "dpm++_2m_karras"),
        ("dpm++ 2m", "SGM Uniform", "dpm++_2m_sgm_uniform"),
        ("Euler", "normal", "euler_normal"),
        ("LCM", "", "lcm"),
        (None, "Karras", None),
    ],
)
def test_names_of_samplers(name, schedule, ours):
    assert sampler_of(name, schedule) == ours


def test_wrong_fields_are_one_line(client):
    picture = base64.b64encode(png_bytes(np.zeros((8, 8, 3), np.uint8))).decode()
    for path, body, status, text in (
        ("/txt2img", {"sampler_name": "Eulr"}, 422, "Eulr"),
        ("/txt2img", {"sampler_name": "Euler", "scheduler": "Karas"}, 422, "Karas"),
        ("/txt2img", {"script_name": "loopback"}, 422, "loopback"),
        ("/txt2img", {"script_name": "X/Y/Z plot", "script_args": [4]}, 422, "three axes"),
        ("/txt2img", plotted(4, "1, 2", 4, "1, 2"), 422, "two axes change the same"),
        ("/txt2img", plotted("VAE", "a, b"), 422, "VAE' of x/y/z plot is not one of seed"),
        ("/txt2img", plotted(9, "1"), 422, "axis 9 of x/y/z plot is another one in each version"),
        ("/txt2img", plotted("sampler", "/x.json"), 422, "/x.json"),
        ("/txt2img", plotted("schedule type", "automatic"), 422, "name the schedule"),
        ("/txt2img", plotted(1, "1-1000", 4, "1-900"), 422, "900000 pictures; at most 64"),
        ("/txt2img", plotted("Prompt S/R", "a," * 20_000), 422, "more than 20000 characters"),
        ("/txt2img", plotted("size", "8192x8192"), 400, "too large"),
        ("/txt2img", {"override_settings": {"sd_model_checkpoint": "v1-5"}}, 404, "v1-5"),
        ("/txt2img", {"override_settings": []}, 422, "override_settings"),
        ("/txt2img", {"batch_size": 9, "n_iter": 9}, 422, "at most 64"),
        ("/txt2img", {"steps": "many"}, 422, "many"),
        ("/txt2img", {"seed": 2**70}, 422, "seed"),
        ("/img2img", {}, 404, "Init image not found"),
        ("/img2img", {"init_images": ["http://a/b.png"]}, 422, "nothing is fetched"),
        ("/img2img", {"init_images": [picture], "denoising_strength": 7}, 400, "strength"),
        ("/options", {"outdir_samples": "/etc"}, 422, "outdir_samples"),
        ("/png-info", {"image": "AAAA"}, 422, "no picture"),
    ):
        answer = client.post(path, json=body)
        assert answer.status_code == status, (body, answer.text)
        assert text in answer.json()["detail"]
        assert "\n" not in answer.json()["detail"]


def until(true):
    ended = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ended
        time.sleep(0.01)


def test_an_interrupt_never_touches_the_job_of_another(client, server):
    server.artist.gate.clear()
    answers = {}

    def ask(task):
        own = {"force_task_id": task, "width": 64, "height": 64, "steps": 4}
        url = f"{server.url}/sdapi/v1/txt2img"
        answers[task] = httpx.post(url, json=own, timeout=20).json()

    def is_active():
        told = httpx.post(f"{server.url}/internal/progress", json={"id_task": "a"})
        return told.status_code == 200 and told.json()["active"]

    threads = [threading.Thread(target=ask, args=(task,)) for task in ("a", "b")]
    threads[0].start()
    until(is_active)
    threads[1].start()
    until(lambda: len(server.service.jobs) == 2)
    assert client.post("/interrupt").status_code == 409
    assert client.post("/interrupt", json={"id_task": "b"}).status_code == 200
    assert is_active()
    server.artist.gate.set()
    for one in threads:
        one.join(10)
    assert len(answers["a"]["images"]) == 1
    assert answers["b"]["images"] == []
    assert read_image(io.BytesIO(base64.b64decode(answers["a"]["images"][0]))).shape == (64, 64, 3)
