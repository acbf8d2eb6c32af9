//! From a file or text to a [`Config`], or to everything that is wrong with it.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::diagnostic::{Diagnostic, Failed, Severity};
use super::field::Section;
use super::limits;
use super::notices::{self, Notice};
use super::schema::Config;
use super::source::Source;
use super::validate::Names;
use super::{expand, keys, read, yaml};

/// The environment's variables. A trait, so that tests need not change the process's own.
pub trait Env {
    /// The value of a variable, if it is set and UTF-8.
    fn var(&self, name: &str) -> Option<String>;
}

/// The variables of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is hardly meant as written.
    pub warnings: Vec<Diagnostic>,
    /// What is not built yet, or worth knowing.
    pub notices: Vec<Notice>,
}

/// Where a configuration is looked for when nobody names one, as the original did.
const SEARCH_PATHS: [&str; 4] =
    ["configs/config.local.yaml", "configs/config.yaml", "config.local.yaml", "config.yaml"];

/// No configuration file was named and none was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// Where it was looked for.
    pub tried: Vec<PathBuf>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no configuration file: name one, set CONFIG_PATH, or create one of")?;
        for path in &self.tried {
            write!(f, "\n  {}", path.display())?;
        }
        Ok(())
    }
}

impl Error for NotFound {}

/// Decides which file to load: the one named, else `CONFIG_PATH`, else the first that exists of
/// the usual places. One that was named need not exist: loading it then says so.
pub fn find(explicit: Option<&Path>, env: &dyn Env) -> Result<PathBuf, NotFound> {
    if let Some(path) = explicit {
        return Ok(path.to_owned());
    }
    if let Some(path) = env.var("CONFIG_PATH").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let tried: Vec<PathBuf> = SEARCH_PATHS.iter().map(PathBuf::from).collect();
    match tried.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(NotFound { tried }),
    }
}

/// Loads a file. Paths in it are relative to its folder.
pub fn load_file(path: &Path, env: &dyn Env) -> Result<Loaded, Failed> {
    let name = path.display().to_string();
    let text = read_text(path).map_err(|message| outside(&name, message))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    load(&name, &text, folder, env)
}

/// Loads a text; `name` stands for the file in messages. Paths in it are relative to the
/// working directory.
pub fn load_str(name: &str, text: &str, env: &dyn Env) -> Result<Loaded, Failed> {
    if text.len() > limits::MAX_FILE_BYTES {
        return Err(outside(name, too_large()));
    }
    load(name, text, Path::new(""), env)
}

fn load(name: &str, text: &str, folder: &Path, env: &dyn Env) -> Result<Loaded, Failed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut source = Source::new(name, text);
    let mut parsed = yaml::parse(text);
    if let Some(root) = &mut parsed.root {
        expand::expand_tree(root, env);
        let ranges = keys::mark(root);
        source.set_ranges(ranges);
    }

    let cx = Context::new(&source, folder);
    for problem in &parsed.problems {
        cx.error(problem.at, "", problem.message.clone(), help_with(text, problem));
    }
    let root = parsed.root.as_ref().filter(|root| !root.is_null());
    let whole = match root {
        Some(root) => Section::of(&cx, root),
        None => Some(Section::empty(&cx)),
    };
    let broken = root.is_none() && !parsed.problems.is_empty();
    let Some(section) = whole.filter(|_| !broken) else {
        // Nothing below the text's own problem can be judged.
        return Err(Failed { diagnostics: cx.into_diagnostics() });
    };

    let config = {
        let (mut outside, mut names) = (Vec::new(), Names::default());
        let config = read::config(&section, env, &mut outside, &mut names);
        if let Some(root) = root {
            keys::check_unknown(root, &cx);
        }
        names.check();
        for (origin, message) in outside {
            cx.error_outside(&origin, message);
        }
        config
    };
    let diagnostics = cx.into_diagnostics();
    if diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return Err(Failed { diagnostics });
    }
    let notices = root.map(|root| notices::collect(root, &config));
    Ok(Loaded { config, warnings: diagnostics, notices: notices.unwrap_or_default() })
}

/// The usual cause of a YAML error in a line with a variable.
fn help_with(text: &str, problem: &yaml::Problem) -> Option<String> {
    let line = text.lines().nth(problem.at.line.checked_sub(1)?)?;
    let flow = line.find("${").filter(|at| line.get(..*at).is_some_and(|s| s.contains(['{', '['])));
    let help = "inside { } or [ ] a variable needs quotes: \"${NAME}\"";
    flow.map(|_| help.to_owned())
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let limit = limits::MAX_FILE_BYTES as u64 + 1;
        file.take(limit).read_to_end(&mut bytes)
    });
    read.map_err(|error| format!("cannot read the configuration: {error}"))?;
    if bytes.len() > limits::MAX_FILE_BYTES {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("the configuration is not UTF-8 text (byte {at})")
    })
}

fn too_large() -> String {
    let max = limits::MAX_FILE_BYTES;
    format!("the configuration is larger than {max} bytes")
}

fn outside(name: &str, message: String) -> Failed {
    Failed {
        diagnostics: vec![Diagnostic {
            severity: Severity::Error,
            file: name.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            message,
            suggestion: None,
            snippet: None,
        }],
    }
}
