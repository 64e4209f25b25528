//! A Job's pods as processes of this machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::RINGLOAD;
use crate::manifest::{container, only, resources};

/// A Job's pods as processes of this machine: the scripts and variables are the manifest's, the places
/// and times a test's.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) job: Value,
    settings: Vec<(String, String)>,
}

impl Stage {
    /// Takes the Job of `folder`; `settings` replace those of its ConfigMap.
    pub(crate) fn new(folder: &str, settings: &[(&str, &str)]) -> Stage {
        let resources = resources(folder);
        let data = only(&resources, "ConfigMap")["data"]
            .as_object()
            .unwrap()
            .clone();
        let mut all: Vec<(String, String)> = data
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        for (name, value) in settings {
            let known = all.iter_mut().find(|(known, _)| known == name);
            let (_, known) = known.unwrap_or_else(|| panic!("a setting {name}"));
            *known = (*value).to_owned();
        }
        let stage = Stage {
            folder: TempDir::new().unwrap(),
            job: only(&resources, "Job").clone(),
            settings: all,
        };
        fs::create_dir(stage.folder.path().join("bin")).unwrap();
        symlink(RINGLOAD, stage.folder.path().join("bin/ringload")).unwrap();
        stage
    }

    /// The folder of the run.
    pub(crate) fn results(&self) -> PathBuf {
        self.folder.path().join("results/the-run")
    }

    /// Starts a container of the pod with this index; `own` replaces what its variables are.
    pub(crate) fn start(&self, name: &str, index: usize, own: &[(&str, &str)]) -> Child {
        let container = container(&self.job, name);
        let words: Vec<&str> = container["command"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let path = std::env::var("PATH").unwrap();
        let bin = self.folder.path().join("bin");
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("JOB_COMPLETION_INDEX", index.to_string())
            .envs(self.settings.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for variable in container["env"].as_array().unwrap_or(&Vec::new()) {
            let name = variable["name"].as_str().unwrap();
            let results = self.folder.path().join("results");
            let value = match name {
                "RESULTS" => results.to_str().unwrap(),
                "RUN" => "the-run",
                _ => variable["value"].as_str().unwrap(),
            };
            let replaced = own.iter().find(|(known, _)| *known == name);
            command.env(name, replaced.map_or(value, |(_, value)| value));
        }
        command.spawn().unwrap()
    }

    /// The same container of all pods at once.
    pub(crate) fn start_all(&self, name: &str, count: usize, own: &[(&str, &str)]) -> Vec<Output> {
        let children: Vec<Child> = (0..count)
            .map(|index| self.start(name, index, own))
            .collect();
        children
            .into_iter()
            .map(|child| child.wait_with_output().unwrap())
            .collect()
    }
}
