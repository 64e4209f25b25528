//! The suite file: what is measured, and for how long.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Parser as _;
use ringload::cli::{Command, Options};
use ringload::usage::{UsageError, first_line, make_room_for};
use serde::Deserialize;
use serde_json::Value;

use super::toml_file;

/// Options of the commands that the suite sets itself.
const OURS: [&str; 16] = [
    "json",
    "quiet",
    "csv",
    "histogram",
    "hdr-log",
    "server-pid",
    "cpu",
    "seed",
    "start-at",
    "first-visit",
    "protocol",
    "tls-ca",
    "tls-insecure",
    "threads",
    "help",
    "live",
];

/// A suite, as its file has it.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) title: String,
    /// Names of servers; `None` is all.
    pub(crate) servers: Option<Vec<String>>,
    pub(crate) baseline: Option<String>,
    pub(crate) workloads: Vec<Workload>,
}

/// One workload of it.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) title: String,
    pub(crate) rounds: u32,
    /// Names of servers; `None` is all of the suite's.
    pub(crate) servers: Option<Vec<String>>,
    pub(crate) tls: bool,
    /// Options of the command, by their long names.
    pub(crate) options: BTreeMap<String, Value>,
}

/// The command that measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// `ringload run`
    Run,
    /// `ringload storm`
    Storm,
    /// `ringload idle`
    Idle,
    /// `ringload knee`
    Knee,
}

impl Kind {
    /// The command's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Run => "run",
            Kind::Storm => "storm",
            Kind::Idle => "idle",
            Kind::Knee => "knee",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    title: String,
    rounds: u32,
    duration: Option<String>,
    warmup: Option<String>,
    servers: Option<Vec<String>>,
    baseline: Option<String>,
    workload: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    kind: Kind,
    title: String,
    rounds: Option<u32>,
    servers: Option<Vec<String>>,
    #[serde(default)]
    tls: bool,
    /// All the rest.
    #[serde(flatten)]
    options: BTreeMap<String, Value>,
}

impl Suite {
    /// Reads and checks a suite file.
    pub(crate) fn read(path: &Path) -> Result<Suite, UsageError> {
        let shown = path.file_name().unwrap_or_default().to_string_lossy();
        let file: File = toml_file::read(path, &shown)?;
        Suite::of(file).map_err(|why| UsageError(format!("{shown}: {why}")))
    }

    fn of(file: File) -> Result<Suite, String> {
        check_name(&file.name)?;
        let mut workloads: Vec<Workload> = Vec::new();
        for entry in file.workload {
            let name = entry.name.clone();
            if workloads.iter().any(|other| other.name == name) {
                return Err(format!("two workloads are called {name}"));
            }
            let mut options = entry.options;
            let defaults = [("duration", &file.duration), ("warmup", &file.warmup)];
            for (key, value) in defaults {
                let applies = match entry.kind {
                    Kind::Run | Kind::Storm => true,
                    Kind::Knee => key == "warmup",
                    Kind::Idle => false,
                };
                if let Some(value) = value.as_ref().filter(|_| applies) {
                    let value = Value::from(value.clone());
                    options.entry(key.to_owned()).or_insert(value);
                }
            }
            let workload = Workload {
                name: entry.name,
                kind: entry.kind,
                title: entry.title,
                rounds: entry.rounds.unwrap_or(file.rounds),
                servers: entry.servers,
                tls: entry.tls,
                options,
            };
            workload.check().map_err(|why| format!("{name}: {why}"))?;
            workloads.push(workload);
        }
        if workloads.is_empty() {
            return Err("there is no [[workload]]".to_owned());
        }
        Ok(Suite {
            name: file.name,
            title: file.title,
            servers: file.servers,
            baseline: file.baseline,
            workloads,
        })
    }
}

impl Workload {
    fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        if self.rounds == 0 {
            return Err("rounds is 0; give at least 1".to_owned());
        }
        if let Some(ours) = self.options.keys().find(|key| OURS.contains(&key.as_str())) {
            return Err(format!("{ours} is set by the suite itself"));
        }
        self.arguments()?;
        self.check_for("ws://127.0.0.1:1/")
    }

    /// The options as arguments.
    pub(crate) fn arguments(&self) -> Result<Vec<String>, String> {
        let mut arguments = Vec::new();
        for (key, value) in &self.options {
            let values = match value {
                Value::Array(values) => values.iter().collect(),
                one => vec![one],
            };
            for value in values {
                match value {
                    Value::Bool(true) => arguments.push(format!("--{key}")),
                    Value::Bool(false) => {}
                    // One word, so that a value may begin with a hyphen.
                    Value::Number(number) => arguments.push(format!("--{key}={number}")),
                    Value::String(text) => arguments.push(format!("--{key}={text}")),
                    _ => {
                        return Err(format!(
                            "{key}: give a text, a number, true, or a list of those"
                        ));
                    }
                }
            }
        }
        Ok(arguments)
    }

    /// Whether its command would take it for a server at `url`. The error is what it says.
    pub(crate) fn check_for(&self, url: &str) -> Result<(), String> {
        let mut words = vec!["ringload".to_owned(), self.kind.name().to_owned()];
        words.push(url.replace("{port}", "1"));
        words.extend(self.arguments()?);
        if self.kind == Kind::Idle {
            words.push("--server-pid=1".to_owned());
        }
        let checked = match Options::try_parse_from(words) {
            Ok(options) => match options.command {
                Command::Run(options) => options.check(),
                Command::Churn(options) => options.check(),
                Command::Capacity(options) => options.check(),
                _ => Ok(()),
            },
            Err(error) => {
                return Err(first_line(&error));
            }
        };
        checked.map_err(|error| error.to_string())
    }

    /// Whether the generator may have as many files open as it takes. The error says how many it may.
    pub(crate) fn check_room(&self) -> Result<(), String> {
        if self.kind != Kind::Idle {
            return Ok(());
        }
        let connections = self.number("connections", 10_000);
        make_room_for(usize::try_from(connections).unwrap_or(usize::MAX))
            .map_err(|error| error.to_string())
    }

    /// A length of time among the options, or what is usual.
    pub(crate) fn time(&self, key: &str, usual: Duration) -> Duration {
        let text = match self.options.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return usual,
        };
        ringload::quantity::parse_duration(&text).unwrap_or(usual)
    }

    /// A number among the options, or what is usual.
    pub(crate) fn number(&self, key: &str, usual: u64) -> u64 {
        match self.options.get(key) {
            Some(Value::Number(number)) => number.as_u64().unwrap_or(usual),
            Some(Value::String(text)) => text.parse().unwrap_or(usual),
            _ => usual,
        }
    }
}

/// Names become parts of file names.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(format!(
            "{name:?} is no name; use letters, digits, '-', '_' and '.' only"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(workloads: &str) -> Result<Suite, UsageError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        let head = "name = 's'\ntitle = 'S'\nrounds = 3\nduration = '1500ms'\nwarmup = '500ms'\n";
        std::fs::write(&path, format!("{head}{workloads}")).unwrap();
        Suite::read(&path)
    }

    const ECHO: &str = "[[workload]]\nname = 'w'\nkind = 'run'\ntitle = 'W'\n";

    #[test]
    fn options_become_arguments_with_the_defaults_of_the_suite() {
        let extra = "connections = 4\nheader = ['A: 1', 'B: 2']\ntext = true\nmixed = false\nwarmup = '0s'\n";
        let suite = suite(&format!("{ECHO}{extra}")).unwrap();
        let workload = &suite.workloads[0];
        assert_eq!((workload.rounds, workload.tls), (3, false));
        assert_eq!(
            workload.arguments().unwrap(),
            [
                "--connections=4",
                "--duration=1500ms",
                "--header=A: 1",
                "--header=B: 2",
                "--text",
                "--warmup=0s"
            ]
        );
        let usual = Duration::from_secs(9);
        assert_eq!(
            workload.time("duration", usual),
            Duration::from_millis(1500)
        );
        assert_eq!(workload.time("hold", usual), usual);
        assert_eq!(workload.number("connections", 9), 4);
    }

    #[test]
    fn each_kind_takes_the_defaults_that_it_has() {
        let of = |kind: &str| {
            let text = format!("[[workload]]\nname = 'w'\nkind = '{kind}'\ntitle = 'W'\n");
            suite(&text).unwrap().workloads[0].arguments().unwrap()
        };
        assert_eq!(of("storm"), ["--duration=1500ms", "--warmup=500ms"]);
        assert_eq!(of("knee"), ["--warmup=500ms"]);
        assert!(of("idle").is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_file_workload_and_key() {
        for (text, phrase) in [
            ("colour = 1", "s.toml: line 6: unknown field `colour`"),
            (
                &*format!("{ECHO}conections = 4"),
                "s.toml: w: unexpected argument '--conections'",
            ),
            (
                &format!("{ECHO}size = '7x'"),
                "w: invalid value '7x' for '--size",
            ),
            (&format!("{ECHO}depth = 0"), "w: --depth is 0"),
            (
                &format!("{ECHO}json = 'x'"),
                "w: json is set by the suite itself",
            ),
            (&format!("{ECHO}size = {{ a = 1 }}"), "size: give a text"),
            (&format!("{ECHO}rounds = 0"), "rounds is 0"),
            (&format!("{ECHO}{ECHO}"), "two workloads are called w"),
            (&ECHO.replace("'w'", "'../w'"), "is no name"),
            (&ECHO.replace("'run'", "'walk'"), "walk"),
            ("workload = []", "there is no [[workload]]"),
            ("", "missing field `workload`"),
        ] {
            let why = suite(text).unwrap_err().to_string();
            assert!(why.contains(phrase), "{text}: {why}");
        }
    }

    #[test]
    fn what_only_websocket_has_is_not_for_a_tcp_echo() {
        let suite = suite(&format!("{ECHO}fragments = 3")).unwrap();
        let workload = &suite.workloads[0];
        assert!(workload.check_for("ws://127.0.0.1:{port}/").is_ok());
        assert!(workload.check_for("tcp://127.0.0.1:{port}").is_err());
    }
}
