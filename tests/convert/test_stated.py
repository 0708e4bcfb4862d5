"""What single files say about their training, in empty tensors and in metadata."""

import re

import pytest

from jaxsd.convert.original.stated import stated_prediction, stated_zero_snr

STATED = "modelspec.prediction_type"
COMFY = "modelspec.predict_key"
V = "ss_v_parameterization"


@pytest.mark.parametrize(
    ("tensors", "facts", "want"),
    [
        ((), {}, None),
        ((), {STATED: "v"}, "v"),
        ((), {STATED: "v_prediction"}, "v"),
        ((), {STATED: "V-Prediction "}, "v"),
        ((), {STATED: "velocity"}, "v"),
        ((), {STATED: "epsilon"}, "epsilon"),
        ((), {STATED: "sample"}, "sample"),
        ((), {STATED: "None"}, None),
        ((), {STATED: ""}, None),
        ((), {COMFY: "v"}, "v"),
        ((), {COMFY: "epsilon", STATED: "eps"}, "epsilon"),
        ((), {V: "True"}, "v"),
        ((), {V: "False"}, "epsilon"),
        ((), {V: "None", STATED: "v"}, "v"),
        (("v_pred",), {}, "v"),
        (("v_pred", "ztsnr"), {V: "True", STATED: "v_pred"}, "v"),
        ((), {"modelspec.architecture": "stable-diffusion-xl-v1-base"}, None),
    ],
)
def test_prediction(tensors, facts, want):
    assert stated_prediction(tensors, facts) == want


@pytest.mark.parametrize(
    ("tensors", "facts", "why"),
    [
        ((), {STATED: "flow"}, f"{STATED} = 'flow', which is not one of epsilon, eps, v, "),
        ((), {COMFY: "edm"}, f"{COMFY} = 'edm', which is not one of epsilon, eps, v, "),
        ((), {V: "maybe"}, f"{V} = 'maybe', which is not one of True, False"),
        (("v_pred",), {STATED: "epsilon"}, f"two things .* v_pred and {STATED} = 'epsilon'"),
        ((), {STATED: "v", V: "False"}, f"two things .* {STATED} = 'v' and {V} = 'False'"),
    ],
)
def test_what_is_not_known_is_an_error_with_a_remedy(tensors, facts, why):
    with pytest.raises(ValueError, match=re.escape(why) if "two" not in why else why) as caught:
        stated_prediction(tensors, facts)
    assert "--prediction epsilon or --prediction v or --prediction sample" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "facts", "want"),
    [
        ((), {}, False),
        (("ztsnr",), {}, True),
        ((), {"ss_zero_terminal_snr": "True"}, True),
        ((), {"ss_zero_terminal_snr": "False"}, False),
    ],
)
def test_zero_terminal_snr(tensors, facts, want):
    assert stated_zero_snr(tensors, facts) is want


def test_zero_terminal_snr_that_is_not_known():
    with pytest.raises(ValueError, match=r"ss_zero_terminal_snr = 'yes\?'.* one of True, False"):
        stated_zero_snr((), {"ss_zero_terminal_snr": "yes?"})
