//! Reading the tools offered and which of them are to be called
//! (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview).

use serde_json::Value;

use super::{
    ApiError,
    blocks::Talk,
    validate::{self, Fields, join, present},
};
use crate::simulate::plan;

/// The tools of a request.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// Those of the client: name and schema of the input.
    own: Vec<(String, Value)>,
    choice: Choice,
    parallel: bool,
    bytes: usize,
}

#[derive(Debug, Default)]
enum Choice {
    #[default]
    Auto,
    None,
    Any,
    Tool(String),
}

/// The fields of a tool of the client.
const KNOWN: &[&str] = &[
    "allowed_callers",
    "cache_control",
    "defer_loading",
    "description",
    "eager_input_streaming",
    "input_examples",
    "input_schema",
    "name",
    "strict",
    "type",
];
/// Longest name.
const MAX_NAME: usize = 128;

/// Reads the tools of a request.
pub(super) fn read(fields: &Fields) -> Result<Tools, ApiError> {
    let mut tools = Tools { parallel: true, ..Tools::default() };
    let mut all = 0;
    if let Some(value) = present(fields, "tools") {
        for (at, tool) in validate::list(value, "tools")?.iter().enumerate() {
            let path = format!("tools.{at}");
            let fields = validate::object(tool, &path)?;
            all += 1;
            // Others are run by Anthropic.
            if present(fields, "type").is_none_or(|kind| kind == "custom") {
                let (name, schema) = custom(fields, &join(&path, "custom"))?;
                if tools.own.iter().any(|(other, _)| *other == name) {
                    return Err(ApiError::at("tools", "Tool names must be unique."));
                }
                tools.own.push((name, schema));
            }
            tools.bytes += tool.to_string().len();
        }
    }
    if let Some(value) = present(fields, "tool_choice") {
        let choice = validate::object(value, "tool_choice")?;
        let kind = validate::required(choice, "tool_choice", "type")?;
        let kind = validate::one_of(kind, "tool_choice.type", &["any", "auto", "none", "tool"])?;
        let path = join("tool_choice", kind);
        let extra = match kind {
            "none" => "type",
            "tool" => "name",
            _ => "disable_parallel_tool_use",
        };
        let known =
            if kind == "none" { &["type"][..] } else { &["type", "disable_parallel_tool_use", extra] };
        validate::only(choice, &path, known)?;
        if all == 0 {
            return Err(ApiError::invalid("tool_choice may only be specified while providing tools"));
        }
        tools.parallel = !validate::boolean(choice, &path, "disable_parallel_tool_use")?.unwrap_or(false);
        tools.choice = match kind {
            "none" => Choice::None,
            "any" => Choice::Any,
            "tool" => {
                let name = validate::text(choice, &path, "name")?;
                if !tools.own.iter().any(|(tool, _)| tool == name) {
                    return Err(ApiError::invalid(format!("Tool '{name}' not found in provided tools")));
                }
                Choice::Tool(name.to_owned())
            }
            _ => Choice::Auto,
        };
    }
    Ok(tools)
}

fn custom(fields: &Fields, path: &str) -> Result<(String, Value), ApiError> {
    validate::only(fields, path, KNOWN)?;
    let name = validate::text(fields, path, "name")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) {
        let message = "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'";
        return Err(ApiError::at(&join(path, "name"), message));
    }
    if let Some(description) = present(fields, "description") {
        validate::string(description, &join(path, "description"))?;
    }
    let schema = validate::required(fields, path, "input_schema")?;
    let path = join(path, "input_schema");
    let kind = validate::required(validate::object(schema, &path)?, &path, "type")?;
    validate::one_of(kind, &join(&path, "type"), &["object"])?;
    Ok((name.to_owned(), schema.clone()))
}

impl Tools {
    /// What they count in the prompt.
    pub(super) fn tokens(&self) -> usize {
        self.bytes.div_ceil(4)
    }

    /// Whether the answer must be a call.
    pub(super) fn is_forced(&self) -> bool {
        matches!(self.choice, Choice::Any | Choice::Tool(_))
    }

    /// The tools to be called: where one is demanded, and where the user spoke last and calls are allowed.
    pub(super) fn called(self, talk: &Talk) -> Option<Vec<(String, Value)>> {
        let asked = talk.user_last && talk.last_result.is_none();
        match self.choice {
            _ if self.own.is_empty() => None,
            Choice::Tool(name) => Some(self.own.into_iter().filter(|(tool, _)| *tool == name).collect()),
            Choice::Any => Some(plan::chosen(self.own, &talk.last_user, self.parallel)),
            Choice::Auto if asked => Some(plan::chosen(self.own, &talk.last_user, self.parallel)),
            Choice::Auto | Choice::None => None,
        }
    }
}
