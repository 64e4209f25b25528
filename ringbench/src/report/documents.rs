//! What a report needs of each document. Most fields may be absent, so that results of an older or newer
//! ringload still show what they have.

use std::collections::BTreeMap;

use ringload::measure::verdict::Verdict;
use ringload::output::document::Status;
use ringload::output::document::latency::Latency;
use serde::Deserialize;
use serde_json::Value;

/// What a finished run left.
pub(super) enum Document {
    Run(Box<Run>),
    Storm(Box<Storm>),
    Idle(Idle),
    Knee(Knee),
}

impl Document {
    /// Reads a document by its schema. The error is one sentence.
    pub(super) fn read(text: &[u8]) -> anyhow::Result<Document> {
        let value: Value =
            serde_json::from_slice(text).map_err(|error| anyhow::anyhow!("no JSON ({error})"))?;
        let schema = value
            .get("schema")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let document = match schema.as_str() {
            "ringload-run/2" => serde_json::from_value(value).map(Document::Run),
            "ringload-storm/2" => serde_json::from_value(value).map(Document::Storm),
            "ringload-idle/2" | "ringload-idle/3" => {
                serde_json::from_value(value).map(Document::Idle)
            }
            "ringload-knee/1" => serde_json::from_value(value).map(Document::Knee),
            "" => anyhow::bail!("it has no schema"),
            other => anyhow::bail!("this ringbench does not know the schema {other:?}"),
        };
        document.map_err(|error| anyhow::anyhow!("no {schema} ({error})"))
    }

    /// How the run ended, and the sentence that says why.
    pub(super) fn ending(&self) -> (Status, Option<&str>) {
        let (status, error) = match self {
            Document::Run(run) => (run.status, &run.error),
            Document::Storm(storm) => (storm.status, &storm.error),
            Document::Idle(idle) => (idle.status, &idle.error),
            Document::Knee(knee) => (knee.status, &knee.error),
        };
        (status, error.as_deref())
    }

    /// Who was the limit, and why; `None` of kinds that do not ask.
    pub(super) fn verdict(&self) -> Option<(Verdict, &str)> {
        match self {
            Document::Run(run) => {
                let result = run.result.as_ref()?;
                Some((result.verdict?, &result.verdict_reason))
            }
            Document::Storm(storm) => {
                let result = storm.result.as_ref()?;
                Some((result.verdict?, &result.verdict_reason))
            }
            Document::Knee(knee) => Some((knee.verdict?, &knee.verdict_reason)),
            Document::Idle(_) => None,
        }
    }

    /// The command line that was run.
    pub(super) fn command_line(&self) -> Option<Vec<String>> {
        let environment = match self {
            Document::Run(run) => &run.environment,
            Document::Storm(storm) => &storm.environment,
            Document::Idle(idle) => &idle.environment,
            Document::Knee(knee) => &knee.environment,
        };
        serde_json::from_value(environment.get("command_line")?.clone()).ok()
    }
}

/// Of `ringload-run/2`.
#[derive(Deserialize)]
pub(super) struct Run {
    pub(super) status: Status,
    pub(super) error: Option<String>,
    #[serde(default)]
    environment: Value,
    #[serde(default)]
    load: RunLoad,
    pub(super) result: Option<RunResult>,
}

/// The part of a load that decides how its figures are shown.
#[derive(Default, Deserialize)]
struct RunLoad {
    rate: Option<Value>,
}

/// Figures of a run's window.
#[derive(Deserialize)]
pub(super) struct RunResult {
    pub(super) messages_per_second: Option<f64>,
    pub(super) offered_messages_per_second: Option<f64>,
    pub(super) latency: Option<Latency>,
    pub(super) service: Option<Latency>,
    pub(super) server: Option<RunServer>,
    pub(super) heavy: Option<RunHeavy>,
    verdict: Option<Verdict>,
    #[serde(default)]
    verdict_reason: String,
}

/// What the connections beside a run's load did.
#[derive(Deserialize)]
pub(super) struct RunHeavy {
    pub(super) messages_per_second: Option<f64>,
    pub(super) most_by_mean: Option<f64>,
}

/// What a run cost its server.
#[derive(Deserialize)]
pub(super) struct RunServer {
    pub(super) cpu_ns_per_message: Option<f64>,
}

impl Run {
    /// Whether its loop was an open one.
    pub(super) fn is_paced(&self) -> bool {
        self.load.rate.is_some()
    }
}

/// Of `ringload-storm/2`.
#[derive(Deserialize)]
pub(super) struct Storm {
    pub(super) status: Status,
    pub(super) error: Option<String>,
    #[serde(default)]
    environment: Value,
    pub(super) result: Option<StormResult>,
}

/// Figures of a storm's window.
#[derive(Deserialize)]
pub(super) struct StormResult {
    pub(super) visits_per_second: Option<f64>,
    pub(super) connect: Option<Latency>,
    pub(super) handshake: Option<Latency>,
    pub(super) first_echo: Option<Latency>,
    pub(super) visit: Option<Latency>,
    pub(super) server_cpu_ns_per_visit: Option<f64>,
    #[serde(default)]
    pub(super) closes: BTreeMap<String, u64>,
    verdict: Option<Verdict>,
    #[serde(default)]
    verdict_reason: String,
}

/// Of `ringload-idle/3`, or 2, which had a field more.
#[derive(Deserialize)]
pub(super) struct Idle {
    pub(super) status: Status,
    pub(super) error: Option<String>,
    #[serde(default)]
    environment: Value,
    pub(super) memory_before: Option<IdleMemory>,
    pub(super) growth: Option<PerConnection>,
    pub(super) kept: Option<PerConnection>,
}

/// Memory of a server.
#[derive(Deserialize)]
pub(super) struct IdleMemory {
    pub(super) rss_bytes: f64,
}

/// Memory by the number of connections.
#[derive(Deserialize)]
pub(super) struct PerConnection {
    pub(super) rss_bytes_per_connection: Option<f64>,
    pub(super) rss_anonymous_bytes_per_connection: Option<f64>,
    pub(super) pss_bytes_per_connection: Option<f64>,
}

/// Of `ringload-knee/1`.
#[derive(Deserialize)]
pub(super) struct Knee {
    pub(super) status: Status,
    pub(super) error: Option<String>,
    #[serde(default)]
    environment: Value,
    #[serde(default)]
    pub(super) objective: String,
    pub(super) best: Option<KneeBest>,
    verdict: Option<Verdict>,
    #[serde(default)]
    verdict_reason: String,
    #[serde(default)]
    pub(super) points: Vec<KneePoint>,
}

/// The highest rate that met the objective.
#[derive(Deserialize)]
pub(super) struct KneeBest {
    pub(super) rate: f64,
    pub(super) p99_ns: Option<f64>,
}

/// What one offered rate gave.
#[derive(Deserialize)]
pub(super) struct KneePoint {
    pub(super) rate: f64,
    pub(super) p99_ns: Option<f64>,
    #[serde(default)]
    pub(super) meets: bool,
}
