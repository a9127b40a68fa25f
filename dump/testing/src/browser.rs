//! Chromium without a window, driven as a person does: by clicks and keys on what is visible.
//!
//! It is driven through its own protocol (DevTools) over two pipes, which needs no port and no crate. Chromium reads from
//! descriptor 3 and writes to descriptor 4; a shell connects them with its own input and output.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longer than any step takes. A test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

const START: &str = r#"exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// Functions for expressions of tests.
const READING: &str = include_str!("reading.js");

pub struct Browser {
    chromium: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    is_loaded: bool,
    complaints: Vec<String>,
    profile: PathBuf,
}

/// What a text must have to be readable, by WCAG 2.1 AA, and does not have: an element, its text, and the contrast.
pub type Unreadable = Vec<String>;

impl Browser {
    /// Starts Chromium with a page of 1280 times 900 pixels. Without Chromium a test does nothing and prints a message. In
    /// CI a missing Chromium is a failure.
    pub fn start(test: &str) -> Option<Self> {
        let version = Command::new("chromium").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "no chromium");
            eprintln!("######## SKIPPED {test}: no chromium ########");
            return None;
        }
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let profile = format!("probe-browser-{}-{run}", std::process::id());
        let profile = std::env::temp_dir().join(profile);
        let mut chromium = Command::new("sh")
            .args(["-c", START, "sh"])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args(["--remote-debugging-pipe", "--window-size=1280,900"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut browser = Self {
            to: chromium.stdin.take().unwrap(),
            from: BufReader::new(chromium.stdout.take().unwrap()),
            chromium,
            session: None,
            last: 0,
            is_loaded: false,
            complaints: Vec::new(),
            profile,
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let session = browser.call(
            "Target.attachToTarget",
            json!({ "targetId": page["targetId"], "flatten": true }),
        );
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.size(1280, 900);
        Some(browser)
    }

    /// Loads a page.
    pub fn open(&mut self, address: &str) {
        self.is_loaded = false;
        let answer = self.call("Page.navigate", json!({ "url": address }));
        assert!(answer.get("errorText").is_none(), "{address}: {answer}");
        self.until_loaded();
    }

    /// Waits until the page that is loading is there.
    fn until_loaded(&mut self) {
        while !self.is_loaded {
            let message = self.message();
            self.note(&message);
        }
    }

    /// The value of a JavaScript expression. Those of tests may use the functions of `reading.js`.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let expression = format!("(() => {{ {READING}\nreturn ({expression}); }})()");
        let answer = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }),
        );
        assert!(answer.get("exceptionDetails").is_none(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// The text of an expression's value.
    #[track_caller]
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        let text = value.as_str();
        text.unwrap_or_else(|| panic!("{expression} is {value}"))
            .to_owned()
    }

    /// The number of an expression's value.
    #[track_caller]
    pub fn number(&mut self, expression: &str) -> f64 {
        let value = self.value(expression);
        let number = value.as_f64();
        number.unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// The number of visible elements.
    #[track_caller]
    pub fn visible(&mut self, selector: &str) -> usize {
        self.number(&format!("visible({selector:?}).length")) as usize
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.value(expression) != Value::Bool(true) {
            if Instant::now() > deadline {
                let page = self.text("document.body.innerText");
                panic!("it does not become true: {expression}\n{page}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Clicks into the middle of the first visible element that matches and whose text contains `text`.
    #[track_caller]
    pub fn click(&mut self, selector: &str, text: &str) {
        let at = self.value(&format!("middle({selector:?}, {text:?})"));
        let (Some(x), Some(y)) = (at[0].as_f64(), at[1].as_f64()) else {
            panic!("no {selector} with {text} can be clicked: {at}");
        };
        self.click_at(x, y);
    }

    /// Clicks at a point of the window.
    pub fn click_at(&mut self, x: f64, y: f64) {
        for kind in ["mousePressed", "mouseReleased"] {
            self.call(
                "Input.dispatchMouseEvent",
                json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 }),
            );
        }
    }

    /// As [`Self::click`], and waits for the page that the click loads.
    #[track_caller]
    pub fn follow(&mut self, selector: &str, text: &str) {
        self.is_loaded = false;
        self.click(selector, text);
        self.until_loaded();
    }

    /// Moves the pointer to the middle of an element.
    #[track_caller]
    pub fn point(&mut self, selector: &str, text: &str) {
        let at = self.value(&format!("middle({selector:?}, {text:?})"));
        assert!(at.is_array(), "no {selector} with {text}: {at}");
        self.call(
            "Input.dispatchMouseEvent",
            json!({ "type": "mouseMoved", "x": at[0], "y": at[1] }),
        );
    }

    /// Presses a key: `Tab`, `Enter`, ` `, or a letter.
    pub fn key(&mut self, key: &str) {
        let (text, code) = match key {
            "Enter" => ("\r", 13),
            "Tab" => ("", 9),
            "Escape" => ("", 27),
            " " => (" ", 32),
            // The codes of other keys are not their letters.
            other => match other.as_bytes()[0] {
                letter if letter.is_ascii_alphanumeric() => {
                    (other, u32::from(letter.to_ascii_uppercase()))
                }
                _ => (other, 0),
            },
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Presses Enter, and waits for the page that this loads.
    pub fn submit(&mut self) {
        self.is_loaded = false;
        self.key("Enter");
        self.until_loaded();
    }

    /// Types a text, letter by letter.
    pub fn types(&mut self, text: &str) {
        for letter in text.chars() {
            self.key(&letter.to_string());
        }
    }

    pub fn dark(&mut self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] }),
        );
    }

    /// Whether pages that are opened from now on may run scripts.
    pub fn scripts(&mut self, are_allowed: bool) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            json!({ "value": !are_allowed }),
        );
    }

    pub fn size(&mut self, width: u32, height: u32) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
    }

    /// What the browser complained of since the last call: errors and warnings of the console, exceptions, violations of
    /// policies, files that are missing.
    pub fn complaints(&mut self) -> Vec<String> {
        // Earlier events come before the answer.
        self.value("1");
        std::mem::take(&mut self.complaints)
    }

    /// The visible texts whose contrast is less than WCAG 2.1 AA demands, by their computed styles.
    pub fn unreadable(&mut self) -> Unreadable {
        let found = self.value("unreadable()");
        let found = found.as_array().unwrap().iter();
        found
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    }

    /// Writes a picture of the page.
    pub fn picture(&mut self, path: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        std::fs::write(path, base64(answer["data"].as_str().unwrap())).unwrap();
    }

    #[track_caller]
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut request = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            request["sessionId"] = session.as_str().into();
        }
        let mut bytes = serde_json::to_vec(&request).unwrap();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let mut message = self.message();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "chromium has ended");
        serde_json::from_slice(&bytes).unwrap()
    }

    fn note(&mut self, event: &Value) {
        let about = &event["params"];
        match event["method"].as_str() {
            Some("Page.loadEventFired") => self.is_loaded = true,
            Some("Runtime.exceptionThrown") => self.complaints.push(about.to_string()),
            Some("Runtime.consoleAPICalled") if about["type"] != "log" => {
                self.complaints.push(about["args"].to_string());
            }
            Some("Log.entryAdded")
                if about["entry"]["level"] == "error" || about["entry"]["level"] == "warning" =>
            {
                self.complaints.push(about["entry"].to_string());
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.chromium.kill();
        let _ = self.chromium.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

fn base64(text: &str) -> Vec<u8> {
    let letters = text.bytes().filter(|letter| *letter != b'=');
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for letter in letters {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
