"""What a sound does: against librosa, whose results are in tests/goldens/sound.npz."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beats import RATE, beat_times, beaten
from video_cases import sound_file

from jaxsd.video import sound as sound_module
from jaxsd.video.drive import Drive, decayed, followed, per_frame, warped
from jaxsd.video.hearing import BANDS, HOP, band, beats, loudness, mel_filters, onsets, power
from jaxsd.video.sound import Sound, read_sound

TOLERANCE = 1e-6
"""Of the largest value: librosa computes in float32."""
MONO = beaten(6.0, 100.0)
POWER = power(MONO)


@pytest.fixture(scope="module")
def golden() -> Any:
    return np.load(Path(__file__).parents[1] / "goldens/sound.npz")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("power", POWER[::64, ::16]),
        ("rms", loudness(MONO)),
        ("mel", mel_filters(RATE)[::16]),
        ("onsets", onsets(POWER, RATE)),
    ],
)
def test_numbers_are_those_of_librosa(name: str, ours: np.ndarray, golden: Any) -> None:
    assert ours.shape == golden[name].shape
    error = np.abs(ours - golden[name]).max() / golden[name].max()
    print(f"{name}: {error:.1e} of the largest value of {golden['versions']}")
    assert error < TOLERANCE


@pytest.mark.parametrize("tempo", [70.0, 100.0, 132.0])
def test_beats_are_where_the_drums_are(tempo: float) -> None:
    mono = MONO if tempo == 100 else beaten(6.0, tempo)
    found = beats(onsets(power(mono), RATE), RATE) * HOP / RATE
    drums = beat_times(6.0, tempo)
    assert len(found) == len(drums)
    np.testing.assert_allclose(found, drums, atol=2 * HOP / RATE)


def test_beats_are_those_of_librosa(golden: Any) -> None:
    """But for the last one, which librosa puts five hops before the drum."""
    np.testing.assert_array_equal(beats(onsets(POWER, RATE), RATE)[:-1], golden["beats"][:-1])


def test_bands_hear_their_own_frequencies() -> None:
    time = np.arange(RATE) / RATE
    for pitch, want in ((80, "bass"), (1000, "mids"), (8000, "treble")):
        spectrum = power(np.sin(2 * np.pi * pitch * time).astype(np.float32))
        each = {name: band(spectrum, RATE, *ends)[10] for name, ends in BANDS.items()}
        assert max(each, key=each.get) == want
        assert sorted(each.values())[1] < 0.05 * each[want]
    assert not band(spectrum, 4000, 4000, 20_000).any()


def test_a_click_is_heard_in_the_frame_that_is_shown_then() -> None:
    rate, fps = 48_000, 30.0
    for frame in (7, 20, 41):
        mono = np.zeros(2 * rate, np.float32)
        mono[round(frame / fps * rate) :][:400] = np.random.default_rng(0).uniform(-1, 1, 400)
        numbers = per_frame(onsets(power(mono), rate), rate, 60, fps)
        assert numbers.argmax() == frame


def test_frames_behind_the_sound_and_between_its_hops() -> None:
    assert per_frame(np.ones(43), RATE, 60, 30.0)[[0, 29, 31, 59]].tolist() == [1, 1, 0, 0]
    assert (per_frame(np.ones(44), RATE, 200, 200.0)[:198] == 1).all(), "frames without a hop"


def test_a_walk_follows_and_takes_as_long() -> None:
    times = np.arange(11) / 10
    numbers = np.array([0, 0, 1, 0, 0, 0, 0, 0.5, 0, 0, 0])
    driven = warped(times, (Drive(by="beats", moves="walk"),), numbers[None])
    np.testing.assert_allclose(np.diff(driven), numbers[1:] / 1.5, atol=1e-12)
    half = warped(times, (Drive(by="beats", moves="walk", amount=0.5),), numbers[None])
    np.testing.assert_allclose(np.diff(half), 0.05 + numbers[1:] / 3, atol=1e-12)
    still = warped(times, (Drive(by="beats", moves="zoom"),), numbers[None])
    np.testing.assert_array_equal(still, times)


def test_a_peak_decays() -> None:
    np.testing.assert_allclose(decayed(np.array([0, 1, 0, 0.5, 0.1]), 2.0)[2], np.exp(-0.5))
    assert decayed(np.array([0, 1, 0, 0.5, 0.1]), 2.0)[3] == 0.5


def test_every_name_can_be_heard() -> None:
    sound = Sound(np.stack([MONO, MONO], axis=1), RATE, "")
    drives = tuple(Drive(by=name, moves="zoom") for name in ("loudness", "beats", *BANDS))
    numbers = followed(drives, sound, 60, 10.0)
    assert numbers.shape == (5, 60)
    assert (numbers.max(axis=1) == 1).all()
    assert set(numbers[1]) == {0, 1}


@pytest.mark.parametrize("ending", [".wav", ".flac", ".ogg", ".mp3"])
def test_kinds_of_files(ending: str, tmp_path: Path) -> None:
    sound = read_sound(sound_file(tmp_path, MONO[:RATE], RATE, ending))
    assert sound.rate == RATE
    assert sound.seconds == pytest.approx(1, abs=0.06)
    assert np.abs(sound.mono[: RATE - 2000] - MONO[: RATE - 2000]).max() < 0.25
    assert np.abs(sound.mono).argmax() == pytest.approx(np.abs(MONO[:RATE]).argmax(), abs=20)


def test_many_channels_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sound_file(tmp_path, np.ones((100, 8)), RATE)
    assert read_sound(path).samples.shape == (100, 8)
    monkeypatch.setattr(sound_module, "MOST_SAMPLES", 799)
    with pytest.raises(ValueError, match="has 800 samples in 8 channels; at most 799 are read"):
        read_sound(path)


def test_wrong_sounds_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.wav").write_bytes(b"RIFF no sound at all")
    (tmp_path / "no.txt").write_text("no")
    for name, says in (
        ("no.wav", "can not be read as sound"),
        ("no.txt", "not end with .wav"),
    ):
        with pytest.raises(ValueError, match=says) as error:
            read_sound(str(tmp_path / name))
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="audio: there is no file"):
        read_sound(str(tmp_path / "none.wav"))
    with pytest.raises(ValueError, match="is silent: it has nothing to follow"):
        read_sound(sound_file(tmp_path, np.zeros(100), RATE))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"by": "melody"}, "drive.by 'melody' is not one of loudness, onsets, beats, bass"),
        ({"moves": "steps"}, "drive.moves 'steps' is not one of walk, zoom"),
        ({"moves": "walk", "amount": 2.0}, "drive.amount 2 is out of range; allowed is 0 to 1"),
        ({"decay": -1.0}, "drive.decay -1 is out of range"),
    ],
)
def test_wrong_drives_are_one_line(said: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Drive(**{"by": "onsets", "moves": "zoom"} | said)
