"""One seed decides which wait ends next, which calls fail, which processes die, and when time passes."""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")
STEPS_MAX = 30_000
"""Limit of a history. Most take fewer than 1,000."""


class Blocked(Exception):
    """The step waits for a lock of another process."""


@dataclass(eq=False)
class Process:
    """One process of a service. A restart creates another one."""

    name: str
    alive: bool = True
    tasks: set["asyncio.Task[Any]"] = field(default_factory=set)
    at_death: list[Callable[[], None]] = field(default_factory=list)
    paused_until: int = 0
    """No step of the process runs before the world's step count reaches this number."""


@dataclass(eq=False)
class Step:
    """A call for which a process waits: `act` runs in the world at one instant, and the process gets its result."""

    process: Process
    act: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    is_waiting: bool = False
    """It waits for a lock of another process and continues when the lock is free."""
    turn: int = 0
    """Step count at which it began to wait."""
    outcome: tuple[Any, BaseException | None] | None = None
    """Result or exception, once `act` ran."""

    def try_to_act(self, turn: int | None = None) -> bool:
        """Run `act`. False if it has to wait; `turn` is then the step count at which its wait began."""
        try:
            self.outcome = self.act(), None
        except Blocked:
            self.is_waiting, self.turn = True, self.turn if turn is None else turn
            return False
        except Exception as error:
            self.outcome = None, error
        self.is_waiting = False
        return True


class Turns(selectors.SelectSelector):
    """asyncio calls select() when all tasks wait. It then runs one step of the world."""

    def __init__(self, turn: Callable[[float | None], None]) -> None:
        super().__init__()
        self._turn = turn

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            self._turn(timeout)
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop with the world's time."""

    def __init__(self, world: "World") -> None:
        self._world = world
        super().__init__(Turns(world.turn))
        self.set_exception_handler(lambda _loop, _context: None)  # tasks of killed processes

    def time(self) -> float:
        return self._world.now


class World:
    """Runs the steps of all processes. `chance` is the only source of randomness."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        self.steps: list[Step] = []
        self.step_count = 0
        self._wakes = 0
        self.crash_rate = 0.0
        """Share of steps that kill their process: half before the step runs, half before its result arrives."""
        self.disturb: Callable[[], None] = lambda: None
        """Called before each step."""
        self.deaths: list[tuple[Process, BaseException | None]] = []
        self.alive: list[Process] = []
        self._until: tuple[Callable[[], bool], int, asyncio.Future[None]] | None = None

    async def reach(self, process: Process, act: Callable[[], Result]) -> Result:
        """Run `act` at a step that the seed chooses, and return its result. The process may die before or after."""
        if not process.alive:
            raise asyncio.CancelledError
        step = Step(process, act, asyncio.get_running_loop().create_future())
        self.steps.append(step)
        result: Result = await step.answer
        return result

    def turn(self, timeout: float | None) -> None:
        """All tasks wait: run one step, or advance the time to the next timer."""
        self.step_count += 1
        if self.step_count > STEPS_MAX:
            raise TimeoutError(f"more than {STEPS_MAX} steps")
        if self._until is not None and self._is_reached():
            return
        self.disturb()
        ready = [step for step in self.steps if step.process.paused_until <= self.step_count and not step.is_waiting]
        if timeout is not None and (not ready or self.chance.random() < 0.03):
            self.now += timeout
        elif ready:
            self._take(self.chance.choice(ready))

    def _take(self, step: Step) -> None:
        roll = self.chance.random()
        if roll < self.crash_rate / 2:
            self.kill(step.process)
        elif step.outcome is not None or step.try_to_act(self.step_count):
            if roll < self.crash_rate:
                self.kill(step.process)
            elif step in self.steps:
                self._answer(step)

    def _answer(self, step: Step) -> None:
        assert step.outcome is not None
        self.steps.remove(step)
        result, error = step.outcome
        if step.answer.done():
            return  # the task was cancelled
        if error is not None:
            step.answer.set_exception(error)
        else:
            step.answer.set_result(result)

    def wake(self) -> None:
        """A lock was released: let waiting steps continue, in the order in which they began to wait."""
        self._wakes += 1
        if self._wakes > 1:
            return  # called within wake(), which repeats its loop
        while self._wakes:
            self._wakes = 1
            for step in sorted((step for step in self.steps if step.is_waiting), key=lambda step: step.turn):
                if step.try_to_act():
                    self._wakes = 2
            self._wakes -= 1

    def run(self, process: Process, work: Coroutine[Any, Any, object]) -> "asyncio.Task[Any]":
        """Start a task of a process. If the task fails, the process ends."""
        if process not in self.alive:
            self.alive.append(process)
        task = asyncio.get_running_loop().create_task(work)
        process.tasks.add(task)
        task.add_done_callback(lambda done: self._ended(process, done))
        return task

    def _ended(self, process: Process, task: "asyncio.Task[Any]") -> None:
        process.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if process.alive and error is not None:
            self.kill(process, error)

    def kill(self, process: Process, error: BaseException | None = None) -> None:
        """Kill a process as SIGKILL does."""
        process.alive = False
        if process in self.alive:
            self.alive.remove(process)
        self.steps = [step for step in self.steps if step.process is not process]
        for end in process.at_death:
            end()
        for task in process.tasks:
            task.cancel()
        self.deaths.append((process, error))

    async def until(self, condition: Callable[[], bool], within: int) -> None:
        """Wait for a condition; raises TimeoutError if it is false after `within` steps."""
        done = asyncio.get_running_loop().create_future()
        self._until = condition, self.step_count + within, done
        await done

    def _is_reached(self) -> bool:
        assert self._until is not None
        condition, deadline, done = self._until
        if condition():
            self._until = None
            done.set_result(None)
        elif self.step_count > deadline:
            self._until = None
            done.set_exception(TimeoutError("the condition is false after the last allowed step"))
        return self._until is None

    def run_scenario(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> Exception | None:
        """Run a scenario, then kill all its processes. Returns the exception that it raised."""
        with closing(Loop(self)) as loop:
            try:
                loop.run_until_complete(self._run_scenario(scenario))
            except Exception as error:
                return error
        return None

    async def _run_scenario(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await scenario()
        finally:
            self.disturb = lambda: None
            for process in [*self.alive]:
                self.kill(process)
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
