"""Which rows are drawn together: whatever the devices and hosts, the same."""

from bulk_models import rows_of, units_of

from jaxsd.bulk.plan import Program, calls, programs

ROWS = rows_of(
    [
        {"prompt": f"{i}", "seed": i}
        | ({"size": "32x16"} if i % 3 == 0 else {})
        | ({"sampler": "euler", "steps": 20} if i % 4 == 0 else {})
        | ({"guidance_scale": 1} if i == 7 else {})
        for i in range(23)
    ]
)


def test_every_row_is_in_one_unit_of_its_kind() -> None:
    units = units_of(ROWS, batch_size=3)
    assert sorted(row.id for unit in units for row in unit.rows) == [row.id for row in ROWS]
    for unit in units:
        assert 1 <= len(unit.rows) <= 3
        for row in unit.rows:
            program = Program(20, row.height, row.width, row.guidance_scale != 1)
            assert (row.sampler, row.steps, program) == tuple(unit.kind)
    assert [unit.number for unit in units] == list(range(len(units)))
    assert [unit.shard for unit in units] == [i // 2 for i in range(len(units))]


def test_samplers_of_as_many_calls_share_a_program() -> None:
    units = units_of(ROWS)
    assert len({unit.kind for unit in units}) == 5
    assert programs(units) == [
        Program(20, 16, 32, True),
        Program(20, 16, 16, True),
        Program(20, 16, 16, False),
    ]


def test_calls_hold_one_kind_and_cover_all() -> None:
    units = units_of(ROWS)
    for devices in (1, 3, 8):
        several = list(calls(units, devices))
        assert [unit for call in several for unit in call] == units
        for call in several:
            assert len(call) <= devices
            assert len({unit.kind for unit in call}) == 1
