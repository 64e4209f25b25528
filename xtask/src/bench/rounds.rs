//! The parts `echo` and `deep`: every server under every workload, in turns.
//!
//! All servers are started once, pinned to one CPU, and stay up; in each round every server meets
//! every workload once, in random order. So a server is measured warm, as it would be in service
//! (a just-started Node compiles its code for a while), and idle ones cost nothing: that is
//! checked, not assumed.

use super::Bench;
use super::plan::{Part, Workload};
use super::server::Server;
use super::summary::Sample;
use std::time::Instant;

impl Bench {
    /// Runs `part`, if there is a workload for it.
    pub(crate) fn measure_rounds(
        &mut self,
        part: Part,
        workloads: &[Workload],
    ) -> anyhow::Result<()> {
        if workloads.is_empty() {
            return Ok(());
        }
        let mut servers = self.start_all(part)?;
        let mut workloads = workloads.to_vec();
        for round in 1..=self.options.pace(part).rounds {
            self.random.shuffle(&mut workloads);
            for workload in &workloads {
                self.random.shuffle(&mut servers);
                for at in 0..servers.len() {
                    match self.measure(&servers, at, part, workload, round) {
                        Ok(sample) => self.summary.samples.push(sample),
                        Err(error) => {
                            self.interrupt.check()?;
                            let (server, workload) = (&servers[at].name, workload.name);
                            self.summary
                                .fail(format!("{server}, {workload}, round {round}: {error:#}"));
                        }
                    }
                }
                self.bury(&mut servers);
            }
        }
        self.agenda.rest();
        Ok(())
    }

    /// One run against `servers[at]`, while all the others stand by.
    fn measure(
        &mut self,
        servers: &[Server],
        at: usize,
        part: Part,
        workload: &Workload,
        round: u32,
    ) -> anyhow::Result<Sample> {
        let server = &servers[at];
        let pace = self.options.pace(part);
        let raw = format!("raw/{}-{}-{round}.json", workload.name, server.name);
        let text = format!(
            "round {round}/{}  {}  {}",
            pace.rounds, workload.name, server.name
        );
        self.agenda.step(self.step_of(part), &text);
        let others = || {
            let others = servers.iter().filter(|other| other.name != server.name);
            others.filter_map(Server::cpu_seconds).sum::<f64>()
        };
        let (others_before, start) = (others(), Instant::now());
        let run = self.generator().run(server, workload, pace, &raw)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Sample {
            workload: workload.name,
            server: server.name.clone(),
            round,
            raw,
            other_servers_cpu_percent: 100.0 * (others() - others_before) / seconds,
            run,
        })
    }
}
