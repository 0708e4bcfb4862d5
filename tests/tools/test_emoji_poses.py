"""Poses are the geometry that they say, and the pictures with edges are always the same ones."""

import json
import math

import numpy as np
import pytest
from build_emoji_edges import arguments, build, main
from emoji import folders
from emoji.poses import Pose, choice, is_strange, posed, random_pose, sources
from PIL import Image

from jaxsd.hints import canny
from jaxsd.training.folder import read_folder

STILL = Pose(False, 0.0, 1.0, (0.0, 0.0))


def spot(x, y, radius=5):
    """A dark disc about (x, y) on blue ground, [64, 64, 3] uint8; centres of pixels are at .5."""
    rows, columns = np.mgrid[:64, :64] + 0.5
    inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    return np.where(inside[..., None], 20, (40, 60, 220)).astype(np.uint8)


def place_of(image):
    """Middle (x, y) of a spot, and its radius."""
    inside = image[..., 2] < 120
    rows, columns = np.nonzero(inside)
    return columns.mean() + 0.5, rows.mean() + 0.5, math.sqrt(inside.sum() / math.pi)


def test_a_picture_that_stays_is_the_same():
    image = spot(40, 20)
    np.testing.assert_array_equal(posed(image, STILL), image)


@pytest.mark.parametrize(
    ("pose", "expected"),
    [
        (STILL._replace(shift=(6.0, -4.0)), (48, 18, 5)),
        (STILL._replace(mirrored=True), (22, 22, 5)),
        (STILL._replace(zoom=2.0), (52, 12, 10)),
        (STILL._replace(turn=math.pi / 2), (42, 42, 5)),  # clockwise: up right goes down right
        (STILL._replace(mirrored=True, shift=(6.0, 0.0)), (28, 22, 5)),
        (STILL._replace(zoom=0.5, turn=math.pi), (27, 37, 2.5)),
    ],
    ids=str,
)
def test_a_spot_goes_where_the_pose_says(pose, expected):
    found = posed(spot(42, 22), pose)
    np.testing.assert_allclose(place_of(found), expected, atol=0.3)
    assert (found[0, 0] == (40, 60, 220)).all()


def test_what_comes_in_has_the_colour_of_the_ground():
    found = posed(spot(32, 32), STILL._replace(zoom=0.4, turn=0.3, shift=(9.0, 9.0)))
    assert (found[:8] == (40, 60, 220)).all()


def test_random_poses_differ_and_come_again():
    poses = [random_pose(np.random.default_rng(i)) for i in (0, 1, 2, 0)]
    assert poses[0] == poses[3]
    assert len({pose.turn for pose in poses}) == 3


def test_edges_are_of_all_kinds_but_of_no_picture_that_is_asked_for(emoji_dataset):
    train = folders.read_rows(emoji_dataset / "train")
    gallery = folders.read_rows(emoji_dataset / "gallery")
    rows = sources(train, gallery)
    chosen = [choice(rows, number) for number in range(400)]
    assert chosen == [choice(rows, number) for number in range(400)]
    own = {row.object for row in train}
    others = {row.object for row, _ in chosen} - own
    assert others
    assert not any(map(is_strange, (row for row, _ in chosen if row.object in others)))
    assert not any(row.path.parent.name == "heldout" for row, _ in chosen)
    assert 0.5 < np.mean([pose is not None for _, pose in chosen]) < 0.7


def test_the_folder_is_what_training_reads(emoji_dataset):
    folder = build(emoji_dataset, count=6)
    found = read_folder(folder)
    assert found.conditioned.all()
    assert len(found.names) == 6
    for row in range(6):
        picture, condition = (np.asarray(Image.open(file)) for file in found.read(row))
        np.testing.assert_array_equal(condition, canny(picture))
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == [texts[0] for texts in found.texts]


def test_no_data_set_is_one_line_and_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments(["", f"--dataset={tmp_path}"]))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
