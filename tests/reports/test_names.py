from reports.names import label


def test_names_are_those_of_the_field():
    assert label("mt_bench") == "MT-Bench"
    assert label("length_controlled_win_rate") == "LC win rate"


def test_other_names_are_made_readable():
    assert label("my_label") == "my label"


def test_a_part_is_labelled_by_all_that_it_is_part_of():
    assert label("external/expected/pairwise_accuracy") == (
        "external: expected: pair accuracy, ties left out"
    )
