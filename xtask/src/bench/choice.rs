//! What takes part in a comparison: the workloads and servers asked for, as far as they can be had.

use super::launch::Programs;
use super::options::Options;
use super::peers::{PeerVersions, Peers};
use super::plan::{SUBJECTS, Subject, WORKLOADS, Workload, selected};
use super::process::Interrupt;
use super::summary::Summary;
use anyhow::{Context, ensure};
use std::env;
use std::path::{Path, PathBuf};

/// Folder of the peers.
const PEERS: &str = "scripts/peers";

/// The workloads asked for.
pub(crate) fn chosen_workloads(options: &Options) -> anyhow::Result<Vec<Workload>> {
    let names = WORKLOADS.map(|workload| workload.name);
    let chosen = selected(&names, &options.workload);
    ensure!(
        !chosen.is_empty(),
        "--workload matches none of {}",
        names.join(", ")
    );
    Ok(WORKLOADS
        .into_iter()
        .filter(|workload| chosen.contains(&workload.name))
        .collect())
}

/// The servers that any of the parts asked for measures, as far as they can be had; what is missing
/// is noted.
pub(crate) fn chosen_subjects(
    options: &Options,
    programs: &Programs,
    interrupt: &Interrupt,
    summary: &mut Summary,
) -> anyhow::Result<(Vec<Subject>, PeerVersions)> {
    let names = SUBJECTS.map(Subject::name);
    let chosen = selected(&names, &options.server);
    ensure!(
        !chosen.is_empty(),
        "--server matches none of {}",
        names.join(", ")
    );
    let parts = options.parts();
    let mut chosen: Vec<Subject> = SUBJECTS
        .into_iter()
        .filter(|subject| chosen.contains(&subject.name()))
        .filter(|subject| parts.iter().any(|part| subject.takes_part_in(*part)))
        // Its two sides say themselves what they are.
        .filter(|_| options.pair.is_empty())
        .collect();
    let (versions, missing) = programs.peers.prepare(&mut chosen, interrupt);
    interrupt.check()?;
    for sentence in missing {
        summary.note(&sentence);
    }
    Ok((chosen, versions))
}

/// The programs, which must have been built.
pub(crate) fn programs(root: &Path, options: &Options) -> anyhow::Result<Programs> {
    let this = env::current_exe()?;
    let beside = this.parent().map(Path::to_path_buf).unwrap_or_default();
    let target = beside.parent().map(Path::to_path_buf).unwrap_or_default();
    let directory = match &options.binaries {
        Some(directory) => directory.canonicalize().context("--binaries")?,
        None => beside,
    };
    let program = |name: &str| {
        let path = directory.join(name);
        ensure!(
            path.is_file(),
            "{name} is not built; scripts/bench builds what it needs"
        );
        Ok(path)
    };
    Ok(Programs {
        ringback: program("ringback")?,
        ringload: program("ringload")?,
        peers: Peers::new(&root.join(PEERS), &target),
    })
}

/// The directory of the project, from anywhere inside it.
pub(crate) fn project_root() -> anyhow::Result<PathBuf> {
    let current = env::current_dir()?;
    let root = current.ancestors().find(|path| path.join(PEERS).is_dir());
    root.map(Path::to_path_buf)
        .context("run this inside the project")
}
