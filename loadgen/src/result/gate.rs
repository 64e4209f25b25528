//! What came of `--fail-if`, the same in every document.

use serde::{Deserialize, Serialize};

/// What came of one condition.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct GateResult {
    /// As it was given, such as `cpu>1.05`.
    pub condition: String,
    pub outcome: Outcome,
    /// One sentence.
    pub reason: String,
}

/// What the figures say about a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds, or its figure is not known: a failure.
    Failed,
    /// It does not.
    Passed,
    /// The rounds of a comparison cannot tell.
    Unresolved,
}
