"""Written by tests/hosts/fingerprints.py: the sources of hosts that the drivers were tested with.

Target → digest of its source (see ``_source.py``) → the versions that have it.
"""

KNOWN: dict[str, dict[str, str]] = {
    "websockets.asyncio.connection:Connection.__aiter__": {
        "98f79af22d09cd7229de94f2f0187911": "17.4",
    },
    "websockets.asyncio.connection:Connection.data_received": {
        "be8d3e4974b7ea75f5c55399f3321867": "17.4",
    },
    "websockets.asyncio.connection:Connection.drain": {
        "b00ad008cb23cac37042e5aba2b84036": "17.4",
    },
    "websockets.asyncio.connection:Connection.process_event": {
        "519093bc33148c7ff64d70b1d5da18f4": "17.4",
    },
    "websockets.asyncio.connection:Connection.recv": {
        "c7d0c969307d653d8e9a62c347fa3268": "17.4",
    },
    "websockets.asyncio.connection:Connection.send": {
        "f9a66efad72c070b518e0111f79b21c1": "17.4",
    },
    "websockets.asyncio.connection:Connection.send_context": {
        "af369bcdbffbcb910ef20be6e9265dc0": "17.4",
    },
    "websockets.asyncio.connection:Connection.send_data": {
        "b628d3658c3c9e252a3d2a9730436d4f": "17.4",
    },
    "websockets.asyncio.messages:Assembler.get": {
        "49d549570005907d3102db7e53f0e2f8": "17.4",
    },
    "websockets.asyncio.messages:Assembler.maybe_resume": {
        "57a59b162765093eea9198c3ec4a7fc3": "17.4",
    },
    "websockets.asyncio.messages:Assembler.put": {
        "428978d116c63df2074cbc527c198f65": "17.4",
    },
    "websockets.asyncio.messages:SimpleQueue.get": {
        "072aee182a28cdb535b9ae4491ab233f": "17.4",
    },
    "websockets.asyncio.messages:SimpleQueue.put": {
        "c99449c840bba7ee0a17bc542a0888aa": "17.4",
    },
    "websockets.frames:Frame.check": {
        "c18df5d9ade1cb6c6ed2492337c6c050": "17.4",
    },
    "websockets.frames:Frame.parse": {
        "39ae6a51632594e44ee31e0cfd180348": "17.4",
    },
    "websockets.frames:Frame.serialize": {
        "d43d882253d178b3e9c754307a6dd765": "17.4",
    },
    "websockets.protocol:Protocol.discard": {
        "29243c8fa91dba7178b9cda40eeeb7e5": "17.4",
    },
    "websockets.protocol:Protocol.fail": {
        "eac77d7d06dddf0771b6814d774eef78": "17.4",
    },
    "websockets.protocol:Protocol.parse": {
        "ff3d8174960ccc8dd1aadd1f34fbbf3d": "17.4",
    },
    "websockets.protocol:Protocol.receive_data": {
        "afee173caa4bb28e9384d7ef6f340bcb": "17.4",
    },
    "websockets.protocol:Protocol.recv_frame": {
        "4abc095acf1fb2827305585cdbba4ab3": "17.4",
    },
    "websockets.protocol:Protocol.send_frame": {
        "d8c935d51270daa6b5561040d116d2b2": "17.4",
    },
    "websockets.streams:StreamReader.at_eof": {
        "b7db9ab5537b12cf23b79a6bc9bd2af1": "17.4",
    },
    "websockets.streams:StreamReader.discard": {
        "8d38b555745603c5ceccab71b1811499": "17.4",
    },
    "websockets.streams:StreamReader.feed_data": {
        "49c833f2bc87b82d0d456b179e7170ab": "17.4",
    },
    "wsproto.connection:Connection.events": {
        "087bcb2e0fb4a4052095aa4042608b2b": "1.3.2",
    },
    "wsproto.connection:Connection.receive_data": {
        "f6047254dd68beb441ba28410813617d": "1.3.2",
    },
    "wsproto.connection:Connection.send": {
        "9f20975b9a40c721c7fc3cf39293cdbd": "1.3.2",
    },
    "wsproto.frame_protocol:XorMaskerSimple.process": {
        "9fa7761552147c2f8c39ad5fb650025e": "1.3.2",
    },
}
