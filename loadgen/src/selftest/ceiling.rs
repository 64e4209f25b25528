//! What a self-test says about another load: how many messages a second the generator could do at most.
//!
//! The cost of a message is read off straight lines between the cases that were measured:
//!
//! ```text
//! closed loop, 32 B:   cost(depth) = each + turn / depth      from depth 1 and depth 16
//! longer messages:     cost(bytes) = cost(32 B) + bytes × slope   from 32 B and 64 KiB, depth 1
//! open loop:           the open case, and the same slope
//! full duplex:         as depth 16: much is under way, and batches are large
//! ```
//!
//! Below 32 B a message costs as much as one of 32 B. Several threads can do as many times that, which
//! only holds where each has a core of its own. So the figure is an estimate, best near the cases; it is
//! not given at all for what was not measured (TLS, compression, fragments, plain TCP, another engine).

use std::fs;
use std::path::Path;

use crate::options::UsageError;
use crate::output::document::run::{Headroom, Load, Loop};
use crate::output::document::selftest::{Case, SELFTEST_SCHEMA, SelftestDocument};

/// What decides when messages are sent, as far as costs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A closed loop with so many in flight per connection.
    Depth(usize),
    /// A schedule.
    Open,
}

/// Depth that stands for a full duplex.
const DUPLEX_DEPTH: usize = 16;

/// Reads what `ringload selftest --json FILE` wrote. The error says what is wrong with the file.
pub(crate) fn read(path: &Path) -> Result<SelftestDocument, UsageError> {
    let refuse = |what: String| UsageError(format!("--selftest {}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| {
        refuse(format!(
            "it cannot be read ({error}); name a file that exists"
        ))
    })?;
    let document: SelftestDocument = serde_json::from_str(&text).map_err(|error| {
        refuse(format!(
            "it is not what ringload selftest --json writes ({error})"
        ))
    })?;
    match document.schema == SELFTEST_SCHEMA {
        true => Ok(document),
        false => Err(refuse(format!(
            "its schema is {:?}, and this version reads {SELFTEST_SCHEMA}; run ringload selftest again",
            document.schema
        ))),
    }
}

/// Messages per second that `threads` threads could do; `None` if the cases that tell are missing.
pub(crate) fn ceiling_for(
    selftest: &SelftestDocument,
    message_bytes: f64,
    pace: Pace,
    threads: usize,
) -> Option<f64> {
    let cost_ns = cost_ns(&selftest.cases, message_bytes, pace)?;
    (cost_ns > 0.0).then(|| 1e9 / cost_ns * threads as f64)
}

/// How much of what it could do the generator did; `None` if the self-test does not tell.
pub(crate) fn headroom(
    selftest: &SelftestDocument,
    load: &Load,
    message_bytes: f64,
    messages_per_second: f64,
) -> Option<Headroom> {
    let was_measured = load.protocol == "websocket"
        && load.tls.is_none()
        && load.deflate.is_none()
        && load.fragments == 1
        && load.engine == selftest.engine;
    let pace = match (load.loop_kind, load.depth) {
        (Loop::Open, _) => Pace::Open,
        (Loop::Closed, Some(depth)) => Pace::Depth(depth),
        (Loop::Closed, None) | (Loop::Duplex, _) => Pace::Depth(DUPLEX_DEPTH),
    };
    let ceiling = ceiling_for(selftest, message_bytes, pace, load.threads)?;
    was_measured.then(|| Headroom {
        ceiling_messages_per_second: ceiling,
        used_percent: 100.0 * messages_per_second / ceiling,
    })
}

fn cost_ns(cases: &[Case], message_bytes: f64, pace: Pace) -> Option<f64> {
    let of = |depth: Option<usize>, is_fit: &dyn Fn(&Case) -> bool| {
        let fits =
            |case: &&Case| case.depth == depth && is_fit(case) && case.cpu_ns_per_message > 0.0;
        cases.iter().find(fits)
    };
    let small = of(Some(1), &|case| case.message_bytes <= 1024)?;
    let base = match pace {
        Pace::Open => of(None, &|_| true)?.cpu_ns_per_message,
        Pace::Depth(1) => small.cpu_ns_per_message,
        Pace::Depth(depth) => {
            // Some other case of small messages with more than one in flight.
            let deep = cases.iter().find(|case| {
                case.depth.is_some_and(|depth| depth > 1)
                    && case.message_bytes == small.message_bytes
            })?;
            let deep_depth = deep.depth? as f64;
            let (one, many) = (small.cpu_ns_per_message, deep.cpu_ns_per_message);
            // A turn is what a message costs once, however many come with it.
            let turn = ((one - many) / (1.0 - 1.0 / deep_depth)).max(0.0);
            one - turn + turn / depth.max(1) as f64
        }
    };
    let further = (message_bytes - small.message_bytes as f64).max(0.0);
    if further == 0.0 {
        return Some(base);
    }
    let large = of(Some(1), &|case| case.message_bytes > 1024)?;
    let bytes = (large.message_bytes - small.message_bytes) as f64;
    let slope = ((large.cpu_ns_per_message - small.cpu_ns_per_message) / bytes).max(0.0);
    Some(base + further * slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::document::selftest::Comparing;
    use crate::output::document::{Environment, Status};

    fn case(depth: Option<usize>, message_bytes: usize, cpu_ns_per_message: f64) -> Case {
        Case {
            name: String::new(),
            connections: 64,
            depth,
            rate: None,
            message_bytes,
            messages_per_second: 1.0,
            cpu_ns_per_message,
            cpu_ns_per_message_unverified: None,
            ceiling_messages_per_second: 1e9 / cpu_ns_per_message,
            noise: None,
        }
    }

    fn selftest(cases: Vec<Case>) -> SelftestDocument {
        SelftestDocument {
            schema: SELFTEST_SCHEMA.to_owned(),
            status: Status::Ok,
            error: None,
            environment: Environment::read(),
            engine: "epoll".to_owned(),
            cpus: vec![1],
            peer_cpus: vec![0],
            cases,
            schedule: None,
            verify: Comparing::default(),
        }
    }

    fn usual() -> SelftestDocument {
        selftest(vec![
            case(Some(1), 32, 2_000.0),
            case(Some(16), 32, 500.0),
            case(Some(1), 65_536, 34_752.0),
            case(None, 32, 2_500.0),
        ])
    }

    #[track_caller]
    fn assert_ceiling(expected: f64, bytes: f64, pace: Pace, threads: usize) {
        let ceiling = ceiling_for(&usual(), bytes, pace, threads).unwrap();
        assert!((ceiling / expected - 1.0).abs() < 1e-6, "{ceiling}");
    }

    #[test]
    fn the_cases_themselves_come_back() {
        assert_ceiling(500_000.0, 32.0, Pace::Depth(1), 1);
        assert_ceiling(2_000_000.0, 32.0, Pace::Depth(16), 1);
        assert_ceiling(1e9 / 34_752.0, 65_536.0, Pace::Depth(1), 1);
        assert_ceiling(400_000.0, 32.0, Pace::Open, 1);
    }

    #[test]
    fn between_them_lie_straight_lines() {
        // Half a nanosecond a byte beyond 32.
        assert_ceiling(1e9 / 2_500.0, 1_032.0, Pace::Depth(1), 1);
        assert_ceiling(1e9 / 3_000.0, 1_032.0, Pace::Open, 1);
        // A turn of 1,600 ns, and 400 ns each.
        assert_ceiling(1e9 / 1_200.0, 32.0, Pace::Depth(2), 1);
        assert_ceiling(1e9 / 400.0, 32.0, Pace::Depth(usize::MAX), 1);
        // What is shorter costs no less, and threads do as many times that.
        assert_ceiling(1_500_000.0, 0.0, Pace::Depth(1), 3);
    }

    #[test]
    fn what_was_not_measured_has_no_ceiling() {
        let nothing = selftest(Vec::new());
        assert_eq!(ceiling_for(&nothing, 32.0, Pace::Depth(1), 1), None);
        let only_small = selftest(vec![case(Some(1), 32, 2_000.0)]);
        assert!(ceiling_for(&only_small, 32.0, Pace::Depth(1), 1).is_some());
        assert_eq!(ceiling_for(&only_small, 32.0, Pace::Open, 1), None);
        assert_eq!(ceiling_for(&only_small, 32.0, Pace::Depth(4), 1), None);
        assert_eq!(ceiling_for(&only_small, 4_096.0, Pace::Depth(1), 1), None);
        let broken = selftest(vec![case(Some(1), 32, 0.0)]);
        assert_eq!(ceiling_for(&broken, 32.0, Pace::Depth(1), 1), None);
    }

    /// A closed loop with one in flight, as a run tells it, with some fields changed.
    fn load(changes: &[(&str, serde_json::Value)]) -> Load {
        let mut load = serde_json::json!({
            "urls": ["ws://127.0.0.1:1/"], "addresses": [], "protocol": "websocket", "tls": null,
            "deflate": null, "subprotocol": null, "loop": "closed", "depth": 1, "rate": null,
            "message_kind": "binary", "message_size": {"text": "32", "bytes_min": 32, "bytes_max": 32},
            "fragments": 1, "ping_every_seconds": null, "verify": "full", "connections": 64,
            "slow_readers": 0, "threads": 2, "cpus": [], "engine": "epoll", "engine_reason": "",
            "seed": 1, "warmup_seconds": 1.0, "duration_seconds": 5.0,
        });
        for (name, value) in changes {
            load[*name] = value.clone();
        }
        serde_json::from_value(load).unwrap()
    }

    #[test]
    fn a_runs_share_of_the_ceiling_is_told() {
        let used = |changes: &[(&str, serde_json::Value)]| {
            let headroom = headroom(&usual(), &load(changes), 32.0, 250_000.0);
            headroom.map(|headroom| headroom.used_percent.round())
        };
        let (closed, open, duplex) = ("closed".into(), "open".into(), "duplex".into());
        // Two threads: a million a second one by one.
        assert_eq!(used(&[("loop", closed)]), Some(25.0));
        assert_eq!(
            used(&[("loop", open), ("depth", serde_json::Value::Null)]),
            Some(31.0)
        );
        assert_eq!(
            used(&[("loop", duplex), ("depth", serde_json::Value::Null)]),
            Some(6.0)
        );
        for (name, value) in [
            ("tls", "TLSv1.3".into()),
            ("deflate", "permessage-deflate".into()),
            ("protocol", "tcp".into()),
            ("fragments", 2.into()),
            ("engine", "uring".into()),
        ] {
            assert_eq!(used(&[(name, value)]), None, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_no_selftest_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("selftest.json");
        assert!(read(&path).unwrap_err().to_string().contains("--selftest"));
        fs::write(&path, "{}").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("is not what ringload selftest"), "{error}");
        let mut other = usual();
        other.schema = "ringload-selftest/9".to_owned();
        fs::write(&path, serde_json::to_string(&other).unwrap()).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("ringload-selftest/9"), "{error}");
        fs::write(&path, serde_json::to_string(&usual()).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap().cases, usual().cases);
    }
}
