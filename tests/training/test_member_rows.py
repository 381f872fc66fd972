"""What is read again of the members of a population, which may come from anywhere."""

from gan_jax.training.member_rows import Death, MemberRows


def test_a_death_whose_row_names_no_metrics_is_one_of_the_state(tmp_path):
    folder = tmp_path / "members" / "003"
    folder.mkdir(parents=True)
    (folder / "diagnosis.jsonl").write_text('{"step": 5, "state": "nan", "advice": "", "evidence": ""}\n')
    kept = MemberRows([{"seed": 0}], 3, steps=10, interval=5, run=None, show=lambda line: None)
    kept.go_on(tmp_path, 7)
    assert kept.died == {3: Death(5, ("state",))}
