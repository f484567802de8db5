"""Seconds by hand: ceilings of round figures, efficiencies of one."""

import math
from dataclasses import replace

import pytest

from harness.planned import Work
from harness.planning.hardware import Device
from harness.planning.serving import Serving
from harness.planning.shapes import Shape
from harness.planning.speed import (
    DISK,
    HASH,
    HOST,
    LAUNCH,
    PADDING,
    TRAINING,
    UPDATE,
    ask_seconds,
    load_seconds,
    save_seconds,
    start_seconds,
    train_seconds,
)
from tests.harness.planning.test_memory import LESSON

SHAPE = Shape(2, hidden=10, intermediate=20, heads=2, kv_heads=2, vocabulary=50, context=100)
DEVICE = Device(
    "GPU", flops=1e6, bandwidth=1e6, memory=10**9, link=1e6, network=1e5, source="made up"
)
EXACT = Serving("vllm", DEVICE, "bfloat16", matrix=1.0, decoding=1.0, bandwidth=1.0, layer=0.0)


def test_reading_takes_two_operations_a_parameter_and_attention():
    work = Work("p", "score", rows=4, prompt_tokens=40)
    attention = 4 * 2 * 2 * 10 * 10**2
    assert ask_seconds(work, SHAPE, EXACT) == pytest.approx(
        (2 * SHAPE.multiplied * 40 + attention) / 1e6
    )


def test_decoding_is_bound_by_the_weights_that_are_read_for_each_token():
    fast = replace(EXACT, device=replace(DEVICE, flops=1e30))
    work = Work("p", "generate", rows=3, prompt_tokens=0, new_tokens=30)
    each = SHAPE.weights("bfloat16") + 3 * 5 * SHAPE.kv_bytes("bfloat16")
    assert ask_seconds(work, SHAPE, fast) == pytest.approx(10 * each / 1e6)


def test_or_by_the_operations_of_its_rows():
    wide = replace(EXACT, device=replace(DEVICE, bandwidth=1e30))
    work = Work("p", "generate", rows=3, prompt_tokens=0, new_tokens=30)
    operations = 3 * (2 * SHAPE.multiplied + 4 * 2 * 10 * 5)
    assert ask_seconds(work, SHAPE, wide) == pytest.approx(10 * operations / 1e6)


def test_replicas_share_the_rows():
    work = Work("p", "generate", rows=512, prompt_tokens=5120, new_tokens=5120)
    one, four = (ask_seconds(work, SHAPE, replace(EXACT, replicas=k)) for k in (1, 4))
    assert one / four == pytest.approx(2, rel=0.2) or one / four > 2


def test_a_batch_is_no_larger_than_the_cache():
    little = replace(DEVICE, memory=2 * SHAPE.weights("bfloat16"))
    work = Work("p", "generate", rows=256, prompt_tokens=2560, new_tokens=12_800)
    assert ask_seconds(work, SHAPE, replace(EXACT, device=little)) > ask_seconds(work, SHAPE, EXACT)


def test_training_takes_six_operations_a_parameter_and_token():
    lesson = replace(LESSON, updates=10, batch_size=4, gradient_checkpointing=False)
    work = Work("train", "train", rows=40, prompt_tokens=400, lesson=lesson)
    forward = 2 * SHAPE.multiplied * 400 + 40 * 2 * 2 * 10 * 10**2
    expected = PADDING * 3 * forward / (1e6 * TRAINING) + 10 * UPDATE
    assert train_seconds(work, SHAPE, DEVICE) == pytest.approx(expected)


def test_recomputing_adds_a_third_and_adapters_save_one():
    def arithmetic(**changed):
        lesson = replace(LESSON, updates=10, batch_size=4, **changed)
        work = Work("train", "train", rows=40, prompt_tokens=400, lesson=lesson)
        return train_seconds(work, SHAPE, DEVICE) - 10 * UPDATE

    plain = arithmetic(gradient_checkpointing=False)
    assert arithmetic() / plain == pytest.approx(4 / 3)
    assert arithmetic(lora=4, gradient_checkpointing=False) / plain == pytest.approx(2 / 3)


def test_sharded_training_waits_for_its_weights():
    lesson = replace(
        LESSON, updates=10, batch_size=4, processes=4, strategy="fsdp2", micro_batch_size=1
    )
    slow = replace(DEVICE, flops=1e30)
    work = Work("train", "train", rows=40, prompt_tokens=400, lesson=lesson)
    moved = 10 * (2 * 2 + 2) * SHAPE.parameters  # gathered twice, scattered once, 2 bytes each
    assert train_seconds(work, SHAPE, slow) == pytest.approx(moved / (0.7 * 1e6) + 10 * UPDATE)


def test_offloaded_states_are_moved_at_every_pass_and_updated_in_the_machine():
    lesson = replace(
        LESSON, updates=10, batch_size=64, processes=16, strategy="fsdp2", micro_batch_size=1
    )
    work = Work("train", "train", rows=640, prompt_tokens=6400, lesson=lesson)

    def added(**changed):
        there = replace(lesson, offload=True, **changed)
        alike = replace(lesson, **changed)
        return train_seconds(replace(work, lesson=there), SHAPE, DEVICE) - train_seconds(
            replace(work, lesson=alike), SHAPE, DEVICE
        )

    # Weights forward and backward and gradients back, 4 bytes each; AdamW on each of two machines.
    adamw = 28 * SHAPE.parameters / 2 / HOST
    passes = 4 * 12 * SHAPE.parameters / 16 / 25e9
    assert added() == pytest.approx(10 * (passes + adamw), rel=1e-4)
    assert added(micro_batch_size=4) == pytest.approx(10 * (passes / 4 + adamw), rel=1e-4)


def test_before_the_first_step_processes_start_and_a_model_is_read_and_hashed():
    assert start_seconds(LESSON, 10**9) == pytest.approx(10**9 / DISK + 10**9 / HASH)
    assert start_seconds(LESSON, 10**9, hashed=False) == pytest.approx(10**9 / DISK)
    two = replace(LESSON, processes=2)
    assert start_seconds(two, 0) == LAUNCH


def test_work_of_nothing_takes_no_time():
    assert ask_seconds(Work("p", "generate"), SHAPE, EXACT) == 0
    assert train_seconds(Work("p", "train", lesson=LESSON), SHAPE, DEVICE) == 0
    assert math.isfinite(load_seconds(SHAPE, EXACT))


def test_processes_that_share_cores_are_no_faster():
    cpu = replace(DEVICE, cpu=True, processes=2)
    work = Work("train", "train", rows=100, prompt_tokens=10**4, lesson=LESSON)

    def seconds(processes):
        lesson = replace(LESSON, processes=processes)
        return train_seconds(replace(work, lesson=lesson), SHAPE, cpu)

    assert seconds(2) < seconds(1)
    assert seconds(16) == pytest.approx(seconds(2), rel=0.2)
    four, eight = (replace(EXACT, device=cpu, replicas=count) for count in (4, 8))
    asked = Work("p", "score", rows=64, prompt_tokens=640)
    assert ask_seconds(asked, SHAPE, four) == ask_seconds(asked, SHAPE, eight)


def test_states_to_go_on_from_take_time_to_write():
    once = save_seconds(LESSON, SHAPE, "bfloat16")
    often = save_seconds(replace(LESSON, checkpoints=2), SHAPE, "bfloat16")
    hashed = 2 * SHAPE.parameters / HASH  # the finished model
    assert once == pytest.approx(2 * SHAPE.parameters / DISK + hashed)
    assert often == pytest.approx((3 * 2 + 2 * 12) * SHAPE.parameters / DISK + hashed)
    divided = replace(LESSON, checkpoints=2, processes=16, strategy="fsdp2")
    there = save_seconds(divided, SHAPE, "bfloat16")
    assert there == pytest.approx((3 * 2 + 12) * SHAPE.parameters / DISK + hashed)


def test_static_batches_wait_for_their_longest_row():
    asked = Work("p", "generate", rows=10, prompt_tokens=0, new_tokens=100)
    static = replace(EXACT, layer=1.0, tail=2.0)
    known, alone = replace(asked, tail=5.0), replace(asked, rows=1, new_tokens=10, tail=5.0)
    # A step of two layers, each a second of the host: as many steps as the longest row has tokens.
    for work, tail in ((asked, 2.0), (known, 5.0), (alone, 1.0)):
        assert ask_seconds(work, SHAPE, static) == pytest.approx(10 * tail * 2 + 2, rel=0.1)
    assert ask_seconds(known, SHAPE, replace(static, tail=1.0)) == pytest.approx(22, rel=0.1)
