"""Faults while usage crosses thresholds, and the checker's result for firings, banners and mails."""

import asyncio
import signal

import pytest
from alerter.email.smtp import AT_ONCE
from support.faults.fault_stage import Fault, Stage, endure, open_stage
from support.infra.brokers import AIOKAFKA_ERRORS, Broker, open_broker
from support.infra.stack import make_topics, throwaway_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300)]


async def kill_alerter(stage: Stage) -> None:
    stage.alerters[0].send(signal.SIGKILL)
    await asyncio.sleep(2)


async def kill_postgres(stage: Stage) -> None:
    await stage.restart_postgres(signal.SIGKILL, down_s=2)


async def cut_mail(stage: Stage) -> None:
    await stage.mail_proxy.cut()
    await asyncio.sleep(3)
    await stage.mail_proxy.restore()


def kill_kafka(broker: Broker) -> Fault:
    async def kill(_: Stage) -> None:
        broker.kill()
        await asyncio.sleep(2)
        await broker.start()

    return kill


async def test_f3_f5_f16_f17_two_alerters_while_everything_under_them_fails(expected_errors: list[str]) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    with throwaway_folder() as folder:
        async with open_broker(folder / "kafka") as broker:
            topics = await make_topics(broker.bootstrap)
            async with open_stage(topics, folder / "postgres", alerters=2) as stage:
                lost_answers = 2 + 2  # two alerters killed, and two cut off from the mail server
                await endure(
                    stage, kill_alerter, cut_mail, kill_postgres, kill_alerter, kill_kafka(broker),
                    copies_max=lost_answers * AT_ONCE,
                )  # fmt: skip
                assert stage.mailbox.got, "no threshold was crossed"
