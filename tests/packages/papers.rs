//! Completions and manual pages, made from the options.

use std::process::{Command, Output};

use crate::support::server::BINARY;
use crate::{is_here, said};

fn ringback(arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .output()
        .expect("it starts")
}

/// The completions for a shell, in a file.
fn completions(shell: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let output = ringback(&["completions", shell]);
    assert!(output.status.success() && !output.stdout.is_empty());
    std::fs::write(file.path(), output.stdout).expect("a file");
    file
}

/// As bash asks for them: the words so far, and which of them is being written.
#[test]
fn bash_completes_commands_options_and_values() {
    if !is_here("bash", "bash") {
        return;
    }
    let file = completions("bash");
    for (words, completed) in [
        ("ringback pi", "ping"),
        ("ringback --socket-b", "--socket-buffers"),
        ("ringback ping --onc", "--once"),
        ("ringback serve --drain-t", "--drain-timeout"),
    ] {
        let script = "source \"$1\"; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); \
                      _ringback ringback \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                      printf '%s\\n' \"${COMPREPLY[@]}\"";
        let output = Command::new("bash")
            .args(["--norc", "-euc", script, "bash"])
            .arg(file.path())
            .arg(words)
            .output()
            .expect("bash starts");
        assert_eq!(said(&output).trim(), completed, "{words}");
    }
}

#[test]
fn zsh_and_fish_take_their_completions() {
    for (shell, check) in [("zsh", "-nf"), ("fish", "--no-execute")] {
        if is_here(shell, shell) {
            let output = Command::new(shell)
                .arg(check)
                .arg(completions(shell).path())
                .output();
            let output = output.expect("it starts");
            assert!(output.status.success(), "{shell}: {}", said(&output));
        }
    }
    let output = ringback(&["completions", "csh"]);
    let wrong = "ringback: SHELL: `csh` is no shell that is known; write bash, zsh, fish";
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).starts_with(wrong), "{}", said(&output));
}

#[test]
fn the_manual_pages_have_every_option_and_no_fault() {
    let options = ringback::config::option_table();
    let whole = String::from_utf8(ringback(&["man"]).stdout).expect("text");
    let listed = whole.lines().filter_map(|line| {
        let name = line.strip_prefix("ringback\\-")?;
        name.strip_suffix("(1)")
    });
    let commands: Vec<_> = std::iter::once("").chain(listed).collect();
    assert!(commands.contains(&"serve") && commands.contains(&"ping"));
    for command in commands {
        let arguments = ["man", command];
        let output = ringback(arguments.split_at(1 + usize::from(!command.is_empty())).0);
        assert!(output.status.success(), "{command}");
        let page = String::from_utf8(output.stdout).expect("text");
        if ["", "serve"].contains(&command) {
            for row in &options {
                let flag = row.flag.split(' ').next().unwrap_or_default();
                let flag = flag.replace('-', "\\-");
                assert!(page.contains(&flag), "{command}: {flag}");
            }
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &page).expect("a file");
        if is_here("mandoc", "mandoc") {
            // clap_mangen leaves empty paragraphs; and it has no date, being made anew with each build.
            let output = Command::new("mandoc")
                .args(["-T", "lint", "-W", "warning"])
                .arg(file.path())
                .output()
                .expect("mandoc starts");
            let faults: Vec<_> = said(&output)
                .lines()
                .filter(|line| !line.contains("skipping paragraph macro"))
                .filter(|line| !line.contains("cannot parse date"))
                .map(ToOwned::to_owned)
                .collect();
            assert!(faults.is_empty(), "{command}: {faults:#?}");
        }
        if is_here("man", "man-db") {
            let output = Command::new("man")
                .args(["--warnings", "--local-file"])
                .arg(file.path())
                .env("MANWIDTH", "80")
                .output()
                .expect("man starts");
            let shown = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && shown.contains("SYNOPSIS"),
                "{shown}"
            );
            assert!(output.stderr.is_empty(), "{}", said(&output));
        }
    }
    let output = ringback(&["man", "nothing"]);
    let wrong = "ringback: COMMAND: `nothing` is no command; write one of serve, probe, ";
    assert!(said(&output).starts_with(wrong), "{}", said(&output));
}
