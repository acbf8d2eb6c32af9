// The official OpenAI client for Node, unmodified, through a running gateway.
//
// Started by tests/sdk.rs, which sets BASE_URL, API_KEY and LIMITED_KEY (a client that may not use `openai`).
// Behind the gateway is the provider simulator: a model's name ending in `sim-NAME` chooses a fault.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const { BASE_URL: baseURL, API_KEY: apiKey, LIMITED_KEY } = process.env;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });
const CHAT = 'openai:gpt-4o-mini';
const EMBED = 'openai:text-embedding-3-small';
const messages = [{ role: 'user', content: 'Say hello.' }];
const PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg==';
const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city', 'days'],
    },
  },
};
const clock = {
  type: 'function',
  function: { name: 'get_time', parameters: { type: 'object', properties: { zone: { type: 'string' } } } },
};
const chat = (more) => client.chat.completions.create({ model: CHAT, messages, ...more });
const collect = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
};

test('chat', async () => {
  const answer = await chat({ temperature: 0 });
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.ok(answer.choices[0].message.content);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.equal(answer.usage.prompt_tokens_details.cached_tokens, 0);
  for (const model of ['fast', 'gpt-4o-mini']) assert.equal((await chat({ model })).model, 'gpt-4o-mini');
});

test('unicode', async () => {
  const content = 'Grüße, 世界! 🦀 \u2028 \\ " \t';
  const answer = await chat({ model: 'openai:sim-echo', messages: [{ role: 'user', content }] });
  assert.ok(answer.choices[0].message.content.includes(content));
});

test('streams hide usage unless it was asked for', async () => {
  const plain = await collect(await chat({ stream: true }));
  const text = plain.map((chunk) => chunk.choices[0].delta.content ?? '').join('');
  assert.equal(text, (await chat({})).choices[0].message.content);
  assert.ok(plain.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
  const asked = await collect(await chat({ stream: true, stream_options: { include_usage: true } }));
  const last = asked.at(-1);
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.completion_tokens > 0);
  assert.equal(last.usage.completion_tokens_details.reasoning_tokens, 0);
});

test('stream helper', async () => {
  const stream = client.chat.completions.stream({ model: CHAT, messages, stream_options: { include_usage: true } });
  let text = '';
  stream.on('content', (delta) => (text += delta));
  const final = await stream.finalChatCompletion();
  assert.ok(text);
  assert.equal(final.choices[0].message.content, text);
  assert.ok(final.usage.total_tokens > 0);
});

test('shapes of streams', async () => {
  for (const fault of ['split', 'burst', 'comments', 'no-done', 'no-blank', 'close-delimited']) {
    const chunks = await collect(await chat({ model: `openai:sim-${fault}`, stream: true }));
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop', fault);
  }
});

test('a cut stream is an error', async () => {
  for (const fault of ['cut', 'reset', 'stream-error']) {
    let seen = 0;
    await assert.rejects(
      async () => {
        for await (const _ of await chat({ model: `openai:sim-${fault}`, stream: true })) seen += 1;
      },
      (error) => error instanceof OpenAI.APIError && !(error instanceof OpenAI.APIConnectionError),
      fault,
    );
    assert.ok(seen > 0, `${fault}: what came before the cut arrived`);
  }
});

test('leaving a stream early is harmless', async () => {
  for (let i = 0; i < 3; i += 1) {
    for await (const _ of await chat({ model: 'openai:sim-slow', stream: true })) break;
  }
  assert.ok((await chat({})).choices.length);
});

test('tools: a round trip', async () => {
  const asking = [{ role: 'user', content: 'Use get_weather for Hanoi.' }];
  const asked = await chat({ messages: asking, tools: [clock, weather] });
  assert.equal(asked.choices[0].finish_reason, 'tool_calls');
  const [call] = asked.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'get_weather');
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)).sort(), ['city', 'days']);
  const told = [...asking, asked.choices[0].message, { role: 'tool', tool_call_id: call.id, content: '31 degrees' }];
  const answer = await chat({ messages: told, tools: [clock, weather] });
  assert.match(answer.choices[0].message.content, /31 degrees/);
});

test('tools: streamed calls accumulate to JSON', async () => {
  const calls = [];
  let pieces = 0;
  const asking = [{ role: 'user', content: 'Use get_weather and get_time.' }];
  for await (const chunk of await chat({ messages: asking, tools: [weather, clock], stream: true })) {
    for (const piece of chunk.choices[0].delta.tool_calls ?? []) {
      calls[piece.index] ??= { name: '', args: '' };
      calls[piece.index].name += piece.function.name ?? '';
      calls[piece.index].args += piece.function.arguments ?? '';
      pieces += 1;
    }
  }
  assert.deepEqual(calls.map((call) => call.name), ['get_weather', 'get_time']);
  assert.deepEqual(Object.keys(JSON.parse(calls[0].args)).sort(), ['city', 'days']);
  assert.deepEqual(Object.keys(JSON.parse(calls[1].args)), ['zone']);
  assert.ok(pieces > 4, 'arguments came in pieces');
});

test('tools: runTools calls our function', async () => {
  let asked;
  const runner = client.chat.completions.runTools({
    model: CHAT,
    messages: [{ role: 'user', content: 'get_weather' }],
    tools: [
      {
        type: 'function',
        function: {
          ...weather.function,
          parse: JSON.parse,
          function: (args) => {
            asked = args;
            return 'storm';
          },
        },
      },
    ],
  });
  assert.match(await runner.finalContent(), /storm/);
  assert.deepEqual(Object.keys(asked).sort(), ['city', 'days']);
});

test('vision parts', async () => {
  const content = [
    { type: 'text', text: 'What is this?' },
    { type: 'image_url', image_url: { url: PNG, detail: 'low' } },
  ];
  const answer = await chat({ messages: [{ role: 'user', content }] });
  assert.match(answer.choices[0].message.content, /^I see 1 image\./);
});

test('structured output', async () => {
  const Trip = z.object({
    title: z.string(),
    places: z.array(z.object({ city: z.string(), capital: z.boolean() })),
    note: z.string().nullable(),
  });
  const format = zodResponseFormat(Trip, 'trip');
  const answer = await client.chat.completions.parse({ model: CHAT, messages, response_format: format });
  assert.ok(Trip.parse(answer.choices[0].message.parsed).places.length);
  const stream = client.chat.completions.stream({ model: CHAT, messages, response_format: format });
  assert.ok(Trip.parse((await stream.finalChatCompletion()).choices[0].message.parsed));
});

test('embeddings: base64 and float agree', async () => {
  const input = ['one', 'two'];
  // Without a format the SDK asks for base64 and decodes it.
  const packed = await client.embeddings.create({ model: EMBED, input });
  const plain = await client.embeddings.create({ model: EMBED, input, encoding_format: 'float' });
  assert.equal(packed.data[0].embedding.length, 1536);
  for (const [at, { embedding }] of packed.data.entries()) {
    const off = embedding.map((x, i) => Math.abs(x - plain.data[at].embedding[i]));
    assert.ok(Math.max(...off) < 1e-6);
  }
  assert.ok(packed.usage.prompt_tokens > 0);
});

test('models', async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes(CHAT) && ids.includes('fast'));
  for (const id of ids) assert.equal((await client.models.retrieve(id)).id, id);
  await assert.rejects(client.models.retrieve('nothing'), OpenAI.NotFoundError);
});

test('raw responses', async () => {
  const { data, response, request_id } = await chat({}).withResponse();
  assert.equal(response.status, 200);
  assert.ok(request_id, "the provider's request id is passed on");
  assert.equal(data.object, 'chat.completion');
  assert.equal((await chat({}).asResponse()).headers.get('openai-organization'), null);
});

// Each class of error with a request that causes it: class, status, model, code or undefined for any.
const errors = [
  [OpenAI.BadRequestError, 400, 'openai:sim-error-400'],
  [OpenAI.BadRequestError, 400, 'openai:sim-error-context', 'context_length_exceeded'],
  [OpenAI.PermissionDeniedError, 403, 'openai:sim-error-403'],
  [OpenAI.NotFoundError, 404, 'openai:sim-error-404'],
  [OpenAI.NotFoundError, 404, 'no-provider-serves-this', 'model_not_found'],
  [OpenAI.ConflictError, 409, 'openai:sim-error-409'],
  [OpenAI.UnprocessableEntityError, 422, 'openai:sim-error-422'],
  [OpenAI.RateLimitError, 429, 'openai:sim-error-429', 'rate_limit_exceeded'],
  [OpenAI.RateLimitError, 429, 'openai:sim-error-quota', 'insufficient_quota'],
  [OpenAI.InternalServerError, 500, 'openai:sim-error-500'],
  [OpenAI.InternalServerError, 502, 'openai:sim-error-401', 'upstream_auth_rejected'],
  [OpenAI.InternalServerError, 502, 'openai:sim-cut', 'upstream_incomplete_response'],
  [OpenAI.InternalServerError, 504, 'openai:sim-stall', 'upstream_timeout'],
];

for (const [kind, status, model, code] of errors) {
  test(`error ${status} of ${model}`, async () => {
    await assert.rejects(chat({ model }), (error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.equal(error.status, status);
      if (code) assert.equal(error.code, code);
      return true;
    });
  });
}

test('errors of keys, bodies and time', async () => {
  const as = (key) => client.withOptions({ apiKey: key }).chat.completions.create({ model: CHAT, messages });
  await assert.rejects(as('sk-wrong'), OpenAI.AuthenticationError);
  await assert.rejects(as(LIMITED_KEY), OpenAI.PermissionDeniedError);
  await assert.rejects(chat({ messages: [] }), OpenAI.BadRequestError);
  await assert.rejects(
    client.chat.completions.create({ model: 'openai:sim-stall', messages }, { timeout: 300 }),
    OpenAI.APIConnectionTimeoutError,
  );
  const abort = new AbortController();
  const aborted = client.chat.completions.create({ model: 'openai:sim-stall', messages }, { signal: abort.signal });
  setTimeout(() => abort.abort(), 100);
  await assert.rejects(aborted, OpenAI.APIUserAbortError);
});
