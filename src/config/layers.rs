//! Raw values: what each option was given, by the highest source that says anything, still as text.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use super::error::quote;
use super::options::{names_an_address, options};
use super::units::Refusal;
use super::{ConfigError, SUCCEED_VARIABLE};

const VARIABLE_PREFIX: &str = "RINGBACK_";

/// How alike two names must be for one to be a misspelling of the other (Jaro, 0 to 1).
const LIKENESS_MIN: f64 = 0.8;

/// Who said it; the later overrides the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Default,
    File,
    Environment,
    Flag,
}

/// What one option was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) values: Vec<String>,
    pub(super) level: Level,
    /// The flag, the variable, or the key and its file: what the operator has to look at.
    pub(super) source: String,
}

impl Given {
    pub(super) fn new(values: Vec<String>, level: Level, source: String) -> Self {
        Given {
            values,
            level,
            source,
        }
    }

    /// What is wrong with `value`, said of where it came from.
    pub(super) fn refuse(&self, value: &str, refusal: Refusal) -> ConfigError {
        let problem = format!("{} {}", quote(value), refusal.problem);
        ConfigError::new(self.source.as_str(), problem, refusal.remedy)
    }

    /// Every value; none may be empty.
    pub(super) fn words(&self) -> Result<&[String], ConfigError> {
        if self.values.iter().any(String::is_empty) {
            let remedy = "give it one, or leave the option out";
            return Err(ConfigError::new(
                self.source.as_str(),
                "has an empty value",
                remedy,
            ));
        }
        Ok(&self.values)
    }

    /// The only value, empty or not.
    pub(super) fn text(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    /// The only value, read by `meaning`.
    pub(super) fn read<T>(
        &self,
        meaning: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Result<T, ConfigError> {
        self.words()?;
        meaning(self.text()).map_err(|refusal| self.refuse(self.text(), refusal))
    }
}

/// Every option that was given something, by its name.
pub(super) type Layers = BTreeMap<String, Given>;

/// Lays flags over variables over the file over the defaults.
pub(super) fn gather(
    matches: &ArgMatches,
    environment: &[(String, String)],
    read_file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Layers, ConfigError> {
    let options = options();
    let mut layers = defaults(&options);
    let variables = variables(&options, environment)?;
    if let Some((path, source)) = config_path(matches, &variables)? {
        layers.extend(file(&options, &path, &source, read_file)?);
    }
    layers.extend(variables);
    layers.extend(flags(&options, matches));
    Ok(layers)
}

fn defaults(options: &[Arg]) -> Layers {
    let text = |value: &clap::builder::OsStr| value.to_string_lossy().into_owned();
    let said = |arg: &&Arg| !is_switch(arg) && !arg.get_default_values().is_empty();
    options
        .iter()
        .filter(said)
        .map(|arg| {
            let values = arg.get_default_values().iter().map(text).collect();
            let source = format!("--{}", name(arg));
            (
                name(arg).to_owned(),
                Given::new(values, Level::Default, source),
            )
        })
        .collect()
}

fn flags(options: &[Arg], matches: &ArgMatches) -> Layers {
    let said = |arg: &&Arg| matches.value_source(name(arg)) == Some(ValueSource::CommandLine);
    options
        .iter()
        .filter(said)
        .filter(|arg| name(arg) != "config")
        .map(|arg| {
            let (key, values) = match name(arg) {
                "no-pin" => ("pin", vec!["false".to_owned()]),
                name if is_switch(arg) => (name, vec!["true".to_owned()]),
                name => {
                    let values = matches.get_many::<String>(name).unwrap_or_default();
                    (name, values.flat_map(|value| split(arg, value)).collect())
                }
            };
            let source = format!("--{}", name(arg));
            (key.to_owned(), Given::new(values, Level::Flag, source))
        })
        .collect()
}

fn variables(options: &[Arg], environment: &[(String, String)]) -> Result<Layers, ConfigError> {
    environment
        .iter()
        .filter(|(variable, value)| {
            variable.starts_with(VARIABLE_PREFIX)
                && variable != SUCCEED_VARIABLE
                && !set_by_an_orchestrator(variable, value)
        })
        .map(|(variable, value)| {
            let known = options
                .iter()
                .find(|arg| *variable == variable_name(name(arg)));
            let Some(arg) = known.filter(|arg| name(arg) != "no-pin") else {
                let remedy = nearest(variable, "RINGBACK_PIN=false", options, variable_name);
                let problem = "is no variable of Ringback";
                return Err(ConfigError::new(variable.as_str(), problem, remedy));
            };
            let given = Given::new(split(arg, value), Level::Environment, variable.clone());
            Ok((name(arg).to_owned(), given))
        })
        .collect()
}

/// A Kubernetes service named `ringback` puts variables into every pod beside it whose names start
/// like ours: `RINGBACK_SERVICE_HOST`, `RINGBACK_SERVICE_PORT`, `RINGBACK_PORT=tcp://…`,
/// `RINGBACK_PORT_3000_TCP_ADDR`; a service `ringback-eu` has `RINGBACK_EU_…`.
fn set_by_an_orchestrator(variable: &str, value: &str) -> bool {
    let url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    variable.ends_with("_SERVICE_HOST")
        || variable.ends_with("_SERVICE_PORT")
        || variable.contains("_SERVICE_PORT_")
        || (variable.ends_with("_PORT") && url)
        || variable
            .rsplit_once("_PORT_")
            .is_some_and(|(_, rest)| is_port_and_transport(rest))
}

/// `3000_TCP` or `3000_TCP_ADDR`.
fn is_port_and_transport(text: &str) -> bool {
    let mut parts = text.split('_');
    parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
        && parts
            .next()
            .is_some_and(|name| ["TCP", "UDP", "SCTP"].contains(&name))
}

/// The file, and who named it.
fn config_path(
    matches: &ArgMatches,
    variables: &Layers,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let flag = matches
        .get_one::<OsString>("config")
        .map(|path| (PathBuf::from(path), "--config".to_owned()));
    let variable = variables
        .get("config")
        .map(|one| (one.text().into(), one.source.clone()));
    match flag.or(variable) {
        Some((path, source)) if path.as_os_str().is_empty() => Err(ConfigError::new(
            source,
            "names no file",
            "write the path of a TOML file",
        )),
        named => Ok(named),
    }
}

fn file(
    options: &[Arg],
    path: &Path,
    source: &str,
    read_file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Layers, ConfigError> {
    let shown = path.to_string_lossy();
    let contents = read_file(path).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" (os error").next().unwrap_or_default();
        let problem = format!("{} cannot be read ({reason})", quote(&shown));
        ConfigError::new(source, problem, "name a TOML file that this user may read")
    })?;
    let table = contents.parse::<toml::Table>().map_err(|error| {
        let before = error
            .span()
            .and_then(|span| contents.get(..span.start))
            .unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let reason = error.message().trim().replace('\n', ", ");
        let problem = format!("{} is not TOML in line {line} ({reason})", quote(&shown));
        ConfigError::new(
            source,
            problem,
            "write lines such as idle-timeout = \"30s\"",
        )
    })?;
    table
        .into_iter()
        .map(|(key, value)| entry(options, &shown, &key, value))
        .collect()
}

fn entry(
    options: &[Arg],
    file: &str,
    key: &str,
    value: toml::Value,
) -> Result<(String, Given), ConfigError> {
    let source = format!("{} in {file}", quote(key));
    if key == "config" {
        let remedy = "name one file, by --config or RINGBACK_CONFIG";
        return Err(ConfigError::new(source, "names another file", remedy));
    }
    let known = options
        .iter()
        .find(|arg| name(arg) == key)
        .filter(|_| key != "no-pin");
    let Some(arg) = known else {
        let remedy = nearest(key, "pin = false", options, str::to_owned);
        return Err(ConfigError::new(source, "is no option", remedy));
    };
    match values(arg, value) {
        Ok(values) => Ok((key.to_owned(), Given::new(values, Level::File, source))),
        Err(Refusal { problem, remedy }) => Err(ConfigError::new(source, problem, remedy)),
    }
}

/// The text of a TOML value, if it is of a kind that the option can have.
fn values(arg: &Arg, value: toml::Value) -> Result<Vec<String>, Refusal> {
    let kind = value.type_str();
    match value {
        toml::Value::Boolean(on) if is_switch(arg) => Ok(vec![on.to_string()]),
        _ if is_switch(arg) => Err(Refusal::new(
            format!("is of type {kind}"),
            "write true or false, without quotes",
        )),
        toml::Value::String(text) => Ok(split(arg, &text)),
        toml::Value::Integer(number) => Ok(vec![number.to_string()]),
        toml::Value::Array(items) if is_list(arg) => items
            .into_iter()
            .map(|item| match item {
                toml::Value::String(text) => Ok(text),
                other => Err(Refusal::new(
                    format!("lists a value of type {}", other.type_str()),
                    "write a list of texts in quotes",
                )),
            })
            .collect(),
        _ if is_list(arg) => Err(Refusal::new(
            format!("is of type {kind}"),
            "write a list of texts in quotes",
        )),
        _ => Err(Refusal::new(
            format!("is of type {kind}"),
            "write one text in quotes",
        )),
    }
}

fn name(arg: &Arg) -> &str {
    arg.get_id().as_str()
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

fn split(arg: &Arg, value: &str) -> Vec<String> {
    match is_list(arg) {
        true => value
            .split(',')
            .map(|item| item.trim().to_owned())
            .collect(),
        false => vec![value.to_owned()],
    }
}

fn variable_name(option: &str) -> String {
    format!(
        "{VARIABLE_PREFIX}{}",
        option.to_ascii_uppercase().replace('-', "_")
    )
}

/// What somebody who wrote `wrong` will have meant.
fn nearest(
    wrong: &str,
    instead_of_no_pin: &str,
    options: &[Arg],
    spelling: impl Fn(&str) -> String,
) -> String {
    let spellings = || options.iter().map(|arg| spelling(name(arg)));
    let own = |text: &str| {
        text.trim_start_matches(VARIABLE_PREFIX)
            .replace('_', "-")
            .to_lowercase()
    };
    let likeness = |known: &String| strsim::jaro(&own(wrong), &own(known));
    if names_an_address(&own(wrong)) {
        let listen = spelling("listen");
        return format!("write {listen}, which takes address and port");
    }
    match spellings().max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(known) if own(&known) == "no-pin" && likeness(&known) > LIKENESS_MIN => {
            format!("write {instead_of_no_pin}")
        }
        Some(known) if likeness(&known) > LIKENESS_MIN => format!("write {known} if that is meant"),
        _ => "see ringback --help for all there are".to_owned(),
    }
}
