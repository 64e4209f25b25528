//! `deploy/` is what Kubernetes and Docker expect, told by `deploy/check`; and the server takes the
//! arguments that its Deployment gives it.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use support::server::{self, Server};

/// What `deploy/check` says with where its tools cannot be had.
const NOT_CHECKED: i32 = 2;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn check(files: &[PathBuf]) -> std::io::Result<Output> {
    Command::new("python3")
        .arg(root().join("deploy/check"))
        .args(files)
        .output()
}

fn said(output: &Output) -> String {
    let streams = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&streams).into_owned()
}

/// Whether the checker can run. Where nothing may be left out, it must.
fn ready() -> bool {
    static MISSING: LazyLock<Option<String>> = LazyLock::new(|| match check(&[]) {
        Err(_) => Some("python3 is not installed".to_owned()),
        Ok(output) if output.status.code() == Some(NOT_CHECKED) => Some(said(&output)),
        Ok(_) => None,
    });
    let Some(reason) = &*MISSING else {
        return true;
    };
    assert!(
        std::env::var_os("CI").is_none(),
        "nothing is left out with CI set: {reason}"
    );
    let last = reason.trim_end().lines().last().unwrap_or_default();
    server::say_skipped("the checker of deploy/", last);
    false
}

#[test]
fn the_manifests_and_the_dockerfile_are_right() {
    if !ready() {
        return;
    }
    let output = check(&[]).expect("python3 starts");
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for document in [
        "deploy/Dockerfile",
        "deploy/kubernetes/server/ringback.yaml: Deployment ringback",
        "deploy/kubernetes/server/ringback.yaml: Service ringback",
        "deploy/kubernetes/edge/ringback.yaml: Deployment ringback",
        "deploy/kubernetes/edge/ringback.yaml: HorizontalPodAutoscaler ringback",
        "deploy/kubernetes/edge/ringback.yaml: NetworkPolicy ringback",
        "deploy/kubernetes/edge/ringback.yaml: PodDisruptionBudget ringback",
        "deploy/kubernetes/edge/routes.yaml: HTTPRoute ringback",
        "deploy/kubernetes/edge/routes.yaml: TCPRoute ringback",
        "deploy/kubernetes/edge/routes.yaml: TLSRoute ringback",
        "deploy/kubernetes/edge/monitor.yaml: PodMonitor ringback",
        "deploy/kubernetes/edge/tls.yaml: Deployment ringback-tls",
        "deploy/kubernetes/load/job.yaml: Job ringload",
        "deploy/kubernetes/load-without-volume/job.yaml: Job ringload",
    ] {
        let line = format!("right  {document}");
        assert!(
            said.lines().any(|one| one == line),
            "no {document} in {said}"
        );
    }
}

/// The names of a mapping's keys that anybody may choose: no schema knows them.
const FREE: [&str; 6] = [
    "labels",
    "matchLabels",
    "annotations",
    "requests",
    "limits",
    "data",
];

/// Each key of `manifest` that has a fixed name, misspelt one at a time: the key and the whole text.
fn misspellings(manifest: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = manifest.lines().collect();
    let mut found = Vec::new();
    // How far what is within a free mapping or a literal text is indented at least.
    let mut skip_from = None;
    for (number, line) in lines.iter().enumerate() {
        let content = line.trim_start_matches([' ', '-']);
        let indent = line.len() - line.trim_start().len();
        if content.is_empty() || skip_from.is_some_and(|from| indent >= from) {
            continue;
        }
        skip_from = None;
        if content.starts_with('|') || content.ends_with('|') {
            skip_from = Some(indent + 1);
            continue;
        }
        let Some((key, _)) = content.split_once(':') else {
            continue;
        };
        if !key.chars().all(|c| c.is_ascii_alphanumeric()) {
            continue;
        }
        if FREE.contains(&key) {
            skip_from = Some(indent + 1);
        }
        let wrong = line.replacen(&format!("{key}:"), &format!("{key}X:"), 1);
        let mut copy = lines.clone();
        copy[number] = &wrong;
        found.push((format!("{key}X"), copy.join("\n")));
    }
    found
}

/// Each misspelt field of the Job, and of the kinds that are not Kubernetes' own, by itself, is found and named.
#[test]
fn a_misspelt_field_is_found() {
    if !ready() {
        return;
    }
    let read = |name: &str| {
        let manifest = root().join("deploy/kubernetes").join(name);
        misspellings(&fs::read_to_string(manifest).expect("the manifest"))
    };
    let mut misspellings = read("load/job.yaml");
    assert!(misspellings.len() > 60, "{}", misspellings.len());
    misspellings.extend(read("edge/routes.yaml"));
    misspellings.extend(read("edge/monitor.yaml"));
    assert!(misspellings.len() > 100, "{}", misspellings.len());
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (number, (key, text)) in misspellings.iter().enumerate() {
        let path = folder.path().join(format!("{number}-{key}.yaml"));
        fs::write(&path, text).expect("a file");
        files.push(path);
    }
    let output = check(&files).expect("python3 starts");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (path, (key, _)) in files.iter().zip(&misspellings) {
        let begin = format!("wrong  {}: ", path.display());
        let told: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with(&begin))
            .collect();
        // The first two fields are what chooses the schema.
        let named = key == "apiVersionX"
            || key == "kindX"
            || told.iter().any(|line| line.contains(key.as_str()));
        assert!(!told.is_empty() && named, "{key}: {told:?}");
    }
}

#[test]
fn other_mistakes_are_found() {
    if !ready() {
        return;
    }
    let right =
        fs::read_to_string(root().join("deploy/kubernetes/load/job.yaml")).expect("the Job");
    let folder = tempfile::tempdir().expect("a folder");
    for (from, to, told) in [
        ("completions: 3", "completions: three", "spec.completions: "),
        (
            "  backoffLimit: 0",
            "  backoffLimit: 0\n  backoffLimit: 1",
            "backoffLimit is there twice",
        ),
        (
            "apiVersion: batch/v1",
            "apiVersion: batch/v9",
            "find schema",
        ),
        (
            "run=\"$RESULTS/$RUN\"",
            "run=\"$RESULTS/$RUN",
            "initContainers.0.command",
        ),
        ("kind: Job", "kind: Job\n]", "while"),
    ] {
        assert!(right.contains(from), "{from}");
        let path = folder.path().join("job.yaml");
        fs::write(&path, right.replacen(from, to, 1)).expect("a file");
        let output = check(&[path]).expect("python3 starts");
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{to}: {said}");
        assert!(said.contains(told), "{to}: {said}");
    }
}

/// The container of a Deployment's only kind of pod.
fn container(manifest: &str) -> Value {
    let path = root().join("deploy/kubernetes").join(manifest);
    let text = fs::read_to_string(path).expect("the manifest");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    documents[0]["spec"]["template"]["spec"]["containers"][0].clone()
}

/// Its arguments but for the first, which is where to listen.
fn arguments(container: &Value) -> Vec<&str> {
    let arguments = container["args"].as_array().expect("arguments");
    let mut arguments = arguments.iter().map(|it| it.as_str().expect("text"));
    assert_eq!(arguments.next(), Some("--listen"));
    let address = arguments.next().unwrap_or_default();
    let address = address.trim_start_matches("tls://");
    assert!(address.parse::<SocketAddr>().is_ok(), "{address}");
    arguments.collect()
}

/// The server starts with the arguments of each Deployment, on another port of this machine alone.
#[test]
fn the_server_takes_the_arguments_of_its_deployments() {
    for manifest in [
        "server/ringback.yaml",
        "edge/ringback.yaml",
        "edge/tcp.yaml",
    ] {
        let container = container(manifest);
        let mut arguments = arguments(&container);
        if let Some(at) = arguments.iter().position(|it| *it == "--admin") {
            arguments[at + 1] = "127.0.0.1:0";
        }
        let server = Server::start("epoll", &arguments);
        assert_ne!(server.address.port(), 0, "{manifest}");
    }
}

/// The server under test has a worker for each CPU that it is given.
#[test]
fn the_server_under_test_has_a_worker_for_each_cpu() {
    let container = container("server/ringback.yaml");
    let cpus = container["resources"]["limits"]["cpu"]
        .as_str()
        .expect("text");
    let arguments = arguments(&container);
    let mut pairs = arguments.windows(2);
    assert!(
        pairs.any(|pair| pair == ["--workers", cpus]),
        "{arguments:?}"
    );
}

/// A pod has the time that its server asks for: before it goes down, and while it does.
#[test]
fn a_pod_may_take_as_long_as_its_server_takes_to_go_down() {
    let path = root().join("deploy/kubernetes/edge/ringback.yaml");
    let text = fs::read_to_string(path).expect("the manifest");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let pod = &documents[0]["spec"]["template"]["spec"];
    let grace = pod["terminationGracePeriodSeconds"]
        .as_u64()
        .expect("seconds");
    let container = container("edge/ringback.yaml");
    let pause = &container["lifecycle"]["preStop"]["sleep"]["seconds"];
    let arguments = arguments(&container);
    let span = |option: &str| {
        let pair = arguments.windows(2).find(|pair| pair[0] == option)?;
        humantime::parse_duration(pair[1]).ok()
    };
    let drain = span("--drain-timeout").expect("a time").as_secs();
    let delay = span("--drain-delay").map_or(0, |it| it.as_secs());
    let before = delay + pause.as_u64().unwrap_or(0);
    assert!(
        before >= 5 && before + drain < grace,
        "{before} + {drain}, {grace}"
    );
}
