//! A project of its own with fake servers, and `ringbench suite` in it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::fake::Fake;

pub(crate) const SUITE: &str = "\
name = 'small'
title = 'A small suite'
rounds = 2
duration = '400ms'
warmup = '0s'

[[workload]]
name = 'echo'
kind = 'run'
title = 'Echo'
connections = 2

[[workload]]
name = 'storm'
kind = 'storm'
title = 'Storm'
connections = 2
visits = 20

[[workload]]
name = 'idle'
kind = 'idle'
title = 'Idle'
rounds = 1
connections = 10
hold = '10ms'
settle = '100ms'
";

/// A project with servers, one in a folder and the others its variants.
pub(crate) struct Project {
    pub(crate) fake: Fake,
}

impl Project {
    /// `variants` are names and bad habits.
    pub(crate) fn new(variants: &[(&str, &str)]) -> Project {
        let fake = Fake::new();
        let folder = fake.path("scripts/peers/good");
        fs::create_dir_all(&folder).unwrap();
        let echo = fake.path("echo").display().to_string();
        let run = |name: &str, habits: &str| {
            let note = fake.path("note").display().to_string();
            let words = [&echo, "--port", "{port}", "--note", &note, "--as", name];
            let words = words.into_iter().chain(habits.split_whitespace());
            let words: Vec<String> = words.map(|word| format!("{word:?}")).collect();
            format!("run = [{}]", words.join(", "))
        };
        let mut text = format!(
            "name = 'good'\ntitle = 'Good'\nwhat = 'An echo'\nsource = 'here'\nspeed = 'none'\n\
             install = []\ninstalled = '{echo}'\nversion = ['{echo}', '--version']\n\
             url = 'ws://127.0.0.1:{{port}}/'\nthreads = 'one'\nrole = 'baseline'\n{}\n",
            run("good", "")
        );
        for (name, habits) in variants {
            let run = run(name, habits);
            text.push_str(&format!(
                "[[variant]]\nname = '{name}'\nrole = 'peer'\n{run}\n"
            ));
        }
        fs::write(folder.join("peer.toml"), text).unwrap();
        fs::write(fake.path("small.toml"), SUITE).unwrap();
        Project { fake }
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.fake.path("out")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringbench"));
        command
            .current_dir(self.fake.folder.path())
            .args(["suite", "small.toml"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str], status: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{errors}");
        self.fake.assert_none_is_left();
        output
    }

    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, 2);
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}
