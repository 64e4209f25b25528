//! What a case is: data, and one function that plays it.

use super::peer::Peer;
use super::verdict::{Finding, Level};

/// What a case rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) level: Level,
    /// The document and its section: `RFC 6455, 5.1`; or an advisory.
    pub(crate) section: &'static str,
    /// What it says, in our own words.
    pub(crate) says: &'static str,
}

/// A requirement.
pub(crate) const fn must(section: &'static str, says: &'static str) -> Rule {
    Rule {
        level: Level::Must,
        section,
        says,
    }
}

/// A recommendation, or a limit that a server should have.
pub(crate) const fn should(section: &'static str, says: &'static str) -> Rule {
    Rule {
        level: Level::Should,
        section,
        says,
    }
}

/// Plays a case on a fresh connection, before any upgrade. `Ok` is a PASS, with what happened.
pub(crate) type Play = Box<dyn Fn(&mut Peer) -> Result<String, Finding> + Send + Sync>;

/// One test of a server.
pub(crate) struct Case {
    /// Group and name: `close/reason-of-bad-utf8`.
    pub(crate) id: String,
    pub(crate) rule: Rule,
    /// What must happen, in words.
    pub(crate) expected: String,
    /// It strains the server, or measures it, so nothing else may run beside it.
    pub(crate) alone: bool,
    pub(crate) play: Play,
}

impl Case {
    /// A case that is more than a combinator can say.
    pub(crate) fn special(
        id: impl Into<String>,
        rule: Rule,
        expected: impl Into<String>,
        play: impl Fn(&mut Peer) -> Result<String, Finding> + Send + Sync + 'static,
    ) -> Case {
        Case {
            id: id.into(),
            rule,
            expected: expected.into(),
            alone: false,
            play: Box::new(play),
        }
    }

    /// Lets it run when all others are over, one at a time.
    pub(crate) fn alone(mut self) -> Case {
        self.alone = true;
        self
    }
}
