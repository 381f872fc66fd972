"""Some of many items in messages."""

from gan_jax.listing import in_lines, listed


def test_what_is_left_out_is_counted():
    many = [str(i) for i in range(2000)]
    assert listed(many, 2) == "0, 1 and 1,998 more"
    assert listed(many[:2], 2) == "0, 1"
    assert listed([], 2) == ""
    assert listed(["x" * 300], 2) == "x" * 100
    assert in_lines(many, 1) == ["  0", "  ... and 1,999 more"]
    assert in_lines(many[:1], 1) == ["  0"]
