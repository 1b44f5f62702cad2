// The TypeScript SDK's clients: `typescript.mjs http URL` for version 1, `typescript.mjs auto|legacy URL` for version 2; with what
// the old library brings `typescript.mjs invoke FUNCTION` over Lambda's API and `typescript.mjs signed URL` with AWS's signature.
// It has to lie beside the node_modules that holds them.
//
// Leaves one line of JSON on standard output: what it saw, under the names that `test_clients.py` compares.

const [way, target] = process.argv.slice(2);
const identity = { name: "outside", version: "1.0.0" };
const region = "us-east-1";

async function version1() {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const client = new Client(identity, { capabilities: {} });
  let transport;
  if (way === "http") {
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    transport = new StreamableHTTPClientTransport(new URL(target));
  } else {
    const old = await import("@aws/run-mcp-servers-with-aws-lambda");
    transport =
      way === "invoke"
        ? new old.LambdaFunctionClientTransport({ functionName: target, regionName: region })
        : new old.StreamableHTTPClientWithSigV4Transport(new URL(target), { region, service: "lambda" });
  }
  // This version tells its transport which protocol was agreed on, and nobody else.
  let protocol = null;
  const agreed = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (version) => {
    protocol = version;
    agreed?.(version);
  };
  await client.connect(transport);
  return [client, protocol, (name, options) => client.callTool({ name, arguments: {} }, undefined, options)];
}

async function version2() {
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const client = new Client(identity, { capabilities: { elicitation: {} }, versionNegotiation: { mode: way } });
  client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { name: "Ada" } }));
  await client.connect(new StreamableHTTPClientTransport(new URL(target)));
  const call = (name, options) => client.callTool({ name, arguments: {} }, options);
  return [client, client.getNegotiatedProtocolVersion(), call];
}

const [client, protocol, call] = await (way === "auto" || way === "legacy" ? version2() : version1());
const progress = [];
const onprogress = ({ progress: done, total, message }) => progress.push([done, total, message]);

const { tools } = await client.listTools();
const text = await call("test_simple_text");
const slow = await call("test_tool_with_progress", { onprogress });
const failed = await call("test_error_handling");
// The client answers the question, and calls again with the answer.
const asked = way === "auto" ? (await call("test_input_required_result_elicitation")).content[0].text : null;
let refused;
try {
  refused = JSON.stringify(await call("no_such_tool"));
} catch (error) {
  refused = [error.code, error.message];
}
const seen = {
  protocol,
  server: client.getServerVersion().name,
  tools: tools.map((tool) => tool.name),
  text: text.content[0].text,
  progress,
  slow: slow.content[0].text,
  failed: [failed.isError, failed.content[0].text],
  asked,
  refused,
};
await client.close();
console.log(JSON.stringify(seen));
