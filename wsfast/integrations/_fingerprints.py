"""Written by tests/hosts/fingerprints.py: the sources of hosts that the drivers were tested with.

Target → digest of its source (see ``_source.py``) → the versions that have it.
"""

KNOWN: dict[str, dict[str, str]] = {
    "simple_websocket.aiows:AioBase._handle_events": {
        "2bd50eb27c2513ec36c77d0e28fa40a0": "1.0.0-1.1.0",
    },
    "simple_websocket.ws:Base._handle_events": {
        "5a7e8e854afe59fed12c123741b254cd": "1.0.0-1.1.0",
    },
    "websockets.asyncio.connection:Connection.__aiter__": {
        "98f79af22d09cd7229de94f2f0187911": "15.0.1-17.4",
    },
    "websockets.asyncio.connection:Connection.data_received": {
        "75b9b3c3b11726e97b0118389b36a8ba": "15.0.1",
        "10d3a719254da8afa32fe55762bff693": "16.0-17.3",
        "be8d3e4974b7ea75f5c55399f3321867": "17.4",
    },
    "websockets.asyncio.connection:Connection.drain": {
        "b00ad008cb23cac37042e5aba2b84036": "15.0.1-17.4",
    },
    "websockets.asyncio.connection:Connection.process_event": {
        "f3a862f9a54854be3b96eda4436f651f": "15.0.1-16.1.1",
        "519093bc33148c7ff64d70b1d5da18f4": "17.0-17.4",
    },
    "websockets.asyncio.connection:Connection.recv": {
        "c957a39e41212f936d37b7aabee7ee86": "15.0.1-17.3",
        "c7d0c969307d653d8e9a62c347fa3268": "17.4",
    },
    "websockets.asyncio.connection:Connection.send": {
        "022809d16a0765d60bf23be7a1bdd0f8": "15.0.1",
        "bbec8de5def9eafff62dbcbdd3e3e56b": "16.0-16.1.1",
        "f9a66efad72c070b518e0111f79b21c1": "17.0-17.4",
    },
    "websockets.asyncio.connection:Connection.send_context": {
        "17a34d70f6bf44f86a17779711661a05": "15.0.1",
        "a680c80137e0fccf917fe2de8eaa8ab7": "16.0-16.1.1",
        "ace9332f2fac6955ab71c05e08a369a0": "17.0-17.3",
        "af369bcdbffbcb910ef20be6e9265dc0": "17.4",
    },
    "websockets.asyncio.connection:Connection.send_data": {
        "b15c5696428cdbbd0869c18728199a13": "15.0.1",
        "b628d3658c3c9e252a3d2a9730436d4f": "16.0-17.4",
    },
    "websockets.asyncio.connection:broadcast": {
        "47d6e676e0c21452a47eab3b740fc1af": "15.0.1",
        "88bd0501bf2914f0176c7676813b2726": "16.0",
        "54af8f2f664b6ece6fca8bb6f3cf202e": "16.1-16.1.1",
        "5fe5e45b4d464eaa11c7919ff018fa5a": "17.0-17.4",
    },
    "websockets.asyncio.messages:Assembler.get": {
        "6d071e392d6fd418d3edba1e5690649a": "15.0.1-16.1.1",
        "71f153459a3ddcd50cfbf35f6797f9d4": "17.0-17.2",
        "16e962dd6c2851b7803b05a09fa5e4ce": "17.3",
        "49d549570005907d3102db7e53f0e2f8": "17.4",
    },
    "websockets.asyncio.messages:Assembler.maybe_resume": {
        "57a59b162765093eea9198c3ec4a7fc3": "15.0.1-17.4",
    },
    "websockets.asyncio.messages:Assembler.put": {
        "428978d116c63df2074cbc527c198f65": "15.0.1-17.4",
    },
    "websockets.asyncio.messages:SimpleQueue.get": {
        "072aee182a28cdb535b9ae4491ab233f": "15.0.1-17.4",
    },
    "websockets.asyncio.messages:SimpleQueue.put": {
        "c99449c840bba7ee0a17bc542a0888aa": "15.0.1-17.4",
    },
    "websockets.asyncio.server:broadcast": {
        "47d6e676e0c21452a47eab3b740fc1af": "15.0.1",
        "88bd0501bf2914f0176c7676813b2726": "16.0",
        "54af8f2f664b6ece6fca8bb6f3cf202e": "16.1-16.1.1",
        "5fe5e45b4d464eaa11c7919ff018fa5a": "17.0-17.4",
    },
    "websockets.extensions.permessage_deflate:PerMessageDeflate.__init__": {
        "949623ab2f102380e3df30065163ae65": "15.0.1-17.1",
        "c3f6416f3a4de5d4483f6d73bbb6ee3f": "17.2-17.4",
    },
    "websockets.extensions.permessage_deflate:PerMessageDeflate.encode": {
        "b93b078fe36c4a7ed04bc190793cea5f": "15.0.1",
        "0c14552065fe9c044c8035d6d58b5486": "16.0-16.1.1",
        "0ed531f1f9383efe87e22bee477e4ffd": "17.0-17.4",
    },
    "websockets.frames:Frame.check": {
        "c18df5d9ade1cb6c6ed2492337c6c050": "15.0.1-17.4",
    },
    "websockets.frames:Frame.parse": {
        "0f0313825512def69a4d2a14408b330f": "15.0.1",
        "39ae6a51632594e44ee31e0cfd180348": "16.0-17.4",
    },
    "websockets.frames:Frame.serialize": {
        "c99afc015e9506b82a4c19b3122d9f10": "15.0.1",
        "d43d882253d178b3e9c754307a6dd765": "16.0-17.4",
    },
    "websockets.protocol:Protocol.discard": {
        "9201928d6ed4a0d2042322bd6d15b249": "15.0.1-16.1.1",
        "29243c8fa91dba7178b9cda40eeeb7e5": "17.0-17.4",
    },
    "websockets.protocol:Protocol.fail": {
        "576cb3345a53648664771edab7903193": "15.0.1",
        "3ffdc452a1bf911c746c4e848e9643e5": "16.0-16.1.1",
        "eac77d7d06dddf0771b6814d774eef78": "17.0-17.4",
    },
    "websockets.protocol:Protocol.parse": {
        "117380c82a0fa97516c4209338d4d9b1": "15.0.1",
        "ff3d8174960ccc8dd1aadd1f34fbbf3d": "16.0-17.4",
    },
    "websockets.protocol:Protocol.receive_data": {
        "78ae9aa10f3c3cd41e9af2be33917eef": "15.0.1",
        "afee173caa4bb28e9384d7ef6f340bcb": "16.0-17.4",
    },
    "websockets.protocol:Protocol.recv_frame": {
        "4cfe57616655e3b9a35179dc1adefe09": "15.0.1",
        "0690986e403698805b0ab371b03fec8e": "16.0-16.1.1",
        "4abc095acf1fb2827305585cdbba4ab3": "17.0-17.4",
    },
    "websockets.protocol:Protocol.send_frame": {
        "d8c935d51270daa6b5561040d116d2b2": "15.0.1-17.4",
    },
    "websockets.streams:StreamReader.at_eof": {
        "b7db9ab5537b12cf23b79a6bc9bd2af1": "15.0.1-17.4",
    },
    "websockets.streams:StreamReader.discard": {
        "8d38b555745603c5ceccab71b1811499": "15.0.1-17.4",
    },
    "websockets.streams:StreamReader.feed_data": {
        "388a83790611701f93ef2802e00ddb3d": "15.0.1",
        "49c833f2bc87b82d0d456b179e7170ab": "16.0-17.4",
    },
    "wsproto.connection:Connection.events": {
        "30fc9c94e5e5f818ec508da6a77a7ca5": "1.2.0",
        "54a8245d8c70ebe03f38f16c395ea2c1": "1.3.0-1.3.1",
        "087bcb2e0fb4a4052095aa4042608b2b": "1.3.2",
    },
    "wsproto.connection:Connection.receive_data": {
        "b8e6b8c235586ad82e486abc9da54a0c": "1.2.0",
        "f6047254dd68beb441ba28410813617d": "1.3.0-1.3.2",
    },
    "wsproto.connection:Connection.send": {
        "9de167c34aad16f8203dc99baca358a2": "1.2.0",
        "9f20975b9a40c721c7fc3cf39293cdbd": "1.3.0-1.3.2",
    },
    "wsproto.connection:Connection.state": {
        "60d24c66cb4eee01fc7a065cee791a59": "1.2.0-1.3.2",
    },
    "wsproto.connection:ConnectionState": {
        "7d1a09c1ab5bfc7afa50017871cd42b8": "1.2.0-1.3.2",
    },
    "wsproto.events:BytesMessage": {
        "d4e45bc3f5ec7f93b58d9a5a7dc183d5": "1.2.0",
        "611f1e665610e7f62a87ee7997ed4606": "1.3.0-1.3.1",
        "80753c27f8a95bde546912a2ae94edc3": "1.3.2",
    },
    "wsproto.events:CloseConnection": {
        "0335b37e45913418d6d92a6800901289": "1.2.0",
        "9accb43ac6b2f680af446c96b095f7c8": "1.3.0-1.3.2",
    },
    "wsproto.events:Message": {
        "c902bb2d6ccd069899b85045e14e3ca3": "1.2.0-1.3.2",
    },
    "wsproto.events:Ping": {
        "570868d4652f517c4f60c0acd99aae97": "1.2.0",
        "28fbeb353c1b68f8efe0aae3359e5b0c": "1.3.0-1.3.2",
    },
    "wsproto.events:Pong": {
        "215af73b13975596825cf7acf8c8a615": "1.2.0-1.3.2",
    },
    "wsproto.events:TextMessage": {
        "9a93fedabfcf8b681aceb5c18e44276c": "1.2.0-1.3.1",
        "88efbe6e1e33d69a57cc80777eb667e3": "1.3.2",
    },
    "wsproto.extensions:PerMessageDeflate": {
        "730187038f1249e174e62e8e31c32e27": "1.2.0",
        "b6b8243d5d8f74775592c0f926f2e32f": "1.3.0-1.3.2",
    },
    "wsproto.frame_protocol:Buffer": {
        "6f2f9674e911e167c8b0fee465acdce6": "1.2.0",
        "0b35954463843e1a5adf5a989669403d": "1.3.0-1.3.2",
    },
    "wsproto.frame_protocol:Frame": {
        "e5186ddc635c2b0f25dadc8039637740": "1.2.0",
        "11559898b4ecae8460dac34a340c9ba8": "1.3.0-1.3.2",
    },
    "wsproto.frame_protocol:FrameDecoder": {
        "26e96c3e402567fb7fc4be626aedbf6f": "1.2.0",
        "42e49ae043ad01860d33c63e10a32e03": "1.3.0-1.3.2",
    },
    "wsproto.frame_protocol:FrameProtocol": {
        "c1a9935b31b8a8d83d95aedce061d037": "1.2.0",
        "1362a66dfab195d758898ad6d2c1d4da": "1.3.0-1.3.2",
    },
    "wsproto.frame_protocol:Header": {
        "60df8ad2fff04a388e4a46a8097f47c7": "1.2.0",
        "12d5b2f5f0059c0b13231a77e450dd9a": "1.3.0-1.3.2",
    },
    "wsproto.frame_protocol:MessageDecoder": {
        "f9880ffecdd15eaf8011d583a2b543db": "1.2.0",
        "1e8bbb5186d6c6544b3a92cdfbc32a19": "1.3.0-1.3.2",
    },
    "wsproto.frame_protocol:Opcode": {
        "6cc3373d4ab78420dd4e45ee37af7070": "1.2.0-1.3.2",
    },
    "wsproto.frame_protocol:RsvBits": {
        "492d7bc3b9dbadf53232fbe012cb93e5": "1.2.0-1.3.2",
    },
    "wsproto.frame_protocol:XorMaskerNull": {
        "791ede5da76dbcaccf35a1d75967818e": "1.2.0",
        "8ce6fb3cdad621dae6bd342fc25c7595": "1.3.0-1.3.2",
    },
    "wsproto.frame_protocol:XorMaskerSimple": {
        "50d70fa6e0c43285bebd2f319cf9e610": "1.2.0",
        "5e609a1a32326dae444ed3f52484a36e": "1.3.0-1.3.2",
    },
    "wsproto.frame_protocol:XorMaskerSimple.process": {
        "ced1e11e28a49d34915109b8494523b6": "1.2.0",
        "9fa7761552147c2f8c39ad5fb650025e": "1.3.0-1.3.2",
    },
    "wsproto.handshake:H11Handshake.events": {
        "85cdf680fd3e5e9cb49ddb5088522d7d": "1.2.0-1.3.2",
    },
    "wsproto:WSConnection.events": {
        "a7ff3e8a524a506b29747f32778a0be2": "1.2.0-1.3.2",
    },
}
