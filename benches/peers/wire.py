#!/usr/bin/env python3
"""Notes when RTP packets pass on the loopback interface, by the kernel's own time stamps.

    wire.py PORT SECONDS

It looks at packets to this UDP port, which is the server's, and needs the right to see them (root or CAP_NET_RAW). Prints
an object: for each stream, named `SOURCE PORT/SSRC`, the times of its packets in milliseconds. SRTP leaves the header
readable, which is all that is read. A packet that is sent again (a number that was there) is left out.
"""

import json
import socket
import struct
import sys
import time

ETH_P_IP = 0x0800
"""With this protocol a packet of loopback is seen once, as it comes."""

SO_TIMESTAMPNS = 35
RTCP = range(64, 96)
"""Payload types that RTCP's packet types are seen as."""

BUFFER = 8 << 20


def looking() -> socket.socket:
    """A socket that sees the packets."""
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))


def rtp(packet: bytes, port: int) -> tuple[int, int, int] | None:
    """Source port, stream and number of an RTP packet to a port, after Ethernet's header."""
    ip = packet[14:]
    header = (ip[0] & 15) * 4
    if len(ip) < header + 20 or ip[9] != socket.IPPROTO_UDP:
        return None
    source, target = struct.unpack_from("!HH", ip, header)
    body = header + 8
    if target != port or ip[body] >> 6 != 2 or (ip[body + 1] & 127) in RTCP:
        return None
    number, _, stream = struct.unpack_from("!HII", ip, body + 2)
    return source, stream, number


def main(port: int, seconds: float) -> None:
    with looking() as raw:
        raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        raw.bind(("lo", 0))
        raw.settimeout(0.2)
        times: dict[str, list[float]] = {}
        numbers: dict[str, set[int]] = {}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                packet, ancillary, _, _ = raw.recvmsg(128, 64)
            except TimeoutError:
                continue
            if not (found := rtp(packet, port)):
                continue
            source, stream, number = found
            name = f"{source}/{stream}"
            if number in numbers.setdefault(name, set()):
                continue
            numbers[name].add(number)
            whole_s, nanos = struct.unpack("qq", ancillary[0][2][:16])
            times.setdefault(name, []).append(whole_s % 100_000 * 1_000 + nanos / 1e6)
    print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
