//! What Prometheus itself makes of the page, the alert rules and the dashboard.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::rig::{Seen, get, say, try_get};
use crate::server::{free_address, say_skipped, until};
use crate::support::frames::Frame;

const OBSERVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/observe");

/// Whether a program of Debian's package `prometheus` is here; if not, that is said.
fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let has = found.is_ok_and(|status| status.success());
    if !has {
        say_skipped(program, "not installed (Debian's package prometheus)");
    }
    has
}

fn said(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr];
    parts
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .concat()
}

#[test]
fn the_metrics_are_named_as_prometheus_would() {
    if !has("promtool") {
        return;
    }
    let server = Seen::start("epoll", &[]);
    say(
        server.upgrade(),
        &[Frame::text("hello"), Frame::close(1000, "")],
    );
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    let page = server.metrics().0;
    let mut input = promtool.stdin.take().expect("a pipe");
    input.write_all(page.as_bytes()).expect("promtool reads");
    drop(input);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = said(&output);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn the_alerts_are_raised_when_they_should_be() {
    if !has("promtool") {
        return;
    }
    let output = Command::new("promtool")
        .args(["test", "rules", "ringback.rules.test.yaml"])
        .current_dir(OBSERVE)
        .output()
        .expect("promtool");
    assert!(output.status.success(), "{}", said(&output));
}

/// A Prometheus that scrapes a server.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn scrape(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("prometheus.yml");
        let rules = format!("{OBSERVE}/ringback.rules.yaml");
        let settings = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{rules}']\n\
             scrape_configs:\n  - job_name: ringback\n    static_configs: [{{targets: ['{target}']}}]\n"
        );
        fs::write(&config, settings).expect("a file");
        let address = free_address();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus");
        let prometheus = Prometheus {
            child,
            address,
            _folder: folder,
        };
        until("Prometheus is ready", || {
            let answer = try_get(address, "/-/ready", "")?;
            (answer.status == 200).then_some(())
        });
        prometheus
    }

    fn api(&self, path: &str) -> Value {
        let answer = get(self.address, &format!("/api/v1/{path}"), "");
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What an expression is now.
    fn query(&self, expression: &str) -> Value {
        let encode = |byte: u8| format!("%{byte:02x}");
        let encoded: String = expression.bytes().map(encode).collect();
        let answer = self.api(&format!("query?query={encoded}"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].clone()
    }
}

/// The expressions of the dashboard, with its variables as Grafana fills them in.
fn expressions_of_the_dashboard() -> Vec<String> {
    let path = Path::new(OBSERVE).join("ringback.dashboard.json");
    let text = fs::read_to_string(path).expect("a dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(dashboard["uid"], "ringback");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions = targets.map(|target| target["expr"].as_str().expect("an expression"));
    let filled_in = expressions.map(|expression| {
        let expression = expression.replace("$instance", ".*");
        expression.replace("$__rate_interval", "1m")
    });
    filled_in.collect()
}

/// The metrics that an expression names.
fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_part(c));
    let ours = |word: &&str| word.starts_with("ringback_") || word.starts_with("process_");
    words.filter(ours).collect()
}

#[test]
fn every_expression_is_about_something_that_is_there() {
    if !has("prometheus") {
        return;
    }
    let server = Seen::start("epoll", &["--max-connections", "1000", "--workers", "2"]);
    let _open = server.upgrade();
    let prometheus = Prometheus::scrape(server.admin);
    let scraped =
        || prometheus.query("count_over_time(ringback_workers[1m])")[0]["value"][1].clone();
    until("it has been scraped", || {
        let count = scraped()
            .as_str()
            .and_then(|count| count.parse::<u32>().ok());
        count.filter(|count| *count > 2)
    });
    let names = prometheus.api("label/__name__/values");
    let names: BTreeSet<_> = names["data"]
        .as_array()
        .expect("names")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let rules = until("the rules have been evaluated", || {
        let groups = prometheus.api("rules")["data"]["groups"].clone();
        let rules = groups[0]["rules"].as_array().expect("rules").clone();
        let is_known = |rule: &Value| rule["health"] != "unknown";
        rules.iter().all(is_known).then_some(rules)
    });
    let mut expressions = expressions_of_the_dashboard();
    assert!(expressions.len() > 30, "{}", expressions.len());
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_eq!(rule["state"], "inactive", "a server that is well: {rule}");
        let name = rule["name"].as_str().expect("a name");
        let anchor = format!("docs/OPERATIONS.md#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook"], anchor);
        expressions.push(rule["query"].as_str().expect("an expression").to_owned());
    }
    for expression in &expressions {
        prometheus.query(expression);
        for name in metrics_in(expression) {
            assert!(names.contains(name), "there is no {name}: {expression}");
        }
    }
    let open = prometheus.query("sum(ringback_connections{state=\"open\"})");
    assert_eq!(open[0]["value"][1], "1");
}
