"""The look at all pictures, with a network that fakes, and what hosts make of their shares."""

import contextlib
import threading
from pathlib import Path

import numpy as np
import pytest
from score_folders import folder_of, image

from jaxsd.score.facts import Fact, Unreadable, fact_of
from jaxsd.score.findings import Findings, Hosts, load, merged, save
from jaxsd.score.networks import Network
from jaxsd.score.pictures import Picture, pictures_in
from jaxsd.score.survey import survey


class Fake:
    """Says what a picture's first pixels are, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def network(self) -> Network:
        return Network(lambda picture, prompt: picture[0, :2].astype(np.float32).ravel(), self.run)

    def prompted(self) -> Network:
        def prepare(picture: np.ndarray, prompt: str | None) -> float | None:
            return None if prompt is None else float(prompt.split()[1])

        return Network(prepare, self.run, takes_prompts=True)

    def run(self, inputs: list) -> np.ndarray:
        self.calls.append(len(inputs))
        return np.array(inputs)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    folder = folder_of(tmp_path_factory.mktemp("pictures"), 11)
    (folder / "images/5.png").write_bytes(b"no picture")
    (folder / "images/7.png").write_bytes((folder / "images/6.png").read_bytes()[:-40])
    return pictures_in(folder)


def features(findings: Findings) -> np.ndarray:
    return findings.sums.chosen()[1]


def test_facts_are_in_order_and_what_is_broken_is_named(pictures: list[Picture]) -> None:
    seen: list[int] = []
    facts = survey(pictures, threads=3, seen=seen.append).facts
    assert [fact.name for fact in facts] == [picture.name for picture in pictures]
    broken = [fact.name for fact in facts if isinstance(fact, Unreadable)]
    assert broken == ["images/5.png", "images/7.png"]
    assert facts[0] == fact_of("images/0.png", image(0))
    assert sum(seen) == 11


@pytest.mark.parametrize("batch", [1, 4, 20])
def test_batches_are_whole_and_their_filling_does_not_count(
    batch: int, pictures: list[Picture]
) -> None:
    fake = Fake()
    found = survey(pictures, inception=fake.network(), batch=batch, threads=2)
    assert fake.calls == [batch] * -(-9 // batch)
    assert found.sums.count == 9
    one = survey(pictures, inception=Fake().network())
    np.testing.assert_array_equal(features(found), features(one))
    for got, want in ((found.sums.total, one.sums.total), (found.sums.products, one.sums.products)):
        np.testing.assert_array_equal(got, want)  # whole numbers


def test_a_network_is_not_shown_what_it_has_nothing_to_say_of(tmp_path: Path) -> None:
    pictures = pictures_in(folder_of(tmp_path, 5))
    silent = [Picture(p.name, lambda: (b"", None)) if i == 2 else p for i, p in enumerate(pictures)]
    fake = Fake()
    found = survey(silent, clip=fake.prompted(), batch=2)
    assert found.cosines == {f"images/{i}.png": i for i in (0, 1, 3, 4)}
    assert fake.calls == [2, 2]


def test_reading_waits_for_the_devices(tmp_path: Path) -> None:
    """Of many pictures a few more than a batch are in memory, not all."""
    ready, most, lock = set(), [0], threading.Lock()

    def read(i: int) -> tuple[bytes, None]:
        with lock:
            ready.add(i)
            most[0] = max(most[0], len(ready) - taken[0])
        return b"", None

    taken = [0]
    pictures = [Picture(str(i), lambda i=i: read(i)) for i in range(200)]
    survey(pictures, batch=4, threads=2, seen=lambda n: taken.__setitem__(0, taken[0] + n))
    assert len(ready) == 200
    assert most[0] <= 4 + 2 * 2 + 2


def test_hosts_find_what_one_does(pictures: list[Picture], tmp_path: Path) -> None:
    def look(some: list[Picture]) -> Findings:
        fakes = {"inception": Fake().network(), "clip": Fake().prompted()}
        return survey(some, batch=2, **fakes)

    whole = look(pictures)
    for number in (1, 2):
        assert Hosts(number, 3, tmp_path, "a").together(look(pictures[number::3]), "own") is None
    found = Hosts(0, 3, tmp_path, "a").together(look(pictures[::3]), "own")
    assert found.facts == whole.facts
    assert isinstance(found.facts[0], Fact)
    assert found.cosines == whole.cosines
    np.testing.assert_array_equal(features(found), features(whole))
    np.testing.assert_array_equal(found.sums.products, whole.sums.products)
    assert not list(tmp_path.iterdir())


def test_the_first_host_waits(tmp_path: Path) -> None:
    facts = [fact_of("a", image(0))]
    late = Findings([Unreadable("b", "broken")])
    other = Hosts(1, 2, tmp_path / "new", "a")
    timer = threading.Timer(0.3, lambda: other.together(late, "own"))
    timer.start()
    found = Hosts(0, 2, tmp_path / "new", "a").together(Findings(facts), "own")
    timer.join()
    assert found.facts == facts + late.facts


def test_findings_without_features_come_back(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", Findings([fact_of("a", image(0))]))
    found = load(tmp_path / "a.npz")
    assert (found.facts, found.sums.count) == ([fact_of("a", image(0))], 0)
    assert merged([found, Findings()]).sums.count == 0


def test_damaged_findings_name_their_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save(path, Findings([fact_of("a", image(0))]))
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        for packed in (whole[:place], whole[:place] + b"\xff" + whole[place + 1 :]):
            path.write_bytes(packed)
            with contextlib.suppress(ValueError):
                load(path)
    with pytest.raises(ValueError, match=rf"{path} is damaged; score again"):
        load(path)
