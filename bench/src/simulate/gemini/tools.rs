//! Reading the functions offered and which of them are to be called
//! (https://ai.google.dev/gemini-api/docs/function-calling).

use serde_json::{Value, json};

use super::{
    ApiError,
    contents::Talk,
    proto::{self, Fields, get, join},
    schema,
};
use crate::simulate::plan;

/// The tools of a request.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// The functions: name and schema of the arguments.
    pub(super) functions: Vec<(String, Value)>,
    mode: Mode,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Auto,
    Any,
    None,
}

const TOOLS: &[&str] = &[
    "codeExecution",
    "computerUse",
    "fileSearch",
    "functionDeclarations",
    "googleMaps",
    "googleSearch",
    "googleSearchRetrieval",
    "mcpServers",
    "urlContext",
];
const FUNCTION: &[&str] = &[
    "behavior",
    "description",
    "name",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
];
/// Longest name.
const MAX_NAME: usize = 128;

/// Reads the tools of a request.
pub(super) fn read(fields: &Fields) -> Result<Tools, ApiError> {
    let mut tools = Tools::default();
    for (at, tool) in proto::list(fields, "tools").iter().enumerate() {
        let path = format!("tools[{at}]");
        let tool_fields = proto::message(tool, &path, "Tool")?;
        proto::only(tool_fields, &path, TOOLS)?;
        for (at, function) in proto::list(tool_fields, "functionDeclarations").iter().enumerate() {
            let path = format!("{path}.function_declarations[{at}]");
            tools.functions.push(declaration(function, &path)?);
        }
        tools.bytes += tool.to_string().len();
    }
    let Some(config) = get(fields, "toolConfig") else { return Ok(tools) };
    let config = proto::message(config, "tool_config", "ToolConfig")?;
    let known = ["functionCallingConfig", "includeServerSideToolInvocations", "retrievalConfig"];
    proto::only(config, "tool_config", &known)?;
    let Some(calling) = get(config, "functionCallingConfig") else { return Ok(tools) };
    let path = "tool_config.function_calling_config";
    let calling = proto::message(calling, path, "FunctionCallingConfig")?;
    proto::only(calling, path, &["mode", "allowedFunctionNames", "streamFunctionCallArguments"])?;
    let mode = proto::text(calling, path, "mode")?;
    tools.mode = match mode {
        "" | "AUTO" | "MODE_UNSPECIFIED" | "VALIDATED" => Mode::Auto,
        "ANY" => Mode::Any,
        "NONE" => Mode::None,
        other => {
            let kind = "type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode";
            let path = join(path, "mode");
            return Err(ApiError::payload(&path, format!("Invalid value at '{path}' ({kind}), \"{other}\"")));
        }
    };
    let allowed = proto::list(calling, "allowedFunctionNames");
    if tools.mode == Mode::Any && tools.functions.is_empty() {
        return Err(ApiError::invalid("Function calling config is set without function_declarations."));
    }
    if !allowed.is_empty() {
        if tools.mode != Mode::Any && mode != "VALIDATED" {
            let message = "Allowed function names should be set only when function calling mode is ANY.";
            return Err(ApiError::invalid(message));
        }
        tools.functions.retain(|(name, _)| allowed.iter().any(|one| one.as_str() == Some(name)));
        if tools.functions.len() < allowed.len() {
            return Err(ApiError::invalid("Allowed function names must be among the declared functions."));
        }
    }
    Ok(tools)
}

fn declaration(function: &Value, path: &str) -> Result<(String, Value), ApiError> {
    let fields = proto::message(function, path, "FunctionDeclaration")?;
    proto::only(fields, path, FUNCTION)?;
    let name = proto::text(fields, path, "name")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || name.len() > MAX_NAME || !name.bytes().all(is_plain) {
        let message = format!(
            "* GenerateContentRequest.{path}.name: Invalid function name. Must start with a letter or an underscore. \
             Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a \
             maximum length of 128.\n"
        );
        return Err(ApiError::invalid(message));
    }
    proto::text(fields, path, "description")?;
    let schema = match (get(fields, "parameters"), get(fields, "parametersJsonSchema")) {
        (Some(_), Some(_)) => {
            let message = "parameters and parameters_json_schema must not both be set";
            return Err(ApiError::invalid(format!("* GenerateContentRequest.{path}: {message}\n")));
        }
        (Some(own), None) => schema::read(own, &join(path, "parameters"))?,
        (None, Some(schema)) => schema.clone(),
        (None, None) => json!({"type": "object"}),
    };
    Ok((name.to_owned(), schema))
}

impl Tools {
    /// What they count in the prompt.
    pub(super) fn tokens(&self) -> usize {
        self.bytes.div_ceil(4)
    }

    /// The functions to be called: where one is demanded, and where the user spoke last and calls are allowed.
    pub(super) fn called(self, talk: &Talk) -> Option<Vec<(String, Value)>> {
        let asked = talk.user_last && talk.last_result.is_none();
        let calls = match self.mode {
            Mode::Any => true,
            Mode::Auto => asked,
            Mode::None => false,
        };
        (calls && !self.functions.is_empty()).then(|| plan::chosen(self.functions, &talk.last_user, true))
    }
}
