//! What takes part in a comparison: the workloads and servers asked for, as far as they can be had.

use super::node::{self, NodePeer};
use super::options::Options;
use super::plan::{SUBJECTS, Subject, WORKLOADS, Workload, selected};
use super::process::Interrupt;
use super::server::Programs;
use super::summary::Summary;
use anyhow::{Context, ensure};
use std::env;
use std::path::{Path, PathBuf};

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

/// The servers asked for that can be had; what is missing is noted.
pub(crate) fn chosen_subjects(
    options: &Options,
    programs: &Programs,
    interrupt: &Interrupt,
    summary: &mut Summary,
) -> anyhow::Result<(Vec<Subject>, Option<NodePeer>)> {
    let names = SUBJECTS.map(Subject::name);
    let chosen = selected(&names, &options.server);
    ensure!(
        !chosen.is_empty(),
        "--server matches none of {}",
        names.join(", ")
    );
    let mut chosen: Vec<Subject> = SUBJECTS
        .into_iter()
        .filter(|subject| chosen.contains(&subject.name()))
        .collect();
    if !chosen
        .iter()
        .any(|subject| matches!(subject, Subject::Node { .. }))
    {
        return Ok((chosen, None));
    }
    let prepared = node::prepare(&programs.node_peer, interrupt);
    interrupt.check()?;
    match prepared {
        Ok(node) => {
            if let Some(why) = &node.no_bufferutil {
                chosen.retain(|subject| *subject != Subject::Node { bufferutil: true });
                summary.note(&format!("There is no node-ws-bufferutil: {why}."));
            }
            Ok((chosen, Some(node)))
        }
        Err(why) => {
            chosen.retain(|subject| !matches!(subject, Subject::Node { .. }));
            summary.note(&format!("There is no comparison with Node ws. {why}."));
            Ok((chosen, None))
        }
    }
}

/// The programs, which must have been built.
pub(crate) fn programs(root: &Path, options: &Options) -> anyhow::Result<Programs> {
    let directory = match &options.binaries {
        Some(directory) => directory.canonicalize().context("--binaries")?,
        None => env::current_exe()?
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default(),
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
        node_peer: root.join("scripts/peers/node-ws"),
    })
}

/// The directory of the project, from anywhere inside it.
pub(crate) fn project_root() -> anyhow::Result<PathBuf> {
    let current = env::current_dir()?;
    let root = current
        .ancestors()
        .find(|path| path.join("scripts/peers/node-ws").is_dir());
    root.map(Path::to_path_buf)
        .context("run this inside the project")
}
