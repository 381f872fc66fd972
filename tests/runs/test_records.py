"""JSON and rows of runs that were cut, edited or made up: skipped and told, or refused in a line."""

import json
import os

import pytest

from gan_jax.errors import InputError
from gan_jax.runs.records import append_row, read_json, read_rows, rewind

GOOD = {
    "metrics.jsonl": {"step": 3, "disc/loss": 1.5},
    "eval.jsonl": {"step": 3, "kid": 1.5, "note": "of mine", "protocol": {"features": "judge", "repeats": 3, "resize": None}},
    "diagnosis.jsonl": {"step": 3, "state": "ok", "advice": "", "evidence": {"gap": 0.5}},
}
DAMAGED = [b"{", b"null", b"[]", b"5", b"9" * 5000, b"\xff\xfe", b"[" * 100_000, b"\0\0", b"x" * 2**20, b'{"step": 1e3}', b"{}"]
DAMAGED += [b'{"step": true}', b'{"step": -1}', b'{"step": null}', b'{"step": "3"}', b'{"step": %s}' % (b"9" * 4000)]
CHANGED = [
    ("metrics.jsonl", "disc/loss", "high"),
    ("metrics.jsonl", "disc/loss", None),
    ("metrics.jsonl", "disc/loss", 10**400),
    ("eval.jsonl", "protocol", []),
    ("eval.jsonl", "protocol", {"features": ["judge"]}),
    ("eval.jsonl", "protocol", {"features": "x" * 1000}),
    ("eval.jsonl", "protocol", {"repeats": 0}),
    ("eval.jsonl", "overfit", "much"),
    ("eval.jsonl", "recognised_floor", "high"),
    ("eval.jsonl", "fid_std", None),
    ("diagnosis.jsonl", "state", 5),
    ("diagnosis.jsonl", "evidence", None),
]


def line(row) -> bytes:
    return json.dumps(row).encode() + b"\n"


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("damage", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_line_is_skipped_told_and_kept_and_those_after_it_survive(tmp_path, caplog, name, damage):
    later = GOOD[name] | {"step": 7}
    (tmp_path / name).write_bytes(line(GOOD[name]) + damage + b"\n" + line(later))
    assert read_rows(tmp_path / name) == [GOOD[name], later]
    assert f"{name}, the first is line 2: " in caplog.text
    assert len(caplog.text) < 1000
    rewind(tmp_path, 5)
    assert (tmp_path / name).read_bytes() == line(GOOD[name])
    assert (tmp_path / f"{name}.damaged").read_bytes().replace(b"\n", b"") == damage


@pytest.mark.parametrize(("name", "field", "value"), CHANGED)
def test_a_value_of_another_type_damages_its_line(tmp_path, caplog, name, field, value):
    (tmp_path / name).write_bytes(line(GOOD[name] | {field: value}) + line(GOOD[name]))
    assert read_rows(tmp_path / name) == [GOOD[name]]
    assert len(caplog.records) == 1


def test_a_score_with_a_floor_is_a_number(tmp_path):
    """Another name may have any text: a script keeps what it likes beside its scores."""
    rows = [{"step": 3, "recognised": "x", "recognised_floor": 0.5}, {"step": 3, "recognised": "x"}]
    (tmp_path / "eval.jsonl").write_bytes(b"".join(map(line, rows)))
    assert read_rows(tmp_path / "eval.jsonl") == rows[1:]


def test_a_line_that_a_kill_cut_short_is_closed_before_the_next(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(line(GOOD[path.name]) + b'{"step": 4, "disc/l')
    assert read_rows(path) == [GOOD[path.name]]
    assert not caplog.records  # a run may be writing it
    append_row(path, {"step": 5, "disc/loss": float("nan")})
    assert [row["step"] for row in read_rows(path)] == [3, 5]


@pytest.mark.parametrize("content", [*DAMAGED[:9], b""], ids=range(10))
def test_json_that_is_no_object(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.json is damaged") as caught:
        read_json(tmp_path / "config.json")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("read", [read_json, read_rows])
def test_what_is_no_file(tmp_path, read):
    assert not read(tmp_path / "missing")
    with pytest.raises(InputError, match="is a folder: a file is expected there"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):  # to open it would wait for ever
        read(tmp_path / "pipe")
