from reports.answers import answers


def test_one_item_of_each_category_then_the_biggest_changes(whole_run):
    samples = list(answers(whole_run))
    assert [sample.title for sample in samples] == [
        "math: item w000",
        "stem: item w001",
        "writing: item w002",
        "most better, M3 than M0: item w003",
        "most better, M3 than M0: item w004",
    ]
    assert samples[0].prompt == "What sound does animal 0 make?"
    assert samples[0].answers[:2] == (
        ("M0", "2", "The dog barks M0."),
        ("SFT", "3", "The dog barks SFT."),
    )
    assert samples[0].answers[3] == ("M2", "no_score", "The dog barks M2.")


def test_the_choice_does_not_depend_on_the_order_of_items(whole_run):
    turned = tuple(
        stage.model_copy(
            update={
                "evaluations": tuple(
                    result.model_copy(update={"items": result.items[::-1]})
                    for result in stage.evaluations
                )
            }
        )
        for stage in whole_run.stages
    )
    again = whole_run.model_copy(update={"stages": turned})
    assert list(answers(again)) == list(answers(whole_run))


def test_losses_are_shown_as_well(whole_run):
    first, *_, last = [stage for stage in whole_run.stages if stage.evaluations]
    turned = whole_run.model_copy(update={"stages": (last, first)})
    titles = [sample.title for sample in answers(turned)]
    assert titles[-1] == "most worse, M0 than M3: item w004"


def test_long_answers_are_wrapped_below_one_another_and_cut(hostile_run):
    [sample] = answers(hostile_run)
    lines = sample.lines(80)
    assert max(map(len, lines)) <= 80
    assert sum(map(len, lines)) < 4000
    assert "more characters)" in " ".join(lines)


def test_a_run_without_items_has_no_samples(not_measured):
    assert list(answers(not_measured)) == []
