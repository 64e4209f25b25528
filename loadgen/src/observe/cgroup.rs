//! CPU time of a control group: what all its processes used together, also those that have ended.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use procfs::process::{MountInfo, Process};

/// A control group, version 2 or 1 (of the controller cpuacct), by its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup(PathBuf);

/// CPU time since a control group was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupTime {
    /// Nanoseconds in all.
    pub cpu_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
}

impl GroupTime {
    /// What was added since `earlier`.
    pub(crate) fn since(self, earlier: GroupTime) -> GroupTime {
        GroupTime {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
        }
    }
}

impl Cgroup {
    /// The one at `directory`. The error says what would be right.
    pub fn at(directory: &Path) -> Result<Cgroup, String> {
        let group = Cgroup(directory.to_owned());
        let read = group.time().and_then(|_| group.members());
        let wrong = |error| {
            format!(
                "{} is no control group that tells its CPU time ({error}); give the directory of one, such \
                 as /sys/fs/cgroup/system.slice/NAME.service",
                directory.display()
            )
        };
        read.map(|_| group).map_err(wrong)
    }

    /// The one that all of `pids` are in and that no other process is in, nor in one below it.
    pub fn of(pids: &[i32]) -> Option<Cgroup> {
        let mut mounts = Process::myself().and_then(|own| own.mountinfo()).ok()?.0;
        mounts.retain(|mount| match mount.fs_type.as_str() {
            "cgroup2" => true,
            "cgroup" => mount.super_options.contains_key("cpuacct"),
            _ => false,
        });
        // Version 2 first, where both are mounted.
        mounts.sort_by_key(|mount| mount.fs_type != "cgroup2");
        mounts.iter().find_map(|mount| {
            let directories = pids.iter().map(|pid| directory_of(*pid, mount));
            let directories = directories.collect::<Option<BTreeSet<PathBuf>>>()?;
            let [directory] = Vec::from_iter(directories).try_into().ok()?;
            let group = Cgroup::at(&directory).ok()?;
            group.is_of(pids).then_some(group)
        })
    }

    /// Whether `pids` are its processes, and no others.
    fn is_of(&self, pids: &[i32]) -> bool {
        let members = self.members();
        members.is_ok_and(|members| members == pids.iter().copied().collect())
    }

    /// Its processes, and those of the groups below it. One that this process cannot name is 0.
    pub fn members(&self) -> io::Result<BTreeSet<i32>> {
        let text = fs::read_to_string(self.0.join("cgroup.procs"))?;
        let pids = text
            .lines()
            .map(|line| line.parse().map_err(io::Error::other));
        let mut members = pids.collect::<io::Result<BTreeSet<i32>>>()?;
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                members.extend(Cgroup(entry.path()).members()?);
            }
        }
        Ok(members)
    }

    /// Reads its account.
    pub fn time(&self) -> io::Result<GroupTime> {
        let read = |file: &str| fs::read_to_string(self.0.join(file));
        let unified = read("cpu.stat").ok();
        let unified = unified.filter(|text| field(text, "usage_usec").is_some());
        let account = |of_unified: &str, of_cpuacct: &str| {
            let ns = match &unified {
                Some(text) => field(text, of_unified).map(|microseconds| microseconds * 1000),
                None => read(of_cpuacct)?.trim().parse().ok(),
            };
            ns.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
        };
        Ok(GroupTime {
            cpu_ns: account("usage_usec", "cpuacct.usage")?,
            user_ns: account("user_usec", "cpuacct.usage_user")?,
            system_ns: account("system_usec", "cpuacct.usage_sys")?,
        })
    }
}

/// The directory of the group that process `pid` is in, of the hierarchy that is mounted there.
fn directory_of(pid: i32, mount: &MountInfo) -> Option<PathBuf> {
    let is_here = |controllers: &[String]| match mount.fs_type.as_str() {
        "cgroup2" => controllers.iter().all(String::is_empty),
        _ => controllers.iter().any(|name| name == "cpuacct"),
    };
    let mut groups = Process::new(pid).ok()?.cgroups().ok()?.into_iter();
    let group = groups.find(|group| is_here(&group.controllers))?;
    directory_at(&group.pathname, &mount.root, &mount.mount_point)
}

/// The directory of the group at `path` where the one at `root` is mounted at `directory`; `None` if it is not
/// below that.
fn directory_at(path: &str, root: &str, directory: &Path) -> Option<PathBuf> {
    let below = Path::new(path).strip_prefix(root).ok()?;
    // A group outside of this process's namespace is told as `/../other`.
    let is_inside = below.components().all(|part| part != Component::ParentDir);
    is_inside.then(|| directory.join(below))
}

/// The value of a line `name 123`.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name)?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with the files of a group of version 2 that has these processes.
    fn group(directory: &Path, processes: &[i32]) -> Cgroup {
        let lines: Vec<String> = processes.iter().map(|pid| format!("{pid}\n")).collect();
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("cgroup.procs"), lines.concat()).unwrap();
        let stat = "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 0\n";
        fs::write(directory.join("cpu.stat"), stat).unwrap();
        Cgroup::at(directory).unwrap()
    }

    #[test]
    fn both_versions_tell_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let expected = GroupTime {
            cpu_ns: 1_500_000,
            user_ns: 1_000_000,
            system_ns: 500_000,
        };
        let unified = group(folder.path(), &[]);
        assert_eq!(unified.time().unwrap(), expected);
        fs::remove_file(folder.path().join("cpu.stat")).unwrap();
        for (file, ns) in [
            ("usage", 1_500_000),
            ("usage_user", 1_000_000),
            ("usage_sys", 500_000),
        ] {
            fs::write(
                folder.path().join(format!("cpuacct.{file}")),
                format!("{ns}\n"),
            )
            .unwrap();
        }
        assert_eq!(unified.time().unwrap(), expected);
        fs::write(folder.path().join("cpuacct.usage"), "much").unwrap();
        assert!(unified.time().is_err());
        let error = Cgroup::at(&folder.path().join("none")).unwrap_err();
        assert!(
            error.contains("is no control group") && error.contains("system.slice"),
            "{error}"
        );
    }

    #[test]
    fn a_group_is_a_servers_if_nobody_else_is_in_it_or_below() {
        let folder = tempfile::tempdir().unwrap();
        let server = group(folder.path(), &[7, 8]);
        assert!(server.is_of(&[7, 8]) && !server.is_of(&[7]) && !server.is_of(&[7, 8, 9]));
        group(&folder.path().join("below/deeper"), &[9]);
        assert!(
            !server.is_of(&[7, 8]),
            "its directory lacks a file, so nobody knows"
        );
        group(&folder.path().join("below"), &[]);
        assert!(server.is_of(&[7, 8, 9]) && !server.is_of(&[7, 8]));
        // A process of another namespace has no number here.
        group(&folder.path().join("below"), &[0]);
        assert!(!server.is_of(&[7, 8, 9]));
    }

    #[test]
    fn a_groups_directory_is_found_below_what_is_mounted() {
        let directory = |root: &str, path: &str| {
            let directory = directory_at(path, root, Path::new("/sys/fs/cgroup"))?;
            Some(directory.to_str().unwrap().trim_end_matches('/').to_owned())
        };
        let found = |text: &str| Some(text.to_owned());
        assert_eq!(
            directory("/", "/a.slice/b.service"),
            found("/sys/fs/cgroup/a.slice/b.service")
        );
        assert_eq!(directory("/", "/"), found("/sys/fs/cgroup"));
        assert_eq!(
            directory("/docker/1", "/docker/1/c"),
            found("/sys/fs/cgroup/c")
        );
        assert_eq!(directory("/docker/1", "/docker/2"), None);
        assert_eq!(directory("/", "/../other"), None);
    }

    #[test]
    fn this_process_shares_its_group() {
        // Whoever started it may be alone with it, but then it is no group of this process alone.
        assert_eq!(Cgroup::of(&[]), None);
        assert_eq!(Cgroup::of(&[i32::MAX]), None);
        let shared = std::process::Command::new("sleep").arg("60").spawn();
        let mut child = shared.unwrap();
        let alone = Cgroup::of(&[child.id().cast_signed()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(alone, None);
    }
}
