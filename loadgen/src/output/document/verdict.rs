use serde::{Deserialize, Serialize};

/// What a number is worth, and who set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    ServerBound,
    GeneratorBound,
    LoadBound,
    Noisy,
    Invalid,
    Unobserved,
}

impl Verdict {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::ServerBound => "server-bound",
            Verdict::GeneratorBound => "generator-bound",
            Verdict::LoadBound => "load-bound",
            Verdict::Noisy => "noisy",
            Verdict::Invalid => "invalid",
            Verdict::Unobserved => "unobserved",
        }
    }
}
