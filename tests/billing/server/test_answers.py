"""What threads have done reaches whoever awaits it in the loop, and wakes the loop once for all of it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from billing.server.answers import Answers


async def _asked(answers: Answers[int], count: int) -> tuple[list[Future[int]], list[asyncio.Task[int]]]:
    futures: list[Future[int]] = [Future() for _ in range(count)]
    tasks = [asyncio.create_task(answers.of(future)) for future in futures]
    await asyncio.sleep(0)
    return futures, tasks


def test_each_has_its_own_result_and_what_went_wrong_is_raised() -> None:
    async def asking() -> list[int | BaseException]:
        futures, tasks = await _asked(Answers(), 3)
        for number, future in enumerate(futures[:2]):
            await asyncio.to_thread(future.set_result, number)
        await asyncio.to_thread(futures[2].set_exception, ValueError("away"))
        return await asyncio.gather(*tasks, return_exceptions=True)

    zero, one, error = asyncio.run(asking())
    assert (0, 1, "away") == (zero, one, str(error))


def test_the_loop_is_woken_once_for_all_that_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asking() -> int:
        futures, tasks = await _asked(Answers(), 50)
        woken: list[object] = []
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counted(call: Callable[[], object]) -> object:
            woken.append(call)
            return wake(call)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        for number, future in enumerate(futures):
            future.set_result(number)
        assert list(range(50)) == await asyncio.gather(*tasks)
        return len(woken)

    assert 1 == asyncio.run(asking())


def test_what_nobody_waits_for_any_more_is_cancelled() -> None:
    async def asking() -> bool:
        futures, tasks = await _asked(Answers(), 1)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return futures[0].cancelled()

    assert asyncio.run(asking())
