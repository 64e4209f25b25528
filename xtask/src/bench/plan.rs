//! What is measured: the workloads, the servers, and the order in which they meet.

use serde::Serialize;

/// A load that every server is put under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Workload {
    /// Short name, part of file names.
    pub(crate) name: &'static str,
    pub(crate) connections: u32,
    /// Messages in flight per connection.
    pub(crate) depth: u32,
    /// Bytes of payload per message; always binary, random content.
    pub(crate) size_bytes: u32,
}

impl Workload {
    /// The workload as a heading.
    pub(crate) fn title(&self) -> String {
        let size = match self.size_bytes {
            bytes if bytes >= 1024 && bytes % 1024 == 0 => format!("{} KiB", bytes / 1024),
            bytes => format!("{bytes} B"),
        };
        format!(
            "{} connections × {size} binary, depth {}",
            self.connections, self.depth
        )
    }
}

/// Every workload, in the order in which they are reported.
pub(crate) const WORKLOADS: [Workload; 3] = [
    Workload {
        name: "64x32B-depth1",
        connections: 64,
        depth: 1,
        size_bytes: 32,
    },
    Workload {
        name: "64x32B-depth16",
        connections: 64,
        depth: 16,
        size_bytes: 32,
    },
    Workload {
        name: "16x64KiB-depth1",
        connections: 16,
        depth: 1,
        size_bytes: 64 * 1024,
    },
];

/// How Ringback moves bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Uring,
    Epoll,
}

impl Engine {
    /// The name `--engine` takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Uring => "uring",
            Engine::Epoll => "epoll",
        }
    }
}

/// A server under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Ringback as a WebSocket echo.
    Ringback(Engine),
    /// Ringback as an RFC 862 echo, bytes back as they come: what the engine costs without
    /// WebSocket, and so the limit of what WebSocket on it can reach.
    Limit(Engine),
    /// Node `ws`, plain or with the native module that unmasks for it.
    Node { bufferutil: bool },
}

/// Every server, in the order in which they are reported.
pub(crate) const SUBJECTS: [Subject; 6] = [
    Subject::Ringback(Engine::Uring),
    Subject::Ringback(Engine::Epoll),
    Subject::Limit(Engine::Uring),
    Subject::Limit(Engine::Epoll),
    Subject::Node { bufferutil: false },
    Subject::Node { bufferutil: true },
];

impl Subject {
    /// Short name, part of file names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Ringback(Engine::Uring) => "ringback-uring",
            Subject::Ringback(Engine::Epoll) => "ringback-epoll",
            Subject::Limit(Engine::Uring) => "rfc862-uring",
            Subject::Limit(Engine::Epoll) => "rfc862-epoll",
            Subject::Node { bufferutil: false } => "node-ws",
            Subject::Node { bufferutil: true } => "node-ws-bufferutil",
        }
    }

    /// The server whose cost is the floor for this one.
    pub(crate) fn limit(self) -> Option<Subject> {
        match self {
            Subject::Ringback(engine) => Some(Subject::Limit(engine)),
            Subject::Limit(_) | Subject::Node { .. } => None,
        }
    }

    /// Whether idle connections of it are measured too: WebSocket servers, one per kind.
    pub(crate) fn has_idle_measurement(self) -> bool {
        matches!(
            self,
            Subject::Ringback(_) | Subject::Node { bufferutil: false }
        )
    }
}

/// The `names` that `filters` ask for: a filter that is a name stands for that one alone, any other
/// for every name that contains it. No filter asks for everything.
pub(crate) fn selected(names: &[&'static str], filters: &[String]) -> Vec<&'static str> {
    let asked_for = |name: &&str| {
        filters
            .iter()
            .any(|filter| match names.contains(&filter.as_str()) {
                true => filter == name,
                false => name.contains(filter.as_str()),
            })
    };
    let all = names.iter().copied();
    if filters.is_empty() {
        all.collect()
    } else {
        all.filter(asked_for).collect()
    }
}

/// A small seeded generator (SplitMix64), so that a recorded seed repeats an order.
pub(crate) struct Shuffler {
    state: u64,
}

impl Shuffler {
    pub(crate) fn new(seed: u64) -> Shuffler {
        Shuffler { state: seed }
    }

    /// Puts `items` into a random order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // The bias of a remainder is beyond notice for a handful of items.
            let chosen = (self.next() % (last as u64 + 1)) as usize;
            items.swap(last, chosen);
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn titles_read_as_people_write() {
        assert_eq!(
            WORKLOADS[0].title(),
            "64 connections × 32 B binary, depth 1"
        );
        assert_eq!(
            WORKLOADS[2].title(),
            "16 connections × 64 KiB binary, depth 1"
        );
    }

    #[test]
    fn names_tell_servers_apart() {
        let names: HashSet<_> = SUBJECTS.iter().map(|subject| subject.name()).collect();
        assert_eq!(names.len(), SUBJECTS.len());
    }

    #[test]
    fn the_limit_of_a_server_runs_on_its_engine() {
        let limit = Subject::Ringback(Engine::Epoll).limit();
        assert_eq!(limit, Some(Subject::Limit(Engine::Epoll)));
        assert_eq!(Subject::Node { bufferutil: false }.limit(), None);
    }

    #[test]
    fn a_seed_repeats_its_order_and_every_order_comes() {
        let shuffled = |seed| {
            let mut items = [0, 1, 2, 3];
            Shuffler::new(seed).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(7), shuffled(7));
        let orders: HashSet<_> = (0..2000).map(shuffled).collect();
        assert_eq!(orders.len(), 24);
    }

    #[test]
    fn a_filter_is_a_whole_name_or_a_part_of_some() {
        const NAMES: [&str; 3] = ["depth1", "depth16", "other"];
        let chosen = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            selected(&NAMES, &filters)
        };
        assert_eq!(chosen(&[]), NAMES);
        assert_eq!(chosen(&["depth1"]), ["depth1"]);
        assert_eq!(chosen(&["depth"]), ["depth1", "depth16"]);
        assert_eq!(chosen(&["other", "16"]), ["depth16", "other"]);
        assert!(chosen(&["nothing"]).is_empty());
    }
}
