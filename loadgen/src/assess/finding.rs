//! What must be known of a measurement before its figures are used: the findings, and what they leave to be
//! compared.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// One thing that was found, with the figure that it rests on.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Finding {
    /// What was found.
    pub id: Id,
    /// What was measured, in `unit`.
    pub value: f64,
    /// From where on it is a finding, in the same unit.
    pub limit: f64,
    /// `percent`, `percent of one CPU`, `messages` or `sessions`.
    pub unit: String,
    /// One sentence: what was seen, and what follows.
    pub means: String,
}

/// What can be found.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Id {
    /// The generator had no CPU time left.
    GeneratorSaturated,
    /// The server had no CPU time left.
    ServerSaturated,
    /// The hypervisor withheld CPU time.
    Steal,
    /// Others used the CPUs of the two sides, or the two had to share one.
    CpuShared,
    /// The generator itself sent later than was due.
    LateSends,
    /// What was due in the window was not all answered.
    RateNotHeld,
    /// At the window's end more was due and not sent than can be on its way.
    Backlog,
    /// The halves of the window disagree in throughput or latency.
    Unsteady,
    /// They disagree in the server's CPU time for each message, or session.
    CpuUnsteady,
    /// No process of the server was observed.
    ServerUnobserved,
}

impl Id {
    /// The name in documents.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What follows from it for whoever reads the figures.
    pub(crate) fn consequence(self) -> &'static str {
        match self {
            Id::GeneratorSaturated => {
                "throughput is a lower bound of what the server can do, and latencies are the generator's too"
            }
            Id::ServerSaturated => "the figures are the server's",
            Id::Steal | Id::CpuShared => "throughput and latencies are not the server's alone",
            Id::LateSends => "latencies are in part the generator's",
            Id::RateNotHeld | Id::Backlog => "latencies grow with the window",
            Id::Unsteady | Id::CpuUnsteady => "warm up, or measure, for longer",
            Id::ServerUnobserved => "who was the limit is not known",
        }
    }
}

/// Which figures may be compared with those of another measurement of the same load.
///
/// | found | throughput | latency | CPU for each |
/// |---|---|---|---|
/// | `generator_saturated` | no: a lower bound | no | yes |
/// | `steal`, `cpu_shared` | no | no | yes |
/// | `late_sends` | yes | no | yes |
/// | `rate_not_held`, `backlog` | yes | no: it grows with the window | yes |
/// | `unsteady` | no | no | yes |
/// | `cpu_unsteady` | yes | yes | no |
/// | nothing, `server_saturated`, `server_unobserved` | yes | yes | yes |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparable {
    /// Completed per second.
    pub throughput: bool,
    /// Percentiles.
    pub latency: bool,
    /// The server's CPU time for each message, or session.
    pub cpu: bool,
}

impl Comparable {
    /// What `findings` leave.
    pub fn of(findings: &[Finding]) -> Comparable {
        let found = |ids: &[Id]| findings.iter().any(|finding| ids.contains(&finding.id));
        let throughput = [
            Id::GeneratorSaturated,
            Id::Steal,
            Id::CpuShared,
            Id::Unsteady,
        ];
        Comparable {
            throughput: !found(&throughput),
            latency: !found(&throughput) && !found(&[Id::LateSends, Id::RateNotHeld, Id::Backlog]),
            cpu: !found(&[Id::CpuUnsteady]),
        }
    }
}
