//! Reads what is in `deploy/kubernetes`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The load with a volume, and the one without.
pub(crate) const LOADS: [&str; 2] = ["load", "load-without-volume"];

pub(crate) fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes")
}

/// The documents of a file below `deploy/kubernetes`.
pub(crate) fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(manifests().join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What a folder's kustomization consists of.
pub(crate) fn resources(folder: &str) -> Vec<Value> {
    let kustomization = documents(&format!("{folder}/kustomization.yaml")).remove(0);
    let files = kustomization["resources"].as_array().unwrap();
    let file = |name: &Value| format!("{folder}/{}", name.as_str().unwrap());
    files
        .iter()
        .flat_map(|name| documents(&file(name)))
        .collect()
}

pub(crate) fn only<'a>(resources: &'a [Value], kind: &str) -> &'a Value {
    let mut found = resources.iter().filter(|one| one["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("a {kind}"));
    assert!(found.next().is_none(), "one {kind}");
    first
}

/// The specifications of all pods, with the names of what they belong to.
pub(crate) fn pods() -> Vec<(String, Value)> {
    let mut all = documents("load/reader.yaml");
    for folder in ["server", "load", "load-without-volume"] {
        all.extend(resources(folder));
    }
    let name = |one: &Value| format!("{} {}", one["kind"], one["metadata"]["name"]);
    let pod = |one: &Value| match one["kind"].as_str() {
        Some("Pod") => Some((name(one), one["spec"].clone())),
        Some("Deployment" | "Job") => Some((name(one), one["spec"]["template"]["spec"].clone())),
        _ => None,
    };
    let pods: Vec<_> = all.iter().filter_map(pod).collect();
    assert_eq!(pods.len(), 4);
    pods
}

/// The containers of a pod, those that begin it included.
pub(crate) fn containers(pod: &Value) -> Vec<&Value> {
    ["initContainers", "containers"]
        .into_iter()
        .filter_map(|list| pod[list].as_array())
        .flatten()
        .collect()
}

pub(crate) fn container<'a>(job: &'a Value, name: &str) -> &'a Value {
    let found = containers(&job["spec"]["template"]["spec"]);
    let mut found = found.into_iter().filter(|one| one["name"] == name);
    found.next().unwrap_or_else(|| panic!("a container {name}"))
}
