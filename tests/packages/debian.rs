//! The Debian package: made, looked at by lintian, and installed, reloaded, upgraded, broken and removed under a systemd of
//! its own, while somebody is connected.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Duration;

use crate::support::server::say_skipped;
use crate::{is_here, root, said};

/// What lintian finds that stays.
const ACCEPTED: [&str; 3] = [
    // It is the description of the program everywhere else.
    "description-synopsis-starts-with-article",
    // It is no part of Debian.
    "initial-upload-closes-no-bugs",
    // To reload, and only what is active: deb-systemd-invoke does neither.
    "maintainer-script-calls-systemctl",
];

/// Two packages of this binary, one newer than the other.
struct Packages {
    folder: tempfile::TempDir,
}

impl Packages {
    fn file(&self, version: &str) -> PathBuf {
        self.folder.path().join(format!("{version}.deb"))
    }
}

/// They are made once.
fn packages() -> Option<&'static Packages> {
    static PACKAGES: LazyLock<Option<Packages>> = LazyLock::new(|| {
        if !is_here("dpkg-deb", "dpkg") || !is_here("cargo-deb", "cargo: cargo install cargo-deb") {
            return None;
        }
        let packages = Packages {
            folder: tempfile::tempdir().expect("a folder"),
        };
        for version in ["0.1.0-1", "0.1.1-1"] {
            let output = Command::new(root().join("deploy/deb"))
                .args([
                    "--no-build",
                    "--profile",
                    "dev",
                    "--strip",
                    "--fast",
                    "--quiet",
                ])
                .args(["--deb-version", version, "--output"])
                .arg(packages.file(version))
                .output();
            let output = output.expect("bash starts");
            assert!(output.status.success(), "{}", said(&output));
        }
        Some(packages)
    });
    PACKAGES.as_ref()
}

#[test]
fn lintian_finds_no_fault() {
    let Some(packages) = packages() else { return };
    if !is_here("lintian", "lintian") {
        return;
    }
    let output = Command::new("lintian")
        .args([
            "--allow-root",
            "--fail-on",
            "none",
            "--tag-display-limit",
            "0",
        ])
        .arg(packages.file("0.1.0-1"))
        .output()
        .expect("it starts");
    let said = said(&output);
    let is_fault = |line: &&str| {
        let is_found = line.starts_with("E:") || line.starts_with("W:");
        is_found && !ACCEPTED.iter().any(|tag| line.contains(tag))
    };
    let faults: Vec<_> = said.lines().filter(is_fault).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// What is done within the system: each line has to succeed.
const DEEDS: &str = r#"#!/bin/sh
set -eux
main() { systemctl show --property MainPID --value ringback; }
echoes() { ringback ping --once ws://localhost:3000/; }
# Another process than $1 is the main one, by now or soon.
successor() {
    for _ in $(seq 200); do
        now=$(main)
        if [ "$now" != "$1" ] && [ "$now" != 0 ]; then return; fi
        sleep 0.1
    done
    return 1
}

# The images of containers keep services from being started.
rm -f /usr/sbin/policy-rc.d
dpkg --install --no-triggers /packages/0.1.0-1.deb
systemctl is-active ringback
systemctl is-enabled ringback
test "$(systemctl show --property User --value ringback)" = ringback || systemctl show --property DynamicUser ringback | grep yes
echoes
man --where ringback ringback-ping || test ! -x /usr/bin/man
test -f /etc/ringback/ringback.toml -a -f /usr/share/bash-completion/completions/ringback

# Somebody is connected from here on.
ringback ping --interval 20ms --json ws://localhost:3000/ >/result/pings 2>&1 &
pings=$!
sleep 0.5
first=$(main)
systemctl reload ringback
successor "$first"
echoes
second=$(main)
echo '# changed by its owner' >>/etc/ringback/ringback.toml
dpkg --install --no-triggers --force-confold /packages/0.1.1-1.deb
successor "$second"
echoes
test "$(readlink /proc/"$(main)"/exe)" = /usr/bin/ringback
sleep 0.5
kill -INT $pings
wait $pings
systemctl is-active ringback

# One that is killed is followed by another, after a reload too.
killed=$(main)
kill -KILL "$killed"
successor "$killed"
recovers() { for _ in $(seq 50); do if echoes; then return; fi; sleep 0.1; done; return 1; }
recovers

# So is one that stands still, once systemd has waited for a sign of life.
mkdir -p /run/systemd/system/ringback.service.d
printf '[Service]\nWatchdogSec=3s\n' >/run/systemd/system/ringback.service.d/sooner.conf
systemctl daemon-reload
systemctl restart ringback
stuck=$(main)
kill -STOP "$stuck"
successor "$stuck"
recovers
first=$(main)
systemctl reload ringback
successor "$first"
sleep 0.5

# Whoever is connected when it is removed is told.
ringback ping --interval 20ms --json ws://localhost:3000/ >/result/goodbye 2>&1 &
sleep 0.5
dpkg --remove --no-triggers ringback
grep 'the server closed: 1001' /result/goodbye
! systemctl is-active ringback
test ! -e /usr/bin/ringback -a -f /etc/ringback/ringback.toml
dpkg --purge --no-triggers ringback
test ! -e /etc/ringback
"#;

const UNIT: &str = "[Unit]
Description=What is done to the package
SuccessAction=exit-force
FailureAction=exit-force
SuccessActionExitStatus=0
FailureActionExitStatus=9
[Service]
Type=oneshot
ExecStart=/bin/sh /result/deeds
StandardOutput=file:/result/log
StandardError=file:/result/log
TimeoutStartSec=90
ExecStopPost=/bin/sh -c 'journalctl --unit ringback --no-pager >/result/journal 2>&1 || true'
";

/// Boots a systemd as process 1 of a container, whose files are this machine's with all changes elsewhere and its own
/// /tmp, /run and network; and does that there.
fn boot(folder: &Path, packages: &Path) -> Output {
    let system = folder.join("root");
    fs::create_dir_all(system.join("usr/lib")).expect("a folder");
    // Which makes it a system in the eyes of systemd-nspawn; the real one lies over it.
    fs::write(system.join("usr/lib/os-release"), "ID=none\n").expect("a file");
    for link in ["bin", "sbin", "lib", "lib64"] {
        if Path::new("/usr").join(link).exists() {
            std::os::unix::fs::symlink(format!("usr/{link}"), system.join(link)).expect("a link");
        }
    }
    let result = folder.join("result");
    let bind = |of: &Path, to: &str| format!("{}:{to}", of.display());
    Command::new("timeout")
        .args(["--kill-after=5", "120", "systemd-nspawn", "--quiet"])
        .args([
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--boot",
        ])
        .args(["--system-call-filter=io_uring_setup io_uring_enter io_uring_register"])
        .arg(format!("--directory={}", system.display()))
        .args([
            "--overlay=/usr::/usr",
            "--overlay=/etc::/etc",
            "--overlay=/var::/var",
        ])
        .arg(format!("--bind-ro={}", bind(packages, "/packages")))
        .arg(format!("--bind={}", bind(&result, "/result")))
        .arg(format!(
            "--bind-ro={}",
            bind(&result.join("unit"), "/run/systemd/system/deeds.service")
        ))
        .arg("systemd.unit=deeds.service")
        .output()
        .expect("it starts")
}

/// Why no such system can be booted here; none: it can.
fn why_not() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may boot a container".to_owned());
    }
    None
}

#[test]
fn it_is_installed_reloaded_upgraded_broken_and_removed_while_somebody_is_connected() {
    let Some(packages) = packages() else { return };
    if !is_here("systemd-nspawn", "systemd-container") {
        return;
    }
    if let Some(reason) = why_not() {
        say_skipped("the package under systemd", &reason);
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let result = folder.path().join("result");
    fs::create_dir(&result).expect("a folder");
    fs::write(result.join("deeds"), DEEDS).expect("a file");
    fs::write(result.join("unit"), UNIT).expect("a file");
    let output = boot(folder.path(), packages.folder.path());
    let told = |name: &str| fs::read_to_string(result.join(name)).unwrap_or_default();
    if told("log").is_empty() {
        let booting = said(&output);
        let reason = booting
            .lines()
            .last()
            .unwrap_or("systemd did not boot")
            .to_owned();
        say_skipped("the package under systemd", &reason);
        return;
    }
    let all = || format!("{}\n{}\n{}", told("log"), told("journal"), said(&output));
    assert_eq!(output.status.code(), Some(0), "{}", all());
    let pings = told("pings");
    let summary = pings.lines().last().unwrap_or_default();
    let summary: serde_json::Value = serde_json::from_str(summary).expect("a summary");
    assert_eq!(summary["lost"], 0, "{}", all());
    assert!(summary["answered"].as_u64() > Some(50), "{summary}");
    let slowest = summary["rtt_seconds"]["max"].as_f64().expect("a time");
    assert!(
        Duration::from_secs_f64(slowest) < Duration::from_secs(2),
        "{summary}"
    );
}
