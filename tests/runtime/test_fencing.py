"""Fails when aiokafka changes under `runtime/fencing.py`: read the difference, then renew the table."""

import hashlib
import inspect
from io import BytesIO
from typing import Any

import aiokafka
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, Subscription, SubscriptionState, TopicPartitionState

from llmtower_processors.runtime import fencing

RELIED_ON = {
    GroupCoordinator._maybe_leave_group: "016cd88a16e6",
    GroupCoordinator._on_join_complete: "0b0b3d204b40",
    GroupCoordinator._send_req: "fa4b12e914ce",
    GroupCoordinator._do_commit_offsets: "c3a3ea5613f3",
    GroupCoordinator.coordinator_dead: "ba1eda0254af",
    GroupCoordinator.request_rejoin: "f70a261c91c3",
    GroupCoordinator.reset_generation: "537aa37c531b",
    GroupCoordinator._coordination_routine: "75273e127d4a",
    AIOKafkaClient.send: "246b277687d7",
    AIOKafkaClient.get_random_node: "0e2daf38b78e",
    Fetcher._update_fetch_positions: "d7774d8241dc",
    Fetcher.fetched_records: "be4348896b9b",
    Fetcher._get_actions_per_node: "1dab2cf937d1",
    SubscriptionState.seek: "3d5e6754e47e",
    Subscription._assign: "bf731e02b121",
    Assignment.state_value: "183fea82ef48",
    TopicPartitionState.seek: "c20b56d7ba7b",
}


def fingerprint(function: Any) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


def test_aiokafka_is_the_release_that_was_read() -> None:
    assert aiokafka.__version__.startswith("0.14.")


@pytest.mark.parametrize("function", RELIED_ON, ids=lambda function: function.__qualname__)
def test_what_is_relied_on_is_as_it_was_read(function: Any) -> None:
    assert fingerprint(function) == RELIED_ON[function]


def test_a_metadata_request_of_version_12_is_written_as_kafka_defines_it() -> None:
    request = fencing.TopicIdsRequest(["ab"]).prepare({3: (0, 13)})
    assert request.encode() == b"\x02" + bytes(16) + b"\x03ab\x00" + b"\x00\x00\x00"


def test_a_metadata_answer_of_version_12_is_read_as_kafka_defines_it() -> None:
    topic_id, replicas = bytes(range(16)), b"\x02\x00\x00\x00\x01"
    partition = b"\x00\x00" + b"\x00\x00\x00\x00" + b"\x00\x00\x00\x01" + b"\x00\x00\x00\x07" + replicas * 2 + b"\x01" + b"\x00"
    topic = b"\x00\x00" + b"\x03ab" + topic_id + b"\x00" + b"\x02" + partition + b"\x80\x00\x00\x00" + b"\x00"
    broker = b"\x00\x00\x00\x01" + b"\x02h" + b"\x00\x00\x23\x84" + b"\x00" + b"\x00"
    answer = b"\x00\x00\x00\x00" + b"\x02" + broker + b"\x04cid" + b"\x00\x00\x00\x01" + b"\x02" + topic + b"\x00"
    read = fencing.MetadataResponseV12.decode(BytesIO(answer))
    assert read.cluster_id == "cid"
    assert read.topics[0][:3] == (0, "ab", topic_id)


def test_a_broker_without_topic_ids_is_refused() -> None:
    with pytest.raises(NotImplementedError):
        fencing.TopicIdsRequest(["ab"]).prepare({3: (0, 9)})
