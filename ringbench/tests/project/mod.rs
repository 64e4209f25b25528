//! A project of its own with fake servers, and `ringbench suite` in it.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::fake::Fake;

pub(crate) const SUITE: &str = "\
name = 'small'
title = 'A small suite'
prediction = 'They are alike.'
rounds = 2
duration = '400ms'
warmup = '0s'

[[workload]]
name = 'echo'
kind = 'run'
title = 'Echo'
connections = 2

[[workload]]
name = 'churn'
kind = 'churn'
title = 'Churn'
connections = 2
sessions = 20

[[workload]]
name = 'crowd'
kind = 'run'
title = 'Crowd'
rounds = 1
fresh = true
connections = 20

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

    /// The lines of the archive in `directory`, as far as there are whole ones.
    pub(crate) fn lines(&self, directory: &str) -> Vec<Value> {
        let file = File::open(self.archive(directory));
        let mut text = Vec::new();
        // What was cut off ends in an error.
        let _ = file.map(|file| MultiGzDecoder::new(file).read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Writes an archive anew.
    pub(crate) fn rewrite(&self, directory: &str, lines: &[Value]) {
        let file = File::create(self.archive(directory)).unwrap();
        let mut out = GzEncoder::new(file, Compression::fast());
        lines
            .iter()
            .for_each(|line| writeln!(out, "{line}").unwrap());
        out.finish().unwrap();
    }

    pub(crate) fn archive(&self, directory: &str) -> PathBuf {
        self.fake.path(directory).join("suite.jsonl.gz")
    }

    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, 2);
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}
