"""Files of a run: whole or absent, and the same bytes whoever writes them."""

import errno
import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bulk_models import Fake, rows_of, units_of

from jaxsd.bulk import store as store_module
from jaxsd.bulk.run import run
from jaxsd.bulk.store import Store
from jaxsd.images import decoded

ROWS = rows_of([{"prompt": f"thing {i}", "seed": i} for i in range(11)])
UNITS = units_of(ROWS)
FORMATS = ("folder", "webdataset", "arrayrecord")


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_all_images_are_there_as_the_manifest_says(kind: str, tmp_path: Path) -> None:
    if kind == "arrayrecord":
        pytest.importorskip("array_record")
    for name in ("a", "b"):
        store = Store(tmp_path / name, kind, "png", UNITS)
        assert store.finish_all([]) is None
        run(Fake(), store, UNITS)
        records = store.finish_all([{"line": 9, "status": "refused"}])
    assert files(tmp_path / "a") == files(tmp_path / "b")
    *drawn, refused = records
    assert refused == {"line": 9, "status": "refused"}
    assert [record["id"] for record in drawn] == [row.id for row in ROWS]
    for record, packed in zip(drawn, store.pictures(drawn), strict=True):
        assert record["sha256"] == hashlib.sha256(packed).hexdigest()
        assert decoded([packed]).shape == (1, 16, 16, 3)
    lines = (tmp_path / "b/manifest.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records
    assert not list((tmp_path / "b/parts").iterdir())


def test_tar_files_are_what_webdataset_reads(tmp_path: Path) -> None:
    run(Fake(), Store(tmp_path, "webdataset", "png", UNITS), UNITS)
    with tarfile.open(tmp_path / "shards/00001.tar") as tar:
        names = tar.getnames()
        assert names[:3] == ["00000006.png", "00000006.json", "00000006.txt"]
        assert len(names) == 3 * 5
        assert tar.extractfile(names[2]).read() == b"thing 6"


@pytest.mark.parametrize("kind", ["folder", "webdataset"])
def test_a_full_disk_leaves_whole_files_and_the_run_goes_on(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Store(tmp_path / "whole", kind, "png", UNITS)
    run(Fake(), whole, UNITS)
    fsync, count = store_module.synced, 0

    def full(path: Path) -> None:
        nonlocal count
        count += 1
        if count % 5 == 0:
            path.write_bytes(path.read_bytes()[:7])
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(path)

    monkeypatch.setattr(store_module, "synced", full)
    done = 0
    for _ in range(20):
        store = Store(tmp_path / "full", kind, "png", UNITS)
        try:
            run(Fake(), store, UNITS)
            break
        except OSError:
            assert not list((tmp_path / "full").rglob(".*.part"))
            now = sum(store.is_done(unit) for unit in UNITS)
            assert now >= done
            done = now
    assert files(tmp_path / "full") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    "harm",
    [
        lambda packed: packed[:700],
        lambda packed: packed.replace(b"records.json", b"recordz.json"),
        lambda packed: packed.replace(b'[{"', b'[["', 1),
        lambda packed: packed.replace(b'"id": "00000000"', b'"id": "00000009"'),
        lambda packed: b"",
    ],
)
def test_a_damaged_part_is_named(harm: Callable[[bytes], bytes], tmp_path: Path) -> None:
    store = Store(tmp_path, "webdataset", "png", UNITS)
    rows = UNITS[0].rows
    records = [{"id": row.id, "prompt": "a"} for row in rows]
    store.commit(UNITS[0], records, {row.id: b"png" for row in rows})
    (part,) = (tmp_path / "parts").iterdir()
    part.write_bytes(harm(part.read_bytes()))
    with pytest.raises(ValueError, match=rf"{part.name} is damaged; remove it"):
        store.finish(0)
    assert not list((tmp_path / "shards").iterdir())


def test_another_run_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, "folder", "png", UNITS)
    store.claim({"rows": 3, "dtype": "float32"})
    store.claim({"rows": 3, "dtype": "float32"})
    with pytest.raises(ValueError, match="holds a run with rows 3, not 4"):
        store.claim({"rows": 4, "dtype": "float32"})
    with store.locked():
        with pytest.raises(ValueError, match="another process is at work"), store.locked():
            pass
        with Store(tmp_path, "folder", "png", UNITS, host=1).locked():
            pass
