"""Which rows are drawn together: whatever the devices and hosts, the same."""

import pytest
from bulk_models import SPEC, TOKENIZER, rows_of, units_of

from jaxsd.bulk.plan import calls, first_units
from jaxsd.bulk.work import check_whole_clips
from jaxsd.settings import bucket_of

ROWS = rows_of(
    [
        {"prompt": f"{i}", "seed": i}
        | ({"size": "32x16"} if i % 3 == 0 else {})
        | ({"sampler": "euler", "steps": 20} if i % 4 == 0 else {})
        | ({"guidance_scale": 1} if i == 7 else {})
        | ({"guidance_scale": 0} if i == 11 else {})
        for i in range(23)
    ]
)


def test_every_row_is_in_one_unit_of_its_bucket() -> None:
    units = units_of(ROWS, batch_size=3)
    assert sorted(row.id for unit in units for row in unit.rows) == [row.id for row in ROWS]
    for unit in units:
        assert 1 <= len(unit.rows) <= 3
        for row in unit.rows:
            assert bucket_of(row.settings, SPEC, [TOKENIZER]) == unit.bucket
            assert row.settings.drawn_size == (unit.bucket.height, unit.bucket.width)
            assert unit.bucket.texts == ((1,) if row.settings.guidance_scale <= 1 else (2,))
    assert [unit.number for unit in units] == list(range(len(units)))
    assert [unit.shard for unit in units] == [i // 2 for i in range(len(units))]


def test_samplers_of_as_many_calls_share_units_and_programs() -> None:
    units = units_of(ROWS)
    assert any(len({row.settings.sampler for row in unit.rows}) == 2 for unit in units)
    needed = [unit.bucket for unit in first_units(units)]
    assert [(one.width, one.height, *one.texts) for one in needed] == [
        (32, 16, 2),
        (16, 16, 2),
        (16, 16, 1),
    ]
    assert len({unit.bucket for unit in units}) == 3


def test_calls_hold_one_bucket_and_cover_all() -> None:
    units = units_of(ROWS)
    for devices in (1, 3, 8):
        several = list(calls(units, devices))
        assert [unit for call in several for unit in call] == units
        for call in several:
            assert len(call) <= devices
            assert len({unit.bucket for unit in call}) == 1


def test_a_clip_is_one_whole_unit() -> None:
    rows = rows_of([{"prompt": "a", "seed": i, "motion": "mm.ckpt"} for i in range(6)])
    check_whole_clips(units_of(rows, batch_size=3), 3)
    check_whole_clips(units_of(ROWS, batch_size=5), 5)
    with pytest.raises(ValueError, match=r"clips, batch_size \(4\) of each, and a call has 2"):
        check_whole_clips(units_of(rows, batch_size=4), 4)
