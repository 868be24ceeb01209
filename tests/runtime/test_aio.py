import asyncio

from sidecar.runtime.aio import coalesce, yielding


async def test_others_have_their_turn_after_every_few_items() -> None:
    explanation: list[object] = []
    asyncio.get_running_loop().call_soon(explanation.append, "another")

    async for item in yielding(range(5), size=2):
        explanation += [item]

    assert explanation == [0, 1, "another", 2, 3, 4]


async def test_work_that_is_asked_for_often_is_done_once_a_turn() -> None:
    done: list[str] = []
    ask = coalesce(lambda: done.append("work"))

    ask()
    ask()
    assert done == []
    await asyncio.sleep(0)
    assert done == ["work"]
    ask()
    await asyncio.sleep(0)
    assert done == ["work", "work"]
