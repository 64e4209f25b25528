//! What a run left: a document of ringload's, whichever of its kinds.

use anyhow::bail;
use ringload::output::document::idle::{IDLE_SCHEMA, IdleDocument};
use ringload::output::document::knee::{KNEE_SCHEMA, KneeDocument};
use ringload::output::document::run::{RUN_SCHEMA, RunDocument};
use ringload::output::document::storm::{STORM_SCHEMA, StormDocument};
use ringload::output::document::verdict::Verdict;
use ringload::output::document::{Environment, Status};
use serde::Deserialize;

/// The version of [`IDLE_SCHEMA`] before: it had one field more.
const IDLE_SCHEMA_BEFORE: &str = "ringload-idle/2";

/// What a finished run left.
pub(super) enum Document {
    Run(Box<RunDocument>),
    Storm(Box<StormDocument>),
    Idle(Box<IdleDocument>),
    Knee(Box<KneeDocument>),
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    schema: String,
}

impl Document {
    /// Reads a document by its schema. The error is one sentence.
    pub(super) fn read(text: &[u8]) -> anyhow::Result<Document> {
        let head: Head =
            serde_json::from_slice(text).map_err(|error| anyhow::anyhow!("no JSON ({error})"))?;
        let document = match head.schema.as_str() {
            RUN_SCHEMA => serde_json::from_slice(text).map(Document::Run),
            STORM_SCHEMA => serde_json::from_slice(text).map(Document::Storm),
            IDLE_SCHEMA | IDLE_SCHEMA_BEFORE => serde_json::from_slice(text).map(Document::Idle),
            KNEE_SCHEMA => serde_json::from_slice(text).map(Document::Knee),
            "" => bail!("it has no schema"),
            other => bail!("this ringbench does not know the schema {other:?}"),
        };
        document.map_err(|error| anyhow::anyhow!("no {} ({error})", head.schema))
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
                Some((result.verdict, &result.verdict_reason))
            }
            Document::Storm(storm) => {
                let result = storm.result.as_ref()?;
                Some((result.verdict, &result.verdict_reason))
            }
            Document::Knee(knee) => Some((knee.verdict, &knee.verdict_reason)),
            Document::Idle(_) => None,
        }
    }

    /// Where and with what it was made.
    pub(super) fn environment(&self) -> &Environment {
        match self {
            Document::Run(run) => &run.environment,
            Document::Storm(storm) => &storm.environment,
            Document::Idle(idle) => &idle.environment,
            Document::Knee(knee) => &knee.environment,
        }
    }
}
