"""Official clients and LangChain's, unmodified, each to each provider that speaks another dialect, through a gateway.

Started by tests/sdk.rs, which sets GATEWAY (the gateway's address), SIMULATOR (the providers') and API_KEY. What comes
back is compared with what the same provider answers to its own client. Prints a table of what was tried; a hole says
why.
"""

import base64
import json
import os
import unittest

import anthropic
import cohere
import langchain_openai
import openai
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

GATEWAY = os.environ["GATEWAY"]
SIMULATOR = os.environ["SIMULATOR"]
API_KEY = os.environ["API_KEY"]
MODELS = {
    "openai": "gpt-4o-mini", "claude": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash",
    "cohere": "command-a-03-2025", "azure": "gpt-4o-mini", "vertex": "gemini-2.5-flash",
    "vertex-claude": "claude-sonnet-4-5@20250929", "replicate": "meta/meta-llama-3-70b-instruct",
    "bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "mistral": "mistral-small-latest", "grok": "grok-3-mini", "openrouter": "anthropic/claude-sonnet-4.5",
    "together": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "fireworks": "accounts/fireworks/models/llama-v3p3-70b-instruct",
    "huggingface": "meta-llama/Llama-3.3-70B-Instruct",
}
# Those that have other people's models speak like them: what is their own is how a request gets there. So they are
# tried with less.
LESS = {"plain", "stream", "tools", "streamed tools", "tool loop", "usage", "error 400", "error 429"}
REDUCED = {"azure": LESS, "vertex": LESS, "vertex-claude": LESS}
# Those that speak OpenAI's each in their own way.
FAMILY = ["mistral", "grok", "openrouter", "together", "fireworks", "huggingface"]
REDUCED |= {provider: LESS | {"json_schema"} for provider in FAMILY}
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHx"
    "gljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg=="
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
UNICODE = "Größe 你好 😀 ́ \u2028 “quoted” \\ back"
CASES = [
    "plain", "stream", "tools", "streamed tools", "tool loop", "image", "json_schema", "max_tokens", "unicode",
    "usage", "system", "error 400", "error 429", "error 500",
]
# Together's word, which OpenAI's clients get as it is.
ENDS = {"eos": "stop"}
# (client, provider, case) that cannot be, and why.
HOLES = {}
DONE = {}


def asks_usage(model):
    """Whether a stream of OpenAI's clients asks for its usage, whose bytes go to the family as they are: Mistral refuses
    to be asked, and tells it in any case."""
    return not model.startswith("mistral:")


class OpenAiChat:
    name = "openai chat"

    def __init__(self, base=None):
        self.sdk = openai.OpenAI(base_url=base or f"http://{GATEWAY}/v1", api_key=API_KEY, max_retries=0, timeout=20)

    def ask(self, model, turns, stream=False, tools=False, schema=False, **more):
        messages = []
        for turn in turns:
            kind = turn[0]
            if kind in ("system", "user"):
                messages.append({"role": kind, "content": turn[1]})
            elif kind == "image":
                url = {"url": f"data:image/png;base64,{PNG}"}
                parts = [{"type": "text", "text": turn[1]}, {"type": "image_url", "image_url": url}]
                messages.append({"role": "user", "content": parts})
            elif kind == "call":
                function = {"name": turn[2], "arguments": json.dumps(turn[3])}
                calls = [{"id": turn[1], "type": "function", "function": function}]
                messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            elif kind == "result":
                messages.append({"role": "tool", "tool_call_id": turn[1], "content": turn[2]})
        if tools:
            function = {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}
            more["tools"] = [{"type": "function", "function": function}]
            more["tool_choice"] = "required" if tools == "must" else "auto"
        if schema:
            of = {"name": "trip", "schema": SCHEMA, "strict": True}
            more["response_format"] = {"type": "json_schema", "json_schema": of}
        if not stream:
            answer = self.sdk.chat.completions.create(model=model, messages=messages, **more)
            choice = answer.choices[0]
            calls = [(c.id, c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or []]
            usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
            end = ENDS.get(choice.finish_reason, choice.finish_reason)
            return {"text": choice.message.content or "", "calls": calls, "end": end, "usage": usage}
        text, calls, end, usage = "", {}, None, None
        if asks_usage(model):
            more["stream_options"] = {"include_usage": True}
        chunks = self.sdk.chat.completions.create(model=model, messages=messages, stream=True, **more)
        for chunk in chunks:
            if chunk.usage:
                usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for call in choice.delta.tool_calls or []:
                    known = calls.setdefault(call.index, ["", "", ""])
                    known[0] += call.id or ""
                    known[1] += call.function.name or ""
                    known[2] += call.function.arguments or ""
                end = choice.finish_reason or end
        calls = [(id, name, json.loads(arguments)) for id, name, arguments in calls.values()]
        return {"text": text, "calls": calls, "end": ENDS.get(end, end), "usage": usage}

    errors = (openai.BadRequestError, openai.RateLimitError, openai.InternalServerError)


class OpenAiResponses(OpenAiChat):
    name = "openai responses"

    def ask(self, model, turns, stream=False, tools=False, schema=False, **more):
        items = []
        for turn in turns:
            kind = turn[0]
            if kind in ("system", "user"):
                items.append({"role": kind, "content": turn[1]})
            elif kind == "image":
                image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
                items.append({"role": "user", "content": [{"type": "input_text", "text": turn[1]}, image]})
            elif kind == "call":
                call = {"type": "function_call", "call_id": turn[1], "name": turn[2], "arguments": json.dumps(turn[3])}
                items.append(call)
            elif kind == "result":
                items.append({"type": "function_call_output", "call_id": turn[1], "output": turn[2]})
        if tools:
            tool = {"type": "function", "name": "get_weather", "description": "w", "parameters": SCHEMA, "strict": False}
            more["tools"] = [tool]
            more["tool_choice"] = "required" if tools == "must" else "auto"
        if schema:
            more["text"] = {"format": {"type": "json_schema", "name": "trip", "schema": SCHEMA, "strict": True}}
        if "max_tokens" in more:
            more["max_output_tokens"] = more.pop("max_tokens")
        if stream:
            answer, text = None, ""
            for event in self.sdk.responses.create(model=model, input=items, stream=True, **more):
                if event.type == "response.output_text.delta":
                    text += event.delta
                if event.type in ("response.completed", "response.incomplete"):
                    answer = event.response
            assert answer is not None and answer.output_text == text, "deltas are the text"
        else:
            answer = self.sdk.responses.create(model=model, input=items, **more)
        found = [item for item in answer.output if item.type == "function_call"]
        calls = [(call.call_id, call.name, json.loads(call.arguments)) for call in found]
        end = "tool_calls" if calls else "length" if answer.status == "incomplete" else "stop"
        usage = (answer.usage.input_tokens, answer.usage.output_tokens)
        return {"text": answer.output_text, "calls": calls, "end": end, "usage": usage}


class Anthropic:
    name = "anthropic"

    def __init__(self, base=None):
        self.sdk = anthropic.Anthropic(base_url=base or f"http://{GATEWAY}", api_key=API_KEY, max_retries=0, timeout=20)

    def ask(self, model, turns, stream=False, tools=False, schema=False, **more):
        messages = []
        for turn in turns:
            kind = turn[0]
            if kind == "system":
                more["system"] = turn[1]
            elif kind == "user":
                messages.append({"role": "user", "content": turn[1]})
            elif kind == "image":
                source = {"type": "base64", "media_type": "image/png", "data": PNG}
                parts = [{"type": "text", "text": turn[1]}, {"type": "image", "source": source}]
                messages.append({"role": "user", "content": parts})
            elif kind == "call":
                use = {"type": "tool_use", "id": turn[1], "name": turn[2], "input": turn[3]}
                messages.append({"role": "assistant", "content": [use]})
            elif kind == "result":
                result = {"type": "tool_result", "tool_use_id": turn[1], "content": turn[2]}
                messages.append({"role": "user", "content": [result]})
        if tools:
            more["tools"] = [{"name": "get_weather", "description": "The weather.", "input_schema": SCHEMA}]
            more["tool_choice"] = {"type": "any" if tools == "must" else "auto"}
        more.setdefault("max_tokens", 1000)
        if stream:
            with self.sdk.messages.stream(model=model, messages=messages, **more) as events:
                text = "".join(events.text_stream)
                answer = events.get_final_message()
            assert text == "".join(b.text for b in answer.content if b.type == "text")
        else:
            answer = self.sdk.messages.create(model=model, messages=messages, **more)
        text = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"]
        ends = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
        usage = (answer.usage.input_tokens, answer.usage.output_tokens)
        return {"text": text, "calls": calls, "end": ends[answer.stop_reason], "usage": usage}

    errors = (anthropic.BadRequestError, anthropic.RateLimitError, anthropic.InternalServerError)


class Cohere:
    """Version 2 of Cohere's API."""

    name = "cohere"

    def __init__(self, base=None):
        self.sdk = cohere.ClientV2(api_key=API_KEY, base_url=base or f"http://{GATEWAY}", timeout=20)

    def ask(self, model, turns, stream=False, tools=False, schema=False, **more):
        messages = []
        for turn in turns:
            kind = turn[0]
            if kind in ("system", "user"):
                messages.append({"role": kind, "content": turn[1]})
            elif kind == "image":
                image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
                messages.append({"role": "user", "content": [{"type": "text", "text": turn[1]}, image]})
            elif kind == "call":
                function = {"name": turn[2], "arguments": json.dumps(turn[3])}
                calls = [{"id": turn[1], "type": "function", "function": function}]
                messages.append({"role": "assistant", "tool_plan": "I will look.", "tool_calls": calls})
            elif kind == "result":
                content = [{"type": "document", "document": {"data": {"result": turn[2]}}}]
                content = content if turn[2].isascii() else turn[2]  # as a text, too
                messages.append({"role": "tool", "tool_call_id": turn[1], "content": content})
        if tools:
            function = {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}
            more["tools"] = [{"type": "function", "function": function}]
            if tools == "must":
                more["tool_choice"] = "REQUIRED"
        if schema:
            more["response_format"] = {"type": "json_object", "json_schema": SCHEMA}
        asked = {"model": model, "messages": messages, "request_options": {"max_retries": 0}, **more}
        ends = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
        if not stream:
            answer = self.sdk.chat(**asked)
            text = "".join(block.text for block in answer.message.content or [] if block.type == "text")
            calls = [(c.id, c.function.name, json.loads(c.function.arguments)) for c in answer.message.tool_calls or []]
            usage = (answer.usage.tokens.input_tokens, answer.usage.tokens.output_tokens)
            return {"text": text, "calls": calls, "end": ends[answer.finish_reason], "usage": usage}
        text, calls, end, usage = "", {}, None, None
        for event in self.sdk.chat_stream(**asked):
            if event.type == "content-delta":
                text += event.delta.message.content.text or ""
            elif event.type == "tool-call-start":
                call = event.delta.message.tool_calls
                calls[event.index] = [call.id, call.function.name, call.function.arguments]
            elif event.type == "tool-call-delta":
                calls[event.index][2] += event.delta.message.tool_calls.function.arguments
            elif event.type == "message-end":
                end = ends[event.delta.finish_reason]
                usage = (event.delta.usage.tokens.input_tokens, event.delta.usage.tokens.output_tokens)
        calls = [(id, name, json.loads(arguments)) for id, name, arguments in calls.values()]
        return {"text": text, "calls": calls, "end": end, "usage": usage}

    errors = (cohere.BadRequestError, cohere.TooManyRequestsError, cohere.InternalServerError)


class LangChain:
    """ChatOpenAI, as those have it who build on LangChain: its own reading of answers and adding up of chunks."""

    name = "langchain"

    def __init__(self):
        os.environ["LANGSMITH_TRACING_V2"] = "false"  # else told to LangSmith where the environment says so
        self.settings = {"base_url": f"http://{GATEWAY}/v1", "api_key": API_KEY, "max_retries": 0, "timeout": 20}

    def ask(self, model, turns, stream=False, tools=False, schema=False, **more):
        chat = langchain_openai.ChatOpenAI(model=model, stream_usage=asks_usage(model), **self.settings, **more)
        messages = []
        for turn in turns:
            kind = turn[0]
            if kind == "system":
                messages.append(SystemMessage(turn[1]))
            elif kind == "user":
                messages.append(HumanMessage(turn[1]))
            elif kind == "image":
                image = {"type": "image", "base64": PNG, "mime_type": "image/png"}
                messages.append(HumanMessage([{"type": "text", "text": turn[1]}, image]))
            elif kind == "call":
                call = {"id": turn[1], "name": turn[2], "args": turn[3], "type": "tool_call"}
                messages.append(AIMessage("", tool_calls=[call]))
            elif kind == "result":
                messages.append(ToolMessage(turn[2], tool_call_id=turn[1]))
        if schema:
            # Checks the answer itself, and gives the message along.
            runs = chat.with_structured_output(
                {"title": "trip", "description": "A trip.", **SCHEMA}, method="json_schema", strict=True,
                include_raw=True,
            )
            answer = runs.invoke(messages)
            assert answer["parsing_error"] is None, answer["parsing_error"]
            assert answer["parsed"] == json.loads(answer["raw"].text)
            answer = answer["raw"]
        else:
            runs = chat
            if tools:
                tool = {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}
                runs = chat.bind_tools([tool], tool_choice="required" if tools == "must" else "auto")
            if stream:
                answer = None
                for chunk in runs.stream(messages):
                    answer = chunk if answer is None else answer + chunk
            else:
                answer = runs.invoke(messages)
        assert not answer.invalid_tool_calls, answer.invalid_tool_calls
        calls = [(call["id"], call["name"], call["args"]) for call in answer.tool_calls]
        usage = (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"])
        end = answer.response_metadata["finish_reason"]
        return {"text": answer.text, "calls": calls, "end": ENDS.get(end, end), "usage": usage}

    # What it raises are the kinds of OpenAI's client, or its own that are made of these.
    errors = OpenAiChat.errors


class GoogleGenai:
    name = "google-genai"

    def __init__(self):
        # One attempt is no retry.
        options = types.HttpOptions(
            base_url=f"http://{GATEWAY}", timeout=20_000, retry_options=types.HttpRetryOptions(attempts=1)
        )
        self.sdk = genai.Client(api_key=API_KEY, http_options=options, vertexai=False)

    def ask(self, model, turns, stream=False, tools=False, schema=False, max_tokens=None):
        contents, names, config = [], {}, {"max_output_tokens": max_tokens}
        for turn in turns:
            kind, role = turn[0], "model" if turn[0] == "call" else "user"
            if kind == "system":
                config["system_instruction"] = turn[1]
                continue
            if kind == "user":
                parts = [types.Part(text=turn[1])]
            elif kind == "image":
                image = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
                parts = [types.Part(text=turn[1]), image]
            elif kind == "call":
                names[turn[1]] = turn[2]
                parts = [types.Part(function_call=types.FunctionCall(id=turn[1], name=turn[2], args=turn[3]))]
            elif kind == "result":
                result = types.FunctionResponse(id=turn[1], name=names[turn[1]], response={"result": turn[2]})
                parts = [types.Part(function_response=result)]
            contents.append(types.Content(role=role, parts=parts))
        if tools:
            weather = types.FunctionDeclaration(
                name="get_weather", description="The weather.", parameters_json_schema=SCHEMA
            )
            config["tools"] = [types.Tool(function_declarations=[weather])]
            mode = types.FunctionCallingConfig(mode="ANY" if tools == "must" else "AUTO")
            config["tool_config"] = types.ToolConfig(function_calling_config=mode)
        if schema:
            kinds = {"city": types.Schema(type=types.Type.STRING), "days": types.Schema(type=types.Type.INTEGER)}
            config["response_mime_type"] = "application/json"
            config["response_schema"] = types.Schema(
                type=types.Type.OBJECT, properties=kinds, required=["city", "days"]
            )
        given = {"model": model, "contents": contents, "config": types.GenerateContentConfig(**config)}
        if stream:
            chunks = list(self.sdk.models.generate_content_stream(**given))
        else:
            chunks = [self.sdk.models.generate_content(**given)]
        parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
        text = "".join(part.text for part in parts if part.text and not part.thought)
        calls = [part.function_call for part in parts if part.function_call]
        calls = [(call.id, call.name, call.args) for call in calls]
        last = chunks[-1]
        ends = {types.FinishReason.STOP: "stop", types.FinishReason.MAX_TOKENS: "length"}
        end = ends[last.candidates[0].finish_reason]
        usage = (last.usage_metadata.prompt_token_count, last.usage_metadata.candidates_token_count)
        assert last.usage_metadata.total_token_count >= sum(usage) and last.response_id and last.model_version
        return {"text": text, "calls": calls, "end": "tool_calls" if calls else end, "usage": usage}

    errors = (genai_errors.ClientError, genai_errors.ServerError)


CLIENTS = [OpenAiChat, OpenAiResponses, Anthropic, GoogleGenai, Cohere, LangChain]
# Each provider by its own dialect; the answers of the others are those of the simulator's same generator.
OWN = {"openai": lambda: OpenAiChat(f"http://{SIMULATOR}/v1"), "claude": lambda: Anthropic(f"http://{SIMULATOR}")}
HELLO = [("user", "Say hello.")]


class Matrix(unittest.TestCase):
    def check(self, client, provider, case):
        # One provider may have models of several dialects.
        at, dialect = (provider.split("-") + [provider])[:2]
        model = f"{at}:{MODELS[provider]}"
        own = OWN.get(dialect, OWN["openai"])()
        own_model = MODELS[dialect] if dialect in OWN else MODELS["openai"]
        ask, direct = client.ask, own.ask
        if case in ("plain", "stream"):
            got = ask(model, HELLO, stream=case == "stream")
            self.assertEqual((got["text"], got["end"]), (direct(own_model, HELLO)["text"], "stop"))
        elif case in ("tools", "streamed tools"):
            got = ask(model, HELLO, stream=case != "tools", tools="must")
            self.assertEqual(got["end"], "tool_calls")
            ((_, name, arguments),) = got["calls"]
            self.assertEqual((name, set(arguments)), ("get_weather", {"city", "days"}))
            self.assertIsInstance(arguments["city"], str)
            self.assertIsInstance(arguments["days"], int)
        elif case == "tool loop":
            ((id, name, arguments),) = ask(model, HELLO, tools="must")["calls"]
            turns = HELLO + [("call", id, name, arguments), ("result", id, "23 degrees and clear")]
            for stream in (False, True):
                got = ask(model, turns, stream=stream, tools="may")
                self.assertIn("23 degrees and clear", got["text"])
                self.assertEqual(got["end"], "stop")
        elif case == "image":
            self.assertIn("1 image", ask(model, [("image", "What is it?")])["text"])
        elif case == "json_schema":
            got = json.loads(ask(model, HELLO, schema=True)["text"])
            self.assertEqual(set(got), {"city", "days"})
        elif case == "max_tokens":
            for stream in (False, True):
                got = ask(model, HELLO, stream=stream, max_tokens=5)
                self.assertEqual(got["end"], "length")
                self.assertLessEqual(got["usage"][1], 5)
        elif case == "unicode":
            ((id, name, arguments),) = ask(model, HELLO, tools="must")["calls"]
            turns = HELLO + [("call", id, name, arguments), ("result", id, UNICODE)]
            for stream in (False, True):
                self.assertIn(UNICODE, ask(model, turns, stream=stream, tools="may")["text"])
        elif case == "usage":
            whole, streamed = ask(model, HELLO)["usage"], ask(model, HELLO, stream=True)["usage"]
            self.assertTrue(all(count > 0 for count in whole), whole)
            self.assertEqual(whole[1], streamed[1])
        elif case == "system":
            turns = [("system", "Be brief."), ("user", "Say hello.")]
            self.assertEqual(ask(model, turns)["text"], direct(own_model, turns)["text"])
        else:
            status = int(case.split()[1])
            with self.assertRaises(client.errors) as raised:
                ask(f"{at}:{MODELS[provider]}-sim-error-{status}", HELLO)
            # Google's client has another name for it.
            code = getattr(raised.exception, "status_code", None) or raised.exception.code
            self.assertEqual(code, status)


class Thoughts(unittest.TestCase):
    def test_coheres_client_sends_claudes_thoughts_back(self):
        # With a budget Claude goes on after a call only where its thoughts come back with their signature.
        function = {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}
        asked = {
            "model": f"claude:{MODELS['claude']}", "thinking": {"type": "enabled", "token_budget": 1024},
            "tools": [{"type": "function", "function": function}], "request_options": {"max_retries": 0},
        }
        messages = [{"role": "user", "content": "Say hello."}]
        answer = Cohere().sdk.chat(messages=messages, **asked)
        self.assertEqual((answer.message.content[0].type, answer.finish_reason), ("thinking", "TOOL_CALL"))
        result = {"role": "tool", "tool_call_id": answer.message.tool_calls[0].id, "content": "23 degrees and clear"}
        answer = Cohere().sdk.chat(messages=[*messages, answer.message, result], **asked)
        self.assertIn("23 degrees and clear", answer.message.content[-1].text)


def add(kind, provider, case):
    def test(self):
        hole = HOLES.get((kind.name, provider, case))
        if hole:
            DONE[kind.name, provider, case] = f"- ({hole})"
            return
        DONE[kind.name, provider, case] = "FAIL"
        self.check(kind(), provider, case)
        DONE[kind.name, provider, case] = "ok"

    setattr(Matrix, f"test_{kind.name}_to_{provider}_{case}".replace(" ", "_"), test)


# Anthropic's clients have no parameter that every release knows for JSON by a schema.
for provider in MODELS:
    HOLES["anthropic", provider, "json_schema"] = "no such parameter in Messages"
for kind in CLIENTS:
    for case in ["tools", "streamed tools", "tool loop", "image", "json_schema", "unicode"]:
        HOLES[kind.name, "replicate", case] = "no functions, images or schemas"
    HOLES[kind.name, "replicate", "max_tokens"] = "not told why it ended"
for kind in CLIENTS:
    for provider in MODELS:
        for case in CASES:
            if case in REDUCED.get(provider, CASES):
                add(kind, provider, case)


def tearDownModule():
    width = max(map(len, CASES))
    for kind in CLIENTS:
        print(f"\n{kind.name:{width}} | " + " | ".join(f"{provider:13}" for provider in MODELS))
        for case in CASES:
            row = (DONE.get((kind.name, provider, case), "") for provider in MODELS)
            print(f"{case:{width}} | " + " | ".join(f"{cell:13}" for cell in row))


if __name__ == "__main__":
    unittest.main()
