//! `/debug/vars`, in the layout of Go's `expvar`.

use runtime_probe::pprof::vars::{self, Float, Func, Int, Map, Text, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;

use crate::burning::alone;
use crate::client::{ask, get};
use crate::server;

#[test]
fn variables_are_an_object_of_lines() {
    let _alone = alone();
    static ORDERS: Int = Int::new(40);
    static LOAD: Float = Float::new(0.5);
    static STAGE: Text = Text::new();
    static BY_COUNTRY: Map = Map::new();
    vars::publish("orders", &ORDERS).unwrap();
    vars::publish("load", &LOAD).unwrap();
    vars::publish("stage", &STAGE).unwrap();
    vars::publish("by_country", &BY_COUNTRY).unwrap();
    vars::publish("shared", Arc::new(Int::new(1))).unwrap();
    vars::publish("not a number", Float::new(f64::NAN)).unwrap();
    vars::publish(
        "panics",
        Func::new(|| panic!("in a variable of the test's")),
    )
    .unwrap();
    let nested = || {
        let inner = BTreeMap::from([("on".to_owned(), Value::Bool(true))]);
        Value::List(vec![Value::Map(inner), Value::Null])
    };
    vars::publish("nested", Func::new(nested)).unwrap();
    ORDERS.add(2);
    LOAD.add(0.25);
    STAGE.set("say \"hi\"\n");
    assert!(BY_COUNTRY.add("de", 1) && BY_COUNTRY.add("de", 2));
    assert!(BY_COUNTRY.set("fr", Value::Text("closed".to_owned())));
    BY_COUNTRY.set("it", Value::Null);
    BY_COUNTRY.remove("it");
    let runtime = crate::runtime();
    let answer = runtime.block_on(async {
        let _task = runtime_probe::spawn(pending::<()>());
        get(server(), "/debug/vars")
    });
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    let text = answer.text();
    assert!(
        text.starts_with("{\n\"by_country\": {\"de\": 3, \"fr\": \"closed\"},\n\"cmdline\": [\""),
        "{text}"
    );
    assert!(text.ends_with("\n}\n"), "{text}");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert!(names.is_sorted(), "{names:?}");
    let json: Json = serde_json::from_str(text).unwrap();
    assert_eq!(json["orders"], 42);
    assert_eq!(json["load"], 0.75);
    assert_eq!(json["stage"], "say \"hi\"\n");
    assert_eq!(json["nested"], serde_json::json!([{"on": true}, null]));
    assert!(json["panics"].is_null() && json["not a number"].is_null());
    let arguments: Vec<String> = std::env::args().collect();
    assert_eq!(json["cmdline"], serde_json::json!(arguments));
    assert!(json["memstats"]["Sys"].as_u64().unwrap() > 1 << 20);
    let runtime =
        json["tokio"].as_array().unwrap().iter().find(|one| {
            one["workers"].as_array().unwrap().len() == 2 && one["num_alive_tasks"] == 1
        });
    assert!(runtime.is_some(), "{}", json["tokio"]);
    assert!(
        json["tasks"]["alive"].as_u64().unwrap() >= 2,
        "{}",
        json["tasks"]
    );
    assert_eq!(json["probe"]["on"], true);
}

#[test]
fn a_variable_is_published_once() {
    vars::publish("published once", Int::new(1)).unwrap();
    for name in ["published once", "cmdline", "tokio"] {
        let error = vars::publish(name, Int::new(2)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is a variable of this name already"
        );
    }
    assert_eq!(get(server(), "/debug/vars?debug=1").status, 400);
    assert_eq!(ask(server(), "POST", "/debug/vars", "").status, 405);
    assert_eq!(ask(server(), "HEAD", "/debug/vars", "").status, 200);
}
