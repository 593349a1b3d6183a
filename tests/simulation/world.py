"""One seed decides everything: which wait ends next, what fails, who dies, and when time passes."""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")
STEPS_MAX = 30_000
"""Of a history; a usual one takes less than a thousand."""


class Blocked(Exception):
    """The step waits for something that another process holds."""


@dataclass(eq=False)
class Process:
    """One life of a service; its next life is another one."""

    name: str
    alive: bool = True
    tasks: set["asyncio.Task[Any]"] = field(default_factory=set)
    at_death: list[Callable[[], None]] = field(default_factory=list)
    thaws_at: int = 0
    """Frozen until the world has made this many steps."""


@dataclass(eq=False)
class Step:
    """What a process waits for: `act` happens in the world at one instant, and its answer goes back."""

    process: Process
    act: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    is_waiting: bool = False
    """For another process: it goes on by itself as soon as it can."""
    turn: int = 0
    """When it began to wait."""
    outcome: tuple[Any, BaseException | None] | None = None
    """What will be answered."""

    def try_to_act(self, turn: int | None = None) -> bool:
        """False when it has to wait, since `turn`."""
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
    """Asyncio asks here what happened outside when all tasks wait. The answer is a step of the world."""

    def __init__(self, turn: Callable[[float | None], None]) -> None:
        super().__init__()
        self._turn = turn

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            self._turn(timeout)
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time is the world's."""

    def __init__(self, world: "World") -> None:
        self._world = world
        super().__init__(Turns(world.turn))
        self.set_exception_handler(lambda _loop, _context: None)  # what the dead leave behind

    def time(self) -> float:
        return self._world.now


class World:
    """Where processes meet. `chance` is the only source of luck."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        self.steps: list[Step] = []
        self.made = 0
        self._wakes = 0
        self.crash_rate = 0.0
        """Of steps that end their process, half of them before they happen, half before the answer comes."""
        self.disturb: Callable[[], None] = lambda: None
        """Called before each step."""
        self.deaths: list[tuple[Process, BaseException | None]] = []
        self.alive: list[Process] = []
        self._until: tuple[Callable[[], bool], int, asyncio.Future[None]] | None = None

    async def reach(self, process: Process, act: Callable[[], Result]) -> Result:
        """Have `act` happen outside, sometime, for a process; it may die before or after."""
        if not process.alive:
            raise asyncio.CancelledError
        step = Step(process, act, asyncio.get_running_loop().create_future())
        self.steps.append(step)
        result: Result = await step.answer
        return result

    def turn(self, timeout: float | None) -> None:
        """All tasks wait: let one step happen, or time pass to the next timer."""
        self.made += 1
        if self.made > STEPS_MAX:
            raise TimeoutError("it goes on and on")
        if self._until is not None and self._has_come_about():
            return
        self.disturb()
        ready = [step for step in self.steps if step.process.thaws_at <= self.made and not step.is_waiting]
        if timeout is not None and (not ready or self.chance.random() < 0.03):
            self.now += timeout
        elif ready:
            self._take(self.chance.choice(ready))

    def _take(self, step: Step) -> None:
        roll = self.chance.random()
        if roll < self.crash_rate / 2:
            self.kill(step.process)
        elif step.outcome is not None or step.try_to_act(self.made):
            if roll < self.crash_rate:
                self.kill(step.process)
            elif step in self.steps:
                self._answer(step)

    def _answer(self, step: Step) -> None:
        assert step.outcome is not None
        self.steps.remove(step)
        result, error = step.outcome
        if step.answer.done():
            return  # nobody waits for it any more
        if error is not None:
            step.answer.set_exception(error)
        else:
            step.answer.set_result(result)

    def wake(self) -> None:
        """Something that steps may wait for was given back: let them go on in the order of their waiting."""
        self._wakes += 1
        if self._wakes > 1:
            return  # within another one, which goes round once more
        while self._wakes:
            self._wakes = 1
            for step in sorted((step for step in self.steps if step.is_waiting), key=lambda step: step.turn):
                if step.try_to_act():
                    self._wakes = 2
            self._wakes -= 1

    def run(self, process: Process, work: Coroutine[Any, Any, object]) -> "asyncio.Task[Any]":
        """Begin a task of a process; when it fails, the process ends."""
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
        """As SIGKILL does: nothing of the process runs any more."""
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
        """Wait for a condition; raises TimeoutError when it has not come about within so many steps."""
        done = asyncio.get_running_loop().create_future()
        self._until = condition, self.made + within, done
        await done

    def _has_come_about(self) -> bool:
        assert self._until is not None
        condition, deadline, done = self._until
        if condition():
            self._until = None
            done.set_result(None)
        elif self.made > deadline:
            self._until = None
            done.set_exception(TimeoutError("not done within the steps that it may take"))
        return self._until is None

    def tell(self, story: Callable[[], Coroutine[Any, Any, None]]) -> Exception | None:
        """Carry a story out, to the death of everybody in it. Returns what it raised."""
        with closing(Loop(self)) as loop:
            try:
                loop.run_until_complete(self._tell(story))
            except Exception as error:
                return error
        return None

    async def _tell(self, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await story()
        finally:
            self.disturb = lambda: None
            for process in [*self.alive]:
                self.kill(process)
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
