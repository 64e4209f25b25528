//! The log: where it goes, in which form, what of it is wanted, and how often the same may be said.
//!
//! Lines are events of `tracing`: what is said in words, the rest as fields, which both forms have alike. What a peer
//! said is a field of its own, and [`plain`]: so it can begin no line and move no cursor.
//!
//! It knows nothing of who writes.

mod limit;

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

pub use limit::{Limit, SharedLimit, now};

/// The target of what is said of single connections.
pub const CONNECTION: &str = "ringback::connection";

/// The target of the lines that are written of every connection and every request, if that is asked for.
pub const ACCESS: &str = "ringback::access";

/// Lines that may wait for whoever reads them: some hundred kilobytes of text. What is said of peers is said so often at
/// most that a burst is a few lines for each worker; where every one of them is told of it is as long as they make it.
const LINES_MAX: usize = 1024;

/// Lines that were not written, since the same was said often enough.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Counts those for which there was no room, since nobody read.
static UNREAD: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines were left out so far: because the same was said often enough, and because nobody read.
pub fn left_out() -> [(&'static str, u64); 2] {
    let unread = UNREAD.get().map_or(0, ErrorCounter::dropped_lines);
    [("limit", LEFT_OUT.load(Relaxed)), ("unread", unread as u64)]
}

/// Which lines are wanted: a level, and others for what comes from below some module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// Reads `info` or `info,ringback::http=debug`.
    pub fn read(text: &str) -> Option<Filter> {
        let is_right = text.parse::<Targets>().is_ok() && text.split(',').all(names_a_level);
        is_right.then(|| Filter(text.to_owned()))
    }

    /// With what is said of every connection and request if `tells_access`, and never without.
    fn targets(&self, tells_access: bool) -> Targets {
        let level = if tells_access {
            LevelFilter::INFO
        } else {
            LevelFilter::OFF
        };
        let targets: Targets = self.0.parse().unwrap_or_default();
        targets.with_target(ACCESS, level)
    }
}

/// Whether every connection and every request is told of. Where not, to ask costs a branch.
#[inline]
pub fn tells_access() -> bool {
    tracing::enabled!(target: ACCESS, Level::INFO)
}

/// A text of a peer's, for the log: what is no plain character is escaped.
pub fn plain(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            plain.push(c);
        } else {
            plain.extend(c.escape_default());
        }
    }
    plain
}

/// Whether a part of a filter says how much is wanted. Without that, `Targets` takes a misspelt level for a module.
fn names_a_level(part: &str) -> bool {
    let level = part.rsplit('=').next().unwrap_or_default();
    !level.is_empty() && level.parse::<LevelFilter>().is_ok()
}

impl Default for Filter {
    fn default() -> Self {
        Filter("info".to_owned())
    }
}

/// Begins to write to standard error, by a thread of its own: no worker waits for whoever reads, and a full or closed
/// pipe costs lines, not service. What is on its way is written once the guard is dropped.
///
/// `tells_access`: whether a line is written of every connection and request, whatever `filter` says.
pub fn init(json: bool, filter: &Filter, tells_access: bool) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .finish(io::stderr());
    // There is one log.
    let _ = UNREAD.set(writer.error_counter());
    let lines = lines(json, writer);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter.targets(tells_access)))
        .init();
    guard
}

/// What writes lines.
fn lines<W>(json: bool, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_target(false)
        .with_ansi(false)
        .log_internal_errors(false);
    if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::info;

    use super::*;

    #[test]
    fn a_filter_is_a_level_and_exceptions_from_it() {
        for right in [
            "info",
            "warn,ringback::http=debug",
            "off",
            "ringback::connection=off",
        ] {
            assert!(Filter::read(right).is_some(), "{right}");
        }
        for wrong in [
            "",
            "loud",
            "ringback",
            "info,,warn",
            "ringback=loud",
            "info,ringback::http",
        ] {
            assert_eq!(Filter::read(wrong), None, "{wrong}");
        }
    }

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of `say`, as far as it is wanted.
    fn written(json: bool, filter: &str, say: impl FnOnce()) -> String {
        let log = Written::default();
        let to = log.clone();
        let filter = Filter::read(filter).expect("a filter");
        let lines = lines(json, move || to.clone());
        let all = tracing_subscriber::registry().with(lines.with_filter(filter.targets(false)));
        tracing::subscriber::with_default(all, say);
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn what_a_peer_says_is_one_field_of_one_line() {
        let said = "a\n2026-01-01 INFO forged \x1b[2J\r\u{9b}31m \u{2028}\"x\"=y";
        let say = || info!(target: CONNECTION, said = plain(said), code = 400, "refused");
        for json in [false, true] {
            let text = written(json, "info", say);
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            assert!(text.ends_with('\n'));
            let is_plain = |c: char| !c.is_control() || c == '\n';
            assert!(text.chars().all(is_plain), "{text:?}");
        }
        let json: serde_json::Value = serde_json::from_str(&written(true, "info", say)).unwrap();
        assert_eq!(json["said"], plain(said));
        assert_eq!(plain("Grüße, 世界 \"\\"), "Grüße, 世界 \"\\");
        assert_eq!(json["code"], 400);
        assert_eq!(json["message"], "refused");
    }

    #[test]
    fn what_is_not_wanted_is_not_written() {
        let say = || {
            info!(target: CONNECTION, "of a peer");
            info!(target: "ringback::serve", "of the server");
        };
        let text = written(false, "info,ringback::connection=warn", say);
        assert!(
            text.contains("of the server") && !text.contains("of a peer"),
            "{text}"
        );
    }
}
