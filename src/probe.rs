//! What this machine offers: kernel, engines, limits. Listens on nothing.

use std::fmt;

use serde::Serialize;

use crate::choose::{self, Trial};
use crate::config::EngineChoice;
use crate::engine::UringTuning;
use crate::sys::{cpu, limits};

/// The report of `ringback probe`.
#[derive(Debug, Serialize)]
pub struct Report {
    ringback: &'static str,
    kernel: String,
    cpus: Vec<usize>,
    engines: Vec<EngineReport>,
    /// What `--engine auto` would take; none if that ends in an error, which `auto_reason` tells.
    auto: Option<&'static str>,
    auto_reason: String,
    limits: LimitsReport,
}

#[derive(Debug, Serialize)]
struct EngineReport {
    name: &'static str,
    usable: bool,
    reason: Option<String>,
    features: Vec<FeatureReport>,
}

#[derive(Debug, Serialize)]
struct FeatureReport {
    name: &'static str,
    since_kernel: &'static str,
    found: bool,
}

/// Null: unlimited.
#[derive(Debug, Serialize)]
struct LimitsReport {
    open_files_soft: Option<u64>,
    open_files_hard: Option<u64>,
    locked_memory_soft_bytes: Option<u64>,
    locked_memory_hard_bytes: Option<u64>,
}

impl Report {
    /// Looks.
    pub fn new(tuning: &UringTuning) -> Self {
        let chosen = choose::choose(EngineChoice::Auto, tuning);
        let (files, memory) = (limits::open_files(), limits::locked_memory_bytes());
        Report {
            ringback: env!("CARGO_PKG_VERSION"),
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            cpus: cpu::allowed().unwrap_or_default(),
            engines: choose::try_all(tuning)
                .into_iter()
                .map(EngineReport::from)
                .collect(),
            auto: chosen.as_ref().ok().map(|choice| choice.engine.name),
            auto_reason: chosen.map_or_else(|error| error.to_string(), |choice| choice.why),
            limits: LimitsReport {
                open_files_soft: files.soft,
                open_files_hard: files.hard,
                locked_memory_soft_bytes: memory.soft,
                locked_memory_hard_bytes: memory.hard,
            },
        }
    }
}

impl From<Trial> for EngineReport {
    fn from(trial: Trial) -> Self {
        let reason = trial
            .outcome
            .as_ref()
            .err()
            .map(|error| choose::absence(trial.engine, error));
        let features = trial.outcome.unwrap_or_default();
        let feature = |feature: crate::engine::Feature| FeatureReport {
            name: feature.name,
            since_kernel: feature.since,
            found: feature.found,
        };
        EngineReport {
            name: trial.engine.name,
            usable: reason.is_none(),
            reason,
            features: features.into_iter().map(feature).collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "ringback {} on Linux {}, {} CPUs",
            self.ringback,
            self.kernel,
            self.cpus.len()
        )?;
        for engine in &self.engines {
            match &engine.reason {
                None => writeln!(out, "\n{}: usable", engine.name)?,
                Some(reason) => writeln!(out, "\n{}: not usable, {reason}", engine.name)?,
            }
            for feature in &engine.features {
                let found = if feature.found { "yes" } else { "no" };
                writeln!(
                    out,
                    "  {found:<4}{} ({})",
                    feature.name, feature.since_kernel
                )?;
            }
        }
        match self.auto {
            Some(name) => writeln!(out, "\n--engine auto takes {name}: {}", self.auto_reason)?,
            None => writeln!(
                out,
                "\n--engine auto ends in an error: {}",
                self.auto_reason
            )?,
        }
        let limits = &self.limits;
        let unlimited =
            |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
        writeln!(
            out,
            "open files: {} (may be raised to {}); locked memory: {} bytes",
            unlimited(limits.open_files_soft),
            unlimited(limits.open_files_hard),
            unlimited(limits.locked_memory_soft_bytes),
        )
    }
}
