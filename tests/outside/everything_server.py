"""An MCP server with everything that the conformance suite asks a server for, in both eras.

Enters: MCP over stdio, or with `--port N` over Streamable HTTP on loopback (0: any; the URL is the only line on standard
output). Leaves: the answers that the scenarios of `@modelcontextprotocol/conformance` describe for these tool, resource and
prompt names. Refuses: what the protocol wants refused; unknown tools, prompts and resources are -32602.

Two lists of servers' duties meet here. In the handshake era a tool asks its client inside the call (sampling, elicitation);
in the stateless era the same is an `input_required` result that the client answers with a second call.
"""

import argparse
import asyncio
import base64
import json
import socket
import warnings

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

# Logging and what else 2026-07-28 deprecates is what the older scenarios ask for.
warnings.simplefilter("ignore", MCPDeprecationWarning)

NAME = "mcplambda-everything"
VERSION = "1.0.0"

# One transparent pixel, and a WAV header with no samples behind it.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
SILENCE = base64.b64encode(
    b"RIFF" + (36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    + (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + (8000).to_bytes(4, "little") + (8000).to_bytes(4, "little")
    + (1).to_bytes(2, "little") + (8).to_bytes(2, "little") + b"data" + (0).to_bytes(4, "little")
).decode()

# Between two notifications of one call, so that a client can see that they come while the call runs.
PAUSE = 0.05

bus = InMemorySubscriptionBus()


def text(words):
    return types.TextContent(text=words)


def image():
    return types.ImageContent(data=PIXEL, mime_type="image/png")


def embedded(uri, words, mime_type="text/plain"):
    return types.EmbeddedResource(resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=words))


def an_object(required=(), **properties):
    """The JSON Schema of an object."""
    return {"type": "object", "properties": properties, "required": list(required)}


def form(message, schema):
    """An elicitation, as an input request."""
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt, max_tokens=50):
    """A request to the client's model, as an input request."""
    message = types.SamplingMessage(role="user", content=text(prompt))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def roots():
    return types.ListRootsRequest(params=types.RequestParams())


def ask(state=None, **requests):
    """The result that asks the client for input."""
    return types.InputRequiredResult(input_requests=requests, request_state=state)


def answered(params, key, kind):
    """The client's answer under `key`, if it is one of that kind."""
    answer = (params.input_responses or {}).get(key)
    return answer if isinstance(answer, kind) else None


YOUR_NAME = form("What is your name?", an_object(["name"], name={"type": "string"}))
CONFIRM = form("Please confirm", an_object(["ok"], ok={"type": "boolean"}))

# --- tools -------------------------------------------------------------------------------------------------------------

# name -> (types.Tool, handler). A handler is given the request's context and parameters and returns a content block, a list
# of them, or an InputRequiredResult. What it raises becomes a result with `isError`, an MCPError a JSON-RPC error.
TOOLS = {}


def tool(description, schema=None):
    def register(handler):
        described = types.Tool(
            name=handler.__name__,
            description=description,
            input_schema=schema or {"type": "object", "additionalProperties": False},
        )
        TOOLS[handler.__name__] = (described, handler)
        return handler

    return register


@tool("One text")
async def test_simple_text(ctx, params):
    return text("This is a simple text response for testing.")


@tool("One image")
async def test_image_content(ctx, params):
    return image()


@tool("One sound")
async def test_audio_content(ctx, params):
    return types.AudioContent(data=SILENCE, mime_type="audio/wav")


@tool("One resource inside the result")
async def test_embedded_resource(ctx, params):
    return embedded("test://embedded-resource", "This is an embedded resource content.")


@tool("A text, an image and a resource")
async def test_multiple_content_types(ctx, params):
    return [
        text("Multiple content types test:"),
        image(),
        embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
    ]


@tool("Always fails")
async def test_error_handling(ctx, params):
    raise RuntimeError("This tool intentionally returns an error for testing")


async def log(ctx, *lines):
    """Log notifications of one call, a pause between each two."""
    for number, line in enumerate(lines):
        if number:
            await asyncio.sleep(PAUSE)
        await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)


@tool("Three log lines, then a text")
async def test_tool_with_logging(ctx, params):
    await log(ctx, "Tool execution started", "Tool processing data", "Tool execution completed")
    return text("Logged three lines.")


@tool("A log line, which only a client that asked for it may see")
async def test_logging_tool(ctx, params):
    await log(ctx, "A line of the log")
    return text("Logged one line.")


@tool("Progress 0, 50 and 100, then a text")
async def test_tool_with_progress(ctx, params):
    for progress in (0, 50, 100):
        await ctx.session.report_progress(progress, 100, f"{progress} of 100")
        await asyncio.sleep(PAUSE)
    return text("Went from 0 to 100.")


@tool("Asks the client's model inside the call", an_object(["prompt"], prompt={"type": "string"}))
async def test_sampling(ctx, params):
    message = types.SamplingMessage(role="user", content=text(params.arguments["prompt"]))
    answer = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
    return text(f"LLM response: {getattr(answer.content, 'text', '')}")


async def elicit(ctx, message, schema):
    answer = await ctx.session.elicit_form(message, schema, ctx.request_id)
    return text(f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}")


@tool("Asks the user inside the call", an_object(["message"], message={"type": "string"}))
async def test_elicitation(ctx, params):
    words = {"type": "string"}
    return await elicit(ctx, params.arguments["message"], an_object(["username", "email"], username=words, email=words))


@tool("Asks the user with a default for each primitive type")
async def test_elicitation_sep1034_defaults(ctx, params):
    schema = an_object(
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    return await elicit(ctx, "Please check your data", schema)


@tool("Asks the user with each way to write an enumeration")
async def test_elicitation_sep1330_enums(ctx, params):
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)]
    schema = an_object(
        untitledSingle={"type": "string", "enum": options},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": options}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )
    return await elicit(ctx, "Please choose", schema)


@tool("Needs a client that offers its model")
async def test_missing_capability(ctx, params):
    offered = ctx.session.client_capabilities
    if offered is None or offered.sampling is None:
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "this tool needs a client with the capability sampling",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return text("The client offers sampling.")


@tool("Asks for a name, then greets")
async def test_input_required_result_elicitation(ctx, params):
    answer = answered(params, "user_name", types.ElicitResult)
    if answer is None or not answer.content:
        return ask(user_name=YOUR_NAME)
    return text(f"Hello, {answer.content.get('name')}!")


@tool("Asks for a name without ever sending a request of its own")
async def test_streaming_elicitation(ctx, params):
    return await test_input_required_result_elicitation(ctx, params)


@tool("Asks the client's model, then repeats it")
async def test_input_required_result_sampling(ctx, params):
    answer = answered(params, "capital_question", types.CreateMessageResult)
    if answer is None:
        return ask(capital_question=sample("What is the capital of France?", 100))
    return text(f"The model said: {getattr(answer.content, 'text', '')}")


@tool("Asks for the client's roots, then counts them")
async def test_input_required_result_list_roots(ctx, params):
    answer = answered(params, "client_roots", types.ListRootsResult)
    if answer is None:
        return ask(client_roots=roots())
    return text(f"Roots: {', '.join(str(root.uri) for root in answer.roots)}")


@tool("Asks for a confirmation and expects its own state back")
async def test_input_required_result_request_state(ctx, params):
    if answered(params, "confirm", types.ElicitResult) is None or params.request_state != "asked once":
        return ask("asked once", confirm=CONFIRM)
    return text("state-ok")


@tool("Expects its own state back unchanged")
async def test_input_required_result_tampered_state(ctx, params):
    # The boundary below refuses any state that this server did not seal.
    if params.request_state is None:
        return ask("sealed", confirm=CONFIRM)
    return text(f"The state came back: {params.request_state}")


@tool("Asks for three things at once")
async def test_input_required_result_multiple_inputs(ctx, params):
    wanted = {"user_name": YOUR_NAME, "greeting": sample("Generate a greeting"), "client_roots": roots()}
    if wanted.keys() <= (params.input_responses or {}).keys():
        return text("All three came.")
    return ask("three things", **wanted)


@tool("Asks twice, one after the other")
async def test_input_required_result_multi_round(ctx, params):
    step = json.loads(params.request_state) if params.request_state else {"step": 0}
    name = answered(params, "step1", types.ElicitResult)
    if step["step"] == 1 and name is not None:
        question = form("Step 2: What is your favorite color?", an_object(["color"], color={"type": "string"}))
        return ask(json.dumps({"step": 2, "name": (name.content or {}).get("name")}), step2=question)
    color = answered(params, "step2", types.ElicitResult)
    if step["step"] == 2 and color is not None:
        return text(f"{step['name']} likes {(color.content or {}).get('color')}.")
    question = form("Step 1: What is your name?", an_object(["name"], name={"type": "string"}))
    return ask(json.dumps({"step": 1}), step1=question)


@tool("Asks only for what the client said that it can")
async def test_input_required_result_capabilities(ctx, params):
    offered = ctx.session.client_capabilities or types.ClientCapabilities()
    wanted = {}
    if offered.sampling is not None:
        wanted["sampling"] = sample("Say hello")
    if offered.elicitation is not None:
        wanted["elicitation"] = YOUR_NAME
    return ask("by capability", **wanted)


@tool("Says that the list of tools changed")
async def test_trigger_tool_change(ctx, params):
    await bus.publish(ToolsListChanged())
    return text("Told all who listen.")


@tool("Says that the list of prompts changed")
async def test_trigger_prompt_change(ctx, params):
    await bus.publish(PromptsListChanged())
    return text("Told all who listen.")


@tool(
    "Has a schema with keywords of JSON Schema 2020-12",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {"$anchor": "addressDef", **an_object(street={"type": "string"}, city={"type": "string"})}
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema_2020_12_tool(ctx, params):
    return text(json.dumps(params.arguments))


@tool(
    "Has an argument that clients repeat in an HTTP header",
    an_object(region={"type": "string", "x-mcp-header": "Region"}),
)
async def test_x_mcp_header(ctx, params):
    return text(f"region={(params.arguments or {}).get('region')}")


async def list_tools(ctx, params):
    return types.ListToolsResult(tools=[described for described, _ in TOOLS.values()])


async def call_tool(ctx, params):
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"unknown tool: {params.name}")
    described, handler = TOOLS[params.name]
    arguments = params.arguments or {}
    missing = [name for name in described.input_schema.get("required", ()) if name not in arguments]
    try:
        if missing:
            raise ValueError(f"missing arguments: {', '.join(missing)}")
        result = await handler(ctx, params)
    except MCPError as error:
        # Of the codes, only that of a capability is meant for the client; a refusal of the client's is the tool's to report.
        if error.error.code == types.MISSING_REQUIRED_CLIENT_CAPABILITY:
            raise
        return types.CallToolResult(content=[text(error.error.message)], is_error=True)
    except (RuntimeError, ValueError) as error:
        return types.CallToolResult(content=[text(str(error))], is_error=True)
    if isinstance(result, types.InputRequiredResult):
        return result
    return types.CallToolResult(content=result if isinstance(result, list) else [result])


# --- resources ---------------------------------------------------------------------------------------------------------

RESOURCES = {
    "test://static-text": ("text/plain", "This is the content of the static text resource."),
    "test://static-binary": ("image/png", base64.b64decode(PIXEL)),
    "test://watched-resource": ("text/plain", "Nothing happened here yet."),
}
TEMPLATE = ("test://template/", "/data")


async def list_resources(ctx, params):
    return types.ListResourcesResult(
        resources=[
            types.Resource(uri=uri, name=uri.removeprefix("test://"), mime_type=mime_type)
            for uri, (mime_type, _) in RESOURCES.items()
        ]
    )


async def list_templates(ctx, params):
    template = types.ResourceTemplate(
        name="template", uri_template="{id}".join(TEMPLATE), mime_type="application/json"
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(ctx, params):
    uri = str(params.uri)
    before, after = TEMPLATE
    if uri in RESOURCES:
        mime_type, content = RESOURCES[uri]
    elif uri.startswith(before) and uri.endswith(after) and len(uri) > len(before) + len(after):
        name = uri.removeprefix(before).removesuffix(after)
        mime_type = "application/json"
        content = json.dumps({"id": name, "templateTest": True, "data": f"Data for ID: {name}"})
    else:
        raise MCPError(types.INVALID_PARAMS, "resource not found", {"uri": uri})
    if isinstance(content, bytes):
        blob = base64.b64encode(content).decode()
        contents = types.BlobResourceContents(uri=uri, mime_type=mime_type, blob=blob)
    else:
        contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=content)
    return types.ReadResourceResult(contents=[contents])


async def accept(ctx, params):
    """Log levels and subscriptions of the handshake era: accepted, and nothing follows from it."""
    return types.EmptyResult()


# --- prompts -----------------------------------------------------------------------------------------------------------

# name -> (names of the required arguments, the messages' contents as a function of the arguments)
PROMPTS = {
    "test_simple_prompt": ((), lambda given: [text("This is a simple prompt for testing.")]),
    "test_prompt_with_arguments": (
        ("arg1", "arg2"),
        lambda given: [text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'")],
    ),
    "test_prompt_with_embedded_resource": (
        ("resourceUri",),
        lambda given: [
            embedded(given["resourceUri"], "Embedded resource content for testing."),
            text("Please process the embedded resource above."),
        ],
    ),
    "test_prompt_with_image": ((), lambda given: [image(), text("Please analyze the image above.")]),
}
ASKING_PROMPT = "test_input_required_result_prompt"


async def list_prompts(ctx, params):
    prompts = [
        types.Prompt(
            name=name,
            description=f"Prompt {name}",
            arguments=[types.PromptArgument(name=argument, required=True) for argument in required],
        )
        for name, (required, _) in PROMPTS.items()
    ]
    return types.ListPromptsResult(prompts=[*prompts, types.Prompt(name=ASKING_PROMPT, description="Asks for context")])


async def get_prompt(ctx, params):
    given = params.arguments or {}
    if params.name == ASKING_PROMPT:
        answer = answered(params, "user_context", types.ElicitResult)
        if answer is None:
            schema = an_object(["context"], context={"type": "string"})
            return ask(user_context=form("What context should the prompt use?", schema))
        contents = [text(f"In the context of {(answer.content or {}).get('context')}.")]
    elif params.name in PROMPTS:
        required, contents_of = PROMPTS[params.name]
        missing = [argument for argument in required if argument not in given]
        if missing:
            raise MCPError(types.INVALID_PARAMS, f"missing arguments: {', '.join(missing)}")
        contents = contents_of(given)
    else:
        raise MCPError(types.INVALID_PARAMS, f"unknown prompt: {params.name}")
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=content) for content in contents])


async def complete(ctx, params):
    words = ["paris", "park", "party"]
    found = [word for word in words if word.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=found, total=len(found), has_more=False))


# --- server ------------------------------------------------------------------------------------------------------------


def make_server():
    server = Server(
        NAME,
        version=VERSION,
        instructions="Everything that the conformance suite asks for.",
        get_tool_input_schema=lambda name: TOOLS[name][0].input_schema if name in TOOLS else None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=accept,
        on_unsubscribe_resource=accept,
        on_subscriptions_listen=ListenHandler(bus),
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
        on_set_logging_level=accept,
    )
    # A key that all processes share: on Lambda the second call of a round may reach another one.
    key = b"everything_server: every process of this fixture seals alike"
    server.middleware.append(RequestStateBoundary(RequestStateSecurity(keys=[key]), default_audience=NAME))
    return server


async def serve_stdio():
    server = make_server()
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def serve_http(port):
    listener = socket.create_server(("127.0.0.1", port))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(make_server().streamable_http_app(), log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, help="serve Streamable HTTP on this port of 127.0.0.1 instead of stdio")
    port = parser.parse_args().port
    if port is None:
        asyncio.run(serve_stdio())
    else:
        serve_http(port)
