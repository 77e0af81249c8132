// One WebSocket client driven by commands, for a browser's WebSocket and for node's ws (which has
// the same interface). Messages cross to Python as {"text": …} or {"binary": base64}.

function encode(data) {
  if (typeof data === "string") return { text: data };
  let octets = "";
  for (const octet of new Uint8Array(data)) octets += String.fromCharCode(octet);
  return { binary: btoa(octets) };
}

export function decode(message) {
  if ("text" in message) return message.text;
  return Uint8Array.from(atob(message.binary), (octet) => octet.charCodeAt(0));
}

export class Client {
  // create(url, subprotocols) makes the socket.
  constructor(create) {
    this.create = create;
  }

  open({ url, subprotocols }) {
    const socket = this.create(url, subprotocols);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.received = [];
    this.waiting = [];
    this.closing = new Promise((resolve) => {
      socket.onclose = ({ code, reason, wasClean }) => {
        for (const waiter of this.waiting) waiter.reject(new Error(`closed: ${code} ${reason}`));
        resolve({ code, reason, clean: wasClean });
      };
    });
    socket.onmessage = ({ data }) => {
      const waiter = this.waiting.shift();
      if (waiter) waiter.resolve(encode(data));
      else this.received.push(encode(data));
    };
    return new Promise((resolve, reject) => {
      socket.onerror = (event) => reject(new Error(event.message || "the socket failed"));
      socket.onopen = () =>
        resolve({ extensions: socket.extensions, subprotocol: socket.protocol });
    });
  }

  send({ message }) {
    this.socket.send(decode(message));
  }

  receive() {
    if (this.received.length) return this.received.shift();
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  close({ code, reason }) {
    this.socket.close(code, reason);
    return this.closing;
  }

  closed() {
    return this.closing;
  }
}
