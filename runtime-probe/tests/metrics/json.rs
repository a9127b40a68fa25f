//! The JSON forms, checked against their schemas by a validator of JSON Schema: Python's `jsonschema`.

use std::future::pending;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use runtime_probe as tokio;
use runtime_probe::pprof;
use serde_json::{Value, json};

use crate::burning::alone;
use crate::client::get;
use crate::page;

/// Refuses a document that its schema does not describe, an invalid schema, and a field that the schema does not
/// name.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator
def closed(schema):
    if isinstance(schema, dict):
        if 'properties' in schema:
            schema.setdefault('additionalProperties', False)
        for value in list(schema.values()):
            closed(value)
    return schema
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
Draft202012Validator(closed(schema)).validate(json.load(sys.stdin))
";

/// Whether the validator accepts a document; `None` without a validator.
fn accepts(schema: &str, document: &str) -> Option<Result<(), String>> {
    let python = |arguments: &[&str], stdin: &str| {
        let mut child = Command::new("python3")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut input = child.stdin.take()?;
        input.write_all(stdin.as_bytes()).ok();
        drop(input);
        child.wait_with_output().ok()
    };
    let present = python(&["-c", "import jsonschema"], "");
    if !present.is_some_and(|output| output.status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "no Python package jsonschema"
        );
        eprintln!("######## SKIPPED: no Python package jsonschema. ########");
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    let schema = folder.join(schema).with_extension("json");
    let output = python(&["-c", VALIDATE, schema.to_str()?], document)?;
    Some(match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}

fn assert_valid(schema: &str, document: &str) {
    if let Some(Err(error)) = accepts(schema, document) {
        panic!("{error} of\n{document}");
    }
}

/// The task that waits in a function.
fn of_function<'v>(document: &'v Value, name: &str) -> &'v Value {
    let mut all = document["goroutines"].as_array().unwrap().iter();
    let found = all.find(|one| {
        let mut frames = one["frames"].as_array().unwrap().iter();
        frames.any(|frame| {
            frame["function"]
                .as_str()
                .unwrap()
                .ends_with(&format!("::{name}"))
        })
    });
    found.unwrap_or_else(|| panic!("no {name} in {document}"))
}

async fn joins_in_json(task: tokio::task::JoinHandle<()>) {
    task.await.unwrap();
}

async fn waits_in_a_set() {
    pending().await
}

async fn drains_in_json() {
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..7 {
        set.spawn(waits_in_a_set());
    }
    while set.join_next().await.is_some() {}
}

#[test]
fn documents_are_what_their_schemas_say() {
    let _alone = alone();
    async fn waits_as_json() {
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    }
    crate::runtime().block_on(async {
        let labeled = pprof::labels(["route", "/or\"der"], waits_as_json());
        let named = tokio::task::Builder::new().name("a \"name\"");
        let task = named.spawn(labeled).unwrap();
        let _both = tokio::spawn(async {
            let (one, two) = (
                Box::pin(pending::<()>()),
                Box::pin(tokio::task::yield_now()),
            );
            futures_util::future::join(one, two).await;
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let joined = task.id();
        let _joins = tokio::spawn(joins_in_json(task));
        let _drains = tokio::spawn(drains_in_json());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let document = page("goroutine?format=json");
        assert_valid("goroutine", &document);
        let read: Value = serde_json::from_str(&document).unwrap();
        let mut all = read["goroutines"].as_array().unwrap().iter();
        let ours = all
            .find(|one| one["labels"]["route"] == "/or\"der")
            .unwrap();
        assert_eq!(ours["id"].to_string(), joined.to_string());
        assert_eq!(ours["joins"], json!([]));
        assert_eq!(
            (&ours["name"], &ours["state"]),
            (&"a \"name\"".into(), &"waiting".into())
        );
        assert!(ours["wait_ns"].as_u64().unwrap() > 10_000_000, "{ours}");
        let here = ours["spawned_at"].as_str().unwrap();
        assert!(here.contains("tests/metrics/json.rs:"), "{here}");
        let frames = ours["frames"].as_array().unwrap();
        let wait = frames.iter().find(|frame| {
            let function = frame["function"].as_str().unwrap();
            function.ends_with("::waits_as_json")
        });
        assert!(
            wait.unwrap()["file"]
                .as_str()
                .unwrap()
                .ends_with("tests/metrics/json.rs")
        );
        assert_eq!(
            of_function(&read, "joins_in_json")["joins"],
            json!([{"members": null, "tasks": [{"id": ours["id"], "name": "a \"name\""}]}])
        );
        let set = &of_function(&read, "drains_in_json")["joins"];
        assert_eq!((&set[0]["members"], &set[1]), (&7.into(), &Value::Null));
        let tasks = set[0]["tasks"].as_array().unwrap();
        let ids: Vec<u64> = tasks
            .iter()
            .map(|task| task["id"].as_u64().unwrap())
            .collect();
        assert!(ids.len() == 5 && ids.is_sorted(), "{set}");
        let name = "metrics::json::waits_in_a_set";
        assert!(tasks.iter().all(|task| task["name"] == name), "{set}");
        // The filters are the same as in the other forms.
        let some = page("goroutine?format=json&match=waits_as_json&limit=1");
        assert_valid("goroutine", &some);
        let some: Value = serde_json::from_str(&some).unwrap();
        assert_eq!(some["goroutines"].as_array().unwrap().len(), 1);
        assert!(
            some["remarks"][0]
                .as_str()
                .unwrap()
                .contains("match=waits_as_json"),
            "{some}"
        );
        let none = page("goroutine?format=json&match=no_such_function");
        assert_valid("goroutine", &none);
        assert_valid("threads", &page("threads?format=json"));
        let threads: Value = serde_json::from_str(&page("threads?format=json")).unwrap();
        let main = std::process::id();
        let mut threads = threads["threads"].as_array().unwrap().iter();
        assert!(threads.any(|thread| thread["id"] == main));
        for path in ["tasks", "tasks?format=json", "tasks?seconds=1"] {
            assert_valid("tasks", &page(path));
        }
    });
    // The validator finds errors.
    if let Some(wrong) = accepts("goroutine", r#"{"version": 1, "goroutines": []}"#) {
        assert!(
            wrong
                .unwrap_err()
                .contains("'time_ns' is a required property")
        );
    }
}

#[test]
fn other_parameters_are_refused() {
    for (path, sentence) in [
        ("goroutine?format=json&debug=2", "format"),
        ("goroutine?format=json&group=1", "need debug=2"),
        ("goroutine?format=json&seconds=1", "seconds"),
        ("threads?format=json&debug=1", "format"),
        ("tasks?format=json&debug=1", "format"),
        ("tasks?format=folded", "must be json"),
    ] {
        let answer = get(crate::server(), &format!("/debug/pprof/{path}"));
        assert_eq!(answer.status, 400, "{path}");
        assert!(
            answer.text().contains(sentence),
            "{path}: {}",
            answer.text()
        );
    }
}
