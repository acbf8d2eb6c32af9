//! `coo-llm demo`: the gateway with a simulated provider behind it.

use clap::Args;
use coo_bench::simulate;

use super::serve::{self, DriverChoice};
use crate::config::{self, ProcessEnv};

/// The client key of the demo. It is no secret: the gateway listens on loopback only.
const KEY: &str = "sk-demo-0123456789";

/// Options of `demo`.
#[derive(Args)]
pub struct Options {
    /// The port of the gateway on 127.0.0.1; 0 takes a free one.
    #[arg(long, short, default_value_t = 2906)]
    port: u16,
    /// Tokens per second of the simulated provider's streams; 0 is as fast as it can.
    #[arg(long, default_value_t = 40.0)]
    tokens_per_s: f64,
}

/// Runs the demo until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting, for a person to read.
pub fn run(options: &Options) -> Result<(), String> {
    let settings = simulate::Settings { tokens_per_s: options.tokens_per_s, ..simulate::Settings::default() };
    let provider =
        simulate::start(settings).map_err(|error| format!("cannot start the simulator: {error}"))?;
    let text = format!(
        "server: {{listen: '127.0.0.1:{}'}}
logging: {{access: {{enabled: true, path: '-'}}}}
llm_providers:
  - id: openai
    type: openai
    base_url: http://{}/v1
    api_keys: [sk-simulated-provider-key]
    models: [gpt-4o-mini, gpt-4o, text-embedding-3-small]
    pricing: {{input_token_cost: 0.15, output_token_cost: 0.60, currency: USD}}
api_keys:
  - {{id: demo, key: {KEY}, allowed_providers: ['*']}}
model_aliases: {{fast: 'openai:gpt-4o-mini'}}
",
        options.port,
        provider.addr()
    );
    let loaded = config::load_str("demo", &text, &ProcessEnv).map_err(|failed| failed.to_string())?;
    let result = serve::serve(&loaded.config, DriverChoice::Auto, explain);
    provider.stop();
    result
}

fn explain(addresses: &str) {
    let url = format!("http://{addresses}/v1");
    println!(
        "
COO-LLM is running at {url} with a simulated provider behind it. Try:

  curl -N {url}/chat/completions \\
    -H 'Authorization: Bearer {KEY}' -H 'Content-Type: application/json' \\
    -d '{{\"model\":\"openai:gpt-4o-mini\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello!\"}}]}}'

  pip install openai
  python3 - <<'PY'
  from openai import OpenAI
  client = OpenAI(base_url=\"{url}\", api_key=\"{KEY}\")
  for chunk in client.chat.completions.create(model=\"fast\", stream=True,
          messages=[{{\"role\": \"user\", \"content\": \"Hello!\"}}]):
      print(chunk.choices[0].delta.content or \"\", end=\"\", flush=True)
  PY

  curl -H 'Authorization: Bearer {KEY}' {url}/models
  curl http://{addresses}/metrics

Requests are logged below, one line each. Ctrl-C ends the demo.
"
    );
}
