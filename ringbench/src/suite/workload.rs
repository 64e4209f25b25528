//! The suite file: what is measured, and for how long.

use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::Parser as _;
use ringload::cli::{Command, Options};
use ringload::quantity::parse_duration;
use ringload::usage::{UsageError, first_line, make_room_for};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Table;

use super::document::{WorkloadEntry, plain};
use super::peers::Peer;
use crate::options::suite::parse_name;

/// What is said of a workload itself.
const ENTRY: &str = "name kind title rounds servers tls fresh";

/// The commands that measure.
const KINDS: [&str; 4] = ["run", "churn", "idle", "capacity"];

/// Options of the commands that the suite sets itself.
const OURS: &str = "json quiet csv histogram hdr-log summary junit prometheus server-pid cpu threads seed start-at \
                    first-session protocol tls-ca tls-insecure help live";

/// A suite, as its file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) prediction: Option<String>,
    rounds: u32,
    duration: Option<String>,
    warmup: Option<String>,
    /// Names of servers; none is all.
    #[serde(default)]
    pub(super) servers: Vec<String>,
    pub(super) baseline: Option<String>,
    #[serde(default)]
    server: Vec<Table>,
    workload: Vec<Table>,
    /// Those that it describes itself.
    #[serde(skip)]
    pub(super) own: Vec<Peer>,
    /// Each with the names that it is restricted to; none if it is not.
    #[serde(skip)]
    pub(super) workloads: Vec<WorkloadEntry>,
}

impl Suite {
    /// Reads and checks a suite file.
    pub(super) fn read(path: &Path) -> Result<Suite, UsageError> {
        let shown = path.file_name().unwrap_or_default().to_string_lossy();
        let mut suite: Suite = read_toml(path, &shown)?;
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        let read = suite.read_tables(&folder.unwrap_or_default());
        read.map_err(|why| UsageError(format!("{shown}: {why}")))?;
        Ok(suite)
    }

    fn read_tables(&mut self, folder: &Path) -> Result<(), String> {
        check_name(&self.name)?;
        for table in &self.server {
            let peers = Peer::all_of(table.clone(), folder);
            self.own
                .extend(peers.map_err(|why| format!("server: {why}"))?);
        }
        for table in &self.workload {
            // What is not about the workload itself is an option of its command.
            let all = table.clone().into_iter();
            let (mut own, mut options): (Table, Table) =
                all.partition(|(key, _)| ENTRY.split(' ').any(|own| own == key));
            own.entry("rounds").or_insert(self.rounds.into());
            let entry: Result<WorkloadEntry, toml::de::Error> = own.try_into();
            let mut entry = entry.map_err(|error| format!("workload: {}", error.message()))?;
            let name = entry.name.clone();
            let is_run = ["run", "churn"].contains(&entry.kind.as_str());
            let is_search = entry.kind == "capacity";
            let duration = self.duration.as_ref().filter(|_| is_run);
            let warmup = self.warmup.as_ref().filter(|_| is_run || is_search);
            for (key, value) in [("duration", duration), ("warmup", warmup)] {
                if let Some(value) = value {
                    options.entry(key).or_insert(value.clone().into());
                }
            }
            let options = Table::try_into(options);
            entry.options = options.map_err(|error: toml::de::Error| format!("{name}: {error}"))?;
            entry.check().map_err(|why| format!("{name}: {why}"))?;
            if self.workloads.iter().any(|other| other.name == name) {
                return Err(format!("two workloads are called {name}"));
            }
            self.workloads.push(entry);
        }
        if self.workloads.is_empty() {
            return Err("there is no [[workload]]".to_owned());
        }
        Ok(())
    }
}

impl WorkloadEntry {
    fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        if !KINDS.contains(&self.kind.as_str()) {
            let kinds = KINDS.join(", ");
            return Err(format!("kind: {:?} is none of {kinds}", self.kind));
        }
        if self.rounds == 0 {
            return Err("rounds is 0; give at least 1".to_owned());
        }
        let is_ours = |key: &&String| OURS.split(' ').any(|ours| ours == **key);
        if let Some(ours) = self.options.keys().find(is_ours) {
            return Err(format!("{ours} is set by the suite itself"));
        }
        self.check_options("ws://127.0.0.1:1/")
    }

    /// The options as arguments.
    pub(super) fn arguments(&self) -> Result<Vec<String>, String> {
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
                    Value::Number(_) | Value::String(_) => {
                        arguments.push(format!("--{key}={}", plain(value)));
                    }
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

    /// Whether it can be measured here at `url`: its command takes it, and may have as many files open as it needs.
    pub(super) fn check_for(&self, url: &str) -> Result<(), String> {
        self.check_options(url)?;
        let connections = usize::try_from(self.connections()).unwrap_or(usize::MAX);
        make_room_for(connections).map_err(|error| error.to_string())
    }

    /// Whether its command would take it for a server at `url`.
    fn check_options(&self, url: &str) -> Result<(), String> {
        let mut words = vec!["ringload".to_owned(), self.kind.clone()];
        words.push(url.replace("{port}", "1"));
        words.extend(self.arguments()?);
        if self.kind == "idle" {
            words.push("--server-pid=1".to_owned());
        }
        let options = Options::try_parse_from(words).map_err(|error| first_line(&error))?;
        let checked = match options.command {
            Command::Run(options) => options.check(),
            Command::Churn(options) => options.check(),
            Command::Capacity(options) => options.check(),
            _ => Ok(()),
        };
        checked.map_err(|error| error.to_string())
    }

    /// How many connections it has at a time.
    pub(super) fn connections(&self) -> u64 {
        self.number("connections", if self.kind == "idle" { 10_000 } else { 64 })
    }

    /// A length of time among the options, or what is usual.
    pub(super) fn time(&self, key: &str, usual_ms: u64) -> Duration {
        let time = self.options.get(key).map(plain);
        let time = time.and_then(|text| parse_duration(&text).ok());
        time.unwrap_or(Duration::from_millis(usual_ms))
    }

    /// A number among the options, or what is usual.
    pub(super) fn number(&self, key: &str, usual: u64) -> u64 {
        let number = self.options.get(key).map(plain);
        number.and_then(|text| text.parse().ok()).unwrap_or(usual)
    }
}

/// Names become parts of file names and arguments.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    parse_name(name).map_or_else(|why| Err(format!("{name:?} is no name; {why}")), |_| Ok(()))
}

/// Reads the file at `path`, which messages call `shown`; they say where in it what is wrong.
pub(super) fn read_toml<T: DeserializeOwned>(path: &Path, shown: &str) -> Result<T, UsageError> {
    let wrong = |why: String| UsageError(format!("{shown}: {why}"));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        wrong(format!(
            "line {line}: {}",
            error.message().replace('\n', " ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(workloads: &str) -> Result<Suite, UsageError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        let head = "name = 's'\ntitle = 'S'\nrounds = 3\nduration = '1500ms'\nwarmup = '500ms'\n";
        fs::write(&path, format!("{head}{workloads}")).unwrap();
        Suite::read(&path)
    }

    const ECHO: &str = "[[workload]]\nname = 'w'\nkind = 'run'\ntitle = 'W'\n";

    #[test]
    fn options_become_arguments_with_the_defaults_of_the_suite() {
        let extra = "connections = 4\nheader = ['A: 1', 'B: 2']\ntext = true\nmixed = false\nwarmup = '0s'\n";
        let suite = suite(&format!("{ECHO}{extra}")).unwrap();
        let workload = &suite.workloads[0];
        assert_eq!(
            (workload.rounds, workload.tls, workload.fresh),
            (3, false, false)
        );
        let arguments = [
            "--connections=4",
            "--duration=1500ms",
            "--header=A: 1",
            "--header=B: 2",
            "--text",
            "--warmup=0s",
        ];
        assert_eq!(workload.arguments().unwrap(), arguments);
        assert_eq!(workload.time("duration", 9), Duration::from_millis(1500));
        assert_eq!(workload.time("hold", 9), Duration::from_millis(9));
        assert_eq!((workload.connections(), workload.number("x", 9)), (4, 9));
    }

    #[test]
    fn each_kind_takes_the_defaults_that_it_has() {
        let of = |kind: &str| {
            let text = format!("[[workload]]\nname = 'w'\nkind = '{kind}'\ntitle = 'W'\n");
            suite(&text).unwrap().workloads[0].arguments().unwrap()
        };
        assert_eq!(of("churn"), ["--duration=1500ms", "--warmup=500ms"]);
        assert_eq!(of("capacity"), ["--warmup=500ms"]);
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
            (
                &format!("{ECHO}json = 'x'"),
                "w: json is set by the suite itself",
            ),
            (&format!("{ECHO}size = {{ a = 1 }}"), "size: give a text"),
            (&format!("{ECHO}rounds = 0"), "rounds is 0"),
            (&format!("{ECHO}{ECHO}"), "two workloads are called w"),
            (&ECHO.replace("'w'", "'../w'"), "is no name"),
            (
                &ECHO.replace("'run'", "'walk'"),
                "kind: \"walk\" is none of run, churn",
            ),
            ("workload = []", "there is no [[workload]]"),
            ("", "missing field `workload`"),
            (
                &format!("{ECHO}[[server]]\nname = 'x'"),
                "server: x: run and install: give commands",
            ),
        ] {
            let why = suite(text).unwrap_err().to_string();
            assert!(why.contains(phrase), "{text}: {why}");
        }
    }

    #[test]
    fn what_needs_more_files_than_may_be_open_is_a_workload_that_cannot_be_measured_here() {
        let text = "[[workload]]\nname = 'w'\nkind = 'idle'\ntitle = 'W'\nconnections = 1000000000";
        let why = suite(text).unwrap().workloads[0].check_for("ws://127.0.0.1:1/");
        assert!(why.unwrap_err().contains("open files"));
    }

    #[test]
    fn what_only_websocket_has_is_not_for_a_tcp_echo() {
        let suite = suite(&format!("{ECHO}fragments = 3")).unwrap();
        let workload = &suite.workloads[0];
        assert!(workload.check_for("ws://127.0.0.1:{port}/").is_ok());
        assert!(workload.check_for("tcp://127.0.0.1:{port}").is_err());
    }
}
