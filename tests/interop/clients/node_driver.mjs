// node's `ws` behind client.mjs: one command per line on stdin, one answer per line on stdout, JSON.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { Client, decode } from "./client.mjs";

const [caFile] = process.argv.slice(2);
const options = { ca: readFileSync(caFile) };

class NodeClient extends Client {
  fragments({ messages }) {
    messages.forEach((message, index) =>
      this.socket.send(decode(message), { fin: index === messages.length - 1 }),
    );
  }

  ping({ payload }) {
    return new Promise((resolve) => {
      this.socket.once("pong", (data) => resolve(data.toString("base64")));
      this.socket.ping(Buffer.from(payload, "base64"));
    });
  }
}

const client = new NodeClient((url, subprotocols) => new WebSocket(url, subprotocols, options));
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...values } = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await client[command](values)) ?? null };
  } catch (error) {
    answer = { error: error.message };
  }
  console.log(JSON.stringify(answer));
}
process.exit(0);
