// An MCP server made of the official SDK, over standard input and output, whose tools misbehave as they are told.
//
//   grow {name}, shrink {name}   a tool of that name comes or goes, and the list is announced as changed
//   meta {}                      what the request had as its _meta
//   env {}                       the names of the variables of its environment
//   long {bytes}, deep {levels}  a text of so many bytes, a value nested so deep
//   fail {text}, refuse {text}   a result that is an error, an error instead of a result
//   chatter {}                   lines that are no JSON before the result
//   hang {}, die {}              no result at all
//   child {fifo}                 starts a process that holds a file open for as long as it lives
//   any other                    its own name
//
// With the argument `--broken` it says why on its standard error and ends at once; with `--mute` it never answers.

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

if (process.argv.includes("--broken")) {
  console.error(`no licence for ${process.env.MOODY_KEY ?? "nobody"}`);
  process.exit(3);
}
if (process.argv.includes("--mute")) {
  await new Promise(() => setInterval(() => {}, 1 << 30));
}

const text = { type: "string" };
const number = { type: "integer" };
const tools = new Map(
  Object.entries({
    grow: { name: text },
    shrink: { name: text },
    meta: {},
    env: {},
    long: { bytes: number },
    deep: { levels: number },
    fail: { text },
    refuse: { text },
    chatter: {},
    hang: {},
    die: {},
    child: { fifo: text },
  }),
);

const server = new Server({ name: "moody", version: "1.0.0" }, { capabilities: { tools: { listChanged: true } } });

server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: [...tools].map(([name, properties]) => ({
    name,
    description: `does ${name}`,
    inputSchema: { type: "object", properties, required: Object.keys(properties) },
  })),
}));

const said = (text) => ({ content: [{ type: "text", text }] });

server.setRequestHandler(CallToolRequestSchema, async (request) => {
  const { name, arguments: given = {}, _meta: meta } = request.params;
  switch (name) {
    case "grow":
      tools.set(given.name, {});
      await server.sendToolListChanged();
      return said(`${given.name} is there`);
    case "shrink":
      tools.delete(given.name);
      await server.sendToolListChanged();
      return said(`${given.name} is gone`);
    case "meta":
      return { content: [], structuredContent: meta ?? {} };
    case "env":
      return { content: [], structuredContent: { names: Object.keys(process.env) } };
    case "long":
      return said("x".repeat(given.bytes));
    case "deep": {
      let value = { end: true };
      for (let level = 0; level < given.levels; level += 1) value = { in: value };
      return { content: [], structuredContent: value };
    }
    case "fail":
      return { ...said(given.text), isError: true };
    case "refuse":
      throw new Error(given.text);
    case "chatter":
      process.stdout.write('this is no JSON\n{"jsonrpc": 7}\n\n[[[\n');
      return said("all the same");
    case "hang":
      return new Promise(() => {});
    case "die":
      process.exit(1);
      return said("");
    case "child":
      {
        const fifo = openSync(given.fifo, "w");
        spawn("sleep", ["1000"], { stdio: ["ignore", fifo, "ignore"] });
        closeSync(fifo);
      }
      return said("it runs");
    default:
      if (!tools.has(name)) throw new Error(`no tool ${name}`);
      return said(name);
  }
});

await server.connect(new StdioServerTransport());
