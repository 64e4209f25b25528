//! `ringback status`.

use std::process::{Command, Output};

use crate::rig::Seen;
use crate::server::BINARY;

fn status(options: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("status").args(options);
    command
        .env_remove("RINGBACK_ADMIN")
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_server_is_told_in_twenty_lines() {
    let server = Seen::start("epoll", &["--workers", "2"]);
    let _open = server.upgrade();
    server.assert_comes(&["ringback_state{state=\"serving\"} 1"]);
    let admin = server.admin.to_string();
    let output = status(&["--admin", &admin]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.lines().count() <= 20, "{said}");
    for part in [
        "engine epoll",
        "serving, up for",
        "1 open",
        "1 (",
        "workers          2 (",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let output = status(&["--json", &format!("--admin={admin}")]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["ringback_workers"][0]["value"], 2.0);
    let by_variable = Command::new(BINARY)
        .arg("status")
        .env("RINGBACK_ADMIN", &admin)
        .output();
    assert!(by_variable.expect("it runs").status.success());
    // Somebody else.
    let output = status(&["--admin", &server.address.to_string()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn who_is_not_there_and_what_is_no_address_are_told_apart() {
    let output = status(&["--admin", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no server tells how it is at 127.0.0.1:1"));
    for wrong in ["nowhere", "unix:", ""] {
        let output = status(&["--admin", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(
            text(&output.stderr).starts_with("ringback: --admin: "),
            "{output:?}"
        );
    }
}
