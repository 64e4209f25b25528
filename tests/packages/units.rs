//! The units of systemd: well-formed, and no more exposed than is written down.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::server::BINARY;
use crate::{is_here, root, said};

/// What `systemd-analyze security` may say at most: docs/OPERATIONS.md has the number.
const EXPOSURE_MAX: f64 = 1.7;

/// The units, with this binary in place of the one that will be installed.
fn units() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for unit in ["ringback.service", "ringback.socket", "ringback-tls.socket"] {
        let text = fs::read_to_string(root().join("deploy/systemd").join(unit)).expect("a unit");
        let text = text.replace("/usr/bin/ringback", BINARY);
        fs::write(folder.path().join(unit), text).expect("a file");
    }
    folder
}

/// What systemd finds wrong with them.
fn verify(folder: &Path) -> String {
    let units = fs::read_dir(folder).expect("units");
    let units = units.map(|unit| unit.expect("a unit").path());
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(units.filter(|unit| unit.is_file()))
        .output()
        .expect("it starts");
    let said = said(&output);
    if output.status.success() && !said.contains("ringback") {
        String::new()
    } else {
        format!("{}: {said}", output.status)
    }
}

#[test]
fn the_units_are_well_formed_with_every_drop_in() {
    if !is_here("systemd-analyze", "systemd") {
        return;
    }
    let folder = units();
    assert_eq!(verify(folder.path()), "");
    let changes = folder.path().join("ringback.service.d");
    fs::create_dir(&changes).expect("a folder");
    let drop_ins = root().join("deploy/systemd/drop-ins");
    for drop_in in fs::read_dir(drop_ins).expect("drop-ins") {
        let drop_in = drop_in.expect("a drop-in").path();
        let copy = changes.join("change.conf");
        fs::copy(&drop_in, &copy).expect("a copy");
        assert_eq!(verify(folder.path()), "", "{}", drop_in.display());
    }
    // And a mistake is one.
    fs::write(changes.join("change.conf"), "[Service]\nLimitNOFILES=1\n").expect("a file");
    assert_ne!(verify(folder.path()), "");
}

#[test]
fn the_service_is_no_more_exposed_than_is_written_down() {
    if !is_here("systemd-analyze", "systemd") {
        return;
    }
    let folder = units();
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(folder.path().join("ringback.service"))
        .output()
        .expect("it starts");
    let said = said(&output);
    if said.contains("Failed to parse") || said.contains("unrecognized option") {
        crate::support::server::say_skipped("the exposure", "systemd is older than 250");
        return;
    }
    let line = said
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let (_, level) = line
        .and_then(|it| it.split_once("ringback.service: "))
        .expect("a level");
    let level: f64 = level
        .split(' ')
        .next()
        .and_then(|it| it.parse().ok())
        .expect("a number");
    assert!(level <= EXPOSURE_MAX, "{said}");
    let document = fs::read_to_string(root().join("docs/OPERATIONS.md")).expect("the document");
    assert!(
        document.contains(&format!("{EXPOSURE_MAX} of 10")),
        "not written down"
    );
}

/// The options that drop-ins and the default configuration name are options.
#[test]
fn what_the_drop_ins_and_the_configuration_set_are_options() {
    let options: Vec<_> = ringback::config::option_table()
        .into_iter()
        .map(|row| {
            row.flag
                .trim_start_matches('-')
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    let mut found = Vec::new();
    for drop_in in fs::read_dir(root().join("deploy/systemd/drop-ins")).expect("drop-ins") {
        let text = fs::read_to_string(drop_in.expect("a drop-in").path()).expect("text");
        let variables = text
            .lines()
            .filter_map(|line| line.strip_prefix("Environment=RINGBACK_"));
        found.extend(
            variables.filter_map(|it| Some(it.split_once('=')?.0.to_lowercase().replace('_', "-"))),
        );
    }
    let configuration = fs::read_to_string(root().join("deploy/debian/ringback.toml")).expect("it");
    let keys = configuration
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once(" = "));
    found.extend(
        keys.map(|(key, _)| key.to_owned())
            .filter(|key| !key.contains(' ')),
    );
    assert!(found.len() > 5, "{found:?}");
    for name in found {
        assert!(options.contains(&name), "{name} is no option");
    }
}
