//! The pieces of the manifests agree with each other.

use serde_json::Value;

use crate::manifest::{LOADS, containers, only, pods, resources};

#[test]
fn the_number_of_generators_is_the_same_everywhere() {
    for folder in LOADS {
        let resources = resources(folder);
        let spec = &only(&resources, "Job")["spec"];
        assert_eq!(spec["completionMode"], "Indexed");
        assert_eq!(spec["completions"], spec["parallelism"], "{folder}");
        assert!(spec["completions"].as_u64().unwrap() > 1);
        let settings = &only(&resources, "ConfigMap")["data"];
        if folder == "load" {
            let generators = settings["GENERATORS"].as_str().unwrap();
            assert_eq!(generators, spec["completions"].to_string());
        }
    }
}

#[test]
fn whatever_fails_fails_the_job_at_once() {
    for folder in LOADS {
        let resources = resources(folder);
        let spec = &only(&resources, "Job")["spec"];
        assert_eq!(spec["backoffLimit"], 0);
        assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
        let rules = spec["podFailurePolicy"]["rules"].as_array().unwrap();
        let any = serde_json::json!({ "operator": "NotIn", "values": [0] });
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0]["action"], "FailJob");
        assert_eq!(rules[0]["onExitCodes"], any);
        assert!(spec["activeDeadlineSeconds"].is_u64() && spec["ttlSecondsAfterFinished"].is_u64());
    }
}

#[test]
fn what_is_referred_to_exists() {
    for folder in LOADS {
        let resources = resources(folder);
        let job = only(&resources, "Job");
        let pod = &job["spec"]["template"]["spec"];
        let settings = only(&resources, "ConfigMap");
        let empty = Vec::new();
        for container in containers(pod) {
            for source in container["envFrom"].as_array().unwrap() {
                assert_eq!(source["configMapRef"]["name"], settings["metadata"]["name"]);
            }
            for mount in container["volumeMounts"].as_array().unwrap_or(&empty) {
                let volumes = pod["volumes"].as_array().unwrap();
                assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]));
            }
        }
        for volume in pod["volumes"].as_array().unwrap_or(&empty) {
            let claim = only(&resources, "PersistentVolumeClaim");
            let claimed = &volume["persistentVolumeClaim"]["claimName"];
            assert_eq!(*claimed, claim["metadata"]["name"]);
            assert_eq!(claim["spec"]["accessModes"][0], "ReadWriteMany");
        }
    }
}

/// The address of the example is that of the server of the example.
#[test]
fn the_url_leads_to_the_server() {
    let server = resources("server");
    let service = only(&server, "Service");
    let deployment = only(&server, "Deployment");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let port = &container["ports"][0];
    let name = service["metadata"]["name"].as_str().unwrap();
    let expected = format!("ws://{name}:{}/", service["spec"]["ports"][0]["port"]);
    for folder in LOADS {
        let settings = resources(folder);
        assert_eq!(
            only(&settings, "ConfigMap")["data"]["URL"],
            expected.as_str()
        );
    }
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port["name"]);
    let listens = format!("0.0.0.0:{}", port["containerPort"]);
    let arguments = container["args"].as_array().unwrap();
    assert!(arguments.contains(&Value::from(listens)), "{arguments:?}");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    for (key, value) in deployment["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap()
    {
        assert_eq!(labels[key], *value);
        assert_eq!(service["spec"]["selector"][key], *value);
    }
}

/// A generator is neither on the server's node nor on another's: the labels that keep it off are those
/// that the pods have.
#[test]
fn generators_keep_away_from_the_server_and_from_each_other() {
    let server = resources("server");
    let labels = |of: &Value| of["spec"]["template"]["metadata"]["labels"].clone();
    for folder in LOADS {
        let resources = resources(folder);
        let job = only(&resources, "Job");
        let affinity = &job["spec"]["template"]["spec"]["affinity"];
        let rules = &affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(rules[0]["topologyKey"], "kubernetes.io/hostname");
        let expression = &rules[0]["labelSelector"]["matchExpressions"][0];
        let (key, values) = (
            expression["key"].as_str().unwrap(),
            expression["values"].as_array(),
        );
        assert_eq!(expression["operator"], "In");
        for pod in [labels(job), labels(only(&server, "Deployment"))] {
            assert!(values.unwrap().contains(&pod[key]), "{}", pod[key]);
        }
    }
}

/// Class Guaranteed with whole CPUs, without which the static CPU manager policy gives nobody a CPU of
/// his own.
#[test]
fn who_is_measured_and_who_measures_have_whole_cpus() {
    for (name, pod) in pods() {
        for container in containers(&pod) {
            let resources = &container["resources"];
            assert_eq!(resources["requests"], resources["limits"], "{name}");
            assert!(resources["limits"]["memory"].is_string(), "{name}");
            let cpus = resources["limits"]["cpu"].as_str().unwrap();
            if !name.contains("ringload-results") {
                assert!(
                    cpus.parse::<usize>().is_ok_and(|cpus| cpus > 0),
                    "{name}: {cpus}"
                );
            }
        }
    }
}

#[test]
fn no_pod_may_do_more_than_it_needs() {
    for (name, pod) in pods() {
        // Else RINGBACK_PORT and the like stand among the variables that the server takes for options.
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        let context = &pod["securityContext"];
        assert_eq!(context["runAsNonRoot"], true, "{name}");
        assert!(context["runAsUser"].as_u64().unwrap() > 0, "{name}");
        assert_eq!(
            context["seccompProfile"]["type"], "RuntimeDefault",
            "{name}"
        );
        for container in containers(&pod) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}");
        }
    }
}

/// The images are of this version, and Kubernetes, which replaces `$(NAME)` and `$$` in commands, leaves
/// the scripts as they are.
#[test]
fn images_and_scripts_are_taken_as_written() {
    for (name, pod) in pods() {
        for container in containers(&pod) {
            let (_, tag) = container["image"]
                .as_str()
                .unwrap()
                .split_once(':')
                .unwrap();
            assert_eq!(tag, env!("CARGO_PKG_VERSION"), "{name}");
            let empty = Vec::new();
            for part in container["command"].as_array().unwrap_or(&empty) {
                let part = part.as_str().unwrap();
                assert!(!part.contains("$$"), "{name}");
                for inner in part.split("$(").skip(1) {
                    let variable = inner.split(')').next().unwrap();
                    let is_name = variable
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '_');
                    assert!(!is_name, "{name}: $({variable})");
                }
            }
        }
    }
}
