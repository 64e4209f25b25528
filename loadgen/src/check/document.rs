//! The JSON of `ringload check`, schema `ringload-check/1`: documented in `docs/ringload-json.md`.

use serde::{Deserialize, Serialize};

use super::verdict::{Level, Verdict};
use crate::result::{Environment, Status};

/// Name and version of the schema.
pub(crate) const CHECK_SCHEMA: &str = "ringload-check/1";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CheckDocument {
    /// Always [`CHECK_SCHEMA`].
    pub(crate) schema: String,
    pub(crate) status: Status,
    /// One sentence, unless the status is `ok`.
    pub(crate) error: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) url: String,
    /// `Server` of its answers, if it says so.
    pub(crate) server: Option<String>,
    /// Messages that it sends unasked behind each upgrade.
    pub(crate) greetings: usize,
    /// It agrees to permessage-deflate.
    pub(crate) deflate: bool,
    pub(crate) totals: Totals,
    /// In the order of `--list`.
    pub(crate) cases: Vec<CaseResult>,
}

/// How many cases came to each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Totals {
    pub(crate) pass: usize,
    pub(crate) warn: usize,
    pub(crate) fail: usize,
    pub(crate) skip: usize,
}

/// One case.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CaseResult {
    /// Group and name.
    pub(crate) id: String,
    pub(crate) level: Level,
    /// The document and its section.
    pub(crate) section: String,
    /// What that says, in our own words.
    pub(crate) requirement: String,
    /// What must happen.
    pub(crate) expected: String,
    pub(crate) verdict: Verdict,
    /// What happened.
    pub(crate) happened: String,
    /// What went over the connection, a line each: hex and ASCII.
    pub(crate) transcript: Vec<String>,
    pub(crate) took_seconds: f64,
}

impl Totals {
    /// Of these cases.
    pub(crate) fn of<'a>(cases: impl IntoIterator<Item = &'a CaseResult>) -> Totals {
        let mut totals = Totals::default();
        for case in cases {
            *match case.verdict {
                Verdict::Pass => &mut totals.pass,
                Verdict::Warn => &mut totals.warn,
                Verdict::Fail => &mut totals.fail,
                Verdict::Skip => &mut totals.skip,
            } += 1;
        }
        totals
    }
}
