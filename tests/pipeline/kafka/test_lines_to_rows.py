"""Lines in a real Kafka become rows in it; whatever dies meanwhile, at the end every window is exact."""

import signal

STEPS, LINES, SECONDS = 20, 5_000, 30


async def test_every_line_is_in_one_row_and_the_last_windows_close_by_the_clock(pipeline):
    collector = pipeline.start_collector()
    for _ in range(STEPS):
        await pipeline.traffic.write(LINES, SECONDS)
    await pipeline.require_exact()
    assert pipeline.end(collector) == 0


async def test_a_collector_that_is_killed_in_the_middle_is_replaced_without_a_wrong_row(pipeline):
    collector = pipeline.start_collector()
    for step in range(STEPS):
        await pipeline.traffic.write(LINES, SECONDS)
        if step in (4, 9, 14):
            await pipeline.more_rows() if step == 4 else None
            pipeline.end(collector, signal.SIGKILL)
            collector = pipeline.start_collector()
    await pipeline.require_exact()
    assert pipeline.end(collector) == 0


async def test_a_collector_that_is_killed_while_it_writes_is_replaced_without_a_wrong_row(pipeline):
    for _ in range(STEPS):
        await pipeline.traffic.write(LINES, SECONDS)
    for _ in range(3):  # the whole backlog is read at once, and rows are written without a pause
        collector = pipeline.start_collector()
        await pipeline.more_rows()
        pipeline.end(collector, signal.SIGKILL)
        await pipeline.traffic.write(100, 0.5)
    collector = pipeline.start_collector()
    await pipeline.require_exact()
    assert pipeline.end(collector) == 0


async def test_a_broker_that_stops_or_dies_in_the_middle_costs_no_line(pipeline):
    collector = pipeline.start_collector()
    for step in range(STEPS):
        await pipeline.traffic.write(LINES, SECONDS)
        if step in (5, 12):
            await pipeline.broker.stop(signal.SIGTERM if step == 5 else signal.SIGKILL)
            await pipeline.broker.start()
    await pipeline.require_exact()
    assert pipeline.end(collector) == 0


async def test_partitions_change_their_owner_without_a_wrong_row(pipeline):
    first, second = pipeline.start_collector(), None
    for step in range(STEPS):
        await pipeline.traffic.write(LINES, SECONDS)
        if step == 5:
            await pipeline.more_rows()
            second = pipeline.start_collector()
        if step == 10:
            assert pipeline.end(first) == 0
        if step == 14:
            first = pipeline.start_collector()
            pipeline.end(second, signal.SIGKILL)
    await pipeline.require_exact()
    assert pipeline.end(first) == 0
