//! The cases: tables, each in a file of its group.

mod bombs;
mod close;
mod deflate;
mod fragments;
mod frames;
mod handshake;
mod offers;
mod patience;
mod resources;
mod syntax;
mod utf8;

use std::fmt::Display;

use super::case::{Case, Rule};
use super::exchange::Exchange;
use super::opening::Request;
use super::peer::Peer;
use super::verdict::Finding;
use crate::target::Target;

/// Every case, in the order of the report. Requests are for the path of `target`.
pub(crate) fn all(target: &Target) -> Vec<Case> {
    [
        handshake::cases(target),
        syntax::cases(target),
        frames::cases(),
        fragments::cases(),
        utf8::cases(),
        close::cases(),
        offers::cases(),
        deflate::cases(),
        patience::cases(),
        resources::cases(),
        bombs::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The cases of one group, as they are written down.
struct Table {
    group: &'static str,
    cases: Vec<Case>,
}

impl Table {
    fn of(group: &'static str) -> Table {
        let cases = Vec::new();
        Table { group, cases }
    }

    fn id(&self, name: impl Display) -> String {
        format!("{}/{name}", self.group)
    }

    /// Frames behind an upgrade.
    fn exchange(&mut self, name: impl Display, rule: Rule, exchange: Exchange) {
        self.cases.push(exchange.case(self.id(name), rule));
    }

    /// An opening handshake.
    fn request(&mut self, name: impl Display, rule: Rule, request: Request) {
        self.cases.push(request.case(self.id(name), rule));
    }

    /// More than a combinator can say.
    fn special(
        &mut self,
        name: impl Display,
        rule: Rule,
        expected: &str,
        play: impl Fn(&mut Peer<'_>) -> Result<String, Finding> + Send + Sync + 'static,
    ) {
        let case = Case::special(self.id(name), rule, expected, play);
        self.cases.push(case);
    }
}
