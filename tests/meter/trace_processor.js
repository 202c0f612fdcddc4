// Runs Perfetto's trace processor outside a browser: `node trace_processor.js FOLDER < requests > replies`. FOLDER holds
// its engine and wasm, which expect to live in a web worker. Requests are TraceProcessorRpcStream messages, base64, one a
// line; replies are one such stream, as it comes.
"use strict";
const fs = require("fs");
const path = require("path");
const folder = process.argv[2];

class FileRequest {
  open(method, url) {
    this.file = path.join(folder, path.basename(url));
  }
  send() {
    const bytes = fs.readFileSync(this.file);
    this.status = 200;
    this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  }
}

globalThis.self = globalThis;
globalThis.location = { href: "http://localhost/engine_bundle.js" };
globalThis.WorkerGlobalScope = Object;
globalThis.importScripts = () => {};
globalThis.XMLHttpRequest = FileRequest;
console.log = console.error; // stdout carries the replies
const requests = fs.readFileSync(0);
const node = globalThis.process;
globalThis.process = undefined; // else the engine takes this for node, which it was not built for
(0, eval)(fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8"));
const port = { postMessage: (reply) => fs.writeSync(1, reply) };
self.onmessage({ data: port });
setImmediate(() => {
  for (const line of requests.toString().split("\n")) {
    port.onmessage({ data: new Uint8Array(Buffer.from(line, "base64")) });
  }
  node.exit(0);
});
