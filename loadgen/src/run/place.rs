//! Where the generator runs, and which processes are the server's: the same for every command that loads one.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::load::pin;
use crate::observe::cgroup::Cgroup;
use crate::observe::gaps;
use crate::observe::others::InterruptTime;
use crate::observe::placement;
use crate::observe::process::{family, tasks};
use crate::quantity::{CpuList, parse_cpu_list};
use crate::run::window::Observed;
use crate::usage::UsageError;

/// How long the machine's own gaps are looked for before a load.
const GAPS: Duration = Duration::from_millis(50);

/// Where the two sides are.
#[derive(Args, Clone, Debug, Default)]
pub struct PlaceArgs {
    /// Run on these CPUs only, each load thread on one of them: 1 or 0,2-3
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub cpu: Option<CpuList>,

    /// A process of the server, for its CPU time and memory and those of the processes that it
    /// started; repeatable
    #[arg(long = "server-pid", value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) server_pids: Vec<i32>,

    /// The directory of the server's control group: its processes are the server's, its account is what they
    /// used. Without, one that the processes of --server-pid have for themselves is found
    #[arg(long, value_name = "PATH")]
    pub(crate) server_cgroup: Option<PathBuf>,
}

impl PlaceArgs {
    /// Keeps this thread, and those that it will start, on the CPUs asked for.
    pub(crate) fn take(&self) -> Result<(), UsageError> {
        let cpus = self.cpu.as_ref().map(|cpus| pin(&cpus.0));
        cpus.unwrap_or(Ok(())).map_err(|error| {
            let why = format!("--cpu: the kernel does not allow these CPUs ({error})");
            UsageError(why)
        })
    }

    /// Does so, and says who is observed: as [`PlaceArgs::observe`] does, and for how long the machine takes those CPUs
    /// from a thread that only spins.
    pub(crate) fn settle(&self) -> Result<Observed, UsageError> {
        let observed = self.observe()?;
        self.take()?;
        let cpus = placement::allowed_cpus().unwrap_or_default();
        Ok(Observed {
            gaps: gaps::measure(&cpus, GAPS),
            ..observed
        })
    }

    /// CPUs for the threads, in turn; empty leaves it to the kernel.
    pub(crate) fn cpus(&self) -> Vec<usize> {
        self.cpu
            .as_ref()
            .map_or_else(Vec::new, |cpus| cpus.0.clone())
    }

    /// Checks that the server's processes can be read: those that were named, and those of its control group.
    pub(crate) fn observe(&self) -> Result<Observed, UsageError> {
        let mut server_pids = self.server_pids.clone();
        let mut cgroup = None;
        if let Some(directory) = &self.server_cgroup {
            let wrong = |error| UsageError(format!("--server-cgroup: {error}"));
            let group = Cgroup::at(directory).map_err(wrong)?;
            let members = group.members().unwrap_or_default();
            server_pids.extend(members.into_iter().filter(|pid| *pid > 0));
            if server_pids.is_empty() {
                return Err(wrong(format!("no process is in {}", directory.display())));
            }
            cgroup = Some(group);
        }
        for &pid in &server_pids {
            tasks(pid).map_err(|error| {
                let why = format!("--server-pid {pid}: that process cannot be read ({error})");
                UsageError(why)
            })?;
        }
        Ok(Observed {
            cgroup: cgroup.or_else(|| Cgroup::of(&family(&server_pids))),
            server_pids,
            interrupts: InterruptTime::find(),
            gaps: None,
        })
    }
}
