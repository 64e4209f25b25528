//! Which servers and workloads take part.

use ringload::usage::UsageError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::peers::Peer;
use super::scrub::Scrubber;
use super::workload::{Suite, Workload};
use crate::options::suite::SuiteOptions;
use crate::suite::document::{ServerEntry, ServerStatus, SuiteDocument, WorkloadEntry};

/// What takes part, and what does not.
pub(super) struct Selection {
    pub(super) servers: Vec<Peer>,
    /// Each with the positions of its servers.
    pub(super) workloads: Vec<(Workload, Vec<usize>)>,
    /// Who takes no part in what, and why: a sentence for all that have it in common.
    pub(super) notes: Vec<String>,
}

impl Selection {
    /// What the file and the options ask for.
    pub(super) fn of(
        suite: &Suite,
        peers: &[Peer],
        options: &SuiteOptions,
    ) -> Result<Selection, UsageError> {
        let all: Vec<String> = peers.iter().map(|peer| peer.name.clone()).collect();
        let asked = match (&options.server[..], &suite.servers) {
            ([], None) => &all,
            ([], Some(servers)) => servers,
            (servers, _) => &servers.to_vec(),
        };
        let named = suite
            .workloads
            .iter()
            .filter_map(|workload| workload.servers.as_ref());
        let named = named.flatten().chain(&suite.baseline);
        for name in asked.iter().chain(named) {
            if !all.contains(name) {
                let all = all.join(", ");
                let why = format!("no server is called {name}; there are {all}");
                return Err(UsageError(why));
            }
        }
        let names: Vec<&str> = suite.workloads.iter().map(|it| it.name.as_str()).collect();
        if let Some(wrong) = options
            .only
            .iter()
            .find(|name| !names.contains(&name.as_str()))
        {
            let names = names.join(", ");
            let why = format!(
                "--only {wrong}: the workloads of {} are {names}",
                suite.name
            );
            return Err(UsageError(why));
        }
        let servers: Vec<Peer> = peers
            .iter()
            .filter(|peer| asked.contains(&peer.name))
            .cloned()
            .collect();
        let is_asked =
            |workload: &&Workload| options.only.is_empty() || options.only.contains(&workload.name);
        let mut absences = Vec::new();
        let workloads = suite
            .workloads
            .iter()
            .filter(is_asked)
            .map(|workload| {
                let mut workload = workload.clone();
                workload.rounds = options.rounds.unwrap_or(workload.rounds);
                let taking_part = taking_part(&workload, &servers, &mut absences);
                (workload, taking_part)
            })
            .collect();
        Ok(Selection {
            servers,
            workloads,
            notes: in_sentences(absences),
        })
    }

    /// What took part when `document` was begun, as it was written. The error says what has changed
    /// since.
    pub(super) fn resumed(
        suite: &Suite,
        peers: &[Peer],
        document: &SuiteDocument,
        scrubber: &Scrubber,
    ) -> Result<Selection, UsageError> {
        let changed = |what: String| {
            UsageError(format!(
                "{what} since this was begun; begin a new directory"
            ))
        };
        let servers = document
            .servers
            .iter()
            .map(|entry| {
                let peer = peers.iter().find(|peer| peer.name == entry.name);
                let same = peer.filter(|peer| written(&peer.run, scrubber) == entry.command);
                same.cloned()
                    .ok_or_else(|| changed(format!("{} has changed", entry.name)))
            })
            .collect::<Result<Vec<Peer>, UsageError>>()?;
        let position = |name: &String| servers.iter().position(|server| server.name == *name);
        let workloads = document
            .workloads
            .iter()
            .map(|entry| {
                let found = suite.workloads.iter().find(|it| it.name == entry.name);
                let same = found.filter(|workload| {
                    written(&workload.options, scrubber) == entry.options
                        && workload.kind.name() == entry.kind
                        && workload.tls == entry.tls
                });
                let mut workload = same
                    .cloned()
                    .ok_or_else(|| changed(format!("the workload {} has changed", entry.name)))?;
                workload.rounds = entry.rounds;
                Ok((
                    workload,
                    entry.servers.iter().filter_map(position).collect(),
                ))
            })
            .collect::<Result<Vec<_>, UsageError>>()?;
        Ok(Selection {
            servers,
            workloads,
            notes: Vec::new(),
        })
    }

    /// The servers as `suite.json` has them in the beginning.
    pub(super) fn server_entries(&self) -> Vec<ServerEntry> {
        let entry = |peer: &Peer| ServerEntry {
            name: peer.name.clone(),
            title: peer.title.clone(),
            what: peer.what.clone(),
            source: peer.source.clone(),
            speed: peer.speed.clone(),
            role: peer.role.name().to_owned(),
            threads: peer.threads.name().to_owned(),
            version: None,
            command: peer.run.clone(),
            url: peer.url.clone(),
            status: ServerStatus::Ok,
            reason: None,
        };
        self.servers.iter().map(entry).collect()
    }

    /// The workloads as `suite.json` has them.
    pub(super) fn workload_entries(&self) -> Vec<WorkloadEntry> {
        let entry = |(workload, servers): &(Workload, Vec<usize>)| WorkloadEntry {
            name: workload.name.clone(),
            kind: workload.kind.name().to_owned(),
            title: workload.title.clone(),
            rounds: workload.rounds,
            tls: workload.tls,
            fresh: false,
            servers: servers
                .iter()
                .map(|&server| self.servers[server].name.clone())
                .collect(),
            options: workload.options.clone(),
        };
        self.workloads.iter().map(entry).collect()
    }
}

/// The value as it is read back from a file of the results.
fn written<T: Clone + DeserializeOwned + Serialize>(value: &T, scrubber: &Scrubber) -> T {
    let text = serde_json::to_string(value).unwrap_or_default();
    // Only what is odd to begin with is not itself again.
    serde_json::from_str(&scrubber.clean(&text)).unwrap_or_else(|_| value.clone())
}

/// Servers that some workloads cannot be measured with.
struct Absence {
    servers: Vec<String>,
    workloads: Vec<String>,
    why: String,
}

/// A sentence for each reason that is shared by the same servers.
fn in_sentences(absences: Vec<Absence>) -> Vec<String> {
    let mut joined: Vec<Absence> = Vec::new();
    for absence in absences {
        let alike =
            |other: &&mut Absence| other.servers == absence.servers && other.why == absence.why;
        match joined.iter_mut().find(alike) {
            Some(other) => other.workloads.extend(absence.workloads),
            None => joined.push(absence),
        }
    }
    let sentence = |absence: Absence| {
        let verb = match absence.servers.len() {
            1 => "takes",
            _ => "take",
        };
        let (servers, workloads) = (absence.servers.join(", "), absence.workloads.join(", "));
        format!("{servers} {verb} no part in {workloads}: {}.", absence.why)
    };
    joined.into_iter().map(sentence).collect()
}

/// The positions of the servers that `workload` can be measured with.
fn taking_part(workload: &Workload, servers: &[Peer], absences: &mut Vec<Absence>) -> Vec<usize> {
    let mut taking_part = Vec::new();
    let first = absences.len();
    for (position, server) in servers.iter().enumerate() {
        if let Some(names) = &workload.servers
            && !names.contains(&server.name)
        {
            continue;
        }
        let why = if workload.tls && server.tls.is_none() {
            Some("no tls in peer.toml".to_owned())
        } else {
            let checked = workload.check_for(&server.url);
            checked.and_then(|()| workload.check_room()).err()
        };
        match why {
            None => taking_part.push(position),
            Some(why) => {
                let why = why.trim_end_matches('.');
                let of_this = &mut absences[first..];
                match of_this.iter_mut().find(|absence| absence.why == why) {
                    Some(absence) => absence.servers.push(server.name.clone()),
                    None => absences.push(Absence {
                        servers: vec![server.name.clone()],
                        workloads: vec![workload.name.clone()],
                        why: why.to_owned(),
                    }),
                }
            }
        }
    }
    taking_part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_for_all_that_share_it() {
        let absence = |servers: &[&str], workload: &str, why: &str| Absence {
            servers: servers.iter().map(|name| (*name).to_owned()).collect(),
            workloads: vec![workload.to_owned()],
            why: why.to_owned(),
        };
        let notes = in_sentences(vec![
            absence(&["a", "b"], "tls-1", "no tls in peer.toml"),
            absence(&["c"], "pings", "a TCP echo has none"),
            absence(&["a", "b"], "tls-2", "no tls in peer.toml"),
        ]);
        assert_eq!(
            notes,
            [
                "a, b take no part in tls-1, tls-2: no tls in peer.toml.",
                "c takes no part in pings: a TCP echo has none.",
            ]
        );
    }
}
