"""A TCP proxy as a process of its own, to be killed and frozen: ``python tcp_proxy.py PORT TARGET_PORT``.

Its sockets linger for no time: when it dies its clients get a RST, as from a proxy whose machine cuts them off.
"""

import asyncio
import contextlib
import socket
import struct
import sys

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset_on_close(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(port: int, target_port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset_on_close(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", target_port)
        except OSError:
            writer.close()  # alive, and with nobody behind it: closes at once
            return
        await asyncio.gather(carry(reader, back), carry(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print("listens", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
