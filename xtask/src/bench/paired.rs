//! The part `paired`: two servers, round by round, to a verdict.
//!
//! Each slice has a process of its own. Two processes of one program differ, too: where the kernel
//! happened to put their memory moves CPU per message by a few per cent for as long as they live.
//! Servers that stayed up would carry that difference through all rounds, and the verdict would be
//! on two processes rather than two programs; started afresh it is drawn anew each time, and is
//! part of the interval. Ringback needs no warming up beyond the usual half second.

use super::Bench;
use super::bootstrap::{Estimate, Verdict};
use super::launch::Launch;
use super::plan::{PAIRED, Part, Subject, Workload};
use super::server::Server;
use super::statistics::Spread;
use super::summary::Sample;
use serde::Serialize;

/// One of a pair.
#[derive(Debug, Serialize)]
pub(crate) struct Arm {
    pub(crate) name: String,
    pub(crate) messages_per_second: Option<Spread>,
    pub(crate) latency_p50_microseconds: Option<Spread>,
    pub(crate) latency_p99_microseconds: Option<Spread>,
    pub(crate) server_cpu_microseconds_per_message: Option<Spread>,
}

/// What came out of one pair.
#[derive(Debug, Serialize)]
pub(crate) struct PairRow {
    pub(crate) workload: &'static str,
    pub(crate) this: Arm,
    pub(crate) that: Arm,
    /// CPU per message of this relative to that.
    pub(crate) estimate: Estimate,
    pub(crate) margin_percent: f64,
    pub(crate) verdict: Verdict,
    /// Both runs of each round, this first, whichever came first.
    pub(crate) rounds: Vec<[Sample; 2]>,
}

/// Two servers to compare: the first one's cost is given relative to the second one's.
struct Pair {
    launches: [Launch; 2],
    /// What each is called in the names of raw files.
    files: [String; 2],
    workload: Workload,
    rounds: Vec<[Sample; 2]>,
}

impl Bench {
    /// The workloads of the pairs: without a choice of the user's, the smallest messages one by one,
    /// where the protocol's share is largest.
    pub(crate) fn paired_workloads(&self, chosen: &[Workload]) -> Vec<Workload> {
        let is_paired =
            |workload: &&Workload| !self.options.workload.is_empty() || workload.name == PAIRED;
        chosen.iter().filter(is_paired).copied().collect()
    }

    /// How many pairs there are.
    pub(crate) fn pair_count(&self) -> usize {
        if self.options.pair.is_empty() {
            self.taking_part(Part::Paired).len()
        } else {
            1
        }
    }

    /// Measures all pairs, interleaved.
    pub(crate) fn measure_pairs(&mut self, workloads: &[Workload]) -> anyhow::Result<()> {
        let mut pairs = Vec::new();
        for &workload in workloads {
            pairs.extend(self.pairs(workload)?);
        }
        let rounds = self.options.pace(Part::Paired).rounds;
        for round in 1..=rounds {
            self.random.shuffle(&mut pairs);
            let mut at = 0;
            while at < pairs.len() {
                match self.measure_pair(&pairs[at], round) {
                    Ok(samples) => pairs[at].rounds.push(samples),
                    Err(error) => {
                        self.interrupt.check()?;
                        let names = pairs[at].launches.each_ref().map(|launch| &launch.name);
                        self.summary.fail(format!(
                            "{} beside {}, round {round}: {error:#}",
                            names[0], names[1]
                        ));
                        // What never has worked is not tried again.
                        if pairs[at].rounds.is_empty() {
                            pairs.remove(at);
                            continue;
                        }
                    }
                }
                at += 1;
            }
        }
        self.agenda.rest();
        pairs.sort_by_key(|pair| (pair.workload.name, pair.files[0].clone()));
        for pair in pairs {
            let row = self.judge(pair);
            self.summary.pairs.extend(row);
        }
        Ok(())
    }

    fn pairs(&self, workload: Workload) -> anyhow::Result<Vec<Pair>> {
        let pair = |launches: [Launch; 2], files: [String; 2]| Pair {
            launches,
            files,
            workload,
            rounds: Vec::new(),
        };
        if let [this, that] = &self.options.pair[..] {
            let launches = [
                self.programs.launch_of(this)?,
                self.programs.launch_of(that)?,
            ];
            return Ok(vec![pair(launches, ["a", "b"].map(str::to_owned))]);
        }
        let beside_limit = |subject: Subject| {
            let launches = [subject, subject.limit()?].map(|subject| self.programs.launch(subject));
            let files = launches.each_ref().map(|launch| launch.name.clone());
            Some(pair(launches, files))
        };
        let subjects = self.taking_part(Part::Paired);
        Ok(subjects.into_iter().filter_map(beside_limit).collect())
    }

    /// One round: each of the two once, in random order.
    fn measure_pair(&mut self, pair: &Pair, round: u32) -> anyhow::Result<[Sample; 2]> {
        let mut order = [0, 1];
        self.random.shuffle(&mut order);
        let mut samples = [None, None];
        for side in order {
            samples[side] = Some(self.slice(pair, side, round)?);
        }
        match samples {
            [Some(this), Some(that)] => Ok([this, that]),
            _ => unreachable!("the order names both"),
        }
    }

    fn slice(&mut self, pair: &Pair, side: usize, round: u32) -> anyhow::Result<Sample> {
        let (launch, workload) = (&pair.launches[side], &pair.workload);
        let pace = self.options.pace(Part::Paired);
        let raw = format!(
            "raw/paired-{}-{}-{round}.json",
            workload.name, pair.files[side]
        );
        let text = format!(
            "pair {round}/{}  {}  {}",
            pace.rounds, workload.name, launch.name
        );
        self.agenda.step(self.step_of(Part::Paired), &text);
        let server = Server::start(launch, self.placement.server_cpu, &self.interrupt)?;
        let run = self.generator().run(&server, workload, pace, &raw)?;
        Ok(Sample {
            workload: workload.name,
            server: launch.name.clone(),
            round,
            raw,
            other_servers_cpu_percent: 0.0,
            run,
        })
    }

    fn judge(&mut self, pair: Pair) -> Option<PairRow> {
        let cpu = |sample: &Sample| sample.run.server_cpu_microseconds_per_message;
        let ratios: Vec<f64> = pair
            .rounds
            .iter()
            .filter_map(|[this, that]| Some(cpu(this)? / cpu(that)?))
            .collect();
        let estimate = Estimate::of(&ratios, &mut self.random)?;
        let arm = |side: usize| {
            let spread = |value: &dyn Fn(&Sample) -> Option<f64>| {
                Spread::of(pair.rounds.iter().filter_map(|round| value(&round[side])))
            };
            Arm {
                name: pair.launches[side].name.clone(),
                messages_per_second: spread(&|sample| Some(sample.run.messages_per_second)),
                latency_p50_microseconds: spread(&|sample| {
                    Some(sample.run.latency_p50_microseconds)
                }),
                latency_p99_microseconds: spread(&|sample| {
                    Some(sample.run.latency_p99_microseconds)
                }),
                server_cpu_microseconds_per_message: spread(&cpu),
            }
        };
        let margin_percent = self.options.margin;
        Some(PairRow {
            workload: pair.workload.name,
            this: arm(0),
            that: arm(1),
            verdict: estimate.verdict(margin_percent / 100.0),
            estimate,
            margin_percent,
            rounds: pair.rounds,
        })
    }
}
