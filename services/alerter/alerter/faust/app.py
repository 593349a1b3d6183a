"""The Faust application: its settings, and the features of Faust that are turned off. Its work is in stream.py."""

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.sensors.prometheus import FaustMetrics, PrometheusMonitor
from faust.types import TP
from prometheus_client import REGISTRY, CollectorRegistry
from runtime.kafka.header_names import accept_any_header_name

from alerter.settings import Settings

MESSAGES_MAX = 500


class Monitor(PrometheusMonitor):
    """Faust's sensors, without the one that ends Faust's fetcher (faust-streaming #214)."""

    def track_tp_end_offset(self, tp: TP, offset: int | None) -> None:
        if offset is not None:  # unknown after a rebalance, and a gauge does not accept None
            super().track_tp_end_offset(tp, offset)


class App(faust.App):
    """A Faust application that writes nothing to disk."""

    def _create_directories(self) -> None:
        """Create no folders: they are for tables, which we do not use."""


def build_app(settings: Settings, registry: CollectorRegistry = REGISTRY) -> App:
    """A Faust application without tables, leader, web server and topics of its own."""
    accept_any_header_name()
    app = App(
        settings.consumer_group,
        broker=[f"kafka://{address}" for address in settings.kafka_bootstrap.split(",")],
        broker_credentials=credentials_of(settings),
        broker_client_id="alerter",
        consumer_group_instance_id=settings.consumer_instance,
        consumer_auto_offset_reset="earliest",  # otherwise a new group misses messages that arrive while it joins
        broker_max_poll_records=MESSAGES_MAX,
        broker_commit_interval=1.0,
        broker_session_timeout=10.0,
        broker_rebalance_timeout=10.0,
        broker_request_timeout=30.0,
        producer_request_timeout=30.0,
        key_serializer="raw",
        value_serializer="raw",
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.monitor = Monitor(metrics=FaustMetrics.create(registry, "flexcredits_alerter_faust"))
    return app


def credentials_of(settings: Settings) -> SSLCredentials | SASLCredentials | None:
    """The settings of every Kafka client, in Faust's types."""
    security = settings.kafka_security()
    context = security.get("ssl_context")
    if "sasl_mechanism" in security:
        return SASLCredentials(
            username=security["sasl_plain_username"],
            password=security["sasl_plain_password"],
            mechanism=security["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None
