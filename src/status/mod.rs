//! `ringback status`: how a running server is, in some twenty lines, as its admin listener tells it.

mod ask;
mod page;
mod words;

use std::io;

use serde_json::Value;

use crate::admin::Address;

pub use page::Page;

/// Where a server is asked if nobody says where.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:9100";

/// What a server tells.
#[derive(Debug)]
pub struct Status {
    /// Whether it serves, and newcomers are welcome.
    pub serves: bool,
    page: Page,
}

impl Status {
    /// Asks at the address of an admin listener.
    ///
    /// # Errors
    /// Where nobody answers, or somebody else does.
    pub fn ask(address: &Address) -> io::Result<Status> {
        let page = Page::read(&ask::get(address, "/metrics")?);
        let serves = page.value("ringback_state", &[("state", "serving")]);
        let serves =
            serves.ok_or_else(|| io::Error::other("whoever answers there is no ringback"))?;
        Ok(Status {
            serves: serves > 0.0,
            page,
        })
    }

    /// For people.
    pub fn words(&self) -> String {
        words::words(&self.page)
    }

    /// All numbers, for programs.
    pub fn json(&self) -> Value {
        self.page.json()
    }
}
