//! What is measured: the parts of a comparison, the workloads and the servers.

use serde::Serialize;

/// A part of a comparison, which can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// Every server under the common workloads, in turns
    Echo,
    /// Every server with a deep pipeline of tiny messages, where the parser shows
    Deep,
    /// Each Ringback engine beside the RFC 862 echo on it, round by round, to a verdict
    Paired,
    /// Connections that come, echo once and go, and the kernel's floor for that
    Storm,
    /// Memory of idle connections, and what is kept of it when they have left
    Idle,
    /// The same with as many connections as several processes may hold
    Crowd,
}

/// Every part, in the order in which they are run and reported.
pub(crate) const PARTS: [Part; 6] = [
    Part::Echo,
    Part::Deep,
    Part::Paired,
    Part::Storm,
    Part::Idle,
    Part::Crowd,
];

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
pub(crate) const WORKLOADS: [Workload; 4] = [
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
    Workload {
        name: "64x16B-depth256",
        connections: 64,
        depth: 256,
        size_bytes: 16,
    },
];

/// The workload of [`Part::Deep`]; [`Part::Echo`] has the others.
pub(crate) const DEEP: &str = "64x16B-depth256";

/// The workload of [`Part::Paired`], unless others are asked for.
pub(crate) const PAIRED: &str = "64x32B-depth1";

/// How Ringback moves bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Uring,
    Epoll,
    TokioUring,
}

/// Every engine.
pub(crate) const ENGINES: [Engine; 3] = [Engine::Uring, Engine::Epoll, Engine::TokioUring];

impl Engine {
    /// The name `--engine` takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Uring => "uring",
            Engine::Epoll => "epoll",
            Engine::TokioUring => "tokio-uring",
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
    /// Bun, whose WebSockets are uWebSockets'.
    Bun,
    /// fastwebsockets on hyper and tokio.
    Fastwebsockets,
}

/// Every server, in the order in which they are reported.
pub(crate) const SUBJECTS: [Subject; 10] = [
    Subject::Ringback(Engine::Uring),
    Subject::Ringback(Engine::Epoll),
    Subject::Ringback(Engine::TokioUring),
    Subject::Limit(Engine::Uring),
    Subject::Limit(Engine::Epoll),
    Subject::Limit(Engine::TokioUring),
    NODE,
    Subject::Node { bufferutil: true },
    Subject::Bun,
    Subject::Fastwebsockets,
];

/// The baseline.
pub(crate) const NODE: Subject = Subject::Node { bufferutil: false };

impl Subject {
    /// Short name, part of file names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Ringback(Engine::Uring) => "ringback-uring",
            Subject::Ringback(Engine::Epoll) => "ringback-epoll",
            Subject::Ringback(Engine::TokioUring) => "ringback-tokio-uring",
            Subject::Limit(Engine::Uring) => "rfc862-uring",
            Subject::Limit(Engine::Epoll) => "rfc862-epoll",
            Subject::Limit(Engine::TokioUring) => "rfc862-tokio-uring",
            Subject::Node { bufferutil: false } => "node-ws",
            Subject::Node { bufferutil: true } => "node-ws-bufferutil",
            Subject::Bun => "bun",
            Subject::Fastwebsockets => "fastwebsockets",
        }
    }

    /// The server whose cost is the floor for this one.
    pub(crate) fn limit(self) -> Option<Subject> {
        match self {
            Subject::Ringback(engine) => Some(Subject::Limit(engine)),
            _ => None,
        }
    }

    /// Whether this is another project's WebSocket server.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Subject::Ringback(_) | Subject::Limit(_))
    }

    /// Whether `part` measures it, unless the user names servers.
    pub(crate) fn takes_part_in(self, part: Part) -> bool {
        match part {
            Part::Echo | Part::Deep => true,
            // Unmasking is no part of coming and going, nor of doing nothing.
            Part::Storm => self != Subject::Node { bufferutil: true },
            Part::Idle => self != Subject::Node { bufferutil: true } && !self.is_limit(),
            Part::Paired | Part::Crowd => matches!(self, Subject::Ringback(_)),
        }
    }

    fn is_limit(self) -> bool {
        matches!(self, Subject::Limit(_))
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
        assert_eq!(NODE.limit(), None);
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
