"""What tests of the bridge and the portal want to know of a broker."""

from stack.servers.rabbitmq import RabbitMQServer


def vhost_of(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0]


def queue_is_on_disk(server: RabbitMQServer, url: str, queue: str) -> bool:
    """Whether a killed broker will find this quorum queue again.

    RabbitMQ 3.10 writes the directory of its quorum queues half a second late: one that is younger when the only node
    is killed exists afterwards but has no leader, and confirms nothing for ever.
    """
    directory = server.home.glob("data/*/quorum/*/names.dets")
    name = f"{vhost_of(url)}_{queue}".encode()
    return any(name in file.read_bytes() for file in directory)
